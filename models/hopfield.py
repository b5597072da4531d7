"""A sparse Hopfield network: one population whose recurrent births are Hebbian weights of its memories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field

from biosim.memories import Kind, MemoryNetwork, draw_memories, hebbian_weights
from biosim.synapses import Population, Projection

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(ge=0)]


def build(
    seeds: Sequence[int],
    *,
    neurons: Annotated[int, Field(ge=2)] = 400,
    memories: Count = 30,
    coding: Annotated[float, Field(gt=0, lt=1)] = 0.1,
    weights: Kind = "covariance",
    exuberance: Positive = 0.0,
    shift: Positive = 3.0,
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0,
    threshold: float | None = None,
    inhibition: Positive = 0.0,
    steps: Count = 15,
) -> MemoryNetwork:
    """Build the births of one network a seed.

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    neurons, memories : int
    coding : float
        Share of neurons that is active in a memory.
    weights : str
        ``covariance``, ``shifted`` or ``excitatory`` (:func:`biosim.memories.hebbian_weights`).
    exuberance : float
        Of ``excitatory`` births: the largest weight that a synapse has for no reason, in units of what one memory adds.
    shift : float
        Of ``shifted`` births, in standard deviations.
    probability : float
        Chance that an edge is born.
    threshold : float, optional
        Field above which neurons fire. When left out, inhibition lets as many fire as are active in a memory.
    inhibition : float
        Subtracted from every field when as many neurons are active as in a memory, and in proportion when more or fewer are.
    steps : int
        Retrieval steps at most.
    """
    stored = draw_memories(seeds, memories, neurons, coding)
    active = int(stored[0, 0].sum())
    weight, born = hebbian_weights(stored, coding, seeds, kind=weights, exuberance=exuberance, shift=shift, probability=probability)
    population = Population("neurons", neurons, "linear")
    projection = Projection("recurrent", population, population, torch.from_numpy(weight), torch.from_numpy(born))
    firing = {"active": active} if threshold is None else {"threshold": threshold}
    dynamics = {**firing, "inhibition": inhibition / active, "steps": steps}
    return MemoryNetwork([population], [projection], seeds=seeds, memories={"neurons": stored}, coding=coding, dynamics=dynamics)
