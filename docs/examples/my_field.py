"""Inputs, and cells that inhibit each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from biosim import Network, Population, Projection
from biosim.streams import generator


def build(seeds: Sequence[int], *, inputs: int = 40, cells: int = 30, winners: int = 5) -> Network:
    """Build the births of one network a seed: every input on every cell, weights uniform in [0, 1).

    Parameters
    ----------
    seeds : sequence of int
    inputs, cells : int
    winners : int
        Argument of ``my_substrate.py``.
    """
    pre, post = Population("inputs", inputs, "linear"), Population("cells", cells, "relu")
    draws = [generator(seed, "births/inputs-cells").random((inputs, cells), np.float32) for seed in seeds]
    weight = torch.from_numpy(np.stack(draws))
    projection = Projection("inputs-cells", pre, post, weight, torch.ones_like(weight, dtype=torch.bool))
    return Network([pre, post], [projection], substrate="./my_substrate.py", dynamics={"winners": winners})
