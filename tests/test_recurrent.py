"""Recurrent rate networks: against plain loops, and all that holds for layers."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from biosim.births import draw_weights
from biosim.circuit import Circuit
from biosim.develop import develop
from biosim.drives import ImageDrive
from biosim.equations import Sensed
from biosim.errors import BiosimError, InputError, NumericalError
from biosim.homeostasis import InDegree
from biosim.library import find, load_module
from biosim.nursery.decisions import Site
from biosim.nursery.nursery import Nursery
from biosim.recorder import Recorder
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.scorers import load_scorer, prune, scorer_names
from biosim.scorers.edge_popup import _initial_scores
from biosim.store import circuit_bytes, open_run, read_circuit
from biosim.substrates.rate import propagate
from biosim.synapses import Network, Population, Projection
from biosim.teaching import Feedback
from biosim.wiring.paths import on_path

# every kind of projection: forward, skipping, within a population, backwards, within the readout
DIAGRAM = [("input", "a"), ("input", "b"), ("a", "b"), ("b", "output"), ("a", "output"), ("a", "a"), ("b", "b"), ("b", "a"), ("output", "a"),
           ("output", "output")]  # fmt: skip


def tangle(
    seeds: Sequence[int] = (0, 1), steps: int = 5, activation: Any = "tanh", scale: float = 0.7, probability: float = 0.8
) -> Network:
    """Return a network with every kind of projection, leaks and gains of all sizes."""
    populations = [
        Population("input", 7),
        Population("a", 6, activation, leak=0.3),
        Population("b", 5, activation),
        Population("output", 3, "linear", leak=0.8),
    ]
    named = {p.name: p for p in populations}
    projections = []
    for pre, post in DIAGRAM:
        weight, born = draw_weights(tuple(seeds), f"{pre}-{post}", named[pre].size, named[post].size, probability=probability, scale=scale)
        projections.append(Projection(f"{pre}-{post}", named[pre], named[post], torch.from_numpy(weight), torch.from_numpy(born)))
    network = Network(populations, projections, steps)
    random = np.random.default_rng(1)
    for population in populations[1:]:
        population.gain = torch.from_numpy(random.uniform(0.5, 1.5, population.gain.shape).astype(np.float32))
    return network


def recurrent(seeds: Sequence[int] = (0, 1, 2), inputs: int = 36, outputs: int = 4, **options: Any) -> Network:
    build = load_module(find("models", "recurrent")).build
    return build(inputs, outputs, list(seeds), **{"hidden": 20, "steps": 4} | options)  # type: ignore[no-any-return]


def plain_loop(network: Network, x: np.ndarray, replicate: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The module's equation, one neuron at a time; rates at the last step and at the one before."""
    phi = {"tanh": math.tanh, "relu": lambda v: max(v, 0.0), "linear": lambda v: v}
    order = list(network.populations)
    samples = len(x)
    v = {n: np.zeros((samples, p.size)) for n, p in network.populations.items()}
    y = {n: np.zeros((samples, p.size)) for n, p in network.populations.items()}
    y[order[0]] = x.astype(np.float64)
    for _ in range(network.steps):
        before = {n: a.copy() for n, a in y.items()}
        for name in order[1:]:
            population = network.populations[name]
            for s in range(samples):
                for j in range(population.size):
                    total = 0.0
                    for p in network.projections.values():
                        if p.post.name == name:
                            arrived = y if order.index(p.pre.name) < order.index(name) else before
                            for i in range(p.pre.size):
                                if p.active[replicate, i, j]:
                                    total += float(p.weight[replicate, i, j]) * arrived[p.pre.name][s, i]
                    new = (1 - population.leak) * v[name][s, j] + population.leak * float(population.gain[replicate, j]) * total
                    v[name][s, j], y[name][s, j] = new, phi[population.activation](new)
    return y, before


@pytest.mark.parametrize("activation", ["tanh", "relu", "linear"])
@pytest.mark.parametrize("steps", [2, 5])
def test_it_settles_as_a_plain_loop_does(activation: str, steps: int) -> None:
    network = tangle(steps=steps, activation=activation)
    network.projections["a-a"].silence(network.projections["a-a"].active & (torch.arange(6) > 1), 0)
    x = np.random.default_rng(0).standard_normal((2, 7)).astype(np.float32)
    circuit = Circuit.of(network, {}, {n: p.active for n, p in network.projections.items()})
    for r in range(2):
        y, _ = plain_loop(network, x, r)
        np.testing.assert_allclose(circuit.respond(x)[r], y["output"], rtol=1e-4, atol=1e-5)


def test_without_loops_or_leak_one_pass_says_it_all() -> None:
    """A feedforward chain, run as a network that settles, gives what the rate substrate gives, in any number of steps."""
    chain = Network.layered([7, 6, 5, 3], [0, 1], activation="tanh")
    x = torch.randn(1, 9, 7, generator=torch.Generator().manual_seed(0))
    effective, gains = {n: p.effective for n, p in chain.projections.items()}, {n: p.gain for n, p in chain.populations.items()}
    once = propagate(chain, effective, gains, x)
    from biosim.substrates.recurrent import settle

    for chain.steps in (1, 4):
        settled, _ = settle(chain, effective, gains, x)
        assert all(torch.equal(once[n], settled[n]) for n in once)


def test_synapses_sense_what_arrived_and_teaching_comes_back_along_forward_projections(
    images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = recurrent((3, 4), leak=0.4, activation="tanh")
    drive, seen = ImageDrive(images, batch=5, epochs=1), {}
    shown = next(iter(drive.presentations((3, 4), network.device)))
    monkeypatch.setattr(Site, "advance", lambda self, sensed, u: seen.__setitem__(self.projection.name, sensed) or False)
    feedback = Feedback(network, "random", (3, 4))
    assert list(feedback.wiring) == [("output", "hidden")]
    with torch.inference_mode():
        Nursery(network, drive, load_rule("hebbian-trace"), Schedule(), [InDegree()], None, (3, 4), Recorder()).step(0, shown)
    plain: dict[str, Sensed] = dict(seen)
    with torch.inference_mode():
        Nursery(network, drive, load_rule("mirrored-three-factor"), Schedule(), [], feedback, (3, 4), Recorder()).step(0, shown)
    for r in range(2):
        y, before = plain_loop(network, shown.inputs[r].numpy(), r)
        for p in network.projections.values():
            arrived = before if p.name == "hidden-hidden" else y
            np.testing.assert_allclose(seen[p.name].pre[r], arrived[p.pre.name], rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(seen[p.name].post[r], y[p.post.name], rtol=1e-3, atol=1e-5)
        error = np.eye(4)[shown.labels[r]] - np.exp(y["output"]) / np.exp(y["output"]).sum(1, keepdims=True)  # type: ignore[index]
        taught = error @ feedback.wiring["output", "hidden"][r].numpy() * (1 - y["hidden"] ** 2)
        for name in ("input-hidden", "hidden-hidden"):
            np.testing.assert_allclose(seen[name].teach_post[r], taught, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(seen["hidden-hidden"].teach_pre[r], taught, rtol=1e-3, atol=1e-5)
    assert plain["hidden-hidden"].teach_post is None


@pytest.mark.parametrize("name", ["three-factor", "mirrored-three-factor", "hebbian-trace"])
def test_rules_carve_recurrent_births_and_replicates_stand_alone(name: str, drive: ImageDrive) -> None:
    def grow(seeds: tuple[int, ...]) -> Circuit:
        network = recurrent(seeds, activation="tanh", recurrent_probability=0.7)
        return develop(
            network, drive, load_rule(name), schedule=Schedule(density=0.3), feedback=Feedback(network, "random", seeds), seeds=seeds
        ).circuit

    batch, alone, born = grow((10, 11, 12)), grow((11,)), recurrent((10, 11, 12), recurrent_probability=0.7)
    for projection, mask in batch.mask.items():
        assert np.array_equal(mask[1], alone.mask[projection][0])
        assert not (mask & ~batch.born[projection]).any() and mask.sum() < batch.born[projection].sum()
        if name != "hebbian-trace":
            assert (mask.sum((1, 2)) == np.floor(0.3 * batch.born[projection].sum((1, 2)) + 0.5)).all()
        assert batch.weight[projection].tobytes() == born.projections[projection].weight.numpy().tobytes()
    assert not batch.born["hidden-hidden"][:, np.arange(20), np.arange(20)].any()


@pytest.mark.parametrize("name", scorer_names())
def test_scorers_prune_recurrent_births_or_say_that_they_cannot(name: str, drive: ImageDrive) -> None:
    network = recurrent((0, 1))
    try:
        circuit = prune(name, load_scorer(name), network, drive, 0.25, (0, 1))
    except InputError as error:
        assert (
            name == "magnitude" if "same size" in error.message else "feedforward" in error.message and name not in ("edge-popup", "random")
        )
        return
    alone = prune(name, load_scorer(name), recurrent((1,)), drive, 0.25, (1,))
    assert all(np.array_equal(circuit.mask[n][1], alone.mask[n][0]) for n in circuit.mask)
    if name != "supermask":  # whose density emerges
        assert circuit.density() == pytest.approx([1.0 if name == "dense" else 0.25] * 2, abs=0.01)


def test_edge_popup_takes_its_gradient_through_the_settling_steps(drive: ImageDrive) -> None:
    """The published formulation, written plainly, on the unrolled network."""
    density, network = 0.3, recurrent((5,), steps=3, leak=0.6)
    scorer = load_scorer("edge-popup")
    ours = scorer.score(network, drive, density, (5,))
    weights = {n: p.weight[0] for n, p in network.projections.items()}
    born = {n: p.born[0] for n, p in network.projections.items()}
    scores = {n: nn.Parameter(_initial_scores(network, n, (5,))[0].clone()) for n in weights}
    optimiser = torch.optim.SGD(scores.values(), 0.1, momentum=0.9, weight_decay=1e-4)
    for step, shown in enumerate(drive.presentations((5,), torch.device("cpu"))):
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * step / drive.clock.steps))
        kept = {}
        for n, s in scores.items():
            bar = s.detach().abs()[born[n]].sort(descending=True).values[math.floor(density * int(born[n].sum()) + 0.5) - 1]
            mask = ((s.detach().abs() >= bar) & born[n]).float()
            kept[n] = weights[n] * (mask + s.abs() - s.abs().detach()) / math.sqrt(density)  # straight through
        v = torch.zeros(shown.inputs.shape[1], 20)
        for _ in range(3):
            v = 0.4 * v + 0.6 * (shown.inputs[0] @ kept["input-hidden"] + v.relu() @ kept["hidden-hidden"])
        assert shown.labels is not None
        optimiser.zero_grad()
        nn.functional.cross_entropy(v.relu() @ kept["hidden-output"], shown.labels[0]).backward()
        optimiser.step()
    for n, score in ours.items():
        torch.testing.assert_close(score[0][born[n]], scores[n].detach().abs()[born[n]], rtol=2e-3, atol=2e-5)


# -- circuits -------------------------------------------------------------------------------------
@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.floats(0.05, 0.5), st.integers(0, 99))
def test_effective_synapses_are_those_the_readout_can_feel(steps: int, density: float, seed: int) -> None:
    """With positive weights and linear neurons a synapse matters exactly when the readout's slope along it is not zero."""
    network, random = tangle((0, 1), steps, "linear", probability=1.0), np.random.default_rng(seed)
    for p in network.projections.values():
        p.weight.abs_().add_(0.1)
        p.eliminate(torch.from_numpy(random.random(p.shape) > density), 0)
        p.refresh()
    effective = {n: p.effective.double().requires_grad_() for n, p in network.projections.items()}
    output = propagate(network, effective, {}, torch.ones(1, 1, 7, dtype=torch.float64))["output"]
    if output.requires_grad:
        output.sum().backward()
    found = on_path(network, {n: p.alive for n, p in network.projections.items()})
    for n, p in network.projections.items():
        slope = effective[n].grad
        felt = torch.zeros_like(p.alive) if slope is None else (slope != 0) & p.alive
        assert torch.equal(found[n], felt), n


def test_given_time_effective_synapses_are_those_networkx_finds() -> None:
    network, random = tangle((0, 1), 40, probability=1.0), np.random.default_rng(3)
    for p in network.projections.values():
        p.eliminate(torch.from_numpy(random.random(p.shape) > 0.12), 0)
    circuit = Circuit.of(network, {})
    found = on_path(circuit.network, {n: torch.from_numpy(m) for n, m in circuit.mask.items()})
    for r in range(2):
        graph = circuit.to_networkx(r)
        assert graph.graph == {"steps": 40, "leak": {"input": 1.0, "a": 0.3, "b": 1.0, "output": 0.8}}
        assert graph.number_of_edges() == sum(int(m[r].sum()) for m in circuit.mask.values()) and list(nx.simple_cycles(graph, 3))
        reached = set().union(*(nx.descendants(graph, ("input", i)) | {("input", i)} for i in range(7)))
        leads = set().union(*(nx.ancestors(graph, ("output", i)) | {("output", i)} for i in range(3)))
        wanted = {(u, v) for u, v in graph.edges if u in reached and v in leads}
        assert wanted == {((a, i), (b, j)) for n, a, b in circuit.projections for i, j in np.argwhere(found[n][r].numpy()).tolist()}


def test_files_keep_how_a_circuit_settles(tmp_path: Path) -> None:
    circuit, path = Circuit.of(tangle(), {"rule": "made up"}), tmp_path / "c.safetensors"
    path.write_bytes(circuit_bytes(circuit))
    back = read_circuit(path)
    assert (back.steps, back.leak) == (5, {"a": 0.3, "output": 0.8})
    x = np.random.default_rng(0).standard_normal((4, 7)).astype(np.float32)
    assert np.array_equal(back.respond(x), circuit.respond(x)) and circuit_bytes(back) == path.read_bytes()
    assert not np.allclose(replace(circuit, steps=6).respond(x), circuit.respond(x))
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(path, "numpy") as file:  # a file that lost how it settles is not run as if it had no loops
        about = json.loads(file.metadata()["biosim"])
        tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    for settling in (
        {},
        {"settling": {"steps": 1, "leak": {}}},
        {"settling": {"steps": 5, "leak": {"a": 7}}},
        {"settling": {"steps": 5, "leak": [1]}},
    ):
        save_file(tensors, path, {"biosim": json.dumps({k: v for k, v in about.items() if k != "settling"} | settling)})
        with pytest.raises(BiosimError, match="not a circuit"):
            read_circuit(path)


# -- errors ---------------------------------------------------------------------------------------
def test_runaway_names_population_step_and_remedy(drive: ImageDrive) -> None:
    network = recurrent((0,), radius=1e9, steps=9)
    with pytest.raises(NumericalError, match=r"'hidden' ran away at step 0 within 9 settling steps.*tanh"):
        develop(network, drive, load_rule("hebbian-trace"), seeds=(0,))
    with pytest.raises(NumericalError, match=r"'hidden' ran away within 9 settling steps"):
        prune("edge-popup", load_scorer("edge-popup"), network, drive, 0.5, (0,))
    with pytest.raises(NumericalError, match="'hidden' ran away"):
        Circuit.of(network, {}).respond(np.ones((2, 36), np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p, q: Network([p, q], [link(p, q), link(q, q)]), "'b-b' is recurrent: the network needs at least 2"),
        (lambda p, q: Network([p, q], [link(p, q), link(q, p)], 3), "'b-a' leads into 'a', whose activity is given by the drive"),
        (lambda p, q: Network([p], [link(p, q)]), "'a-b' ends in 'b', which is not a population"),
        (lambda p, q: Network([p, q], [link(p, q)], 0), "at least one step"),
        (lambda p, q: Population("c", 3, leak=0.0), r"leak of population 'c' must lie in \(0, 1\]"),
        (lambda p, q: recurrent(radius=0.0), "radius"),
        (lambda p, q: recurrent(hidden=1), "at least two neurons"),
        (lambda p, q: recurrent(steps=1), "at least 2 settling steps"),
    ],
)
def test_diagrams_that_cannot_be_run_are_refused(make: Callable[..., Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(Population("a", 3), Population("b", 3))


def link(pre: Population, post: Population) -> Projection:
    return Projection(
        f"{pre.name}-{post.name}", pre, post, torch.ones(1, pre.size, post.size), torch.ones(1, pre.size, post.size, dtype=torch.bool)
    )


def test_a_population_without_a_way_back_needs_direct_feedback() -> None:
    populations = [Population("input", 4), Population("aside", 3), Population("output", 2, "linear")]
    first, aside, last = populations
    network = Network(populations, [link(first, aside), link(first, last), link(aside, aside)], 2)
    with pytest.raises(InputError, match=r"'aside' has no forward projection.*direct"):
        Feedback(network, "random", (0,))
    assert list(Feedback(network, "direct", (0,)).wiring) == [("output", "aside")]


# -- the model ------------------------------------------------------------------------------------
def test_recurrent_births_have_the_radius_asked_for() -> None:
    for weights, probability in (("signed-constant", 1.0), ("kaiming-normal", 0.2)):
        network = recurrent((0,), hidden=500, radius=0.8, weights=weights, recurrent_probability=probability)
        loop = network.projections["hidden-hidden"]
        assert np.abs(np.linalg.eigvals(loop.weight[0].double().numpy())).max() == pytest.approx(0.8, rel=0.08)
        assert loop.born.float().mean() == pytest.approx(probability, abs=0.01)
        assert not loop.weight[0].diagonal().any()


def test_it_learns(images: Any) -> None:
    from biosim.compare import accuracy

    seeds = (0, 1)
    network = recurrent(seeds, hidden=60)
    drive = ImageDrive(images, batch=16, epochs=25)
    made = develop(
        network, drive, load_rule("three-factor"), schedule=Schedule(density=0.3), feedback=Feedback(network, "random", seeds), seeds=seeds
    )
    assert accuracy(made.circuit.predict(images.test), images.test_labels).mean() > 0.9


def test_the_scenario_runs_and_the_analysis_cuts_the_loops(cli: Any, tiny: Path, tmp_path: Path) -> None:
    tiny.write_text(
        tiny.read_text().replace("{name: mlp, hidden: [24, 16]}", "{name: recurrent, hidden: 24, steps: 3}").replace("edge-popup, ", "")
    )
    run = tmp_path / "run"
    code, _, err = cli("run", str(tiny), "--out", str(run))
    assert code == 0, err
    code, _, err = cli("analyse", "recurrence", str(run))
    assert code == 0, err
    circuit = read_circuit(run / "circuit.safetensors")
    assert (circuit.steps, circuit.leak) == (3, {"hidden": 0.5})
    with (run / "analysis" / "recurrence" / "recurrence.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 5 * 2  # methods, whole and cut, 2 to 6 steps, replicates
    images = open_run(run).images()
    lone = replace(circuit, mask={n: m & (n != "hidden-hidden") for n, m in circuit.mask.items()})
    for version, label in ((circuit, "whole"), (lone, "recurrent synapses cut")):
        found = [float(r["accuracy"]) for r in rows if (r["method"], r["circuit"], r["steps"]) == ("three-factor", label, "3")]
        assert found == pytest.approx((version.predict(images.test) == images.test_labels).mean(1))
    flat = SimpleNamespace(folder=run, table=[{"method": "none"}], circuit=Circuit.of(Network.layered([4, 3], [0]), {}), rivals={})
    with pytest.raises(BiosimError, match="no recurrent projections"):
        load_module(find("analysis", "recurrence")).analyse(flat)
