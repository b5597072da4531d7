"""Motor axons that fire one at a time, or all together: how synchronous they are decides what a fibre can tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from biosim.drives.base import Presentation
from biosim.equations import Clock
from biosim.errors import InputError
from biosim.streams import generator
from biosim.synapses import Network


@dataclass(frozen=True)
class MotorAxons:
    """In every sample either one axon fires, each as likely as the others, or (with chance ``synchrony``) all do.

    Attributes
    ----------
    inputs : int
        Axons.
    clock : Clock
    synchrony : float
    """

    inputs: int
    clock: Clock
    synchrony: float
    outputs: None = None

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield ``clock.steps`` presentations of 0 and 1; replicate k depends on ``seeds[k]`` alone."""
        streams = [generator(seed, "motor-axons") for seed in seeds]
        samples, axons = self.clock.samples, np.arange(self.inputs)
        for _ in range(self.clock.steps):
            shown = np.empty((len(seeds), samples, self.inputs), np.float32)
            for r, stream in enumerate(streams):
                one = stream.integers(0, self.inputs, samples)[:, None] == axons
                shown[r] = one | (stream.random(samples) < self.synchrony)[:, None]
            yield Presentation(torch.from_numpy(shown).to(device), None)


def drive(network: Network, *, synchrony: float = 0.0, days: float = 14.0, every: float = 15.0, batch: int = 80) -> MotorAxons:
    """Return the drive of a muscle's nerve.

    Parameters
    ----------
    network : Network
        Its first population are the axons.
    synchrony : float
        Chance that all axons fire together, in [0, 1].
    days : float
        How long development lasts.
    every : float
        Seconds between two samples.
    batch : int
        Samples a step.
    """
    if not 0 <= synchrony <= 1:
        raise InputError(f"synchrony is a chance, in [0, 1], not {synchrony}", ("synchrony",))
    for name, value in (("days", days), ("every", every)):
        if not value > 0:
            raise InputError(f"must be longer than 0, not {value}", (name,))
    if batch < 1:
        raise InputError(f"a step needs at least one sample, not {batch}", ("batch",))
    steps = round(days * 86400 / (every * batch))
    if steps < 1:
        raise InputError(f"{days} days hold not even one step of {batch} samples, one every {every} s", ("days",))
    return MotorAxons(network.input.size, Clock(every, batch, steps), synchrony)
