"""Inputs from two eyes on cells of the visual cortex, all joined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from biosim.errors import InputError
from biosim.streams import generator
from biosim.synapses import Network, Population, Projection


def build(seeds: Sequence[int], *, inputs: int = 20, cells: int = 60, spread: float = 0.5) -> Network:
    """Build the births of one cortex a seed.

    A weight at birth is ``u / inputs``, u uniform in [1 - spread, 1 + spread], in both eyes alike.

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    inputs : int
        Inputs an eye; the first half of the population is the left eye's.
    cells : int
        Cortical cells.
    spread : float
        In [0, 1).
    """
    if inputs < 2:
        raise InputError(f"an eye needs at least two inputs, not {inputs}", ("inputs",))
    if cells < 1:
        raise InputError(f"a cortex needs at least one cell, not {cells}", ("cells",))
    if not 0 <= spread < 1:
        raise InputError(f"the spread of the weights must lie in [0, 1), not {spread}", ("spread",))
    drawn = [generator(s, "births/eyes-cortex").uniform(1 - spread, 1 + spread, (2 * inputs, cells)) / inputs for s in seeds]
    weight = torch.from_numpy(np.stack(drawn).astype(np.float32))
    eyes, cortex = Population("eyes", 2 * inputs, "linear"), Population("cortex", cells, "linear")
    return Network([eyes, cortex], [Projection("eyes-cortex", eyes, cortex, weight, torch.ones_like(weight, dtype=torch.bool))])
