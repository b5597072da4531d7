"""A spike-timing rule as Brian2 equations, pathways and conditions, all written from the rule's own expressions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from biosim.equations import Competition, Rule
from biosim.equations.evaluate import evaluate_constant
from biosim.equations.expression import names_in
from biosim.equations.linear import split_linear
from biosim.equations.rule import Assignment
from biosim.errors import InputError
from biosim.substrates.brian.strings import FUNCTIONS, brian_string

AT_DECISIONS = {"random": "rand()", "degree_pre": "N_outgoing", "degree_post": "N_incoming"}
AT_EVENTS = {"random": "rand()", "age": "(t/second)"}


@dataclass
class BrianRule:
    """What a ``brian2.Synapses`` needs to live by a rule.

    Attributes
    ----------
    model : str
        Equations: ``weight``, the states, and the traces, each event-driven.
    on_pre : dict
        Code of the pathways of presynaptic arrivals: ``arrive`` transmits, then runs the rule's ``on_pre``; ``rise_pre``
        comes after everything else and moves the presynaptic traces.
    on_post : dict
        ``learn`` runs the rule's ``on_post`` before all else, ``rise_post`` moves the postsynaptic traces.
    namespace : dict
        Parameters, in SI units, and functions that Brian2 lacks.
    """

    rule: Rule | None
    parameters: dict[str, float]
    names: dict[str, str] = field(default_factory=dict)
    model: str = "weight : 1"
    on_pre: dict[str, str] = field(default_factory=dict)
    on_post: dict[str, str] = field(default_factory=dict)
    namespace: dict[str, Any] = field(default_factory=dict)

    def spell(self, line: Assignment, extra: dict[str, str]) -> str:
        """Return the right-hand side of a line; raise where it reads what a Brian2 network is not given."""
        known = {**self.names, **extra}
        self._require(line.expression.names, known, f"'{line}'")
        return brian_string(line.expression.node, known)

    def _require(self, names: Iterable[str], known: Iterable[str], what: str) -> None:
        if missing := sorted(set(names) - set(known)):
            assert self.rule is not None
            raise InputError(
                f"rule '{self.rule.name}', {what}: {', '.join(missing)} cannot be read on Brian2, which knows {', '.join(sorted(known))};"
                " run it on biosim's own engine"
            )

    # -- decisions ------------------------------------------------------------------------------
    def traces_now(self) -> dict[str, str]:
        """Return each trace as it is at time ``t``, between events: the stored value is that of ``lastupdate``."""
        found = {}
        for line in self.rule.traces if self.rule else ():
            rate, drive = self.fade(line)
            passed, name = "((t - lastupdate)/second)", self.names[line.target]
            rest = drive / rate if rate else 0.0
            grown = f"({name} + {rest!r})*exp({rate!r}*{passed}) - {rest!r}" if rate else f"{name} + {drive!r}*{passed}"
            found[line.target] = f"({grown})"
        return found

    def fade(self, line: Assignment) -> tuple[float, float]:
        """Return (rate, drive) of a trace that follows ``dx/dt = rate*x + drive`` between spikes."""
        rate, rest = split_linear(line.expression, line.target, set(self.parameters))
        if rest is not None:
            self._require(names_in(rest), self.parameters, f"trace '{line}'")
        return evaluate_constant(rate, self.parameters), evaluate_constant(rest, self.parameters)

    def _now(self, window: float, age: float) -> dict[str, str]:
        return {**AT_DECISIONS, **self.traces_now(), "dt": repr(window), "age": repr(age)}

    def step_lines(self, window: float, age: float) -> list[tuple[str, str]]:
        """Return the ``synapse`` lines for a window of this many seconds: variable and its new value, in order."""
        assert self.rule is not None
        self._refuse_coincidences()
        extra = self._now(window, age)
        return [(self.names[line.target], self._solved(line, window, extra)) for line in self.rule.synapse]

    def _solved(self, line: Assignment, window: float, extra: dict[str, str]) -> str:
        if not line.derivative:
            return self.spell(line, extra)
        rate, rest = split_linear(line.expression, line.target, set(self.parameters))
        a = evaluate_constant(rate, self.parameters)
        own, weight = math.exp(a * window), math.expm1(a * window) / a if a else window
        if rest is None:
            return f"{self.names[line.target]}*{own!r}"
        self._require(names_in(rest), {**self.names, **extra}, f"'{line}'")
        return f"{self.names[line.target]}*{own!r} + {brian_string(rest, {**self.names, **extra})}*{weight!r}"

    def condition(self, window: float, age: float) -> str | None:
        """Return the rule's ``eliminate`` condition; None where it has none."""
        assert self.rule is not None
        self._refuse_coincidences()
        if self.rule.silence is not None or isinstance(self.rule.eliminate, Competition):
            what = "silences synapses" if self.rule.silence is not None else "lets synapses compete"
            raise InputError(f"rule '{self.rule.name}' {what}; on Brian2 synapses are eliminated by a condition: use biosim's own engine")
        if self.rule.eliminate is None:
            return None
        known = {**self.names, **self._now(window, age)}
        self._require(self.rule.eliminate.names, known, f"eliminate '{self.rule.eliminate}'")
        return brian_string(self.rule.eliminate.node, known)

    def survivor_lines(self, window: float, age: float) -> list[tuple[str, str]]:
        """Return what is done to the survivors of an elimination."""
        assert self.rule is not None
        extra = self._now(window, age)
        return [(self.names[line.target], self.spell(line, extra)) for line in self.rule.survivors]

    def _refuse_coincidences(self) -> None:
        assert self.rule is not None
        if self.rule.coincidences:
            raise InputError(
                f"rule '{self.rule.name}' has coincidences, means over samples of activity, which Brian2 networks are not sampled for:"
                " run it on biosim's own engine"
            )


def brian_rule(rule: Rule | None, transmit: str, duration: float) -> BrianRule:
    """Return the Brian2 form of ``rule`` on a projection that transmits by the statement ``transmit``.

    Within a step Brian2 then runs ``learn``, ``arrive``, and at last ``rise_pre`` and ``rise_post`` (:data:`ORDERS`), so every
    event reads traces as they were before the spikes of that step.
    """
    if rule is None:
        return BrianRule(None, {}, {"weight": "weight"}, on_pre={"arrive": transmit})
    parameters = rule.values(duration)
    names = {"weight": "weight"} | {n: f"{n}_parameter" for n in parameters} | {n: f"{n}_state" for n in rule.state}
    names |= {line.target: f"{line.target}_trace" for line in rule.traces}
    made = BrianRule(rule, parameters, names, namespace={names[n]: v for n, v in parameters.items()} | FUNCTIONS)
    lines = ["weight : 1", *(f"{names[n]} : 1" for n in rule.state)]
    for line in rule.traces:
        made.fade(line)
        lines.append(f"d{names[line.target]}/dt = {brian_string(line.expression.node, names)}/second : 1 (event-driven)")
    made.model = "\n".join(lines)
    made.on_pre["arrive"] = "\n".join([transmit, *(f"{names[x.target]} = {made.spell(x, AT_EVENTS)}" for x in rule.on_pre)])
    if rule.on_post:
        made.on_post["learn"] = "\n".join(f"{names[x.target]} = {made.spell(x, AT_EVENTS)}" for x in rule.on_post)
    for side, pathways in (("_pre", made.on_pre), ("_post", made.on_post)):
        rises = [line for line in rule.on_spike if line.target.endswith(side)]
        if rises:  # all of a side's traces read each other as they were
            new = [f"{line.target}_risen = {made.spell(line, {})}" for line in rises]
            pathways[f"rise{side}"] = "\n".join([*new, *(f"{names[line.target]} = {line.target}_risen" for line in rises)])
    return made


ORDERS = {"learn": 0, "arrive": 1, "rise_pre": 2, "rise_post": 2}
