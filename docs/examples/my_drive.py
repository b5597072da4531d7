"""Groups of inputs that flicker together: each moment one group is on, in noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from biosim import Network
from biosim.drives import Presentation
from biosim.equations import Clock
from biosim.errors import InputError
from biosim.streams import generator


@dataclass(frozen=True)
class Flicker:
    """Shows the first population groups of inputs, one at a time.

    Attributes
    ----------
    inputs : int
        Neurons of the first population.
    groups : int
    noise : float
        Standard deviation of every input's own noise; a group that is on has 1.
    clock : Clock
        Seconds a moment lasts, moments a step, steps.
    """

    inputs: int
    groups: int
    noise: float
    clock: Clock
    outputs: None = None  # nobody reads the network out

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield ``clock.steps`` presentations; replicate k depends on ``seeds[k]`` alone."""
        streams = [generator(seed, "flicker") for seed in seeds]
        member = np.arange(self.inputs) % self.groups
        for _ in range(self.clock.steps):
            shown = []
            for stream in streams:
                on = stream.integers(0, self.groups, self.clock.samples)
                shown.append((on[:, None] == member) + self.noise * stream.standard_normal((self.clock.samples, self.inputs)))
            yield Presentation(torch.from_numpy(np.stack(shown)).float().to(device), None)


def drive(
    network: Network,
    *,
    groups: Annotated[int, Field(ge=2)] = 2,
    noise: Annotated[float, Field(ge=0)] = 0.3,
    samples: Annotated[int, Field(ge=2)] = 50,
    steps: Annotated[int, Field(ge=1)] = 100,
) -> Flicker:
    """Return the drive; what a scenario may set are these arguments, checked against their types.

    Parameters
    ----------
    network : Network
    groups : int
        Groups of inputs; input i belongs to group i modulo ``groups``.
    noise : float
    samples : int
        Moments in a step.
    steps : int
        Steps of development.
    """
    inputs = network.input.size
    if groups > inputs:
        raise InputError(f"there are {inputs} inputs, too few for {groups} groups", ("groups",))
    return Flicker(inputs, groups, noise, Clock(0.1, samples, steps))
