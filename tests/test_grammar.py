"""The rule language: what it reads, what it refuses and why, and the locality it computes."""

from __future__ import annotations

from typing import Any

import pytest

from biosim.equations import BUILT_IN, Level, Rule, parse_expression, parse_quantity, parse_rule
from biosim.equations.units import TIME
from biosim.errors import EquationError, InputError, LocalityError
from biosim.rules import load_rule, rule_paths

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


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(EquationError, match=r"nested|long"):
        parse_expression("-" * 60 + "a")


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


@pytest.mark.parametrize("raw", ["5 parsecs", "ms", "five ms", True, None, "nan", "inf ms", [1]])
def test_bad_quantities(raw: object) -> None:
    with pytest.raises(EquationError):
        parse_quantity(raw)


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
        ("dtag/dt = (pre*teach_post - tag)/tau", "tag < theta*reward_free", None),
        ("dtag/dt = (pre*teach_post - tag)/tau", "tag < theta", Level.broadcast),
    ],
)
def test_locality_is_computed_from_names(synapse: str, eliminate: Any, level: Level | None) -> None:
    if level is None:
        with pytest.raises(LocalityError):
            hebb(synapse=[synapse], eliminate=eliminate)
        return
    rule = hebb(synapse=[synapse], eliminate=eliminate)
    assert rule.level() == level


def test_a_copy_of_the_weights_as_feedback_is_transport() -> None:
    assert load_rule("three-factor").level(Level.transport) == Level.transport
    assert hebb().level(Level.transport) == Level.synapse


@pytest.mark.parametrize("name", sorted(rule_paths()))
def test_shipped_rules_say_what_they_are(name: str) -> None:
    rule = load_rule(name)
    assert rule.name == name
    assert rule.about and "doi" in rule.source and rule.bibtex.startswith("@")
    assert rule.level(Level.broadcast) <= Level.broadcast


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
