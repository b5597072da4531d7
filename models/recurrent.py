"""A recurrent rate network: input -> hidden, hidden -> hidden, hidden -> readout; leaky neurons settle on every image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from biosim.births import WeightKind, draw_weights
from biosim.errors import InputError
from biosim.synapses import Activation, Network, Population, Projection


def build(
    inputs: int,
    outputs: int,
    seeds: Sequence[int],
    *,
    hidden: int = 300,
    weights: WeightKind = "signed-constant",
    activation: Activation = "relu",
    steps: int = 6,
    leak: float = 0.5,
    radius: float = 0.9,
    probability: float = 1.0,
    recurrent_probability: float = 1.0,
    dale: float | None = None,
) -> Network:
    """Build the births of one network a seed.

    Parameters
    ----------
    inputs, outputs : int
        Given by the drive.
    seeds : sequence of int
        Births seed of each replicate.
    hidden : int
        Neurons of the recurrent population.
    weights : str
        ``signed-constant``, ``kaiming-normal``, ``uniform`` or ``log-normal``.
    activation : str
        ``relu``, ``tanh`` or ``linear`` for the recurrent population; the readout is linear.
    steps : int
        Settling steps for each image, at least 2.
    leak : float
        Share of its potential that a recurrent neuron replaces in a step, in (0, 1].
    radius : float
        Spectral radius of the recurrent weights at birth, in the limit of many neurons: their variance is
        ``radius**2 / (hidden * recurrent_probability)`` (circular law).
    probability, recurrent_probability : float
        Chance that an edge is born, between populations and within the recurrent one; no neuron is born with a
        synapse onto itself.
    dale : float, optional
        Fraction of excitatory neurons; without it a neuron's synapses may differ in sign. Signs are drawn for each
        projection apart.
    """
    if hidden < 2:
        raise InputError(f"a recurrent population needs at least two neurons, not {hidden}", ("hidden",))
    if radius <= 0:
        raise InputError(f"the spectral radius must be positive, not {radius}", ("radius",))
    populations = [
        Population("input", inputs, "linear"),
        Population("hidden", hidden, activation, leak=leak),
        Population("output", outputs, "linear"),
    ]
    first, middle, last = populations
    projections = []
    for pre, post in ((first, middle), (middle, middle), (middle, last)):
        name, loop = f"{pre.name}-{post.name}", pre is post
        chance, scale = (recurrent_probability, radius / math.sqrt(2)) if loop else (probability, 1.0)
        weight, born = draw_weights(tuple(seeds), name, pre.size, post.size, weights, probability=chance, dale=dale, scale=scale)
        if loop:
            born &= ~np.eye(hidden, dtype=bool)
            weight *= born
        projections.append(Projection(name, pre, post, torch.from_numpy(weight), torch.from_numpy(born)))
    return Network(populations, projections, steps)
