"""Ganglion cells of two eyes on the cells of one lateral geniculate nucleus, all joined, with a coarse map at birth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from biosim.errors import InputError
from biosim.streams import generator
from biosim.synapses import Network, Population, Projection


def build(seeds: Sequence[int], *, ganglion: int = 24, cells: int = 24, spread: float = 0.3, bias: float = 0.3) -> Network:
    """Build the births of one animal a seed.

    Ganglion cells of an eye lie on a circle, so do geniculate cells. A weight at birth is ``(1 + bias*cos(x - y)) * u / (2*cells)``
    with x and y the angles of its two cells and u uniform in [1 - spread, 1 + spread]; both eyes are alike.

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    ganglion : int
        Ganglion cells an eye; the first half of the population is the left eye's.
    cells : int
        Geniculate cells.
    spread, bias : float
        In [0, 1).
    """
    if ganglion < 2:
        raise InputError(f"an eye needs at least two ganglion cells, not {ganglion}", ("ganglion",))
    if cells < 1:
        raise InputError(f"a nucleus needs at least one cell, not {cells}", ("cells",))
    for name, value in (("spread", spread), ("bias", bias)):
        if not 0 <= value < 1:
            raise InputError(f"must lie in [0, 1), not {value}", (name,))
    x, y = 2 * np.pi * np.tile(np.arange(ganglion), 2) / ganglion, 2 * np.pi * np.arange(cells) / cells
    coarse = (1 + bias * np.cos(x[:, None] - y)) / (2 * cells)
    drawn = [coarse * generator(s, "births/retina-lgn").uniform(1 - spread, 1 + spread, coarse.shape) for s in seeds]
    weight = torch.from_numpy(np.stack(drawn).astype(np.float32))
    retina, nucleus = Population("retina", 2 * ganglion, "linear"), Population("lgn", cells, "linear")
    return Network([retina, nucleus], [Projection("retina-lgn", retina, nucleus, weight, torch.ones_like(weight, dtype=torch.bool))])
