"""What becomes of a rule's state when only the live synapses are kept."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim import backend
from biosim.equations.program import ARRAYS
from biosim.equations.rule import Rule
from biosim.equations.vocabulary import POST, PRE, SYNAPSE, Axes

if TYPE_CHECKING:
    from biosim.packed import Packed


class Packable:
    """The part of :class:`~biosim.equations.compiled.CompiledRule` that divides and packs its arrays."""

    rule: Rule
    shape: tuple[int, int, int]
    device: torch.device
    streams: npt.NDArray[np.uint32]
    axes: dict[str, Axes]
    arrays: dict[str, Tensor]
    vectors: dict[str, Tensor]
    traces: dict[str, Tensor]
    layout: Packed | None
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

    def pack(self, layout: Packed) -> None:
        """Keep only the state of the synapses in ``layout``, as (1, 1, N) arrays; of one replicate."""
        self.layout, self._truth = layout, None
        for name in self.arrays:
            self.arrays[name] = layout.pick(self.arrays[name][0])

    def take(self, stay: Tensor) -> None:
        """Keep only the packed synapses at the places ``stay``."""
        self._truth = None
        for name in self.arrays:
            self.arrays[name] = self.arrays[name][..., stay]
