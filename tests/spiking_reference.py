"""A spiking network run step by step in plain NumPy, as its description says and with no thought for speed.

The event-driven engine and the networks generated for Brian2 are held against it. It shares with them the description and
the parser, nothing that computes.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from biosim.equations import Rule
from biosim.spiking import Conductance, Current, Delta, GivenSpikes, Network, Population

BINARY = {ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide, ast.Pow: np.power}
COMPARE = {ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal}
CALLS: dict[str, Any] = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "sign": np.sign, "tanh": np.tanh, "where": np.where,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "min": lambda *xs: np.minimum.reduce(np.broadcast_arrays(*xs)), "max": lambda *xs: np.maximum.reduce(np.broadcast_arrays(*xs)),
}  # fmt: skip


def value(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """Return the value of an expression."""
    match node:
        case ast.Constant(value=number):
            return np.float64(number)  # type: ignore[arg-type]
        case ast.Name(id=name):
            return known[name]
        case ast.BinOp(left=left, op=op, right=right):
            return BINARY[type(op)](value(left, known), value(right, known))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -value(operand, known)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return np.logical_not(value(operand, known))
        case ast.UnaryOp(operand=operand):
            return value(operand, known)
        case ast.BoolOp(op=op, values=parts):
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return join.reduce(np.broadcast_arrays(*[value(p, known) for p in parts]))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            terms = [value(p, known) for p in [left, *comparators]]
            pairs = [COMPARE[type(op)](a, b) for op, a, b in zip(ops, terms, terms[1:], strict=False)]
            return np.logical_and.reduce(np.broadcast_arrays(*pairs))
        case ast.Call(func=ast.Name(id=function), args=args):
            return CALLS[function](*[value(a, known) for a in args])
    raise AssertionError(ast.dump(node))


class Synapses:
    """The living synapses of one projection, and the traces of its neurons."""

    def __init__(self, network: Network, projection: Any, rule: Rule | None, replicate: int) -> None:
        self.projection, self.rule, self.decisions = projection, rule, 0
        self.i, self.j, weight = projection.births.edges(replicate)
        self.values: dict[str, Any] = {"weight": np.array(weight, np.float64)}
        self.delay = projection.delay_steps(network.dt)
        self.parameters = {n: q.value for n, q in rule.parameters.items()} if rule else {}
        sizes = {"pre": projection.births.n_pre, "post": projection.births.n_post}
        self.traces: dict[str, Any] = {}
        for line in rule.traces if rule else ():
            self.traces[line.target] = np.zeros(sizes[line.target.rpartition("_")[2]])
        for name, initial in rule.state.items() if rule else ():
            self.values[name] = np.array(np.broadcast_to(value(initial.node, self.known(np.arange(len(self.i)))), self.i.shape), np.float64)

    def known(self, which: Any) -> dict[str, Any]:
        """Return what an expression may read, at the synapses ``which``."""
        own = {n: v[self.i[which] if n.endswith("_pre") else self.j[which]] for n, v in self.traces.items()}
        return {**self.parameters, **own, **{n: v[which] for n, v in self.values.items()}}

    def run(self, lines: Any, which: Any, **extra: Any) -> None:
        """Assign in order at the synapses ``which``."""
        for line in lines:
            self.values[line.target][which] = value(line.expression.node, {**self.known(which), **extra})

    def rise(self, side: str, neurons: Any) -> None:
        """Move the traces of one side's neurons that spiked, or whose spikes arrived."""
        own = {n: v[neurons] for n, v in self.traces.items() if n.endswith(side)}
        for line in self.rule.on_spike if self.rule else ():
            if line.target.endswith(side):
                self.traces[line.target][neurons] = value(line.expression.node, {**self.parameters, **own})

    def decay(self, dt: float) -> None:
        """Let traces follow ``dx/dt = f(x)``, linear with constant rate, exactly over ``dt``."""
        for line in self.rule.traces if self.rule else ():
            at = [float(value(line.expression.node, {**self.parameters, line.target: x})) for x in (0.0, 1.0)]
            rate, drive = at[1] - at[0], at[0]
            rest = drive / rate
            self.traces[line.target] = (self.traces[line.target] + rest) * math.exp(rate * dt) - rest

    def follow(self, line: Any, window: float, extra: dict[str, Any]) -> None:
        """Advance a state that follows ``dx/dt = f(x)``, linear with a constant rate, with all else as it is now."""
        known = {**self.known(np.arange(len(self.i))), **extra}
        f0, f1 = (value(line.expression.node, {**known, line.target: x}) for x in (0.0, 1.0))
        rate = f1 - f0
        self.values[line.target] = (self.values[line.target] + f0 / rate) * np.exp(rate * window) - f0 / rate

    def keep(self, alive: Any) -> int:
        """Eliminate the others; return how many they were."""
        self.i, self.j = self.i[alive], self.j[alive]
        self.values = {n: v[alive] for n, v in self.values.items()}
        return int((~alive).sum())


class Reference:
    """One replicate of a network whose inputs are given spikes."""

    def __init__(self, network: Network, rules: Mapping[str, Rule] | None = None, replicate: int = 0, seed: int = 0) -> None:
        self.network, self.step, rules = network, 0, rules or {}
        self.synapses = {p.name: Synapses(network, p, rules.get(p.name), replicate) for p in network.projections}
        self.neurons = [p for p in network.populations if isinstance(p, Population)]
        self.v = {p.name: p.potentials([seed])[0] for p in self.neurons}
        self.last = {p.name: np.full(p.size, -(10**9)) for p in self.neurons}
        self.currents: dict[tuple[str, Any], Any] = {}
        for p in network.projections:
            if not isinstance(p.receptor, Delta):
                self.currents[p.post, p.receptor] = np.zeros(p.births.n_post)
        self.given = {p.name: p.steps(replicate, network.dt) for p in network.populations if isinstance(p, GivenSpikes)}
        self.history: dict[str, list[Any]] = {p.name: [] for p in network.populations}  # who spiked at each step

    def run(self, duration: float) -> None:
        for _ in range(round(duration / self.network.dt)):
            self._step()

    def _step(self) -> None:
        dt, free = self.network.dt, {}
        for p in self.neurons:
            own = {r: x for (name, r), x in self.currents.items() if name == p.name}
            free[p.name] = self.step - self.last[p.name] >= round(p.neuron.refractory / dt)
            push = p.neuron.v_rest + p.neuron.bias + sum((x for r, x in own.items() if isinstance(r, Current)), np.zeros(p.size))
            pull = np.ones(p.size)
            for r, x in own.items():
                if isinstance(r, Conductance):
                    push, pull = push + x * r.reversal, pull + x
            v = push / pull + (self.v[p.name] - push / pull) * np.exp(-pull * dt / p.neuron.tau_m)
            self.v[p.name] = np.where(free[p.name], v, self.v[p.name])
            spiking = free[p.name] & (self.v[p.name] > p.neuron.v_threshold)
            free[p.name] &= ~spiking
            self.last[p.name][spiking] = self.step
            self.history[p.name].append(np.flatnonzero(spiking))
        for (_, receptor), current in self.currents.items():
            current *= math.exp(-dt / receptor.tau)
        for name, (step, neuron) in self.given.items():
            self.history[name].append(neuron[step == self.step])
        self._plasticity(free)
        for p in self.neurons:
            self.v[p.name][self.history[p.name][-1]] = p.neuron.v_reset
        for s in self.synapses.values():
            s.decay(dt)
        self.step += 1

    def _plasticity(self, free: dict[str, Any]) -> None:
        age = self.step * self.network.dt
        for s in self.synapses.values():
            if s.rule is not None:
                s.run(s.rule.on_post, np.flatnonzero(np.isin(s.j, self.history[s.projection.post][-1])), age=age)
        for s in self.synapses.values():
            arrived = self.arrived(s)
            which = np.flatnonzero(np.isin(s.i, arrived))
            sent = np.bincount(s.j[which], s.projection.scale * s.values["weight"][which], s.projection.births.n_post)
            if isinstance(s.projection.receptor, Delta):
                self.v[s.projection.post] += np.where(free[s.projection.post], sent, 0.0)
            else:
                self.currents[s.projection.post, s.projection.receptor] += sent
            if s.rule is not None:
                s.run(s.rule.on_pre, which, age=age)
        for s in self.synapses.values():
            s.rise("_pre", self.arrived(s))
            s.rise("_post", self.history[s.projection.post][-1])

    def arrived(self, s: Synapses) -> Any:
        """Return the presynaptic neurons whose spikes arrive now."""
        source = self.history[s.projection.pre]
        return np.array([n for n, d in enumerate(s.delay) if self.step >= d and n in source[self.step - d]], int)

    def decide(self, name: str, window: float) -> int:
        """Run the synapse lines, eliminate by the rule's condition, run the survivors' lines."""
        s = self.synapses[name]
        assert s.rule is not None
        everything = np.arange(len(s.i))
        extra = {"dt": window, "age": s.decisions * window}
        s.decisions += 1
        for line in s.rule.synapse:
            degrees = {"degree_pre": np.bincount(s.i, minlength=1)[s.i], "degree_post": np.bincount(s.j, minlength=1)[s.j]}
            if line.derivative:
                s.follow(line, window, {**extra, **degrees})
            else:
                s.run([line], everything, **extra, **degrees)
        died = 0
        if s.rule.eliminate is not None:
            degrees = {"degree_pre": np.bincount(s.i, minlength=1)[s.i], "degree_post": np.bincount(s.j, minlength=1)[s.j]}
            gone = np.broadcast_to(value(s.rule.eliminate.node, {**s.known(everything), **extra, **degrees}), s.i.shape)  # type: ignore[union-attr]
            died = s.keep(~gone)
        s.run(s.rule.survivors, np.arange(len(s.i)), **extra)
        return died

    def edges(self, name: str) -> tuple[Any, Any, Any]:
        s = self.synapses[name]
        return s.i, s.j, s.values["weight"]

    def trains(self, population: str) -> tuple[Any, Any]:
        history = self.history[population]
        return np.repeat(np.arange(len(history)), [len(h) for h in history]), np.concatenate([np.zeros(0, int), *history])
