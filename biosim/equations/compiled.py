"""A rule bound to one projection: what runs at every step of development."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim import backend
from biosim.equations.clock import Clock, Clockwork
from biosim.equations.evaluate import evaluate, evaluate_constant
from biosim.equations.expression import Expression, names_in
from biosim.equations.held import Held
from biosim.equations.linear import decay, split_linear
from biosim.equations.plan import Plan
from biosim.equations.products import sample_sum
from biosim.equations.program import ARRAYS, Compiler, Program, run_program
from biosim.equations.rule import Competition, Rule
from biosim.equations.sensed import Known, Sensed
from biosim.equations.sums import Sums
from biosim.equations.vocabulary import BUILT_IN, NONE, POST, PRE, SYNAPSE, Axes
from biosim.replay import Replay
from biosim.streams import Span, edge_uniform

Compiled = tuple[Program, list[tuple[str, ast.expr]]]  # the same lines as a program for the fused kernel and as trees


class CompiledRule:
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

    Attributes
    ----------
    held : Held
        What the rule keeps of each synapse and neuron.
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
        self.span, self.device, self.dtype = span or Span(0, shape[2]), torch.device(device), dtype
        self.parameters = rule.values(clock.duration)
        self.axes: dict[str, Axes] = {n: e.axes for n, e in BUILT_IN.items()}
        self.axes |= dict.fromkeys(self.parameters, NONE) | dict.fromkeys(rule.state, SYNAPSE)
        self.axes |= {line.target: SYNAPSE for line in rule.coincidences}
        self.axes |= {t.target: PRE if t.target.endswith("_pre") else POST for t in rule.traces}
        sides = {t.target: shape[1] if self.axes[t.target] == PRE else shape[2] for t in rule.traces}
        self.held = Held(shape, self.device, dtype, sides)
        constants = {**self.parameters, "dt": clock.dt}
        self._scalars = {n: torch.tensor(v, dtype=dtype, device=self.device) for n, v in constants.items()}
        self.clockwork = Clockwork(ageless=rule.regrow is None if ageless is None else ageless)
        self._now = self._scalars["_now"] = torch.zeros((), dtype=dtype, device=self.device)
        plan = Plan(rule, self.parameters, clock, self.axes)
        self.sums = Sums(plan.sums, clock, self.clockwork, self.span)
        for name in plan.scratch:
            self._scratch(name)
        linear = [(line.target, *split_linear(line.expression, line.target, set(self.parameters))) for line in rule.traces]
        self._trace_lines = [(target, evaluate_constant(rate, self.parameters), rest) for target, rate, rest in linear]
        self.step_program = self._compile(plan.lines)
        self.survivor_program = self._compile([(a.target, a.expression.node) for a in rule.survivors])
        self._keys: dict[str, str | Compiled] = {}
        self._conditions: dict[str, tuple[Program, ast.expr]] = {}
        for name, decision in rule.decisions.items():
            if isinstance(decision, Competition):
                self._keys[name] = self._key(decision.by, f"_{name}")
            else:
                self._conditions[name] = self._condition(decision)
        read = {n for line in (*rule.traces, *rule.coincidences, *rule.synapse) for n in line.expression.names}
        # a step is replayed as one graph when it draws nothing and no sum is taken in chunks
        self.recordable = self.device.type == "cuda" and "random" not in read and not self.sums.chunked
        self._replay: Replay[None] = Replay(lambda given: None)

    # -- compiling ------------------------------------------------------------------------------
    def _kinds(self) -> dict[str, str | float]:
        kinds: dict[str, str | float] = {"dt": self.clock.dt, "_now": "scalar", "_since": "synapse", "_born": "synapse"}
        for name, axes in self.axes.items():
            own = axes - {"sample"}
            kinds.setdefault(name, "synapse" if own == SYNAPSE else "pre" if own == PRE else "post")
        return kinds | self.parameters

    def _compile(self, lines: list[tuple[str, ast.expr]]) -> Compiled | None:
        if not lines:
            return None
        spelled = [(target, self.clockwork.spell(node)) for target, node in lines]
        compiler = Compiler(self._kinds())
        for target, node in spelled:
            compiler.assign(target, node)
        return compiler.finish(), spelled

    def _condition(self, expression: Expression) -> tuple[Program, ast.expr]:
        node = self.clockwork.spell(expression.node)
        compiler = Compiler(self._kinds())
        compiler.decide(node)
        return compiler.finish(), node

    def _key(self, expression: Expression, name: str) -> str | Compiled:
        """Compile what a competition ranks by, into ``name``; a plain state is read where it lies."""
        if isinstance(expression.node, ast.Name) and expression.node.id in {*self.rule.state, "weight"}:
            return expression.node.id
        self._scratch(name)
        program = self._compile([(name, expression.node)])
        assert program is not None
        return program

    def _scratch(self, name: str) -> None:
        self.held.scratch(name)
        self.axes[name] = SYNAPSE

    # -- dividing -------------------------------------------------------------------------------
    @property
    def packable(self) -> bool:
        """Whether the rule may keep the state of live synapses only: without regrowth, and on the CPU."""
        names = {*self.rule.names, *self.held.vectors, *self.axes}
        sides = len([n for n in names if self.axes.get(n, SYNAPSE) - {"sample"} in (PRE, POST)])
        return self.rule.regrow is None and backend.fused(self.device) and sides <= ARRAYS

    def replicate(self, r: int) -> Self:
        """Return the rule of replicate ``r`` alone, what it holds being views of this."""
        alone = copy.copy(self)
        alone.shape, alone.streams, alone.held = (1, *self.shape[1:]), self.streams[r : r + 1], self.held.replicate(r)
        return alone

    # -- running --------------------------------------------------------------------------------
    def initialise(self, known: Known) -> None:
        """Give every state its initial value."""
        self._now.fill_(float(known.step))
        for name, initial in self.rule.state.items():
            self.held.scratch(name)
            for rows in self._row_chunks(1 << 19):  # a whole projection's draws at once would be many times its own size
                self.held.arrays[name][:, rows] = evaluate(initial.node, self._broadcast(initial.node, known, rows))

    def reset(self, newborn: Tensor, known: Known) -> None:
        """Give the states of the ``newborn`` synapses their initial value again."""
        self._now.fill_(float(known.step))
        for name, initial in self.rule.state.items():
            fresh = evaluate(initial.node, self._broadcast(initial.node, known, slice(None))).expand(self.shape)
            own = self.held.arrays[name]
            own.copy_(torch.where(newborn, fresh, own))

    def step(self, sensed: Sensed) -> None:
        """Advance coincidences, states and traces by one step (in place)."""
        self._now.fill_(float(sensed.step))
        if not self.recordable:
            self._advance(sensed)
            return
        self._replay.function = lambda given: self._advance(sensed.among(given))
        self._replay(sensed.tensors(), (*sensed.synapses.values(), *self.held.arrays.values(), *self.held.traces.values()))

    def _advance(self, sensed: Sensed) -> None:
        traces = {n: v.unsqueeze(1) for n, v in self.held.traces.items()}
        sampled = sensed.sampled() | traces | self._scalars
        self.sums.take(sampled, sensed, self.held, self.streams)
        if self.step_program is not None:
            self._run(self.step_program, sensed.known)
        self._advance_traces(sampled)

    def survive(self, known: Known) -> None:
        """Run the survivors' lines, for every synapse."""
        assert self.survivor_program is not None
        self._now.fill_(float(known.step))
        self._run(self.survivor_program, known)

    def scores(self, decision: str, known: Known) -> Tensor:
        """Return the values by which synapses compete in a decision, (R, n_pre, n_post); they lie where the rule holds them."""
        key = self._keys[decision]
        if isinstance(key, str):
            return self.held.array(key, known.synapses)
        self._now.fill_(float(known.step))
        self._run(key, known)
        return self.held.arrays[f"_{decision}"]

    def holds(self, decision: str, known: Known) -> Tensor:
        """Return where the condition of a decision holds, (R, n_pre, n_post) bool; valid until the next call."""
        program, node = self._conditions[decision]
        truth = self.held.truth()
        if backend.fused(self.device):
            self._run_fused(program, known, truth.numpy())
        else:
            self._now.fill_(float(known.step))
            for rows in self._row_chunks():
                truth[:, rows] = evaluate(node, self._broadcast(node, known, rows))
        return truth

    def _advance_traces(self, sampled: Mapping[str, Tensor]) -> None:
        fresh = {}
        samples = sampled["pre"].shape[1]
        for target, rate, rest in self._trace_lines:
            value = self.held.traces[target] * decay(rate, self.clock.presentation * samples)
            if rest is not None:
                driven = evaluate(rest, sampled)
                shape = (value.shape[0], samples, value.shape[1])
                value = value + sample_sum(driven.expand(shape), self.sums.weights(rate, samples, value))
            fresh[target] = value
        for target, value in fresh.items():
            self.held.traces[target].copy_(value)

    def _run(self, compiled: Compiled, known: Known) -> None:
        """Run compiled lines in place, fused on the CPU and in row chunks elsewhere, where the step was marked before."""
        program, lines = compiled
        if backend.fused(self.device):
            self._run_fused(program, known)
            return
        for rows in self._row_chunks():
            for target, node in lines:
                self.held.array(target, known.synapses)[:, rows] = evaluate(node, self._broadcast(node, known, rows))

    def _run_fused(self, program: Program, known: Known, truth: npt.NDArray[np.bool_] | None = None) -> None:
        arrays = {n: self.held.array(n, known.synapses).numpy() for n in program.arrays}
        sources, places = {**known.neurons, **self.held.traces, **self.held.vectors}, self.held.places
        given = (self.streams, known.step, {"_now": float(known.step)}, truth)
        if places is None:
            vectors = {n: sources[n].numpy() for n in (*program.pre_vectors, *program.post_vectors)}
            run_program(program, arrays, vectors, *given, span=self.span)
            return
        vectors = {n: places.per_synapse(sources[n], True).numpy() for n in program.pre_vectors}
        vectors |= {n: places.per_synapse(sources[n], False).numpy() for n in program.post_vectors}
        run_program(program.packed, arrays, vectors, *given, places.edges, places.span)

    def _row_chunks(self, elements: int = 1 << 22) -> list[slice]:
        rows = max(1, elements // (self.shape[0] * self.shape[2]))
        return [slice(i, min(self.shape[1], i + rows)) for i in range(0, self.shape[1], rows)]

    def _broadcast(self, node: ast.expr, known: Known, rows: slice) -> dict[str, Tensor]:
        """Return what ``node`` reads, for these presynaptic neurons."""
        names, held = names_in(node), self.held
        values = {n: v[:, rows] for n, v in (*known.synapses.items(), *held.arrays.items()) if n in names}
        for name, vector in (*known.neurons.items(), *held.traces.items(), *held.vectors.items()):
            if name in names:
                values[name] = vector[:, rows, None] if self.axes[name] - {"sample"} == PRE else vector[:, None, :]
        values |= self._scalars
        if "random" in names:
            values["random"] = edge_uniform(self.streams, known.step, self.shape[1:], rows, self.device, self.span).to(self.dtype)
        return values
