"""The rules a scenario names: the one that decides which synapses are lost, and what takes part beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from biosim.equations import Level, Rule, check_rule, parse_time
from biosim.equations.rule import SECTIONS
from biosim.equations.vocabulary import TAUGHT
from biosim.errors import InputError, Key
from biosim.nursery.exploration import Exploration
from biosim.nursery.growth import Growth
from biosim.nursery.neurons import NeuronDeath
from biosim.rules import load_rule, rule_paths
from biosim.rules.feedback_kinds import feedback_level, feedback_rule
from biosim.scenario.spec import DevelopingSpec, ExplorationSpec, LocalSpec, NeuronDeathSpec, ScenarioSpec


@dataclass(frozen=True)
class Options:
    """What takes part in a development beside its pruning rule.

    Attributes
    ----------
    feedback : str or None
        What carries teaching signals, where a rule reads them.
    level : Level
        The highest among the rules.
    plasticity : Rule or None
    growth : Growth or None
    mortality : NeuronDeathSpec or None
    readout : Rule or None
        Decides on the synapses that end in the readout, in place of the scenario's rule.
    exploration : Exploration or None
    """

    feedback: str | None
    level: Level
    plasticity: Rule | None = None
    growth: Growth | None = None
    mortality: NeuronDeathSpec | None = None
    readout: Rule | None = None
    exploration: Exploration | None = None

    def rules(self, rule: Rule) -> list[Rule]:
        """Return ``rule`` and all those beside it."""
        return [r for r in (rule, self.plasticity, self.growth.rule if self.growth else None, self.readout) if r is not None]

    def beside(self, duration: float) -> dict[str, Any]:
        """Return what takes part in a development of ``duration`` seconds, by the names :func:`~biosim.develop.develop` has for it."""
        death = None
        if self.mortality is not None:
            time = self.mortality.inactive_for
            death = NeuronDeath(self.mortality.without, None if time is None else parse_time(time).resolve(duration))
        found = {"plasticity": self.plasticity, "growth": self.growth, "readout": self.readout, "exploration": self.exploration}
        return {**found, "neuron_death": death}

    def plastic(self, rule: Rule) -> bool:
        """Whether weights change under ``rule`` and these options."""
        return any(r.plastic for r in self.rules(rule))

    def data(self) -> dict[str, Any]:
        """Return plasticity and growth, where there are any, as plain data."""
        found: dict[str, Any] = {}
        learns = None if self.feedback is None else feedback_rule(self.feedback)
        if learns is not None:
            found["feedback"] = rule_data(learns, None) | {"during": learns.during}
        if self.plasticity is not None:
            found["plasticity"] = rule_data(self.plasticity, self.feedback if TAUGHT & self.plasticity.names else None)
        if self.growth is not None:
            g = self.growth
            rule = None if g.rule is None else rule_data(g.rule, None)
            found["growth"] = {"rule": rule, "start": g.start, "until": g.until, "peak": g.peak}
        if self.readout is not None:
            found["readout"] = rule_data(self.readout, None)
        return found


def collect(errors: list[InputError], prefix: Key, make: Any) -> Any:
    """Call ``make``; on an error file it under ``prefix`` and return None."""
    try:
        return make()
    except InputError as error:
        errors.append(error.under(*prefix))
        return None


def read_rules(spec: DevelopingSpec, errors: list[InputError]) -> tuple[Rule | None, Options | None]:
    """Read a scenario's rule, plasticity, growth and neuron death; file every error under its key."""
    asked, explores = (spec.readout, spec.exploration) if isinstance(spec, ScenarioSpec) else (None, None)
    rule = read_rule(spec.rule, "pruning", ("rule",), spec.name, errors)
    plasticity = read_rule(spec.plasticity, "plasticity", ("plasticity",), spec.name, errors) if spec.plasticity is not None else None
    readout = read_rule(asked, "pruning", ("readout",), spec.name, errors) if asked is not None else None
    if isinstance(asked, dict) and "feedback" in asked:
        errors.append(InputError("readout neurons are taught their own error; no feedback carries it", ("readout", "feedback")))
    growth = _growth(spec, rule, errors)
    _neuron_death(spec, errors)
    if rule is None or (plasticity is None and spec.plasticity is not None):
        return None, None
    feedback = _feedback(spec, rule, plasticity, errors)
    level = collect(errors, ("rule",), lambda: feedback_level(feedback))
    if level is None:
        return None, None
    options = Options(feedback, level, plasticity, growth, spec.neuron_death, readout)
    options = replace(options, exploration=_exploration(explores, options.rules(rule), errors))
    levels = [r.level(Level.neuron if r is readout else level) for r in options.rules(rule)]
    return rule, replace(options, level=max(levels))


def rules_apart(data: Mapping[str, Any], errors: list[InputError]) -> None:
    """File what is wrong in the rules of a file that cannot be read for other mistakes, so that all are told at once."""
    for key, role in (("rule", "pruning"), ("plasticity", "plasticity"), ("readout", "pruning")):
        if isinstance(value := data.get(key), (str, dict)):
            read_rule(value, role, (key,), str(data.get("name", "rule")), errors)


def further_rules(spec: ScenarioSpec, errors: list[InputError]) -> dict[str, tuple[Rule, Options]]:
    """Return the further rules of a scenario by label; ``all`` stands for every pruning rule not written out."""
    found: dict[str, tuple[Rule, Options]] = {}
    given = [(index, LocalSpec(rule=one, label=None) if isinstance(one, str) else one) for index, one in enumerate(spec.rules)]
    taken = {name for _, one in given if isinstance(name := one.rule if isinstance(one.rule, str) else one.rule.get("name"), str)}
    own = spec.rule if isinstance(spec.rule, str) else spec.rule.get("name")
    everyone = [(index, one) for index, one in given if one.rule == "all"]
    listed = [(index, one) for index, one in given if one.rule != "all"]
    for index, _ in everyone[:1]:
        listed += [(index, LocalSpec(rule=name, label=None)) for name in rule_paths() if name not in {*taken, own}]
    for index, one in listed:
        other = spec.model_copy(update={f: getattr(one, f) for f in ("rule", "plasticity", "readout", "exploration")})
        faults: list[InputError] = []
        rule, options = read_rules(other, faults)
        errors += [InputError(e.message, ("rules", index, *(e.key if not isinstance(spec.rules[index], str) else ()))) for e in faults]
        if rule is None or options is None:
            continue
        label = one.label or rule.name
        if label in found:
            errors.append(InputError(f"two rules are called '{label}'; give one a label", ("rules", index)))
        found[label] = (rule, options)
    return found


def read_rule(value: str | dict[str, Any], role: str, key: Key, name: str, errors: list[InputError]) -> Rule | None:
    """Read a rule given by name, by name with parameters, or as equations."""
    data = {"name": value} if isinstance(value, str) else dict(value)
    if any(section in data for section in SECTIONS):
        rule, found = check_rule({"role": role, **{k: v for k, v in data.items() if k != "name"}}, str(data.get("name", name)))
        errors.extend(e.under(*key) for e in found)
        return rule
    if "name" not in data:
        errors.append(InputError(f"needs a name, or equations in one of: {', '.join(SECTIONS)}", key))
        return None
    known = collect(errors, key, lambda: load_rule(str(data["name"]), role))
    if known is None:
        if isinstance(value, str):
            errors[-1] = InputError(errors[-1].message, key)
        return None
    changes = {k: v for k, v in data.items() if k not in ("name", "feedback")}
    rule = collect(errors, key, lambda: known.with_parameters(changes)) if changes else known
    return rule if isinstance(rule, Rule) else None


def _feedback(spec: DevelopingSpec, rule: Rule, plasticity: Rule | None, errors: list[InputError]) -> str | None:
    """Return the one kind of feedback that the taught rules share; None when none is taught."""
    kinds: dict[str, str] = {}
    for key, own, value in (("rule", rule, spec.rule), ("plasticity", plasticity, spec.plasticity)):
        if own is None:
            continue
        asked = value.get("feedback") if isinstance(value, Mapping) else None
        kind = asked if asked is not None else own.feedback
        if kind is not None and collect(errors, (key,), lambda kind=kind: feedback_level(kind)) is None:
            continue
        if not TAUGHT & own.names:
            if asked is not None:
                errors.append(InputError(f"'{own.name}' reads no teaching signal: it has no use for feedback", (key, "feedback")))
            continue
        if kind is None:
            what = "the rule" if key == "rule" else "plasticity"
            message = f"{what} reads a teaching signal: say which feedback carries it: random, direct, reciprocal or weight-mirror"
            errors.append(InputError(message, (key,)))
        elif asked is not None or not kinds:
            kinds[key] = kind
    if len(set(kinds.values())) > 1:
        errors.append(InputError(f"a neuron is taught by one feedback: the rule has {kinds['rule']}", ("plasticity", "feedback")))
    return next(iter(kinds.values()), None)


def _growth(spec: DevelopingSpec, rule: Rule | None, errors: list[InputError]) -> Growth | None:
    if spec.growth is None:
        return None
    own = spec.growth.rule is None and rule is not None and rule.regrow is not None
    if own and (idle := sorted(spec.growth.model_fields_set & {"until", "peak"})):
        errors.append(InputError("the rule regrows, and growth is its own: name a growth rule to use this", ("growth", idle[0])))
    grower = None if own else read_rule(spec.growth.rule or "random-growth", "growth", ("growth", "rule"), spec.name, errors)
    if grower is not None and TAUGHT & grower.names:
        message = "growth cannot read a teaching signal: synapses form before there is anything to teach"
        errors.append(InputError(message, ("growth", "rule")))
        return None
    g = spec.growth
    made = collect(errors, ("growth",), lambda: Growth(grower, g.start, g.until, g.peak))
    return made if isinstance(made, Growth) else None


def _neuron_death(spec: DevelopingSpec, errors: list[InputError]) -> None:
    if spec.neuron_death is None:
        return
    text = spec.neuron_death.inactive_for
    if text is not None:
        quantity = collect(errors, ("neuron_death", "inactive_for"), lambda: parse_time(text))
        if quantity is not None and quantity.value <= 0:
            errors.append(InputError(f"must be longer than 0 s, not {text!r}", ("neuron_death", "inactive_for")))
    elif spec.neuron_death.without == "nothing":
        errors.append(InputError("no neuron can die of this: name what it needs, or inactive_for", ("neuron_death", "without")))


def check_homeostasis(spec: DevelopingSpec, errors: list[InputError]) -> None:
    """File every option that a mechanism of homeostasis does not have."""
    for index, mechanism in enumerate(spec.homeostasis):
        for option in sorted(mechanism.model_fields_set & {"target", "tau"}):
            if mechanism.kind != "synaptic-scaling":
                errors.append(InputError(f"{mechanism.kind} has no {option}; synaptic-scaling has", ("homeostasis", index, option)))


def _exploration(spec: ExplorationSpec | None, rules: list[Rule], errors: list[InputError]) -> Exploration | None:
    if spec is None:
        return None
    if not any({"noise_post", "advantage"} & r.names for r in rules):
        errors.append(InputError("no rule here explores: none reads noise_post or advantage", ("exploration",)))
    return Exploration(spec.deviation, spec.readout_share)


def rule_data(rule: Rule, feedback: str | None) -> dict[str, Any]:
    """Return a rule as plain data, equations as text."""
    data: dict[str, Any] = {"name": rule.name, "feedback": feedback}
    data["parameters"] = {n: q.text or repr(q.value) for n, q in rule.parameters.items()}
    data["state"] = {n: str(e) for n, e in rule.state.items()}
    for section in ("traces", "on_spike", "coincidences", "synapse", "on_pre", "on_post", "survivors"):
        data[section] = [str(line) for line in getattr(rule, section)]
    return data | {name: str(d) for name, d in rule.decisions.items()}
