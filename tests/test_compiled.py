"""Compiled equations against brute force: every product, every linear equation, every array program."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from spiking_reference import value

from biosim.equations import Clock, Rule, parse_expression, parse_rule
from biosim.equations.compiled import CompiledRule
from biosim.equations.evaluate import evaluate
from biosim.equations.products import PerformanceWarning
from biosim.equations.program import Compiler, run_program
from biosim.equations.sensed import Sensed
from biosim.streams import edge_streams, edge_uniform

R, S, N, M = 2, 5, 4, 3
STREAMS = edge_streams((0, 1), "test")


def rule_of(synapse: list[str], **sections: Any) -> Rule:
    parameters = {"tau": "0.7 s", "k": 0.3, "h": 2}
    return parse_rule({"parameters": parameters, "state": {"x": 0.1, "z": 0.2}, "synapse": synapse, "eliminate": "x > 9", **sections})


def sensed(seed: int = 0, samples: int = S, dtype: torch.dtype = torch.float64) -> Sensed:
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)  # noqa: E731
    neurons = {f"{n}_{s}": draw(R, w) for n in ("mean", "var", "degree", "weight_sum") for s, w in (("pre", N), ("post", M))}
    since = torch.full((R, N, M), math.inf, dtype=dtype)
    synapses = {"weight": draw(R, N, M), "_since": since, "_born": torch.zeros(R, N, M, dtype=dtype)}
    return Sensed(
        draw(R, samples, N), draw(R, samples, M), draw(R, samples, M), draw(R, samples, N), draw(R, samples), neurons, synapses, 3
    )


def compiled(rule: Rule, samples: int = S, dtype: torch.dtype = torch.float64) -> CompiledRule:
    made = CompiledRule(rule, (R, N, M), Clock(0.05, samples, 100), STREAMS, dtype=dtype)
    s = sensed(dtype=dtype)
    made.initialise(replace(s.known, step=-1))
    return made


def brute(expression: str, s: Sensed, parameters: dict[str, float], state: dict[str, torch.Tensor]) -> np.ndarray:
    """Evaluate an expression in numpy for every (replicate, sample, pre, post), as it is written."""
    assert s.teach_post is not None and s.teach_pre is not None and s.reward is not None
    values = {
        "pre": s.pre[..., None],
        "teach_pre": s.teach_pre[..., None],
        "post": s.post[:, :, None],
        "teach_post": s.teach_post[:, :, None],
    }
    values |= {"reward": s.reward[..., None, None], "weight": s.synapses["weight"][:, None], **{n: v[:, None] for n, v in state.items()}}
    values |= {n: v[:, None, :, None] if n.endswith("_pre") else v[:, None, None] for n, v in s.neurons.items()}
    found = value(parse_expression(expression).node, {**{n: np.asarray(v) for n, v in values.items()}, **parameters})
    return np.broadcast_to(found, (R, s.pre.shape[1], N, M))


PRE = st.sampled_from(
    ["pre", "mean_pre", "(pre - mean_pre)", "tanh(pre)", "teach_pre", "where(pre > 0, pre, 0)", "pre**2", "max(pre, 0.1)"]
)
POST = st.sampled_from(["post", "teach_post", "(post - mean_post)", "abs(post)", "exp(-post**2)", "where(post > k, teach_post, 0)"])
FREE = st.sampled_from(["weight", "k", "1.5", "sign(weight)", "x", "abs(x)", "degree_post", "reward", "(2 - h)"])
LEAF = st.one_of(PRE, POST, FREE)
TREE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" + ", " - ", "*"]), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
        inner.map(lambda a: f"(-{a})"),
        inner.map(lambda a: f"({a}/h)"),
        st.tuples(inner, st.sampled_from(["(weight**2 + 1)", "(1 + post**2)", "(1 + abs(pre))"])).map(lambda t: f"({t[0]}/{t[1]})"),
        st.tuples(st.sampled_from(["pre > 0", "post < k", "weight > 0"]), inner).map(lambda t: f"where({t[0]}, {t[1]}, 0)"),
    ),
    max_leaves=6,
)


SPLITS = [
    "pre*post", "weight*pre*post*reward", "(pre - mean_pre)*(post - mean_post)", "-(pre*post)", "+(pre*post)", "pre*post/(1 + post**2)", "2/(pre*post)",
    "(pre*post)**1", "(pre*post)**3", "(pre*post)**8", "(pre + post)**4", "(weight + pre)**2*post", "abs(pre*post)", "sign(weight*pre)*post",
    "where(pre > 0, pre*post, 0)", "where(post > 0, 0, pre*post)", "where(weight > 0, pre, post)", "where(reward > 0, pre*post, pre)", "pre + post - weight",
]  # fmt: skip
DOES_NOT_SPLIT = [
    "max(pre, post)*weight + exp(pre*post/h)", "(pre*post)**9", "(pre*pre*post*post + 1)**0.5", "1/(pre**2 + post**2 + 1)", "(pre + post)**5",
    "abs(pre + post)", "where(pre > post, pre, post)", "(pre**2*post**2 + 1)**(-1)", "(pre + post + weight)**3", "(pre*post)**0",
]  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(TREE)
def test_coincidences_equal_brute_force(text: str) -> None:
    rule = rule_of([], coincidences=[f"c = {text}"])
    made, s = compiled(rule), sensed()
    state = {n: made.held.arrays[n].clone() for n in ("x", "z")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PerformanceWarning)
        made.step(s)
    wanted = brute(text, s, made.parameters, state).mean(1)
    np.testing.assert_allclose(made.held.arrays["c"].numpy(), wanted, rtol=1e-9, atol=1e-11)


@settings(max_examples=60, deadline=None)
@given(st.one_of(TREE, st.sampled_from(DOES_NOT_SPLIT)), st.sampled_from(["-x/tau", "0*x/tau", "-(x + x)/tau", "(x/2 - x)/tau"]))
def test_linear_equations_equal_sample_by_sample_integration(text: str, own: str) -> None:
    rule = rule_of([f"dx/dt = ({text})/tau + {own}"] if "x" not in parse_expression(text).names else ["dx/dt = -x/tau"])
    made, s = compiled(rule), sensed()
    x = made.held.arrays["x"].numpy().copy()
    drive = brute(text, s, made.parameters, {"x": made.held.arrays["x"], "z": made.held.arrays["z"]}) / 0.7
    if "x" in parse_expression(text).names:
        drive, own = drive * 0, "-x/tau"
    rate = {"-x/tau": -1, "0*x/tau": 0, "-(x + x)/tau": -2, "(x/2 - x)/tau": -0.5}[own] / 0.7
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PerformanceWarning)
        made.step(s)
    for q in range(S):  # exact solution over one presentation with constant input
        gain = 0.05 if rate == 0 else math.expm1(rate * 0.05) / rate
        x = x * math.exp(rate * 0.05) + gain * drive[:, q]
    np.testing.assert_allclose(made.held.arrays["x"].numpy(), x, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("text", ["dx/dt = (pre*post - x)/tau", "dx/dt = (weight*pre*teach_post - x)/tau", "dx/dt = k*pre*post/tau"])
def test_one_step_over_a_batch_is_many_steps_of_one_sample(text: str) -> None:
    whole, single, s = compiled(rule_of([text]), 64), compiled(rule_of([text]), 1), sensed(samples=64)
    whole.step(s)
    for q in range(64):
        cut = slice(q, q + 1)
        assert s.teach_post is not None and s.reward is not None
        single.step(Sensed(s.pre[:, cut], s.post[:, cut], s.teach_post[:, cut], None, s.reward[:, cut], s.neurons, s.synapses, 3))
    torch.testing.assert_close(whole.held.arrays["x"], single.held.arrays["x"], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("text", "splits"), [*((t, True) for t in SPLITS), *((t, False) for t in DOES_NOT_SPLIT)])
def test_what_splits_runs_as_products_what_does_not_warns_and_both_are_right(text: str, splits: bool) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = compiled(rule_of([], coincidences=[f"c = {text}"]))
    assert [w.category for w in said] == [PerformanceWarning] * (not splits) and all("chunks" in str(w.message) for w in said)
    s = sensed()
    made.step(s)
    np.testing.assert_allclose(made.held.arrays["c"].numpy(), brute(text, s, made.parameters, {}).mean(1), rtol=1e-10, atol=1e-12)


def test_a_large_mean_costs_no_precision() -> None:
    """Expanded, float32 covariance at offset 100 is some 20 % wrong; as a product it is not."""
    s = sensed(samples=256, dtype=torch.float64)
    pre, post = s.pre + 100, s.post + 100
    neurons = {**s.neurons, "mean_pre": pre.mean(1), "mean_post": post.mean(1)}
    wanted = ((pre - pre.mean(1, keepdim=True)).transpose(1, 2) @ (post - post.mean(1, keepdim=True))) / 256
    made = compiled(rule_of([], coincidences=["c = (pre - mean_pre)*(post - mean_post)"]), 256, torch.float32)
    low = {n: v.float() for n, v in neurons.items()}
    made.step(Sensed(pre.float(), post.float(), None, None, None, low, {n: v.float() for n, v in s.synapses.items()}, 0))
    assert float((made.held.arrays["c"].double() - wanted).abs().max() / wanted.abs().max()) < 1e-4


def test_traces_are_neuron_values_frozen_within_a_step() -> None:
    rule = rule_of(["x = x + m_pre*n_post"], traces=["dm_pre/dt = (pre**2 - m_pre)/tau", "dn_post/dt = -n_post/tau + post/tau"])
    made, s = compiled(rule), sensed()
    made.step(s)
    assert torch.allclose(made.held.arrays["x"], torch.full((R, N, M), 0.1, dtype=torch.float64))  # traces start at 0
    m = torch.zeros(R, N, dtype=torch.float64)
    for q in range(S):
        m = m * math.exp(-0.05 / 0.7) + (1 - math.exp(-0.05 / 0.7)) * s.pre[:, q] ** 2
    torch.testing.assert_close(made.held.traces["m_pre"], m)
    before = made.held.traces["n_post"].clone()
    made.step(s)
    torch.testing.assert_close(made.held.arrays["x"], 0.1 + m.unsqueeze(2) * before.unsqueeze(1))


SYNAPSE_LEAF = st.sampled_from(["a", "b", "u_pre", "v_post", "0.7", "2", "0", "random"])
SYNAPSE_TREE = st.recursive(
    SYNAPSE_LEAF,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["abs", "sign", "tanh", "exp"]), inner).map(lambda t: f"{t[0]}(tanh({t[1]}))"),
        st.tuples(inner, inner, inner).map(lambda t: f"clip({t[0]}, min({t[1]}, {t[2]}), max({t[1]}, {t[2]}, 1))"),
        st.tuples(inner, inner, inner, inner).map(lambda t: f"where({t[0]} < {t[1]} <= 2 or not ({t[0]} > 1 and {t[1]} >= 0), {t[2]}, {t[3]})"),
        inner.map(lambda a: f"({a})**2"),
        inner.map(lambda a: f"(-{a})/(1 + abs({a}))"),
    ),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(SYNAPSE_TREE)
def test_the_array_program_computes_what_was_written(text: str) -> None:
    assume(len(text) < 600)  # the language caps length and nesting
    node = parse_expression(text).node
    g = np.random.default_rng(1)
    shape = (R, 7, 700)  # rows longer than half a block, an odd remainder
    arrays = {n: g.standard_normal(shape) for n in ("a", "b", "out")}
    vectors = {"u_pre": g.standard_normal((R, 7)), "v_post": g.standard_normal((R, 700))}
    compiler = Compiler({"a": "synapse", "b": "synapse", "out": "synapse", "u_pre": "pre", "v_post": "post", "random": "synapse"})
    compiler.assign("out", node)
    run_program(compiler.finish(), arrays, vectors, STREAMS, 5, {})
    values = {"a": torch.from_numpy(arrays["a"]), "b": torch.from_numpy(arrays["b"])}
    values |= {"u_pre": torch.from_numpy(vectors["u_pre"]).unsqueeze(2), "v_post": torch.from_numpy(vectors["v_post"]).unsqueeze(1)}
    values["random"] = edge_uniform(STREAMS, 5, shape[1:], slice(None), torch.device("cpu")).double()
    wanted = evaluate(node, values).expand(shape)
    np.testing.assert_allclose(arrays["out"], wanted.numpy(), rtol=1e-12, atol=1e-12)


def test_nan_is_not_hidden() -> None:
    arrays = {"a": np.full((1, 1, 4), np.nan), "out": np.zeros((1, 1, 4))}
    for text in ("min(a, 1)", "min(1, a)", "max(a, 1)", "max(1, a)", "clip(a, 0, 1)"):
        compiler = Compiler({"a": "synapse", "out": "synapse"})
        compiler.assign("out", parse_expression(text).node)
        run_program(compiler.finish(), arrays, {}, STREAMS[:1], 0, {})
        assert np.isnan(arrays["out"]).all(), text


def test_draws_depend_on_stream_step_and_edge_alone() -> None:
    whole = edge_uniform(STREAMS, 4, (50, 30), slice(None), torch.device("cpu"))
    part = edge_uniform(STREAMS[1:], 4, (50, 30), slice(10, 20), torch.device("cpu"))
    assert torch.equal(whole[1:, 10:20], part)
    other = edge_uniform(STREAMS, 5, (50, 30), slice(None), torch.device("cpu"))
    assert not torch.equal(whole, other)
    assert abs(float(whole.mean()) - 0.5) < 0.02 and float(whole.min()) >= 0 and float(whole.max()) < 1
    joint = np.corrcoef(whole.flatten(), other.flatten())[0, 1]
    assert abs(joint) < 0.05


def test_a_trace_may_only_be_driven_or_only_decay() -> None:
    made, s = compiled(rule_of(["x = x"], traces=["dlived_post/dt = 1/tau", "dgone_pre/dt = -gone_pre/tau"])), sensed()
    made.held.traces["gone_pre"].fill_(2.0)
    for _ in range(3):
        made.step(s)
    np.testing.assert_allclose(made.held.traces["lived_post"], 3 * S * 0.05 / 0.7)
    np.testing.assert_allclose(made.held.traces["gone_pre"], 2 * math.exp(-3 * S * 0.05 / 0.7))


def test_ages_are_measured_in_developmental_time() -> None:
    with pytest.warns(PerformanceWarning):
        made = compiled(rule_of(["x = silent_for/tau", "z = age/tau"], coincidences=["c = exp(0*pre*post)*age/tau"]))  # one in chunks too
    s = sensed()
    s.synapses["_since"][:, 0] = 1.0
    made.step(s)  # step 3, dt = 0.25 s
    assert torch.allclose(made.held.arrays["x"][:, 0], torch.tensor(2 * 0.25 / 0.7, dtype=torch.float64))
    assert float(made.held.arrays["x"][:, 1:].abs().max()) == 0
    for name in ("z", "c"):
        assert torch.allclose(made.held.arrays[name], torch.tensor(3 * 0.25 / 0.7, dtype=torch.float64))
