"""A rule's lines on the slow clock, on compact rows: ``synapse:`` lines, conditions, competitions, survivors' lines.

``dt`` of these lines is the time between two decisions. Their programs are those of the rate substrate, run in place on the live synapses.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biosim.equations import Expression, Rule, parse_expression
from biosim.equations.clock import Clockwork
from biosim.equations.dimensions import CONDITION, dimension_of
from biosim.equations.evaluate import evaluate_constant
from biosim.equations.expression import binary, names_in, number
from biosim.equations.linear import decay, split_linear
from biosim.equations.program import Compiler, Program, run_program
from biosim.equations.vocabulary import BUILT_IN, SAMPLED, unknown_name
from biosim.errors import EquationError, InputError
from biosim.spiking import compaction
from biosim.streams import edge_streams

if TYPE_CHECKING:
    from biosim.spiking.simulation import Simulation

CHUNK = 1 << 22  # synapses worked on at a time
MOMENTS = ("mean_pre", "mean_post", "var_pre", "var_post")
Vectors = Mapping[str, npt.NDArray[Any]]


class SlowLines:
    """Compiles and runs slow lines on the live synapses of one projection.

    Parameters
    ----------
    simulation : Simulation
    projection : str
    rule : Rule or None
        Whose states, traces and parameters the lines read; none for a condition on a static projection.
    dt : float
        Seconds between two decisions.
    """

    def __init__(self, simulation: Simulation, projection: str, rule: Rule | None, dt: float) -> None:
        self.simulation, self.projection, self.rule, self.dt = simulation, projection, rule, dt
        self.place = simulation.index(projection)
        plan = simulation.plans.get(projection)
        self.parameters = dict(plan.parameters) if plan is not None else {}
        self.states = plan.states if plan is not None else ()
        self.traces = (*plan.pre, *plan.post) if plan is not None else ()
        self.streams = edge_streams(simulation.seeds, f"rule/{projection}")
        self.clockwork = Clockwork(ageless=True)

    # -- compiling ------------------------------------------------------------------------------
    def _kinds(self) -> dict[str, str | float]:
        kinds: dict[str, str | float] = {"dt": self.dt, "_now": "scalar", "_since": "synapse", "_key": "synapse", "weight": "synapse"}
        kinds |= {"random": "synapse"} | dict.fromkeys(self.states, "synapse")
        for name in BUILT_IN:
            if name not in kinds and name not in SAMPLED:
                kinds[name] = "pre" if name.endswith("_pre") else "post"
        kinds |= {t: "pre" if t.endswith("_pre") else "post" for t in self.traces}
        return kinds | self.parameters

    def _spell(self, node: ast.expr) -> ast.expr:
        for name in sorted(names_in(node) & SAMPLED):
            raise InputError(f"'{name}' changes from moment to moment; a rule that reads it runs on windows of activity (develop_spiking)")
        return self.clockwork.spell(node)

    def lines(self, section: str) -> Program | None:
        """Compile the assignments of a section; None where there are none."""
        assignments = getattr(self.rule, section) if self.rule is not None else ()
        if not assignments:
            return None
        compiler = Compiler(self._kinds())
        for line in assignments:
            node = line.expression.node
            if line.derivative:
                rate_node, rest = split_linear(line.expression, line.target, set(self.parameters))
                rate = evaluate_constant(rate_node, self.parameters)
                grown = self.dt if rate == 0 else float(np.expm1(rate * self.dt) / rate)
                node = binary(number(decay(rate, self.dt)), ast.Mult(), ast.Name(id=line.target, ctx=ast.Load()))
                if rest is not None:
                    node = binary(node, ast.Add(), binary(number(grown), ast.Mult(), rest))
            compiler.assign(line.target, self._spell(node))
        return compiler.finish()

    def condition(self, expression: Expression) -> Program:
        """Compile a condition for :meth:`truth`."""
        compiler = Compiler(self._kinds())
        compiler.decide(self._spell(expression.node))
        return compiler.finish()

    def key(self, expression: Expression) -> Program:
        """Compile what a competition ranks by, for :meth:`values`."""
        compiler = Compiler(self._kinds())
        compiler.assign("_key", self._spell(expression.node))
        return compiler.finish()

    # -- running --------------------------------------------------------------------------------
    def run(self, program: Program, r: int, now: int, extra: Vectors) -> None:
        """Run lines in place on all live synapses of a replicate; ``extra`` holds what neurons know of themselves."""
        self._run(program, r, now, extra)

    def truth(self, program: Program, r: int, now: int, extra: Vectors) -> npt.NDArray[np.bool_]:
        """Return where a condition holds."""
        out = np.zeros(self._count(r), np.bool_)
        self._run(program, r, now, extra, truth=out)
        return out

    def values(self, program: Program, r: int, now: int, extra: Vectors) -> npt.NDArray[Any]:
        """Return the value of a key for every live synapse."""
        out = np.zeros(self._count(r), self.simulation.worlds[r].weight.dtype)
        self._run(program, r, now, extra, key=out)
        return out

    def _count(self, r: int) -> int:
        return int(self.simulation.survivors(self.projection)[r])

    def _chunks(self, r: int) -> Iterator[tuple[slice, npt.NDArray[np.int32]]]:
        """Yield slices of the live synapses with the two neurons of each."""
        world = self.simulation.worlds[r]
        _, hi = compaction.own_rows(world, self.place)
        place = compaction.place_of(world, self.place)
        ends = hi[-1] - place.start
        for start in range(0, place.stop - place.start, CHUNK):
            stop = min(start + CHUNK, place.stop - place.start)
            edges = np.empty((2, stop - start), np.int32)
            edges[0] = np.searchsorted(ends, np.arange(start, stop), side="right")
            edges[1] = world.target[place.start + start : place.start + stop]
            yield slice(start, stop), edges

    def _run(
        self,
        program: Program,
        r: int,
        now: int,
        extra: Vectors,
        truth: npt.NDArray[np.bool_] | None = None,
        key: npt.NDArray[Any] | None = None,
    ) -> None:
        if not program.arrays and truth is None:
            return
        arrays = {name: self._array(name, r, extra, key) for name in program.arrays}
        neurons = {n: self._neuron(n, r, extra) for n in (*program.pre_vectors, *program.post_vectors)}  # before any weight changes
        span = (0, self.simulation.network.projections[self.place].births.n_post)
        for part, edges in self._chunks(r):
            own = {n: a[part].reshape(1, 1, -1) for n, a in arrays.items()}
            vectors = {n: neurons[n][edges[0]].reshape(1, -1) for n in program.pre_vectors}
            vectors |= {n: neurons[n][edges[1]].reshape(1, -1) for n in program.post_vectors}
            answer = None if truth is None else truth[part].reshape(1, 1, -1)
            run_program(program.packed, own, vectors, self.streams[r : r + 1], now, {"_now": float(now)}, answer, edges, span)

    def _array(self, name: str, r: int, extra: Vectors, key: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """Return the values that the live synapses have for a name, a view."""
        if name == "weight":
            return self.simulation.weights(self.projection, r)
        if name == "_key":
            assert key is not None
            return key
        return extra["_since"] if name == "_since" else self.simulation.state(self.projection, name, r)

    def _neuron(self, name: str, r: int, extra: Vectors) -> npt.NDArray[Any]:
        """Return what each neuron of one side knows of itself."""
        if name in extra:
            return extra[name][r] if extra[name].ndim == 2 else extra[name]
        world, births = self.simulation.worlds[r], self.simulation.network.projections[self.place].births
        plan = self.simulation.plans.get(self.projection)
        if plan is not None and name in plan.pre:
            at = int(world.proj[self.place, 10]) + plan.pre.index(name) * births.n_pre
            return world.pre_trace[0, at : at + births.n_pre]
        if plan is not None and name in plan.post:
            at = int(world.proj[self.place, 12]) + plan.post.index(name) * births.n_post
            return world.post_trace[at : at + births.n_post]
        i, j, w = self.simulation.edges(self.projection, r)
        active = self.simulation.active(self.projection, r)
        index, size = (i, births.n_pre) if name.endswith("_pre") else (j, births.n_post)
        if name.startswith("degree_"):
            return np.bincount(index[active], minlength=size).astype(np.float64)
        if name.startswith("weight_sum_"):
            return np.bincount(index[active], w[active], minlength=size)
        raise InputError(f"'{name}' is not known here: give the simulation's activity to develop_spiking, which measures it")


def start_states(simulation: Simulation) -> None:
    """Give every state of every rule its initial value."""
    for name, plan in simulation.plans.items():
        slow = SlowLines(simulation, name, plan.rule, simulation.network.dt)
        for k, initial in enumerate(plan.rule.state.values()):
            constant = names_in(initial.node) <= plan.parameters.keys()
            for r, world in enumerate(simulation.worlds):
                place = compaction.place_of(world, slow.place)
                if constant:
                    world.state[k, place] = evaluate_constant(initial.node, plan.parameters)
                elif place.stop > place.start:
                    world.state[k, place] = slow.values(slow.key(initial), r, -1, {})


def holds(simulation: Simulation, projection: str, text: str) -> list[npt.NDArray[np.bool_]]:
    """Return, for each replicate, for which live synapses a condition in the rule language holds now."""
    rule = simulation.rules.get(projection)
    slow = SlowLines(simulation, projection, rule, simulation.network.dt)
    expression = parse_expression(text)
    known = {n for n in slow._kinds() if not n.startswith("_")} - set(MOMENTS) - {"silent_for"}
    for name in sorted(expression.names - known):
        raise unknown_name(name, known, "a condition on live synapses")
    dimensions = {n: entry.dimension for n, entry in BUILT_IN.items()}
    if rule is not None:
        dimensions |= {n: q.dimension for n, q in rule.parameters.items()} | dict(rule.state_dimensions)
    dimensions |= dict.fromkeys(slow.traces, dimensions["weight"])
    if dimension_of(expression, dimensions) != CONDITION:
        raise EquationError(f"'{text}' is not a condition: compare something, as in 'weight < 0.05'")
    program = slow.condition(expression)
    return [slow.truth(program, r, simulation.step, {}) for r in range(len(simulation.worlds))]
