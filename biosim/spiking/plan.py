"""How the engine runs a rule's events on a projection: decided by algebra on its equations, with parameters bound.

Potentiation may be **deferred** to the next presynaptic arrival when ``on_post`` is one line ``bounds(weight + P(pre)*G(post))`` that
never lowers the weight, reads no state, and whose bounds no other line leaves. Any other rule takes the **general** path: every
postsynaptic spike visits the synapses of its neuron. Both give the same weights.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from biosim.equations.evaluate import evaluate_constant
from biosim.equations.expression import names_in, number
from biosim.equations.linear import split_linear
from biosim.equations.opcodes import Op
from biosim.equations.program import Compiler
from biosim.equations.rule import Assignment, Rule
from biosim.equations.vocabulary import GIVEN
from biosim.errors import InputError
from biosim.spiking import algebra
from biosim.spiking.algebra import ANY, Range
from biosim.spiking.row_kernels import SLOTS
from biosim.spiking.tables import AGE, POST, PRE, RANDOM, STATE, WEIGHT


@dataclass(frozen=True)
class EventProgram:
    """A stack program for the engine: instructions, constants, and (source, index, stored) of every value it loads."""

    code: npt.NDArray[np.int64]
    constants: npt.NDArray[np.float64]
    slots: tuple[tuple[int, int, int], ...]


@dataclass
class EventPlan:
    """A rule made ready for the engine.

    Attributes
    ----------
    path : {"static", "deferred", "general"}
    reason : str
        Why this path.
    pre, post : tuple of str
        Names of the traces of each side.
    fade : dict
        For each trace the (rate, drive) of ``dx/dt = rate*x + drive``.
    programs : dict
        Of the lines: ``on_pre``, ``on_post``, ``rise.TRACE``; where deferred ``row`` (P), ``gain`` (G at a spike), and
        where depression is a sum too ``scale``, ``post``, ``shift``: ``weight + scale*post + shift``.
    rate : float
        At which P decays between arrivals.
    bounds : tuple
        (low, high) of ``on_post`` and (low, high) of ``on_pre``.
    """

    rule: Rule
    parameters: dict[str, float]
    pre: tuple[str, ...]
    post: tuple[str, ...]
    fade: dict[str, tuple[float, float]]
    path: str = "static"
    reason: str = "no events change its weights"
    programs: dict[str, EventProgram] = field(default_factory=dict)
    additive: bool = False
    rate: float = 0.0
    bounds: tuple[float, float, float, float] = (-math.inf, math.inf, -math.inf, math.inf)

    @property
    def states(self) -> tuple[str, ...]:
        """Per-synapse states, in the order of their arrays."""
        return tuple(self.rule.state)


def check_regrowth(rule: Rule, projection: str) -> None:
    """Raise where a rule would have the dead come back."""
    if rule.regrow is not None:
        raise InputError(f"rule '{rule.name}' regrows synapses; those of a spiking network are gone when they die", ("rules", projection))


def plan_rule(rule: Rule, duration: float, births: Range, defer: bool | None) -> EventPlan:
    """Return how a rule runs.

    Parameters
    ----------
    rule : Rule
    duration : float
        Seconds of development, which parameters given in ``% dev`` refer to.
    births : (float, float)
        Smallest and largest weight at birth.
    defer : bool or None
        False forces the general path, True insists on deferral; the algebra decides where it is None.

    Raises
    ------
    InputError
        When the rule cannot run on spikes, or deferral was insisted on and is not possible.
    """
    if taught := sorted(rule.names & GIVEN):
        raise InputError(f"rule '{rule.name}' reads {', '.join(taught)}, which a spiking network does not provide")
    parameters = rule.values(duration)
    traces = [t.target for t in rule.traces]
    pre, post = (tuple(t for t in traces if t.endswith(side)) for side in ("_pre", "_post"))
    plan = EventPlan(rule, parameters, pre, post, {t.target: _fade(rule, t, parameters) for t in rule.traces})
    for line in rule.on_spike:
        plan.programs[f"rise.{line.target}"] = _value(plan, line.expression.node)
    if not (rule.on_pre or rule.on_post):
        return plan
    for section in ("on_pre", "on_post"):
        if lines := getattr(rule, section):
            plan.programs[section] = _lines(plan, lines)
    plan.path, plan.reason = "general", "the general path was asked for"
    if defer is not False:
        _try_to_defer(plan, births)
        if defer and plan.path != "deferred":
            raise InputError(f"potentiation of '{rule.name}' cannot be deferred: {plan.reason}")
    return plan


def _fade(rule: Rule, line: Assignment, parameters: dict[str, float]) -> tuple[float, float]:
    rate, rest = split_linear(line.expression, line.target, set(parameters))
    if rest is not None and not names_in(rest) <= parameters.keys():
        raise InputError(f"rule '{rule.name}': between spikes a trace may follow itself and constants only, not '{line}'", line.key)
    decay = evaluate_constant(rate, parameters)
    if decay > 0:
        raise InputError(f"rule '{rule.name}': the trace {line.target} grows without end ('{line}')", line.key)
    return decay, evaluate_constant(rest, parameters)


# -- deferral -----------------------------------------------------------------------------------
def _try_to_defer(plan: EventPlan, births: Range) -> None:
    """Make the plan a deferred one, or say why not."""
    rule, constants = plan.rule, plan.parameters
    if not rule.on_post:
        plan.reason = "there is no on_post to defer"
        return
    last = rule.on_post[-1]
    found = algebra.weight_plus(last.expression.node, constants) if len(rule.on_post) == 1 and last.target == "weight" else None
    if found is None:
        plan.reason = "on_post is not bounds(weight + something free of the weight)"
        return
    split = algebra.terms(found.added, set(plan.pre), set(plan.post), constants)
    shared = algebra.shared_product([t.pre for t in split or ()], constants)
    if split is None or shared is None:
        plan.reason = "what on_post adds is not one product of presynaptic traces times a function of postsynaptic ones"
        return
    powers, coefficients = shared
    if algebra.range_of(found.added, _trace_ranges(plan))[0] < 0:
        plan.reason = "on_post may lower the weight, with these parameters"
    elif any(plan.fade[name][1] != 0 for name in powers):
        plan.reason = "a presynaptic trace does not only decay between arrivals"
    elif not _stays_within(plan, found.low, found.high, births):
        plan.reason = "weights may start, or be set by another line, outside the bounds of on_post"
    else:
        _defer(plan, found, powers, algebra.plus([algebra.times(number(c), t.post) for t, c in zip(split, coefficients, strict=True)]))


def _defer(plan: EventPlan, found: algebra.Sum, powers: dict[str, int], gain: ast.expr) -> None:
    plan.path, plan.reason = "deferred", "on_post only ever adds, to bounds that nothing else leaves"
    plan.programs["row"] = _value(plan, algebra.plus([algebra.product_of(powers)]))
    plan.programs["gain"] = _value(plan, gain)
    plan.rate = sum(plan.fade[name][0] * power for name, power in powers.items())
    plan.bounds = (found.low, found.high, -math.inf, math.inf)
    plan.additive = not plan.rule.on_pre
    line = plan.rule.on_pre[0] if len(plan.rule.on_pre) == 1 and plan.rule.on_pre[0].target == "weight" else None
    lowered = algebra.weight_plus(line.expression.node, plan.parameters) if line else None
    terms = algebra.terms(lowered.added, set(plan.pre), set(plan.post), plan.parameters) if lowered else None
    if lowered is None or terms is None:
        return
    post = set(plan.post)
    scaled = [t for t in terms if t.post is not None and names_in(t.post) & post]
    shifts = [t for t in terms if t not in scaled]
    if len({ast.dump(t.post) for t in scaled if t.post}) > 1:
        common = _common(scaled, plan)
        if common is None:
            return
        scaled = common
    plan.additive = True
    plan.bounds = (found.low, found.high, lowered.low, lowered.high)
    if scaled:
        plan.programs["post"] = _value(plan, algebra.plus([scaled[0].post]))
        plan.programs["scale"] = _value(plan, algebra.plus([t.pre for t in scaled]))
    if shifts:
        plan.programs["shift"] = _value(plan, algebra.plus([algebra.times(t.pre, t.post) for t in shifts]))


def _common(scaled: list[algebra.Term], plan: EventPlan) -> list[algebra.Term] | None:
    """Return terms that share one postsynaptic product, its coefficients moved to the presynaptic side; None where they do not."""
    shared = algebra.shared_product([t.post for t in scaled], plan.parameters)
    if shared is None:
        return None
    powers, coefficients = shared
    node = algebra.product_of(powers)
    return [algebra.Term(algebra.times(number(c), t.pre), node) for t, c in zip(scaled, coefficients, strict=True)]


def _trace_ranges(plan: EventPlan) -> dict[str, Range]:
    """Return the range of every name events read: a trace is never negative when nothing can make it so."""
    ranges: dict[str, Range] = {n: (v, v) for n, v in plan.parameters.items()}
    positive = dict.fromkeys(plan.fade, (0.0, math.inf))
    for line in plan.rule.on_spike:
        if algebra.range_of(line.expression.node, {**ranges, **positive})[0] < 0:
            return {**ranges, **dict.fromkeys(plan.fade, ANY)}
    return {**ranges, **{n: (0.0, math.inf) if drive >= 0 else ANY for n, (_, drive) in plan.fade.items()}}


def _stays_within(plan: EventPlan, low: float, high: float, births: Range) -> bool:
    rule = plan.rule
    if births[0] < low or births[1] > high:
        return False
    for line in (*rule.on_pre, *rule.synapse, *rule.survivors):
        if line.target == "weight":
            own = algebra.bounds(line.expression.node, plan.parameters)
            if line.derivative or own[0] < low or own[1] > high:
                return False
    return True


# -- compiling ----------------------------------------------------------------------------------
def _compile(plan: EventPlan, fill: Callable[[Compiler], None]) -> EventProgram:
    kinds: dict[str, str | float] = {"weight": "synapse", "random": "synapse", "age": "pre", "_value": "synapse"}
    kinds |= dict.fromkeys(plan.rule.state, "synapse") | dict.fromkeys(plan.pre, "pre") | dict.fromkeys(plan.post, "post")
    compiler = Compiler({**kinds, **plan.parameters})
    fill(compiler)
    program = compiler.finish()
    names = [*program.arrays, *program.pre_vectors, *program.post_vectors]
    first = {int(Op.synapse): 0, int(Op.pre): len(program.arrays), int(Op.post): len(program.arrays) + len(program.pre_vectors)}
    stored, code = set(), program.code.copy()
    for line in code:
        op = int(line[0])
        if op in first:
            line[:] = int(Op.synapse), first[op] + line[1]
        elif op == Op.store:
            stored.add(int(line[1]))
        elif op == Op.random:
            if "random" not in names:
                names.append("random")
            line[:] = int(Op.synapse), names.index("random")
    if names[:1] == ["_value"] and len(code) and code[-1, 0] == Op.store and stored == {0}:
        code, names, stored = code[:-1], names[1:], set()  # a value stays on the stack
        code[code[:, 0] == Op.synapse, 1] -= 1
    if len(names) > SLOTS:
        raise InputError(f"rule '{plan.rule.name}': the lines of one event may read {SLOTS} values")
    slots = tuple((*_source(plan, name), int(k in stored)) for k, name in enumerate(names))
    return EventProgram(code, program.constants, slots)


def _source(plan: EventPlan, name: str) -> tuple[int, int]:
    for source, known in ((STATE, plan.states), (PRE, plan.pre), (POST, plan.post)):
        if name in known:
            return source, known.index(name)
    return {"weight": WEIGHT, "age": AGE, "random": RANDOM}[name], 0


def _lines(plan: EventPlan, lines: Sequence[Assignment]) -> EventProgram:
    def fill(compiler: Compiler) -> None:
        for line in lines:
            compiler.assign(line.target, line.expression.node)

    return _compile(plan, fill)


def _value(plan: EventPlan, node: ast.expr) -> EventProgram:
    """Compile one value, left at the bottom of the stack."""
    return _compile(plan, lambda compiler: compiler.assign("_value", node))
