"""A restricted Boltzmann machine: visible and hidden neurons of two states, one symmetric weight for every pair, no biases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from biosim.errors import InputError
from biosim.streams import generator
from biosim.synapses import Network, Population, Projection


def build(seeds: Sequence[int], *, visible: int = 64, hidden: int = 48, deviation: float = 0.1, gibbs: int = 1) -> Network:
    """Build the births of one machine a seed.

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    visible, hidden : int
        Sizes of the two populations; every visible neuron shows one pixel.
    deviation : float
        Standard deviation of the normal weights at birth.
    gibbs : int
        Gibbs steps for which the machine runs freely in the second phase of contrastive divergence (CD-k).
    """
    for name, size in (("visible", visible), ("hidden", hidden), ("gibbs", gibbs)):
        if size < 1:
            raise InputError(f"needs at least one, not {size}", (name,))
    if deviation <= 0:
        raise InputError(f"the deviation of the weights must be positive, not {deviation}", ("deviation",))
    draws = [generator(s, "births/visible-hidden").standard_normal((visible, hidden)) * deviation for s in seeds]
    weight = torch.from_numpy(np.stack(draws).astype(np.float32))
    pre, post = Population("visible", visible, "linear"), Population("hidden", hidden, "linear")
    projection = Projection("visible-hidden", pre, post, weight, torch.ones_like(weight, dtype=torch.bool))
    return Network([pre, post], [projection], substrate="rbm", dynamics={"gibbs": gibbs})
