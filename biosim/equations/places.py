"""Where synapses lie once only the live ones are kept: what a rule asks of packed synapses, (1, 1, N) of one replicate."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from biosim.streams import Span


class Places(Protocol):
    """The places of N live synapses among (n_pre, n_post) pairs of neurons; :class:`biosim.wiring.packed.Packed` is one.

    Attributes
    ----------
    edges : ndarray
        (2, N) int32, presynaptic and postsynaptic neuron of each synapse.
    span : Span
        Which columns of their projection n_post are.
    """

    edges: npt.NDArray[np.int32]
    span: Span

    @property
    def shape(self) -> tuple[int, int, int]:
        """(1, 1, N)."""
        ...

    def pick(self, whole: Tensor) -> Tensor:
        """Return the values of (n_pre, n_post) ``whole`` at these synapses, (1, 1, N)."""
        ...

    def per_synapse(self, vector: Tensor, presynaptic: bool, some: slice = ...) -> Tensor:
        """Give every synapse, or ``some``, the value of its neuron: (..., n) -> (..., N)."""
        ...

    def sample(self, left: Tensor, right: Tensor, scale: float, out: Tensor, keep: float) -> None:
        """Set ``out = keep*out + scale * sum_s left[s, i]*right[s, j]``; (S, n_pre), (S, n_post) -> (1, 1, N)."""
        ...

    def uniform(self, streams: npt.NDArray[np.uint32], step: int) -> Tensor:
        """Return one draw a synapse, the one its birth edge gets among all of them."""
        ...
