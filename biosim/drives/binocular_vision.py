"""What two eyes see: the same contours, unless one or both are closed for a while and send noise alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from biosim.drives.base import Presentation
from biosim.equations import Clock
from biosim.errors import InputError, at_least
from biosim.streams import generator
from biosim.synapses import Network

Eyes = Literal["none", "left", "right", "both"]


@dataclass(frozen=True)
class BinocularVision:
    """In every sample both eyes see one contour, a bump anywhere on their circle of inputs, each with noise of its own.

    An input is its activity about the spontaneous one, so noise has no mean and may be negative.

    Attributes
    ----------
    inputs : int
        Inputs of both eyes, the left eye's first.
    clock : Clock
    width : float
        Standard deviation of a bump, in inputs.
    noise : float
        Standard deviation of an input's own noise; the peak of a bump is 1.
    deprived : str
        Which eyes are closed.
    opens, closes : float
        From when to when, as shares of development.
    """

    inputs: int
    clock: Clock
    width: float
    noise: float
    deprived: Eyes
    opens: float
    closes: float
    outputs: None = None

    def bumps(self, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return what an open eye sees at these places, (..., inputs of an eye)."""
        size = self.inputs // 2
        distance = np.abs((places[..., None] - np.arange(size) + size / 2) % size - size / 2)
        return np.asarray(np.exp(-(distance**2) / (2 * self.width**2)))

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield ``clock.steps`` presentations; replicate k depends on ``seeds[k]`` alone."""
        streams = [generator(seed, "binocular-vision") for seed in seeds]
        size, steps = self.inputs // 2, self.clock.steps
        for step in range(steps):
            shut = self.opens <= step / steps < self.closes
            sees = np.array([not (shut and self.deprived in (eye, "both")) for eye in ("left", "right")])
            shown = []
            for random in streams:
                seen = self.bumps(random.random(self.clock.samples) * size)
                noise = random.standard_normal((self.clock.samples, self.inputs)) * self.noise
                shown.append(np.concatenate([seen * sees[0], seen * sees[1]], -1) + noise)
            yield Presentation(torch.from_numpy(np.stack(shown).astype(np.float32)).to(device), None)


def drive(
    network: Network,
    *,
    deprived: Eyes = "none",
    opens: float = 0.3,
    closes: float = 0.7,
    width: float = 1.5,
    noise: float = 0.45,
    days: float = 50.0,
    steps: int = 1500,
    batch: int = 70,
) -> BinocularVision:
    """Return what the two eyes of a network see.

    Parameters
    ----------
    network : Network
        Its first population are the inputs, the left eye's first.
    deprived : {"none", "left", "right", "both"}
        Eyes that are closed for a while.
    opens, closes : float
        When deprivation begins and ends, as shares of development.
    width, noise : float
        Of what is seen: see :class:`BinocularVision`.
    days : float
        How long development lasts.
    steps, batch : int
        Steps of development, and samples of a step.
    """
    size = network.input.size
    if size % 2:
        raise InputError(f"two eyes need an even number of inputs, not {size}")
    if not 0 <= opens < closes <= 1:
        raise InputError(f"deprivation begins before it ends: need 0 <= opens < closes <= 1, not {opens} and {closes}", ("opens",))
    if not width > 0 or noise < 0 or not days > 0:
        key = "width" if not width > 0 else "noise" if noise < 0 else "days"
        raise InputError("width and days must be above 0, noise not below", (key,))
    at_least(1, steps=steps, batch=batch)
    return BinocularVision(size, Clock(days * 86400 / (steps * batch), batch, steps), width, noise, deprived, opens, closes)
