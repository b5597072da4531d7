"""A rule as data: named equations over what one synapse can sense, parsed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from biosim.equations.dimensions import require
from biosim.equations.expression import Expression
from biosim.equations.units import Dimension, Quantity, parse_quantity
from biosim.equations.vocabulary import Level, level_of
from biosim.errors import EquationError, InputError, Key, did_you_mean

SECTIONS = (
    "parameters", "traces", "on_spike", "state", "coincidences", "synapse", "on_pre", "on_post",
    "silence", "eliminate", "survivors", "regrow",
)  # fmt: skip


@dataclass(frozen=True)
class Assignment:
    """``target = expression``, or with ``derivative`` ``dtarget/dt = expression``."""

    target: str
    expression: Expression
    derivative: bool
    key: Key

    def __str__(self) -> str:
        return f"d{self.target}/dt = {self.expression}" if self.derivative else f"{self.target} = {self.expression}"


@dataclass(frozen=True)
class Competition:
    """Synapses of one neuron compete: those with the smallest ``by`` lose."""

    within: str
    by: Expression

    def __str__(self) -> str:
        return f"compete within {self.within} by {self.by}"


Decision = Expression | Competition
ROLES = ("pruning", "plasticity", "growth", "feedback")
DURING = ("noise", "activity")


def role_fault(fields: Mapping[str, Any]) -> tuple[Key, str] | None:
    """Return the key and what is wrong when a rule's sections do not fit what its ``role`` is for."""
    role = fields.get("role", "pruning")
    decided = [s for s in ("silence", "eliminate", "regrow") if fields[s] is not None]
    changes = any(line.target == "weight" for s in ("synapse", "on_pre", "on_post") for line in fields[s])
    if role not in ROLES:
        return ("role",), f"unknown role '{role}'{did_you_mean(role, list(ROLES))}; roles: {', '.join(ROLES)}"
    if role == "pruning" and not {"silence", "eliminate"} & set(decided):
        return (), "a rule needs an 'eliminate' or 'silence' section: it decides which synapses are lost"
    if role in ("plasticity", "feedback") and (decided or fields["survivors"]):
        return ((*decided, "survivors")[0],), f"{role} changes weights; which synapses are lost is the rule's to say"
    if role in ("plasticity", "feedback") and not changes:
        return (), f"{role} needs a line that assigns weight: weight = ... or dweight/dt = ..."
    if ("during" in fields) != (role == "feedback") or fields.get("during", "noise") not in DURING:
        return ("during",), f"a feedback rule, and only that, says during what it learns: {' or '.join(DURING)}"
    if role == "growth" and (decided != ["regrow"] or fields["survivors"] or changes):
        return (), "growth needs a 'regrow' section, which says where synapses form; it neither loses synapses nor changes weights"
    return None


@dataclass(frozen=True)
class Rule:
    """A checked rule. Build one with :func:`parse_rule`; the fields mirror the YAML sections.

    ``role`` says what its equations are for: ``pruning`` decides which synapses are lost, ``plasticity``
    changes the weights of those that live, ``growth`` decides where synapses form in the first place,
    ``feedback`` changes the wiring that carries teaching signals, ``during`` noise or activity.

    Examples
    --------
    >>> from biosim import load_rule
    >>> rule = load_rule("three-factor")
    >>> list(rule.parameters)
    ['rate', 'span', 'memory', 'patience', 'tiny']
    >>> rule.with_parameters({"patience": "10 % dev"}).parameters["patience"].text
    '10 % dev'
    """

    name: str
    role: str = "pruning"
    during: str | None = None
    about: str = ""
    source: str = ""
    bibtex: str = ""
    feedback: str | None = None
    parameters: Mapping[str, Quantity] = field(default_factory=dict)
    traces: tuple[Assignment, ...] = ()
    on_spike: tuple[Assignment, ...] = ()
    state: Mapping[str, Expression] = field(default_factory=dict)
    state_dimensions: Mapping[str, Dimension] = field(default_factory=dict)
    coincidences: tuple[Assignment, ...] = ()
    synapse: tuple[Assignment, ...] = ()
    on_pre: tuple[Assignment, ...] = ()
    on_post: tuple[Assignment, ...] = ()
    silence: Decision | None = None
    eliminate: Decision | None = None
    survivors: tuple[Assignment, ...] = ()
    regrow: Decision | None = None

    @property
    def lines(self) -> tuple[Assignment, ...]:
        """Every assignment of the rule, in the order of the sections."""
        return (*self.traces, *self.on_spike, *self.coincidences, *self.synapse, *self.on_pre, *self.on_post, *self.survivors)

    @property
    def decisions(self) -> dict[str, Decision]:
        """The silence, eliminate and regrow decisions that the rule declares."""
        found = {"silence": self.silence, "eliminate": self.eliminate, "regrow": self.regrow}
        return {name: decision for name, decision in found.items() if decision is not None}

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that any equation of the rule reads."""
        expressions = [line.expression for line in self.lines] + list(self.state.values())
        expressions += [d.by if isinstance(d, Competition) else d for d in self.decisions.values()]
        return frozenset().union(*(e.names for e in expressions)) if expressions else frozenset()

    @property
    def plastic(self) -> bool:
        """Whether any equation assigns ``weight``."""
        return any(line.target == "weight" for line in self.lines)

    @property
    def event_driven(self) -> bool:
        """Whether the rule has sections that only spikes can trigger."""
        return bool(self.on_spike or self.on_pre or self.on_post)

    def level(self, feedback_level: Level = Level.broadcast) -> Level:
        """Return the locality computed from the names read (a competition ranks within a neuron)."""
        level = level_of(self.names, feedback_level)
        competes = any(isinstance(d, Competition) for d in self.decisions.values())
        return max(level, Level.neuron) if competes else level

    def values(self, duration: float) -> dict[str, float]:
        """Return the value of every parameter, in SI units, in a development of ``duration`` seconds."""
        return {name: quantity.resolve(duration) for name, quantity in self.parameters.items()}

    def with_parameters(self, values: Mapping[str, object]) -> Rule:
        """Return the rule with some parameters replaced; units must agree with the declared ones."""
        parameters = dict(self.parameters)
        for name, raw in values.items():
            if name not in parameters:
                known = [*parameters, "feedback"]
                raise InputError(
                    f"rule '{self.name}' has no parameter '{name}'{did_you_mean(name, known)}; it has: {', '.join(parameters)}",
                    (name,),
                )
            try:
                quantity = parse_quantity(raw)
                if quantity.dimension != parameters[name].dimension:
                    require(quantity.dimension, parameters[name].dimension, f"'{raw}'")
            except EquationError as error:
                raise InputError(error.message, (name,)) from None
            parameters[name] = quantity
        return replace(self, parameters=parameters)
