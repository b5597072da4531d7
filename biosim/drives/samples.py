"""A few labelled samples for each replicate, its own: small problems whose every answer can be known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from biosim.drives.base import Presentation
from biosim.equations import Clock
from biosim.errors import InputError


@dataclass(frozen=True)
class SampleDrive:
    """Shows all samples of a replicate in every step, so that no order has to be drawn.

    Attributes
    ----------
    samples : Tensor
        (R, S, n_input) float32.
    labels : Tensor
        (R, S) int64.
    classes : int
    epochs : int
        Steps.
    presentation : float
        Seconds one sample is shown.
    """

    samples: Tensor
    labels: Tensor
    classes: int
    epochs: int = 300
    presentation: float = 0.05

    def __post_init__(self) -> None:
        if self.samples.ndim != 3 or self.labels.shape != self.samples.shape[:2]:
            raise InputError(f"needs (R, S, n) samples and (R, S) labels, not {tuple(self.samples.shape)} and {tuple(self.labels.shape)}")
        if self.classes < 2 or int(self.labels.min()) < 0 or int(self.labels.max()) >= self.classes:
            raise InputError(f"labels must lie between 0 and {self.classes - 1}", ("classes",))
        if self.epochs < 1:
            raise InputError("development needs at least one epoch", ("epochs",))

    @property
    def clock(self) -> Clock:
        """Presentation time, samples a step, steps of development."""
        return Clock(self.presentation, self.samples.shape[1], self.epochs)

    @property
    def inputs(self) -> int:
        """Numbers a sample holds."""
        return int(self.samples.shape[2])

    @property
    def outputs(self) -> int:
        """Classes."""
        return self.classes

    def with_epochs(self, epochs: int) -> SampleDrive:
        """Return the same drive, shown for another number of steps."""
        return replace(self, epochs=epochs)

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield every sample ``epochs`` times; one set of samples belongs to each seed."""
        if len(seeds) != len(self.samples):
            raise InputError(f"there are samples for {len(self.samples)} replicates, not {len(seeds)}")
        shown = Presentation(self.samples.to(device), self.labels.to(device))
        for _ in range(self.epochs):
            yield shown
