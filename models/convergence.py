"""Afferents that converge on cells, more of them than the cells will keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from biosim.errors import InputError
from biosim.streams import generator
from biosim.synapses import Network, Population, Projection


def build(seeds: Sequence[int], *, afferents: int = 200, cells: int = 64, weakest: float = 0.0, strongest: float = 1.0) -> Network:
    """Build the births of one network a seed: every afferent contacts every cell, with excitatory weights.

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    afferents, cells : int
        Sizes of the two populations.
    weakest, strongest : float
        Weights at birth are uniform between these.
    """
    if afferents < 1 or cells < 1:
        raise InputError(f"both populations need a neuron, not {afferents} and {cells}", ("afferents" if afferents < 1 else "cells",))
    if not 0 <= weakest < strongest:
        raise InputError(f"need 0 <= weakest < strongest, not {weakest} and {strongest}", ("weakest",))
    draws = [generator(s, "births/afferents-cells").uniform(weakest, strongest, (afferents, cells)) for s in seeds]
    weight = torch.from_numpy(np.stack(draws).astype(np.float32))
    pre, post = Population("afferents", afferents, "linear"), Population("cells", cells, "linear")
    return Network([pre, post], [Projection("afferents-cells", pre, post, weight, torch.ones_like(weight, dtype=torch.bool))])
