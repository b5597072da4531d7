"""What becomes of a rule's state when only the live synapses are kept, and when development is taken up again."""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim import backend
from biosim.equations.layout import Layout
from biosim.equations.program import ARRAYS
from biosim.equations.rule import Rule
from biosim.equations.vocabulary import POST, PRE, SYNAPSE, Axes
from biosim.state import State, part, tensor


class Packable:
    """The part of :class:`~biosim.equations.compiled.CompiledRule` that divides, packs and restores its arrays."""

    rule: Rule
    shape: tuple[int, int, int]
    device: torch.device
    streams: npt.NDArray[np.uint32]
    axes: dict[str, Axes]
    arrays: dict[str, Tensor]
    vectors: dict[str, Tensor]
    traces: dict[str, Tensor]
    layout: Layout | None
    _truth: Tensor | None

    @property
    def packable(self) -> bool:
        """Whether the rule may keep the state of live synapses only: without regrowth, and on the CPU."""
        sides = len([n for n in {*self.rule.names, *self.vectors, *self.axes} if self.axes.get(n, SYNAPSE) - {"sample"} in (PRE, POST)])
        return self.rule.regrow is None and backend.fused(self.device) and sides <= ARRAYS

    def replicate(self, r: int) -> Self:
        """Return the rule of replicate ``r`` alone, its arrays views of these."""
        alone = copy.copy(self)
        alone.shape, alone.streams, alone._truth = (1, *self.shape[1:]), self.streams[r : r + 1], None
        alone.arrays, alone.vectors, alone.traces = (
            {n: v[r : r + 1] for n, v in values.items()} for values in (self.arrays, self.vectors, self.traces)
        )
        return alone

    def pack(self, layout: Layout) -> None:
        """Keep only the state of the synapses in ``layout``, as (1, 1, N) arrays; of one replicate."""
        self.layout, self._truth = layout, None
        for name in self.arrays:
            self.arrays[name] = layout.pick(self.arrays[name][0])

    def state(self) -> State:
        """Return states and traces; all else is computed anew in every step."""
        return {"synapse": {n: self.arrays[n] for n in self.rule.state if n in self.arrays}, "trace": dict(self.traces)}

    def restore(self, state: State) -> None:
        """Take states and traces over, of the synapses that are kept here."""
        shape, saved = (self.layout.shape if self.layout else self.shape), part(state, "synapse")
        self._truth = None
        for name, own in self.arrays.items():
            if name in self.rule.state:
                self.arrays[name] = tensor(saved.get(name), own, name, shape)
            elif tuple(own.shape) != shape:
                self.arrays[name] = own.new_zeros(shape)
        self.traces = {n: tensor(part(state, "trace").get(n), own, n) for n, own in self.traces.items()}

    def take(self, stay: Tensor) -> None:
        """Keep only the packed synapses at the places ``stay``."""
        self._truth = None
        for name in self.arrays:
            self.arrays[name] = self.arrays[name][..., stay]
