"""White noise: independent standard normal numbers for every neuron at every moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from biosim.drives.base import Presentation
from biosim.equations import Clock
from biosim.streams import generator
from biosim.synapses import Network


@dataclass(frozen=True)
class WhiteNoise:
    """Shows every neuron of the first population its own noise.

    Attributes
    ----------
    inputs : int
        Neurons.
    clock : Clock
    """

    inputs: int
    clock: Clock
    outputs: None = None

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield ``clock.steps`` presentations; replicate k depends on ``seeds[k]`` alone."""
        streams = [generator(seed, "white-noise") for seed in seeds]
        for _ in range(self.clock.steps):
            drawn = np.stack([s.standard_normal((self.clock.samples, self.inputs), np.float32) for s in streams])
            yield Presentation(torch.from_numpy(drawn).to(device), None)


def drive(network: Network, *, samples: Annotated[int, Field(ge=1)] = 50, steps: Annotated[int, Field(ge=1)] = 40) -> WhiteNoise:
    """Return the drive; a moment lasts as long as the substrate's interval, one second where it has none.

    Parameters
    ----------
    network : Network
    samples : int
        Moments in a step.
    steps : int
        Steps of development.
    """
    interval = float(network.dynamics.get("interval", 1.0))
    return WhiteNoise(network.input.size, Clock(interval, samples, steps))
