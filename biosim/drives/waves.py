"""Retinal waves: bursts that travel over one eye at a time, over both together, or robbed of their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from biosim.drives.base import Presentation
from biosim.equations import Clock
from biosim.errors import InputError, at_least
from biosim.streams import generator
from biosim.synapses import Network


@dataclass(frozen=True)
class Waves:
    """A front of bursting ganglion cells starts anywhere on the circle of an eye and travels round it.

    A sample is a window in which bursts count as coincident; the quiet between waves, in which nothing fires, is left out.

    Attributes
    ----------
    inputs : int
        Ganglion cells of both eyes.
    clock : Clock
    width : int
        Cells that burst in the same window.
    windows : int
        How many windows a wave lasts.
    speed : int
        Cells by which the front moves from window to window.
    synchrony : float
        Chance that a wave sweeps both eyes alike.
    shuffled : bool
        Every cell bursts as often, at times of its own.
    """

    inputs: int
    clock: Clock
    width: int
    windows: int
    speed: int
    synchrony: float
    shuffled: bool
    outputs: None = None

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield ``clock.steps`` presentations of 0 and 1; replicate k depends on ``seeds[k]`` alone."""
        streams = [generator(seed, "waves") for seed in seeds]
        for _ in range(self.clock.steps):
            yield Presentation(torch.from_numpy(np.stack([self._step(stream) for stream in streams])).to(device), None)

    def _step(self, random: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Return the bursts of one step, (samples, inputs)."""
        samples, size = self.clock.samples, self.inputs // 2
        if self.shuffled:
            chance = self.width / size * (1 + self.synchrony) / 2
            return np.asarray(random.random((samples, self.inputs)) < chance, np.float32)
        waves = samples // self.windows
        eye, start = random.integers(0, 2, waves), random.integers(0, size, waves)
        direction, both = random.choice([-1, 1], waves), random.random(waves) < self.synchrony
        front = start[:, None] + direction[:, None] * self.speed * np.arange(self.windows)
        burst = (np.arange(size) - front[..., None]) % size < self.width  # (waves, windows, cells of an eye)
        left, right = (eye == 0) | both, (eye == 1) | both
        shown = np.concatenate([burst & left[:, None, None], burst & right[:, None, None]], -1).reshape(samples, 2 * size)
        return np.asarray(shown, np.float32)


def drive(
    network: Network,
    *,
    synchrony: float = 0.0,
    shuffled: bool = False,
    width: int = 8,
    windows: int = 6,
    speed: int = 2,
    window: float = 1.0,
    waves: int = 20000,
    batch: int = 20,
) -> Waves:
    """Return the spontaneous activity of two eyes.

    Parameters
    ----------
    network : Network
        Its first population are the ganglion cells, the left eye's first.
    synchrony : float
        Chance that a wave sweeps both eyes alike, in [0, 1].
    shuffled : bool
        Let every cell burst as often as it does in waves, but at times of its own.
    width : int
        Cells that burst in the same window.
    windows : int
        How many windows a wave lasts.
    speed : int
        Cells by which the front moves from window to window.
    window : float
        Seconds within which bursts are coincident.
    waves, batch : int
        Waves of development, and of one step.
    """
    size = network.input.size
    if size % 2:
        raise InputError(f"two eyes need an even number of ganglion cells, not {size}")
    if not 0 <= synchrony <= 1:
        raise InputError(f"synchrony is a chance, in [0, 1], not {synchrony}", ("synchrony",))
    if not 1 <= width <= size // 2:
        raise InputError(f"a front must be 1 to {size // 2} cells wide, not {width}", ("width",))
    at_least(1, windows=windows, batch=batch, waves=waves)
    if waves < batch:
        raise InputError(f"{waves} waves do not fill a step of {batch}", ("waves",))
    if speed < 0 or not window > 0:
        raise InputError("a wave needs a speed of at least 0 and a window longer than 0 s", ("speed" if speed < 0 else "window",))
    return Waves(size, Clock(window, batch * windows, waves // batch), width, windows, speed, synchrony, shuffled)
