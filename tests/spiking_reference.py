"""A spiking network stepped in plain Python, one synapse at a time, as the docstring of biosim.spiking says: the tests' own engine."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from biosim.equations import Rule
from biosim.equations.evaluate import evaluate_constant
from biosim.equations.linear import split_linear
from biosim.spiking import Conductance, Current, Delta, GivenSpikes, Network, Population


class Reference:
    """Replicate ``r`` of a network without drives or Poisson inputs."""

    def __init__(self, network: Network, rules: dict[str, Rule], r: int = 0) -> None:
        self.net, self.rules, self.step = network, rules, 0
        self.v, self.last, self.gates = {}, {}, {}
        self.given = defaultdict(list)
        for p in network.populations:
            if isinstance(p, Population):
                self.v[p.name] = p.potentials((0,))[0].copy()
                self.last[p.name] = np.full(p.size, -(10**9))
            elif isinstance(p, GivenSpikes):
                for step, i in zip(*p.steps(r, network.dt), strict=True):
                    self.given[p.name, int(step)].append(int(i))
        self.synapses, self.traces, self.pending = {}, {}, defaultdict(list)
        self.spikes = defaultdict(list)
        for p in network.projections:
            pre, post, weight = p.births.edges(r)
            state = {n: evaluate_constant(e.node, {}) for n, e in rules[p.name].state.items()} if p.name in rules else {}
            self.synapses[p.name] = {(int(i), int(j)): {"weight": float(w), **state} for i, j, w in zip(pre, post, weight, strict=True)}
            if p.name in rules:
                for line in rules[p.name].traces:
                    size = p.births.n_pre if line.target.endswith("_pre") else p.births.n_post
                    self.traces[p.name, line.target] = np.zeros(size)
            if not isinstance(p.receptor, Delta):
                self.gates[p.name] = np.zeros(p.births.n_post)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._step()
            self.step += 1

    def _parameters(self, rule: Rule) -> dict[str, float]:
        return {n: q.resolve(1.0) for n, q in rule.parameters.items()}

    def _step(self) -> None:
        net, n, dt = self.net, self.step, self.net.dt
        fired: dict[str, list[int]] = {p.name: self.given[p.name, n] for p in net.populations}
        for p in net.populations:
            if isinstance(p, Population):
                fired[p.name] = self._integrate(p)
        for name, neurons in fired.items():
            self.spikes[name] += [(n, i) for i in neurons]
            for q in net.projections:
                if q.pre == name:
                    for i in neurons:
                        self.pending[q.name, n + int(q.delay_steps(dt)[i])].append(i)
        jumps = {name: np.zeros(len(v)) for name, v in self.v.items()}
        for q in net.projections:
            if q.name in self.rules:
                self._events(q, "on_post", [(i, j) for i, j in self.synapses[q.name] if j in fired[q.post]])
        for q in net.projections:
            for i, j in sorted(self.synapses[q.name]):
                if i in self.pending[q.name, n]:
                    where = jumps[q.post] if isinstance(q.receptor, Delta) else self.gates[q.name]
                    where[j] += q.scale * self.synapses[q.name][i, j]["weight"]
        for q in net.projections:
            if q.name in self.rules:
                self._events(q, "on_pre", [(i, j) for i, j in self.synapses[q.name] if i in self.pending[q.name, n]])
                self._trace(q, fired[q.post], self.pending[q.name, n])
        for p in net.populations:
            if isinstance(p, Population):
                for j in range(p.size):
                    if n - self.last[p.name][j] >= round(p.neuron.refractory / dt):
                        self.v[p.name][j] += jumps[p.name][j]
                self.v[p.name][fired[p.name]] = p.neuron.v_reset

    def _integrate(self, p: Population) -> list[int]:
        neuron, dt, fired = p.neuron, self.net.dt, []
        for j in range(p.size):
            base, leak = neuron.v_rest + neuron.bias, 1.0
            for q in self.net.projections:
                if q.post == p.name and isinstance(q.receptor, Current):
                    base += self.gates[q.name][j]
                elif q.post == p.name and isinstance(q.receptor, Conductance):
                    base += self.gates[q.name][j] * q.receptor.reversal
                    leak += self.gates[q.name][j]
            if self.step - self.last[p.name][j] >= round(neuron.refractory / dt):
                v = self.v[p.name][j]
                self.v[p.name][j] = v = base / leak + (v - base / leak) * math.exp(-dt / neuron.tau_m * leak)
                if v > neuron.v_threshold:
                    fired.append(j)
                    self.last[p.name][j] = self.step
        for q in self.net.projections:
            if q.post == p.name and not isinstance(q.receptor, Delta):
                self.gates[q.name] *= math.exp(-dt / q.receptor.tau)
        return fired

    def _values(self, q, i: int, j: int) -> dict[str, float]:  # type: ignore[no-untyped-def]
        rule = self.rules[q.name]
        values = {**self._parameters(rule), **self.synapses[q.name][i, j], "age": self.step * self.net.dt}
        for line in rule.traces:
            values[line.target] = float(self.traces[q.name, line.target][i if line.target.endswith("_pre") else j])
        return values

    def _events(self, q, section: str, edges: list[tuple[int, int]]) -> None:  # type: ignore[no-untyped-def]
        for i, j in edges:
            for line in getattr(self.rules[q.name], section):
                self.synapses[q.name][i, j][line.target] = evaluate_constant(line.expression.node, self._values(q, i, j))

    def _trace(self, q, spiking: list[int], arriving: list[int]) -> None:  # type: ignore[no-untyped-def]
        rule, dt = self.rules[q.name], self.net.dt
        parameters = self._parameters(rule)
        before = {line.target: self.traces[q.name, line.target].copy() for line in rule.traces}
        for line in rule.on_spike:
            for neuron in arriving if line.target.endswith("_pre") else spiking:
                own = {t: float(v[neuron]) for t, v in before.items() if t[-4:] == line.target[-4:]}
                self.traces[q.name, line.target][neuron] = evaluate_constant(line.expression.node, {**parameters, **own})
        for line in rule.traces:
            rate, rest = split_linear(line.expression, line.target, set(parameters))
            a, b = evaluate_constant(rate, parameters), evaluate_constant(rest, parameters)
            self.traces[q.name, line.target] *= math.exp(a * dt)
            self.traces[q.name, line.target] += b * (math.expm1(a * dt) / a if a else dt)

    def weights(self, projection: str) -> np.ndarray:
        """Return the weights in the order of :meth:`Simulation.weights`."""
        return np.array([s["weight"] for _, s in sorted(self.synapses[projection].items())])
