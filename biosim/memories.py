"""Memories: sparse binary patterns, the Hebbian births that store them, and networks that were born with them.

A memory is a pattern xi of zeros and ones over N neurons, ``p*N`` of them one (p: coding level). What a state x recalls of it
is the overlap

    m = sum_i (xi_i - p)(x_i - p) / (N p (1 - p))

(Tsodyks & Feigel'man 1988, https://doi.org/10.1209/0295-5075/6/2/002): 1 for the memory itself, about 0 for any other pattern of
as many active neurons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.streams import generator
from biosim.synapses import Network, Projection
from biosim.wiring.populations import Population

Floats = npt.NDArray[np.float32]
Kind = Literal["covariance", "shifted", "excitatory"]


class MemoryNetwork(Network):
    """Populations of binary neurons, each with synapses among themselves that were born storing memories.

    Attributes
    ----------
    seeds : tuple of int
        Births seed of each replicate.
    memories : mapping of ndarray
        (R, M, N) float32 zeros and ones by population.
    coding : float
        Share of neurons that is active in a memory.
    births : mapping of ndarray
        (R, N, N) float32 by projection: the weights as born, whatever became of them.
    """

    def __init__(
        self,
        populations: Sequence[Population],
        projections: Sequence[Projection],
        *,
        seeds: Sequence[int],
        memories: Mapping[str, Floats],
        coding: float,
        dynamics: Mapping[str, Any],
    ) -> None:
        super().__init__(populations, projections, substrate="attractor", dynamics=dynamics)
        self.seeds, self.memories, self.coding = tuple(seeds), dict(memories), coding
        self.births = {p.name: p.weight.numpy().copy() for p in projections}


def active_neurons(neurons: int, coding: float) -> int:
    """Return how many neurons are active in a memory, or refuse a network in which none or all of them would be."""
    active = round(coding * neurons)
    if not 1 <= active < neurons:
        raise InputError(f"a memory needs active and inactive neurons: {coding:g} of {neurons} neurons are {active}", ("coding",))
    return active


def draw_memories(seeds: Sequence[int], count: int, neurons: int, coding: float) -> Floats:
    """Return ``count`` random memories a seed, (R, count, neurons); the first of a longer list are those of a shorter one."""
    active, found = active_neurons(neurons, coding), np.zeros((len(seeds), count, neurons), np.float32)
    for own, seed in zip(found, seeds, strict=True):
        random = generator(seed, "births/memories")
        for memory in own:
            memory[random.permutation(neurons)[:active]] = 1
    return found


def hebbian_weights(
    memories: Floats,
    coding: float,
    seeds: Sequence[int],
    *,
    kind: Kind = "covariance",
    exuberance: float = 0.0,
    shift: float = 3.0,
    probability: float = 1.0,
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return weights that store the memories and the edges they are born on.

    ================  ===========================================================================================
    covariance        c_ij = sum_m (xi_mi - p)(xi_mj - p) / (N p (1 - p)), of both signs
    shifted           max(c_ij + shift * sd(c), 0) in units of its mean: all synapses excitatory
    excitatory        (sum_m xi_mi xi_mj + exuberance * u_ij) / (N p), u uniform in [0, 1): memories, and synapses for nothing
    ================  ===========================================================================================

    Parameters
    ----------
    memories : (R, M, N) ndarray
    coding : float
    seeds : sequence of int
    kind, exuberance, shift
        As above.
    probability : float
        Chance that an edge is born; none leads from a neuron to itself.

    Returns
    -------
    weight : (R, N, N) float32, zero where no edge was born
    born : (R, N, N) bool
    """
    replicates, _, neurons = memories.shape
    weight = np.zeros((replicates, neurons, neurons), np.float32)
    born = np.repeat(~np.eye(neurons, dtype=bool)[None], replicates, 0)
    for r, seed in enumerate(seeds):
        stored = memories[r].astype(np.float64)
        if probability < 1:
            born[r] &= generator(seed, "births/edges").random((neurons, neurons)) < probability
        if kind == "excitatory":
            useless = exuberance * generator(seed, "births/exuberance").random((neurons, neurons))
            drawn = (stored.T @ stored + useless) / (neurons * coding)
        else:
            centred = stored - coding
            drawn = centred.T @ centred / (neurons * coding * (1 - coding))
        if kind == "shifted":
            drawn = np.maximum(drawn + shift * drawn[born[r]].std(), 0)
            drawn /= max(drawn[born[r]].mean(), 1e-30)
        weight[r] = drawn * born[r]
    return weight, born


def degraded(memories: Floats, overlap: float, coding: float, random: np.random.Generator) -> Floats:
    """Return (M, N) memories of which as many neurons are silenced as others are activated, so that this overlap is left."""
    neurons = memories.shape[1]
    swapped = round((1 - overlap) * coding * (1 - coding) * neurons)
    luck, cues = random.random(memories.shape), memories.copy()
    for value in (0, 1):
        order = np.argsort(np.where(memories == value, luck, 2.0), axis=1, kind="stable")[:, :swapped]
        np.put_along_axis(cues, order, np.float32(1 - value), 1)
    return cues


def overlaps(memories: Tensor, states: Tensor, coding: float) -> Tensor:
    """Return the overlap of each state with its memory; both (..., N), the result (...)."""
    together = ((memories - coding) * (states - coding)).sum(-1, dtype=torch.float64)
    return together / (memories.shape[-1] * coding * (1 - coding))


def memories_of(network: Network) -> MemoryNetwork:
    """Return the network as one that was born with memories, or refuse it."""
    if not isinstance(network, MemoryNetwork):
        raise InputError("the network was born without memories; the models hopfield and overgrown-memory have some")
    return network
