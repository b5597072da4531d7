"""A multilayer perceptron with a known subnetwork hidden in its births: the teacher of the data set ``teacher``.

Every weight is drawn from N(0, 2/fan_in); at the teacher's synapses the draw is the teacher's. Which hidden neuron takes
the part of which teacher neuron is drawn anew for every birth. Nothing about a single weight tells which is which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from biosim.drives.teacher import Teacher
from biosim.errors import InputError
from biosim.streams import generator
from biosim.synapses import Network


def build(
    inputs: int,
    outputs: int,
    seeds: Sequence[int],
    *,
    hidden: int = 100,
    teacher: int = 0,
    plant: bool = True,
) -> Network:
    """Build the births of one network a seed.

    Parameters
    ----------
    inputs, outputs : int
        Given by the drive.
    seeds : sequence of int
        Births seed of each replicate.
    hidden : int
        Hidden neurons; those beyond the teacher's number have no part in it.
    teacher : int
        Seed of the teacher; that of the data set ``teacher-SEED``.
    plant : bool
        False leaves every weight to chance: the control. The places where the teacher would be are kept as ``planted``.
    """
    own = Teacher(teacher)
    if (inputs, outputs) != (own.sizes[0], own.sizes[-1]):
        shapes = f"{own.sizes[0]} inputs and {own.sizes[-1]} classes"
        raise InputError(f"the teacher has {shapes}, not {inputs} and {outputs}: use drive.dataset: teacher", ("name",))
    if hidden < own.sizes[1]:
        raise InputError(f"the teacher's {own.sizes[1]} hidden neurons do not fit into {hidden}", ("hidden",))
    network = Network.layered([inputs, hidden, outputs], list(seeds), weights="kaiming-normal")
    for layer, (name, projection) in enumerate(network.projections.items()):
        planted = torch.zeros_like(projection.born)
        for r, seed in enumerate(seeds):
            places = generator(seed, "planted/places").permutation(hidden)[: own.sizes[1]]
            spot = np.ix_(np.arange(inputs), places) if layer == 0 else np.ix_(places, np.arange(outputs))
            mask = np.zeros(projection.shape[1:], np.bool_)
            mask[spot] = own.masks[layer]
            planted[r] = torch.from_numpy(mask)
            if plant:
                weight = np.zeros(mask.shape, np.float32)
                weight[spot] = own.weights[layer] * math.sqrt(2 / mask.shape[0])
                projection.weight[r][planted[r]] = torch.from_numpy(weight)[planted[r]]
        projection.refresh()
        network.planted[name] = planted
    return network
