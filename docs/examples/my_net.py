"""A network whose hidden neurons are born with synapses from one patch of the image only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from biosim import Network, Population, Projection
from biosim.errors import InputError
from biosim.streams import generator


def build(inputs: int, outputs: int, seeds: Sequence[int], *, hidden: int = 100, radius: float = 2.5) -> Network:
    """Build the births of one network a seed.

    Parameters
    ----------
    inputs, outputs : int
        Given by the drive: pixels and classes.
    seeds : sequence of int
        Births seed of each replicate.
    hidden : int
        Hidden neurons.
    radius : float
        Pixels from the centre of a neuron's patch to its rim.
    """
    side = math.isqrt(inputs)
    if side * side != inputs:
        raise InputError(f"needs square images, not {inputs} pixels")
    if radius <= 0:
        raise InputError(f"a patch needs a radius above 0, not {radius}", ("radius",))
    pixels, cells, readout = Population("pixels", inputs), Population("cells", hidden, "relu"), Population("readout", outputs, "linear")
    row, column = np.divmod(np.arange(inputs), side)
    born = []
    for seed in seeds:
        centre = generator(seed, "births/patches").random((2, hidden)) * (side - 1)
        born.append(np.hypot(row[:, None] - centre[0], column[:, None] - centre[1]) <= radius)
    patches = torch.from_numpy(np.stack(born))
    every = torch.ones(len(seeds), hidden, outputs, dtype=torch.bool)
    return Network(
        [pixels, cells, readout],
        [
            Projection("pixels-cells", pixels, cells, _signed(patches, seeds, "pixels-cells"), patches),
            Projection("cells-readout", cells, readout, _signed(every, seeds, "cells-readout"), every),
        ],
    )


def _signed(born: torch.Tensor, seeds: Sequence[int], name: str) -> torch.Tensor:
    """Return weights of one size a neuron, sqrt(2/births), with a random sign, zero where no synapse is born."""
    draws = np.stack([generator(seed, f"births/{name}").random(born.shape[1:]) for seed in seeds])
    sign = torch.from_numpy(np.where(draws < 0.5, -1.0, 1.0)).float()
    return sign * (2 / born.sum(1, keepdim=True).clamp(min=1)).sqrt() * born
