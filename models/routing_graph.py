"""A graph that carries messages: one population, a synapse for every pair of neurons, all of the same strength."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from biosim.errors import InputError
from biosim.streams import generator
from biosim.synapses import Network, Population, Projection


def build(seeds: Sequence[int], *, nodes: int = 200, probability: float = 1.0) -> Network:
    """Build the births of one graph a seed.

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    nodes : int
        Neurons, at least 4.
    probability : float
        Chance that an ordered pair of different neurons is born with a synapse; 1 is the complete graph of
        Navlakha, Barth & Bar-Joseph 2015.
    """
    if nodes < 4:
        raise InputError(f"a graph that routes needs at least 4 nodes, not {nodes}", ("nodes",))
    if not 0 < probability <= 1:
        raise InputError(f"the chance of a birth must lie in (0, 1], not {probability}", ("probability",))
    draws = [generator(seed, "births/nodes-nodes").random((nodes, nodes)) < probability for seed in seeds]
    born = torch.from_numpy(np.stack(draws) & ~np.eye(nodes, dtype=bool))
    population = Population("nodes", nodes, "linear")
    return Network([population], [Projection("nodes-nodes", population, population, born.float(), born)], substrate="routing")
