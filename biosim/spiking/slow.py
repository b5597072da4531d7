"""A rule's lines on the slow clock, on compact rows: ``synapse:`` lines, conditions, competitions, survivors' lines.

``dt`` of these lines is the time between two decisions. Their programs are those of the rate substrate, run in place on the live synapses.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.equations import Expression, parse_expression
from biosim.equations.clock import Clockwork
from biosim.equations.dimensions import CONDITION, dimension_of
from biosim.equations.evaluate import evaluate_constant
from biosim.equations.expression import binary, names_in, number
from biosim.equations.linear import decay, split_linear
from biosim.equations.program import Compiler, Program, run_program
from biosim.equations.vocabulary import BUILT_IN, SAMPLED, unknown_name
from biosim.errors import EquationError, InputError
from biosim.spiking.compaction import own_rows
from biosim.spiking.live import LiveSynapses
from biosim.streams import edge_streams

CHUNK = 1 << 22  # synapses worked on at a time
MOMENTS = ("mean_pre", "mean_post", "var_pre", "var_post")
Since = npt.NDArray[Any] | None


class SlowLines:
    """Compiles and runs slow lines on the live synapses of one projection.

    Parameters
    ----------
    synapses : LiveSynapses
        Of a projection whose rule has the states, traces and parameters that the lines read; or of a static one, for conditions.
    seeds : tuple of int
        Of the replicates.
    dt : float
        Seconds between two decisions.
    """

    def __init__(self, synapses: LiveSynapses, seeds: tuple[int, ...], dt: float) -> None:
        self.synapses, self.plan, self.dt = synapses, synapses.plan, dt
        self.parameters = {} if self.plan is None else self.plan.parameters
        self.traces = () if self.plan is None else (*self.plan.pre, *self.plan.post)
        self.streams = edge_streams(seeds, f"rule/{synapses.projection.name}")
        self.clockwork = Clockwork(ageless=True)

    # -- compiling ------------------------------------------------------------------------------
    def _kinds(self) -> dict[str, str | float]:
        kinds: dict[str, str | float] = {"dt": self.dt, "_now": "scalar", "_since": "synapse", "_key": "synapse", "weight": "synapse"}
        kinds |= {"random": "synapse"} | dict.fromkeys(self.synapses.states, "synapse")
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
        assignments = () if self.plan is None else getattr(self.plan.rule, section)
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
    def run(
        self,
        program: Program,
        r: int,
        now: int,
        since: Since = None,
        truth: npt.NDArray[np.bool_] | None = None,
        key: npt.NDArray[Any] | None = None,
    ) -> None:
        """Run lines in place on all live synapses of a replicate.

        ``since`` says from which decision on each is silent; a condition's answers go to ``truth``, the values of a key to ``key``.
        """
        if not program.arrays and truth is None:
            return
        arrays = {name: self._array(name, r, since, key) for name in program.arrays}
        neurons = {n: self._neuron(n, r) for n in (*program.pre_vectors, *program.post_vectors)}  # before any weight changes
        span = (0, self.synapses.projection.births.n_post)
        for part, edges in self._chunks(r):
            own = {n: a[part].reshape(1, 1, -1) for n, a in arrays.items()}
            vectors = {n: neurons[n][edges[0]].reshape(1, -1) for n in program.pre_vectors}
            vectors |= {n: neurons[n][edges[1]].reshape(1, -1) for n in program.post_vectors}
            answer = None if truth is None else truth[part].reshape(1, 1, -1)
            run_program(program.packed, own, vectors, self.streams[r : r + 1], now, {"_now": float(now)}, answer, edges, span)

    def truth(self, program: Program, r: int, now: int, since: Since = None) -> npt.NDArray[np.bool_]:
        """Return where a condition holds."""
        out = np.zeros(len(self.synapses.weights(r)), np.bool_)
        self.run(program, r, now, since, truth=out)
        return out

    def values(self, program: Program, r: int, now: int, since: Since = None) -> npt.NDArray[Any]:
        """Return the value of a key for every live synapse."""
        out = np.zeros_like(self.synapses.weights(r))
        self.run(program, r, now, since, key=out)
        return out

    def holds(self, text: str, now: int) -> list[npt.NDArray[np.bool_]]:
        """Return, for each replicate, for which live synapses a condition in the rule language holds."""
        expression = parse_expression(text)
        known = {n for n in self._kinds() if not n.startswith("_")} - set(MOMENTS) - {"silent_for"}
        for name in sorted(expression.names - known):
            raise unknown_name(name, known, "a condition on live synapses")
        dimensions = {n: entry.dimension for n, entry in BUILT_IN.items()}
        if self.plan is not None:
            rule = self.plan.rule
            dimensions |= {n: q.dimension for n, q in rule.parameters.items()} | dict(rule.state_dimensions)
        dimensions |= dict.fromkeys(self.traces, dimensions["weight"])
        if dimension_of(expression, dimensions) != CONDITION:
            raise EquationError(f"'{text}' is not a condition: compare something, as in 'weight < 0.05'")
        program = self.condition(expression)
        return [self.truth(program, r, now) for r in range(len(self.synapses.worlds))]

    def _chunks(self, r: int) -> Iterator[tuple[slice, npt.NDArray[np.int32]]]:
        """Yield slices of the live synapses with the two neurons of each."""
        world, place = self.synapses.worlds[r], self.synapses.at(r)
        ends = own_rows(world, self.synapses.place)[1][-1] - place.start
        for start in range(0, place.stop - place.start, CHUNK):
            stop = min(start + CHUNK, place.stop - place.start)
            edges = np.empty((2, stop - start), np.int32)
            edges[0] = np.searchsorted(ends, np.arange(start, stop), side="right")
            edges[1] = world.target[place.start + start : place.start + stop]
            yield slice(start, stop), edges

    def _array(self, name: str, r: int, since: Since, key: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """Return the values that the live synapses have for a name, a view."""
        if name == "weight":
            return self.synapses.weights(r)
        if name in ("_key", "_since"):
            found = key if name == "_key" else since
            assert found is not None
            return found
        return self.synapses.state(name, r)

    def _neuron(self, name: str, r: int) -> npt.NDArray[Any]:
        """Return what each neuron of one side knows of itself."""
        world, births, place = self.synapses.worlds[r], self.synapses.projection.births, self.synapses.place
        if self.plan is not None and name in self.plan.pre:
            at = int(world.proj[place]["pre_traces"]) + self.plan.pre.index(name) * births.n_pre
            return world.pre_trace[0, at : at + births.n_pre]
        if self.plan is not None and name in self.plan.post:
            at = int(world.proj[place]["post_traces"]) + self.plan.post.index(name) * births.n_post
            return world.post_trace[at : at + births.n_post]
        i, j, w = self.synapses.edges(r)
        active = self.synapses.active(r)
        index, size = (i, births.n_pre) if name.endswith("_pre") else (j, births.n_post)
        if name.startswith("degree_"):
            return np.bincount(index[active], minlength=size).astype(np.float64)
        if name.startswith("weight_sum_"):
            return np.bincount(index[active], w[active], minlength=size)
        raise InputError(f"'{name}' is not known here: give the simulation's activity to develop_spiking, which measures it")


def start_states(synapses: LiveSynapses, seeds: tuple[int, ...], dt: float) -> None:
    """Give every state of a projection's rule its initial value."""
    plan, slow = synapses.plan, SlowLines(synapses, seeds, dt)
    assert plan is not None
    for k, initial in enumerate(plan.rule.state.values()):
        constant = names_in(initial.node) <= plan.parameters.keys()
        for r, world in enumerate(synapses.worlds):
            place = synapses.at(r)
            if constant:
                world.state[k, place] = evaluate_constant(initial.node, plan.parameters)
            elif place.stop > place.start:
                world.state[k, place] = slow.values(slow.key(initial), r, -1)
