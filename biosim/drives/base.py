"""The protocol every drive follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from biosim.equations import Clock

TICKETS = 2**24  # whole numbers that float32 holds exactly


@dataclass(frozen=True)
class Presentation:
    """One step's worth of input.

    Attributes
    ----------
    inputs : Tensor
        (R, S, n_input) float32; spikes for a spiking network, (R, S, T, n_input).
    labels : Tensor or None
        (R, S) int64 classes, where the drive has them.
    reward : Tensor or None
        (R, S), where the world itself gives the scalar that rules read as ``reward``: what came of a trial, or the sign of a
        phase. Else it is whether the readout answers with the label.
    """

    inputs: Tensor
    labels: Tensor | None
    reward: Tensor | None = None


class Drive(Protocol):
    """Shows input to a network, each replicate in its own order."""

    @property
    def clock(self) -> Clock:
        """Presentation time, samples a step, steps of development."""
        ...

    @property
    def inputs(self) -> int:
        """Size of the input population."""
        ...

    @property
    def outputs(self) -> int | None:
        """Size of the readout; None where nobody reads the network out."""

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield ``clock.steps`` presentations; replicate k depends on ``seeds[k]`` alone."""
        ...
