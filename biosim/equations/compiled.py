"""A rule bound to one projection: what runs at every step of development."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim import backend
from biosim.equations.clock import Clock, Clockwork
from biosim.equations.evaluate import evaluate, evaluate_constant
from biosim.equations.expression import Expression, names_in
from biosim.equations.layout import Layout
from biosim.equations.linear import decay, sample_weights, split_linear
from biosim.equations.packable import Packable
from biosim.equations.plan import Plan, Sum
from biosim.equations.products import chunked_sum, packed_sum, sample_sum, side_values, weighted
from biosim.equations.program import Compiler, Program, run_program
from biosim.equations.rule import Rule
from biosim.equations.sensed import Sensed
from biosim.equations.vocabulary import BUILT_IN, NONE, POST, PRE, SYNAPSE, Axes
from biosim.replay import Replay
from biosim.streams import Span, edge_uniform
from biosim.tiles import outer_sum

Compiled = tuple[Program, list[tuple[str, ast.expr]]]  # the same lines as a program for the fused kernel and as trees


class CompiledRule(Packable):
    """A rule on a projection of shape (R, n_pre, n_post).

    Parameters
    ----------
    rule : Rule
    shape : tuple of int
        (replicates, n_pre, n_post).
    clock : Clock
        Fixes ``dt`` and what ``% dev`` means.
    streams : (R,) uint32
        Keys of the per-synapse draws.
    device, dtype
        Where and in which precision the state lives.
    ageless : bool, optional
        Whether all synapses were born at step 0; when left out, whether the rule does not regrow.
    span : Span, optional
        Which columns of the projection these are, where they are not all of it.
    """

    def __init__(
        self,
        rule: Rule,
        shape: tuple[int, int, int],
        clock: Clock,
        streams: npt.NDArray[np.uint32],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        ageless: bool | None = None,
        span: Span | None = None,
    ) -> None:
        self.rule, self.shape, self.clock, self.streams = rule, shape, clock, streams
        self.span = span or Span(0, shape[2])
        self.device, self.dtype = torch.device(device), dtype
        self.parameters = {n: q.resolve(clock.duration) for n, q in rule.parameters.items()}
        self.axes: dict[str, Axes] = {n: e.axes for n, e in BUILT_IN.items()}
        self.axes |= dict.fromkeys(self.parameters, NONE) | dict.fromkeys(rule.state, SYNAPSE)
        self.axes |= {line.target: SYNAPSE for line in rule.coincidences}
        self.axes |= {t.target: PRE if t.target.endswith("_pre") else POST for t in rule.traces}
        self.arrays: dict[str, Tensor] = {}
        self.vectors: dict[str, Tensor] = {}
        self.traces = {
            t.target: torch.zeros(shape[0], shape[1] if self.axes[t.target] == PRE else shape[2], device=self.device, dtype=dtype)
            for t in rule.traces
        }
        constants = {**self.parameters, "dt": clock.dt}
        self._constants = {n: torch.tensor(v, dtype=dtype, device=self.device) for n, v in constants.items()}
        self.clockwork = Clockwork(ageless=rule.regrow is None if ageless is None else ageless)
        self._now = torch.zeros((), dtype=dtype, device=self.device)
        plan = Plan(rule, self.parameters, clock, self.axes)
        self.sums = plan.sums
        for name in plan.scratch:
            self._scratch(name)
        self._trace_lines = []
        for line in rule.traces:
            rate, rest = split_linear(line.expression, line.target, set(self.parameters))
            self._trace_lines.append((line.target, evaluate_constant(rate, self.parameters), rest))
        self._weights: dict[tuple[float, int], Tensor] = {}
        self.step_program = self._compile(plan.lines)
        self.survivor_program = self._compile([(a.target, a.expression.node) for a in rule.survivors])
        read = {n for line in (*rule.traces, *rule.coincidences, *rule.synapse) for n in line.expression.names}
        # a step is replayed as one graph when it draws nothing and no sum is taken in chunks
        self.recordable = self.device.type == "cuda" and "random" not in read and all(item.whole is None for item in self.sums)
        self._replay: Replay[None] = Replay(lambda given: None)
        self._truth: Tensor | None = None
        self.layout: Layout | None = None  # where each synapse lies once only the live ones are kept

    # -- compiling ------------------------------------------------------------------------------
    def _kinds(self) -> dict[str, str | float]:
        kinds: dict[str, str | float] = {"dt": self.clock.dt, "_now": "scalar", "_since": "synapse", "_born": "synapse"}
        for name, axes in self.axes.items():
            own = axes - {"sample"}
            kinds.setdefault(name, "synapse" if own == SYNAPSE else "pre" if own == PRE else "post")
        return kinds | self.parameters

    def _spell(self, node: ast.expr) -> ast.expr:
        return self.clockwork.visit(copy.deepcopy(node))  # type: ignore[no-any-return]

    def _compile(self, lines: list[tuple[str, ast.expr]]) -> Compiled | None:
        if not lines:
            return None
        spelled = [(target, self._spell(node)) for target, node in lines]
        compiler = Compiler(self._kinds())
        for target, node in spelled:
            compiler.assign(target, node)
        return compiler.finish(), spelled

    def condition(self, expression: Expression) -> tuple[Program, ast.expr]:
        """Compile a condition; run it with :meth:`decide`."""
        node = self._spell(expression.node)
        compiler = Compiler(self._kinds())
        compiler.decide(node)
        return compiler.finish(), node

    def key(self, expression: Expression, name: str = "_key") -> str | Compiled:
        """Compile what a competition ranks by; a plain state is read where it lies."""
        if isinstance(expression.node, ast.Name) and expression.node.id in {*self.rule.state, "weight"}:
            return expression.node.id
        self._scratch(name)
        program = self._compile([(name, expression.node)])
        assert program is not None
        return program

    def _scratch(self, name: str) -> None:
        self.arrays[name] = torch.zeros(self.shape, device=self.device, dtype=self.dtype)
        self.axes[name] = SYNAPSE

    # -- running --------------------------------------------------------------------------------
    def initialise(self, synapses: Mapping[str, Tensor], neurons: Mapping[str, Tensor]) -> None:
        """Give every state its initial value."""
        self._now.fill_(-1.0)
        for name, initial in self.rule.state.items():
            self.arrays[name] = torch.empty(self.shape, device=self.device, dtype=self.dtype)
            for rows in self._row_chunks(1 << 19):  # a whole projection's draws at once would be many times its own size
                values = self._broadcast(initial.node, synapses, neurons, rows, -1)
                self.arrays[name][:, rows] = evaluate(initial.node, values)

    def reset(self, newborn: Tensor, synapses: Mapping[str, Tensor], neurons: Mapping[str, Tensor], step: int) -> None:
        """Give the states of the ``newborn`` synapses their initial value again."""
        self._now.fill_(float(step))
        for name, initial in self.rule.state.items():
            values = self._broadcast(initial.node, synapses, neurons, slice(None), step)
            fresh = evaluate(initial.node, values).expand(self.shape)
            self.arrays[name].copy_(torch.where(newborn, fresh, self.arrays[name]))

    def step(self, sensed: Sensed) -> None:
        """Advance coincidences, states and traces by one step (in place)."""
        self._now.fill_(float(sensed.step))
        if not self.recordable:
            self._advance(sensed)
            return
        self._replay.function = lambda given: self._advance(sensed.among(given))
        self._replay(sensed.tensors(), (*sensed.synapses.values(), *self.arrays.values(), *self.traces.values()))

    def _advance(self, sensed: Sensed) -> None:
        sampled = self._sampled(sensed)
        for item in self.sums:
            self._sum(item, sampled, sensed)
        if self.step_program is not None:
            self.run(self.step_program, sensed.synapses, sensed.neurons, sensed.step, mark=False)
        self._advance_traces(sampled)

    def _sampled(self, sensed: Sensed) -> dict[str, Tensor]:
        own = {n: v.unsqueeze(1) for n, v in self.traces.items()}
        return sensed.sampled() | own | self._constants

    def _sample_weights(self, rate: float | None, samples: int) -> Tensor | None:
        if rate is None:
            return None
        if (rate, samples) not in self._weights:
            weights = sample_weights(rate, self.clock.presentation, samples)
            self._weights[rate, samples] = torch.from_numpy(weights).to(self.device, self.dtype)
        return self._weights[rate, samples]

    def _sum(self, item: Sum, sampled: Mapping[str, Tensor], sensed: Sensed) -> None:
        weights = self._sample_weights(item.rate, sensed.pre.shape[1])
        if item.whole is not None:
            self._chunked(item, sampled, sensed, weights)
            return

        def side(node: ast.expr | None, width: int) -> Tensor:
            return side_values(node, sampled, sensed.pre, width)

        if item.post_side is None:
            self.vectors[item.name] = sample_sum(side(item.pre_side, self.shape[1]), weights)
        elif item.pre_side is None:
            self.vectors[item.name] = sample_sum(side(item.post_side, self.shape[2]), weights)
        else:
            left, right = side(item.pre_side, self.shape[1]), side(item.post_side, self.shape[2])
            unread = sensed.teach_pre is None and item.reads_teach_pre and item.target is None
            if unread and backend.fused(self.device) and not bool(left.any()):
                self.arrays[item.name].zero_()  # inputs are not taught: no need to multiply zeros
                return
            if self.shape[1] < self.shape[2]:
                left = weighted(left, weights)
            else:
                right = weighted(right, weights)
            scale = item.scale if weights is not None else item.scale / left.shape[1]
            keep = decay(item.rate or 0.0, self.clock.dt) if item.target else 0.0
            out = self.array(item.target or item.name, sensed.synapses)
            if self.layout is None:
                outer_sum(left, right, scale, out, keep)
            else:
                self.layout.sample(left[0], right[0], scale, out, keep)

    def _chunked(self, item: Sum, sampled: Mapping[str, Tensor], sensed: Sensed, weights: Tensor | None) -> None:
        assert item.whole is not None
        node = self._spell(item.whole)
        used = names_in(node)
        synaptic = {n: v for n, v in (*self.arrays.items(), *sensed.synapses.items()) if n in used}
        synaptic |= {n: v for n, v in sampled.items() if n in used and v.dim() == 0}
        if "_now" in used:
            synaptic["_now"] = self._now
        if "random" in used:
            whole = (self.streams, sensed.step, self.shape[1:], slice(0, self.shape[1]), self.device, self.span)
            draws = self.layout.uniform(self.streams, sensed.step) if self.layout else edge_uniform(*whole)
            synaptic["random"] = draws.to(self.dtype)
        sides = {n: v for n, v in sampled.items() if n in used and v.dim() == 3} or {"pre": sensed.pre}
        if self.layout is None:
            chunked_sum(node, sides, synaptic, weights, self.arrays[item.name])
        else:
            packed_sum(node, sides, synaptic, weights, self.arrays[item.name], self.layout)

    def _advance_traces(self, sampled: Mapping[str, Tensor]) -> None:
        fresh = {}
        samples = sampled["pre"].shape[1]
        for target, rate, rest in self._trace_lines:
            value = self.traces[target] * decay(rate, self.clock.presentation * samples)
            if rest is not None:
                driven = evaluate(rest, sampled)
                shape = (value.shape[0], samples, value.shape[1])
                value = value + sample_sum(driven.expand(shape), self._sample_weights(rate, samples))
            fresh[target] = value
        for target, value in fresh.items():
            self.traces[target].copy_(value)

    def run(self, compiled: Compiled, synapses: Mapping[str, Tensor], neurons: Mapping[str, Tensor], step: int, mark: bool = True) -> None:
        """Run compiled lines in place, fused on the CPU and in row chunks elsewhere; ``mark`` the step unless that was done."""
        program, lines = compiled
        if backend.fused(self.device):
            self._run_fused(program, synapses, neurons, step)
            return
        if mark:
            self._now.fill_(float(step))
        for rows in self._row_chunks():
            for target, node in lines:
                values = self._broadcast(node, synapses, neurons, rows, step)
                self.array(target, synapses)[:, rows] = evaluate(node, values)

    def decide(
        self, compiled: tuple[Program, ast.expr], synapses: Mapping[str, Tensor], neurons: Mapping[str, Tensor], step: int
    ) -> Tensor:
        """Return the truth of a condition, (R, n_pre, n_post) bool; valid until the next call."""
        if self._truth is None:
            self._truth = torch.zeros(self.layout.shape if self.layout else self.shape, dtype=torch.bool, device=self.device)
        program, node = compiled
        if backend.fused(self.device):
            self._run_fused(program, synapses, neurons, step, self._truth.numpy())
        else:
            self._now.fill_(float(step))
            for rows in self._row_chunks():
                self._truth[:, rows] = evaluate(node, self._broadcast(node, synapses, neurons, rows, step))
        return self._truth

    def array(self, name: str, synapses: Mapping[str, Tensor]) -> Tensor:
        """Return the (R, n_pre, n_post) values of a name."""
        return self.arrays[name] if name in self.arrays else synapses[name]

    def _run_fused(
        self,
        program: Program,
        synapses: Mapping[str, Tensor],
        neurons: Mapping[str, Tensor],
        step: int,
        truth: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        arrays = {n: self.array(n, synapses).numpy() for n in program.arrays}
        sources, layout = {**neurons, **self.traces, **self.vectors}, self.layout
        given = (self.streams, step, {"_now": float(step)}, truth)
        if layout is None:
            vectors = {n: sources[n].numpy() for n in (*program.pre_vectors, *program.post_vectors)}
            run_program(program, arrays, vectors, *given, span=self.span)
            return
        vectors = {n: layout.per_synapse(sources[n], True).numpy() for n in program.pre_vectors}
        vectors |= {n: layout.per_synapse(sources[n], False).numpy() for n in program.post_vectors}
        run_program(program.packed, arrays, vectors, *given, layout.edges, layout.span)

    def _row_chunks(self, elements: int = 1 << 22) -> list[slice]:
        rows = max(1, elements // (self.shape[0] * self.shape[2]))
        return [slice(i, min(self.shape[1], i + rows)) for i in range(0, self.shape[1], rows)]

    def _broadcast(
        self, node: ast.expr, synapses: Mapping[str, Tensor], neurons: Mapping[str, Tensor], rows: slice, step: int
    ) -> dict[str, Tensor]:
        """Return what ``node`` reads, for these presynaptic neurons."""
        names = names_in(node)
        values = {n: v[:, rows] for n, v in (*synapses.items(), *self.arrays.items()) if n in names}
        for name, vector in (*neurons.items(), *self.traces.items(), *self.vectors.items()):
            if name in names:
                values[name] = vector[:, rows, None] if self.axes[name] - {"sample"} == PRE else vector[:, None, :]
        values |= self._constants | {"_now": self._now}
        if "random" in names:
            values["random"] = edge_uniform(self.streams, step, self.shape[1:], rows, self.device, self.span).to(self.dtype)
        return values
