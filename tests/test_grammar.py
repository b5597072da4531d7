"""The rule language: what it reads, what it refuses and why, and the locality it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from biosim.equations import BUILT_IN, Level, Rule, parse_expression, parse_quantity, parse_rule
from biosim.equations.dimensions import dimension_of
from biosim.equations.units import (
    NUMBER,
    TIME,
    UNITS,
    Dimension,
    describe,
    parse_rate,
    parse_seconds,
    parse_time,
    parse_voltage,
)
from biosim.errors import EquationError, InputError, LocalityError
from biosim.rules import load_rule

HEBB: dict[str, Any] = {
    "parameters": {"tau": "2 s", "theta": 0.05, "grace": "10 s"},
    "state": {"tag": 0, "weak_for": "0 s"},
    "synapse": ["dtag/dt = (pre*post - tag)/tau", "weak_for = where(tag < theta, weak_for + dt, 0)"],
    "eliminate": "weak_for > grace",
}


def hebb(**changes: Any) -> Rule:
    return parse_rule({**HEBB, **changes})


@pytest.mark.parametrize(
    "text",
    [
        "a == b", "a != b", "a.b", "a[0]", "pre[3]", "lambda: 1", "(lambda: 1)()", "a if b else c", "a // b", "a % b",
        "a @ b", "a & b", "~a", "[a]", "(a, b)", "{a}", "'text'", "True", "1j", "f(a)", "exp(a, b)", "exp(x=a)",
        "__import__('os')", "a; b", "a = b", "yield a", "a := b", "*a", "1e999", "10**400 * 0", "a ** 99", "",
        "x" * 3000, "(" * 60 + "a" + ")" * 60 + " +", "a and", "9" * 400,
    ],
)  # fmt: skip
def test_what_is_not_in_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(EquationError):
        parse_expression(text)


@pytest.mark.parametrize("function", ["exp", "log", "sqrt", "abs", "sign", "tanh"])
def test_a_function_of_one_number_takes_one(function: str) -> None:
    for arguments in ("", "a, b"):
        with pytest.raises(EquationError, match=f"{function} takes 1 arguments"):
            parse_expression(f"{function}({arguments})")


def test_what_python_cannot_read_is_told_in_its_words() -> None:
    with pytest.raises(EquationError, match=r"cannot read 'a.*null bytes"):
        parse_expression("a\0b")


def balanced(leaves: int) -> str:
    return "a" if leaves == 1 else f"({balanced(leaves // 2)} + {balanced(leaves - leaves // 2)})"


@pytest.mark.parametrize(
    ("most", "more", "words"),
    [
        ("-" * 40 + "a", "-" * 41 + "a", "nested more than 40 deep"),
        (balanced(99) + " < -1", balanced(99) + " < 1 + 1", "more than 400 terms"),
        ("a" * 2000, "a" * 2001, "2000 characters, this one has 2001"),
        ("a**16 + a**-16", "a**16.5", "exponents beyond 16"),
        ("a**16", "a**-17", "exponents beyond 16"),
        ("9e299", "1e300", "too large"),
        ("min(a, b) + max(a, b, a, b, a, b, a, b)", "min(a)", "min takes 2 to 8 arguments"),
        ("clip(a, 0, 1)", "clip(a, 0)", "clip takes 3 arguments"),
        ("where(a > 0, a, b)", "where(a > 0, a)", "where takes 3 arguments"),
        ("max(a, b)", "max(a, b, a, b, a, b, a, b, a)", "max takes 2 to 8 arguments"),
    ],
    ids=lambda v: str(v)[:20],
)
def test_the_language_has_bounds_that_are_told(most: str, more: str, words: str) -> None:
    parse_expression(most)
    with pytest.raises(EquationError, match=words):
        parse_expression(more)


@pytest.mark.parametrize("text", ["a < b <= c", "not (a < b) and c > 2", "-a**2 + min(a, b, c)", "where(a > 0, 1, -1)", "clip(a, 0, 1)"])
def test_the_grammar_is_read(text: str) -> None:
    assert parse_expression(text).names >= {"a"}


@pytest.mark.parametrize(
    ("raw", "value", "relative"),
    [
        ("500 ms", 0.5, False),
        ("200ms", 0.2, False),
        ("2 % dev", 0.02, True),
        ("5 %", 0.05, False),
        (3, 3.0, False),
        ("-65 mV", -0.065, False),
    ],
)
def test_quantities(raw: object, value: float, relative: bool) -> None:
    quantity = parse_quantity(raw)
    assert quantity.value == pytest.approx(value)
    assert quantity.relative is relative


SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "day": 86400}
SI = {
    "time": SECONDS, "time^-1": {"Hz": 1, "kHz": 1e3, "per_day": 1 / 86400}, "voltage": {"V": 1, "mV": 1e-3},
    "current": {"A": 1, "nA": 1e-9, "pA": 1e-12}, "voltage^-1 current": {"S": 1, "uS": 1e-6, "nS": 1e-9},
    "time voltage^-1 current": {"F": 1, "nF": 1e-9, "pF": 1e-12}, "pure number": {"%": 0.01, "": 1},
}  # fmt: skip


def test_every_unit_is_that_of_si() -> None:
    assert {u for units in SI.values() for u in units} == {*UNITS, ""}
    for measures, units in SI.items():
        for unit, value in units.items():
            quantity = parse_quantity(f"-2.5e1 {unit}")
            assert quantity.value == pytest.approx(-25 * value, rel=1e-12) and describe(quantity.dimension) == f"a {measures}", unit


A, T, V, R = "current", "time", "voltage", "time^-1"
MEASURES = {
    "t": T, "-t": T, "+t": T, "t + 2*t": T, "t - t": T, "t*v": f"{T} {V}", "v/t": f"{R} {V}", "1/t": R, "t/t": "pure number", "t*0 + v": V,
    "0 + t": T, "t + 0": T, "t**2/t": T, "t**-1": R, "t**0.5*t**0.5": T, "x**t_ratio": "pure number", "2**x": "pure number",
    "abs(t)": T, "abs(0) + v": V, "sign(t)": "pure number", "sqrt(t*t)": T, "sqrt(0) + t": T, "exp(t/t)": "pure number", "max(t, 2*t, 0)": T,
    "min(0, v)": V, "clip(t, 0, t)": T, "where(t > 0, v, 0)": V, "where(not t > 0 and (v < 0 or x > 1), 0, i)": A, "0*t + i": A, "0/t + i": A,
}  # fmt: skip
NONSENSE = {
    "t + v": "cannot add a time and a voltage", "t - 1": "cannot subtract a time and a pure number", "t < v": "cannot compare", "t/0": "divided by zero",
    "max(t, v)": "cannot take max of", "clip(t, 0, 1)": "cannot take clip of", "where(t > 0, t, v)": "cannot choose between", "exp(t)": "exp needs a pure",
    "tanh(v)": "tanh needs a pure", "x**t": "exponent 't' must be a pure number", "t**x": "its exponent must be a literal number",
    "(t > 0) + 1": "used as a number", "not t": "used as a condition", "t > 0 and x": "used as a condition", "where(x, 1, 2)": "used as a condition",
    "-(t > 0)": "used as a number", "abs(x > 0)": "used as a number", "min(x > 0, 1)": "used as a number",
}  # fmt: skip


def known() -> dict[str, Dimension]:
    return {
        "t": parse_quantity("1 s").dimension,
        "v": parse_quantity("1 V").dimension,
        "i": parse_quantity("1 A").dimension,
        "x": NUMBER,
        "t_ratio": NUMBER,
    }


@pytest.mark.parametrize("text", MEASURES)
def test_what_an_expression_measures(text: str) -> None:
    kind = dimension_of(parse_expression(text), known())
    assert not isinstance(kind, str) and describe(kind) == f"a {MEASURES[text]}"


@pytest.mark.parametrize("text", NONSENSE)
def test_what_measures_nothing_says_why(text: str) -> None:
    with pytest.raises(EquationError, match=NONSENSE[text]):
        dimension_of(parse_expression(text), known())


@pytest.mark.parametrize("raw", ["5 parsecs", "ms", "five ms", True, None, "nan", "inf ms", "1e999 s", [1]])
def test_bad_quantities(raw: object) -> None:
    with pytest.raises(EquationError):
        parse_quantity(raw)


@pytest.mark.parametrize(
    ("read", "good", "value", "bad"),
    [
        (parse_time, "50 ms", 0.05, ["50", "50 Hz", 3]),
        (parse_seconds, "1e-9 s", 1e-9, ["0 s", "-0.5 s", "2 % dev", "50"]),
        (parse_rate, "2 kHz", 2e3, ["200", "5 ms"]),
        (parse_voltage, "-20 mV", -0.02, ["20", "5 nA"]),
    ],
)
def test_what_needs_a_unit_is_refused_without(read: Callable[[object], Any], good: str, value: float, bad: list[object]) -> None:
    assert getattr(read(good), "value", read(good)) == pytest.approx(value)
    for raw in bad:
        with pytest.raises(EquationError):
            read(raw)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"eliminate": "weak_for > 20"}, "time"),
        ({"eliminate": "silent_for > 20"}, "time"),
        ({"synapse": ["tag = exp(-dt)"]}, "pure number"),
        ({"synapse": ["tag = tag + dt"]}, "add"),
        ({"synapse": ["dtag/dt = pre*post - tag"]}, "time"),
        ({"parameters": {"tau": 2, "theta": 0.05, "grace": "10 s"}}, "time"),
        ({"eliminate": "tag"}, "not a condition"),
        ({"synapse": ["tag = tag + (weight > 0)"]}, "where"),
        ({"synapse": ["tag = where(weight, 1, 0)"]}, "condition"),
        ({"synapse": ["tag = weight > 0"]}, "condition used as a number"),
        ({"synapse": ["dtag/dt = (pre*post - tag**2)/tau"]}, "linear"),
        ({"synapse": ["dtag/dt = (post - mean_post*tag)/tau"]}, "constant rate"),
        ({"synapse": ["tag = pre*post"]}, "sample to sample"),
        ({"eliminate": "post < 1"}, "sample to sample"),
        ({"synapse": ["nothing = 1"]}, "cannot be assigned"),
        ({"synapse": ["theta = 1"]}, "cannot be assigned"),
        ({"state": {"pre": 0}}, "already a name"),
        ({"state": {"exp": 0}}, "cannot be a name"),
        ({"traces": ["dm/dt = pre/tau"]}, "_pre or _post"),
        ({"traces": ["dm_pre/dt = (post - m_pre)/tau"]}, "unknown name 'post'|sample"),
        ({"eliminate": {"compete": {"within": "layer", "by": "tag"}}}, "within one neuron"),
        ({"eliminate": {"compete": {"within": "post"}}}, "compete"),
        ({"eliminat": "tag < 0"}, "did you mean 'eliminate'"),
        ({"synapse": "dtag/dt = (pre*post - tagg)/tau"}, "did you mean 'tag'"),
    ],
)  # fmt: skip
def test_mistakes_are_explained(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        hebb(**changes)


@pytest.mark.parametrize("name", ["gradient", "layer_rank", "network_sum", "rank", "loss"])
def test_what_only_scorers_may_read_is_refused_with_the_list_of_what_may_be_read(name: str) -> None:
    with pytest.raises(LocalityError, match=r"scorers.*may read: .*mean_post.*weight"):
        hebb(eliminate=f"{name} > 1")


@pytest.mark.parametrize("name", ["post_neighbour", "pre_other", "post_j"])
def test_another_neurons_activity_has_no_name(name: str) -> None:
    with pytest.raises(LocalityError, match="what a synapse can sense"):
        hebb(synapse=[f"dtag/dt = (pre*{name} - tag)/tau"])


@pytest.mark.parametrize(
    ("synapse", "eliminate", "level"),
    [
        ("dtag/dt = (pre*post - tag)/tau", "tag < theta", Level.synapse),
        ("dtag/dt = (pre*post*weight - tag)/tau", "tag < theta and age > grace", Level.synapse),
        ("dtag/dt = ((pre - mean_pre)*post - tag)/tau", "tag < theta", Level.neuron),
        ("dtag/dt = (pre*post - tag)/tau", {"compete": {"within": "post", "by": "tag"}}, Level.neuron),
        ("dtag/dt = (pre*post*reward - tag)/tau", "tag < theta", Level.modulated),
        ("dtag/dt = (pre*teach_post - tag)/tau", "tag < theta", Level.broadcast),
    ],
)
def test_locality_is_computed_from_names(synapse: str, eliminate: Any, level: Level) -> None:
    assert hebb(synapse=[synapse], eliminate=eliminate).level() == level


def test_a_copy_of_the_weights_as_feedback_is_transport() -> None:
    assert load_rule("three-factor").level(Level.transport) == Level.transport
    assert hebb().level(Level.transport) == Level.synapse


def test_parameters_keep_their_unit() -> None:
    assert hebb().with_parameters({"tau": "200ms"}).parameters["tau"].value == pytest.approx(0.2)
    with pytest.raises(InputError, match="time"):
        hebb().with_parameters({"tau": 5})
    with pytest.raises(InputError, match="did you mean 'tau'"):
        hebb().with_parameters({"tua": "5 s"})


def test_event_sections_are_read_for_spiking_substrates() -> None:
    rule = parse_rule(
        {
            "parameters": {"tau_plus": "20 ms", "a_plus": 0.005, "w_max": 1, "theta": 0.05},
            "traces": ["dx_pre/dt = -x_pre/tau_plus"],
            "on_spike": {"x_pre": "x_pre + 1"},
            "on_post": ["weight = clip(weight + a_plus*x_pre, 0, w_max)"],
            "eliminate": "weight < theta",
        }
    )
    assert rule.event_driven and rule.plastic
    assert rule.level() == Level.synapse


LADDER = {  # every name a rule may read, by the level that reading it implies: what "local" means here, in one place
    Level.synapse: {"pre", "post", "weight", "age", "silent_for", "random", "dt", "noise_post"},
    Level.neuron: {f"{stem}_{side}" for stem in ("mean", "var", "degree", "weight_sum") for side in ("pre", "post")},
    Level.modulated: {"reward", "advantage"},
    Level.broadcast: {"teach_pre", "teach_post"},
}


def test_the_ladder_of_locality_is_this_one() -> None:
    assert {level: {n for n, entry in BUILT_IN.items() if entry.level == level} for level in LADDER} == LADDER
    assert set(BUILT_IN) == set().union(*LADDER.values())


@pytest.mark.parametrize(("level", "name"), [(level, name) for level, names in LADDER.items() for name in sorted(names)])
def test_reading_a_name_makes_a_rule_of_its_level(level: Level, name: str) -> None:
    sampled = {"coincidences": [f"c = pre*post*{name}"], "eliminate": "weight < c"}
    plain = {"eliminate": f"{name} > 0*dt" if BUILT_IN[name].dimension == TIME else f"weight < 0*{name}"}
    rule = parse_rule(sampled if "sample" in BUILT_IN[name].axes else plain, "one")
    assert rule.level() == level
