"""Input to a sheet of neurons, of which the middle loses its own at some moment: a lesion of the retina in one place.

Neuron j hears, in each window,

    I_j = background + input*[seen] + noise*xi,      xi ~ N(0, 1)  mV

with ``seen`` false for the neurons of the scotoma from its onset on. Background and noise stay: they come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from biosim.drives.base import Presentation
from biosim.equations import Clock
from biosim.equations.units import parse_seconds
from biosim.errors import InputError, at_least, under
from biosim.sheet import by_nearness, side_of
from biosim.streams import generator
from biosim.synapses import Network


@dataclass(frozen=True)
class Scotoma:
    """Shows every neuron its input, window by window.

    Attributes
    ----------
    inputs : int
        Neurons of the sheet.
    clock : Clock
        A presentation is a window.
    background, retina, noise : float
        mV.
    zone : ndarray
        Neurons that lose their input, those nearest to the middle first.
    lesion_step : int
        First step without it; ``clock.steps`` or more where it is never lost.
    """

    inputs: int
    clock: Clock
    background: float
    retina: float
    noise: float
    zone: npt.NDArray[np.int64]
    lesion_step: int
    outputs: None = None

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield presentations, (R, windows, neurons) mV; replicate k depends on ``seeds[k]`` alone."""
        streams = [generator(seed, "scotoma") for seed in seeds]
        mean = np.full(self.inputs, self.background + self.retina, np.float32)
        for step in range(self.clock.steps):
            if step == self.lesion_step:
                mean[self.zone] = self.background
            drawn = np.stack([stream.standard_normal((self.clock.samples, self.inputs), np.float32) for stream in streams])
            drawn *= np.float32(self.noise)
            drawn += mean
            yield Presentation(torch.from_numpy(drawn).to(device), None)


def drive(
    network: Network,
    *,
    background: float = 9.0,
    input: float = 4.0,
    noise: float = 12.0,
    zone: float = 0.2,
    onset: float | None = 0.4,
    step: str = "500 ms",
    duration: str = "500 s",
) -> Scotoma:
    """Return the input of a sheet.

    Parameters
    ----------
    network : Network
        A square sheet; its substrate says how long a window is.
    background, input : float
        What a neuron hears from elsewhere, and from the retina, mV.
    noise : float
        Standard deviation of the input from window to window, mV.
    zone : float
        Share of the sheet that loses its input, in (0, 1).
    onset : float, optional
        When, as a share of development, in (0, 1); never when null.
    step : quantity
        Time between two decisions.
    duration : quantity
        Of development.
    """
    size = network.input.size
    side = side_of(size)
    window = network.dynamics.get("window")
    if window is None:
        raise InputError("this drive shows windows, and the network's dynamics have none: take a model on lif-network", ("kind",))
    at_least(0, input=input, noise=noise)
    lost = round(zone * size)
    if not 2 <= lost <= size - 2:
        raise InputError(f"of {size} neurons at least two must lose their input and two keep it, not {zone:g} of them", ("zone",))
    if onset is not None and not 0 < onset < 1:
        raise InputError(f"the onset is a share of development, in (0, 1), not {onset}", ("onset",))
    seconds, whole = under("step", parse_seconds, step), under("duration", parse_seconds, duration)
    samples, steps = round(seconds / window), round(whole / seconds)
    if samples < 1 or abs(samples * window - seconds) > 1e-9 * seconds:
        raise InputError(f"must be a whole number of windows of {window:g} s, not {seconds:g} s", ("step",))
    if steps < 10 or abs(steps * seconds - whole) > 1e-9 * whole:
        raise InputError(f"must be a whole number of steps of {seconds:g} s, at least ten of them, not {whole:g} s", ("duration",))
    begin = steps if onset is None else round(onset * steps)
    return Scotoma(size, Clock(window, samples, steps), background, input, noise, by_nearness(side)[:lost], begin)
