"""A clustered linear network: neurons of a cluster are coupled densely, clusters to each other by few synapses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from biosim.errors import InputError
from biosim.linear import LinearNetwork
from biosim.streams import generator
from biosim.synapses import Projection
from biosim.wiring.populations import Population

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


def build(
    seeds: Sequence[int],
    *,
    neurons: Annotated[int, Field(ge=2)] = 500,
    clusters: Annotated[int, Field(ge=2)] = 5,
    within: Annotated[float, Field(gt=0, le=1)] = 1.0,
    bridges: Count = 4,
    strength: Positive = 0.5,
    spread: Annotated[float, Field(ge=0)] = 0.5,
    leak: Positive = 0.1,
    interval: Positive = 4.0,
) -> LinearNetwork:
    """Build the births of one network a seed; each coupled pair of neurons has one synapse, whose direction is drawn.

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    neurons, clusters : int
        Clusters are of one size, up to one neuron.
    within : float
        Chance that two neurons of a cluster are coupled.
    bridges : int
        Synapses between each two clusters, at random places.
    strength : float
        Mean weight of those, in units of the mean weight within clusters, which is 1/s.
    spread : float
        Standard deviation of the logarithm of weights.
    leak : float
        Decay of every neuron by itself, in 1/s.
    interval : float
        Seconds from one sample of the activity to the next.
    """
    cluster = np.arange(neurons) * clusters // neurons
    smallest = int(np.bincount(cluster, minlength=clusters).min())
    if smallest < 2 or bridges > smallest**2:
        raise InputError(f"the smallest cluster has {smallest} neurons: needed are 2, and room for {bridges} bridges", ("bridges",))
    weights = np.zeros((len(seeds), neurons, neurons), np.float32)
    for weight, seed in zip(weights, seeds, strict=True):
        random = generator(seed, "births/clusters")
        mean = np.where(cluster[:, None] == cluster, 1.0, strength)
        drawn = mean * np.exp(spread * random.standard_normal(weight.shape) - spread**2 / 2)
        joined = np.triu((cluster[:, None] == cluster) & (random.random(weight.shape) < within), 1)
        for a in range(clusters):
            for b in range(a + 1, clusters):
                pairs = np.argwhere((cluster[:, None] == a) & (cluster == b))
                joined[tuple(random.choice(pairs, bridges, replace=False).T)] = True
        turned = joined & (random.random(weight.shape) < 0.5)
        weight[:] = drawn * ((joined & ~turned) | turned.T)
    population, births = Population("neurons", neurons, "linear"), torch.from_numpy(weights)
    network = LinearNetwork(population, [Projection("couplings", population, population, births, births > 0)], leak)
    network.dynamics["interval"] = interval
    return network
