"""A few labelled samples for each replicate, its own: small problems whose every answer can be known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from biosim.drives.base import Presentation
from biosim.equations import Clock
from biosim.errors import InputError
from biosim.streams import generator


@dataclass(frozen=True)
class SampleDrive:
    """Shows each replicate its own samples, all of them in every step or in shuffled batches.

    Attributes
    ----------
    samples : Tensor
        (R, S, n_input) float32.
    labels : Tensor
        (R, S) int64.
    classes : int
    epochs : int
    batch : int, optional
        Samples a step, an epoch's last incomplete batch left out; all of them when left out.
    presentation : float
        Seconds one sample is shown.
    """

    samples: Tensor
    labels: Tensor
    classes: int
    epochs: int = 300
    batch: int | None = None
    presentation: float = 0.05

    def __post_init__(self) -> None:
        if self.samples.ndim != 3 or self.labels.shape != self.samples.shape[:2]:
            raise InputError(f"needs (R, S, n) samples and (R, S) labels, not {tuple(self.samples.shape)} and {tuple(self.labels.shape)}")
        if not self.labels.numel():
            raise InputError("needs at least one replicate and one sample")
        if self.classes < 2 or int(self.labels.min()) < 0 or int(self.labels.max()) >= self.classes:
            raise InputError(f"labels must lie between 0 and {self.classes - 1}", ("classes",))
        if self.epochs < 1:
            raise InputError("development needs at least one epoch", ("epochs",))
        if self.batch is not None and not 1 <= self.batch <= self.samples.shape[1]:
            raise InputError(f"a batch must lie between 1 and the {self.samples.shape[1]} samples", ("batch",))

    @property
    def clock(self) -> Clock:
        """Presentation time, samples a step, steps of development."""
        size = self.batch or self.samples.shape[1]
        return Clock(self.presentation, size, self.epochs * (self.samples.shape[1] // size))

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
        """Yield ``clock.steps`` presentations; one set of samples belongs to each seed, which also draws their order."""
        if len(seeds) != len(self.samples):
            raise InputError(f"there are samples for {len(self.samples)} replicates, not {len(seeds)}")
        samples, labels = self.samples.to(device), self.labels.to(device)
        if self.batch is None:
            yield from (Presentation(samples, labels) for _ in range(self.epochs))
            return
        streams, rows = [generator(seed, "samples/order") for seed in seeds], torch.arange(len(seeds), device=device).unsqueeze(1)
        for _ in range(self.epochs):
            order = torch.from_numpy(np.stack([s.permutation(samples.shape[1]) for s in streams])).to(device)
            for start in range(0, samples.shape[1] - self.batch + 1, self.batch):
                chosen = order[:, start : start + self.batch]
                yield Presentation(samples[rows, chosen], labels[rows, chosen])
