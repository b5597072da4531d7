"""Associative memories of which only so many synapses will be kept, each population storing another number of memories.

A population has ``N = sqrt(synapses / kept)`` neurons, all joined, so that the same number of synapses is left of every network once
pruning to the density ``kept`` is over: ``kept=1`` is the network that is born with what it keeps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field

from biosim.errors import InputError
from biosim.memories import MemoryNetwork, active_neurons, draw_memories, hebbian_weights
from biosim.synapses import Population, Projection

Load = Annotated[float, Field(gt=0)]


def build(
    seeds: Sequence[int],
    *,
    synapses: Annotated[int, Field(ge=100)] = 90_000,
    kept: Annotated[float, Field(gt=0, le=1)] = 0.3,
    loads: Annotated[list[Load], Field(min_length=1)] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],  # noqa: B006 (never changed)
    coding: Annotated[float, Field(gt=0, lt=1)] = 0.1,
    steps: Annotated[int, Field(ge=1)] = 10,
) -> MemoryNetwork:
    """Build the births of one network a seed.

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    synapses : int
        Synapses that a population is to have in the end.
    kept : float
        Share of its birth synapses that these are; give the schedule the same density.
    loads : list of float
        Memories a population stores, one population for each, over the neurons of a network born with all of its synapses,
        ``sqrt(synapses)``. The first memories of a longer list are those of a shorter one.
    coding : float
        Share of neurons that is active in a memory, and that inhibition lets fire.
    steps : int
        Retrieval steps at most.
    """
    neurons = round(math.sqrt(synapses / kept))
    counts = [round(load * math.sqrt(synapses)) for load in loads]
    if sorted(set(counts)) != counts or counts[0] < 1:
        raise InputError(f"loads must rise, each by a memory at least; in memories they are {', '.join(map(str, counts))}", ("loads",))
    stored = draw_memories(seeds, counts[-1], neurons, coding)
    populations, projections, memories = [], [], {}
    for count in counts:
        name = f"storing-{count}"
        population, memories[name] = Population(name, neurons, "linear"), stored[:, :count]
        weight, born = hebbian_weights(memories[name], coding, seeds)
        projections.append(Projection(f"{name}-recurrent", population, population, torch.from_numpy(weight), torch.from_numpy(born)))
        populations.append(population)
    dynamics = {"active": active_neurons(neurons, coding), "steps": steps}
    return MemoryNetwork(populations, projections, seeds=seeds, memories=memories, coding=coding, dynamics=dynamics)
