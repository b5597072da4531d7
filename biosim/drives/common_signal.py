"""Afferents of which some share a signal: the others are as active, each for itself.

Sample by sample, afferent i deviates from its mean rate by

    x_i = sqrt(c_i) s + sqrt(1 - c_i) n_i,      s, n_i ~ N(0, 1)

with c_i = ``correlation`` for a random ``share`` of the afferents and 0 for the others: variance 1 for all, and correlation
``correlation`` between any two that carry the signal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from biosim.drives.base import Presentation
from biosim.equations import Clock
from biosim.equations.units import parse_seconds
from biosim.errors import InputError, at_least, under
from biosim.streams import generator
from biosim.synapses import Network


@dataclass(frozen=True)
class CommonSignalDrive:
    """Shows ``samples`` samples a step, for ``steps`` steps.

    Attributes
    ----------
    inputs : int
        Afferents.
    share, correlation : float
    clock : Clock
    """

    inputs: int
    share: float
    correlation: float
    clock: Clock
    outputs: None = None

    def carriers(self, seed: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return which afferents carry the signal under one seed, (inputs,) bool; exactly the rounded share of them."""
        order = generator(seed, "common-signal/carriers").permutation(self.inputs)
        return np.asarray(order < round(self.share * self.inputs))

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield presentations, (R, samples, inputs); replicate k depends on ``seeds[k]`` alone."""
        streams = [generator(seed, "common-signal/activity") for seed in seeds]
        loading = np.sqrt(self.correlation * np.stack([self.carriers(seed) for seed in seeds]))[:, None]
        for _ in range(self.clock.steps):
            drawn = np.stack([stream.standard_normal((self.clock.samples, 1 + self.inputs)) for stream in streams])
            shown = loading * drawn[:, :, :1] + np.sqrt(1 - loading**2) * drawn[:, :, 1:]
            yield Presentation(torch.from_numpy(shown.astype(np.float32)).to(device), None)


def drive(
    network: Network,
    *,
    share: float = 0.5,
    correlation: float = 0.5,
    steps: int = 200,
    samples: int = 20,
    duration: str = "20 s",
) -> CommonSignalDrive:
    """Return the activity of a network's first population.

    Parameters
    ----------
    network : Network
        Only its size is read.
    share : float
        Share of the afferents that carry the signal.
    correlation : float
        Correlation between any two of those.
    steps, samples : int
        Steps of development, and samples in a step.
    duration : str
        How long development lasts; the samples stand for the activity of that time, evenly spaced.
    """
    for name, value in (("share", share), ("correlation", correlation)):
        if not 0 <= value <= 1:
            raise InputError(f"must lie between 0 and 1, not {value}", (name,))
    at_least(1, steps=steps)
    at_least(2, samples=samples)
    seconds = under("duration", parse_seconds, duration)
    size = network.input.size
    return CommonSignalDrive(size, share, correlation, Clock(seconds / (steps * samples), samples, steps))
