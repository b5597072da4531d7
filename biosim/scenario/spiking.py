"""A scenario in which a spiking network lives, and loses the synapses that its rules give up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biosim import __version__
from biosim.equations import Level, Rule, parse_seconds
from biosim.errors import InputError, did_you_mean
from biosim.scenario.base import NetworkScenario, checks_of
from biosim.scenario.options import collect, read_rule, rule_data
from biosim.scenario.parts import SPIKING_MODEL, Part
from biosim.scenario.source import Source
from biosim.scenario.spec import SimulationSpec, SpikingSpec
from biosim.schedule import Schedule
from biosim.spiking import Network
from biosim.spiking_develop import check_rule, count_decisions


@dataclass(frozen=True)
class SpikingScenario(NetworkScenario):
    """A spiking network, the rules of its plastic projections, and how long it lives.

    Attributes
    ----------
    spec : SpikingSpec
    rules : mapping of Rule
        By projection.
    level : Level
        The highest locality among them.
    times : mapping of float
        ``duration``, ``decide_every``, ``window`` and ``tau_activity`` in seconds.
    """

    spec: SpikingSpec
    rules: Mapping[str, Rule]
    level: Level
    times: Mapping[str, float]


def read_spiking(source: Source) -> SpikingScenario:
    """Check all that a spiking scenario says; the births of one replicate are built to know the network's parts.

    Raises
    ------
    BiosimError
        With one line for every error found.
    """
    errors: list[InputError] = []
    spec = source.validate(SpikingSpec, errors)
    if spec is None:
        raise source.refusal(errors)
    times = _times(spec.simulation, errors)
    model = SPIKING_MODEL.read(spec.model.name, spec.model.model_extra, errors)
    for name, rule in spec.rules.items():
        if isinstance(rule, dict) and "feedback" in rule:
            errors.append(InputError("no feedback reaches a spiking network of this kind", ("rules", name, "feedback")))
    read = {name: read_rule(rule, "pruning", ("rules", name), spec.name, errors) for name, rule in spec.rules.items()}
    rules = {name: rule for name, rule in read.items() if rule is not None}
    if errors or model is None:
        raise source.refusal(errors)
    network = _one(model, spec, errors)
    if network is None:
        raise source.refusal(errors)
    asked = None if spec.schedule is None else spec.schedule.model_dump()
    schedule = None if asked is None else collect(errors, ("schedule",), lambda: Schedule(**asked))
    level = _check_rules(network, rules, schedule, errors)
    collect(errors, ("simulation",), lambda: count_decisions(network, times["duration"], times["decide_every"]))
    known = _known(network, list(rules))
    checks = checks_of(spec, known, errors)
    if errors:
        raise source.refusal(errors)
    resolved = {"scenario": spec.model_dump(), "model_source": model.sha256, "version": __version__}
    resolved["rules"] = {name: rule_data(rule, None) for name, rule in rules.items()}
    return SpikingScenario(spec, checks, resolved, source, tuple(known), model, rules, level, times)


def _times(spec: SimulationSpec, errors: list[InputError]) -> dict[str, float]:
    """Return the times of a simulation in seconds; those that do not fit together are errors."""
    found: dict[str, float] = {}
    for name in ("duration", "decide_every", "window", "tau_activity"):
        seconds = collect(errors, ("simulation", name), lambda name=name: parse_seconds(getattr(spec, name)))
        if seconds is not None:
            found[name] = seconds
    for name in ("decide_every", "window"):
        if found.get(name, 0.0) > found.get("duration", float("inf")):
            errors.append(InputError(f"cannot be longer than the duration, {spec.duration}", ("simulation", name)))
    return found


def _one(model: Part, spec: SpikingSpec, errors: list[InputError]) -> Network | None:
    network: Any = collect(errors, ("model",), lambda: model((spec.seed,)))
    if network is not None and not isinstance(network, Network):
        errors.append(InputError(f"build() returned {type(network).__name__}, not a spiking Network", ("model", "name")))
        return None
    return network


def _check_rules(network: Network, rules: Mapping[str, Rule], schedule: Schedule | None, errors: list[InputError]) -> Level:
    names = [p.name for p in network.projections]
    levels = [Level.synapse]
    for name, rule in rules.items():
        if name not in names:
            listing = ", ".join(names)
            errors.append(InputError(f"there is no projection '{name}'{did_you_mean(name, names)}; there are: {listing}", ("rules", name)))
        else:
            collect(errors, (), lambda name=name, rule=rule: check_rule(rule, name, schedule))
            levels.append(rule.level())
    return max(levels)


def _known(network: Network, ruled: list[str]) -> list[str]:
    """Return the names that checks may use."""
    known = ["circuit.density", "circuit.synapses"]
    known += [f"{what}.{name}" for name in ruled for what in ("density", "weight", "birth_weight_of_survivors")]
    return known + [f"{what}.{p.name}" for p in network.populations for what in ("rate", "rate_at_birth", "cv")]
