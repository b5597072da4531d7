"""The Boltzmann substrate: neurons of two states, which the two ends of one symmetric synapse drive in turn.

    P(h_j = 1 | v) = s(sum_i v_i w_ij a_ij),      P(v_i = 1 | h) = s(sum_j w_ij a_ij h_j),      s(x) = 1/(1 + exp(-x))

with a_ij = 1 for an active synapse, else 0, and no biases, so that everything the machine knows lies in its synapses. In the
*shown* phase the visible neurons hold the input and the hidden ones answer; in the *free* phase they go on from there by themselves
for ``gibbs`` rounds of Gibbs sampling. Averages over the two phases, subtracted, are contrastive divergence (Hinton 2002,
https://doi.org/10.1162/089976602760128018); a rule does that with a signal that is +1 in the one and -1 in the other.

All randomness comes with the input: each step of each replicate brings a ticket, and every draw is a hash of ticket, round,
sample and neuron.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.streams import edge_uniform
from biosim.synapses import Network, Projection

EXTRA = 2  # numbers that come with a sample beside the pixels: the step's ticket, and the phase


class BoltzmannSubstrate:
    """Samples a network of one visible population, one hidden one and the projection between them.

    Parameters
    ----------
    network : Network
    gibbs : int
        Rounds of the free phase.

    Attributes
    ----------
    inputs : int
        Numbers a sample: the state of every visible neuron, a ticket (the same in all samples of a step) and 1 in the
        shown phase, 0 in the free one.
    """

    def __init__(self, network: Network, gibbs: int) -> None:
        if len(network.populations) != 2 or len(network.projections) != 1:
            raise InputError("the Boltzmann substrate runs two populations with one projection between them")
        if gibbs < 1:
            raise InputError(f"the free phase needs at least one Gibbs step, not {gibbs}", ("gibbs",))
        self.network, self.gibbs = network, gibbs
        (self.projection,) = network.projections.values()
        self.inputs = self.projection.pre.size + EXTRA

    def respond(self, inputs: Tensor, push: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the states, 0 or 1, of both populations, (R, S, size), for (R, S, visible + 2) inputs.

        ``push`` is added to the summed input of the hidden neurons.
        """
        shown, free = inputs[:, :, :-EXTRA], inputs[:, :, -1:] == 0
        tickets = inputs[:, 0, -EXTRA].cpu().numpy().astype(np.uint32)
        weight, further = self.projection.effective, (push or {}).get(self.projection.post.name, 0.0)

        def sample(summed: Tensor, draw: int) -> Tensor:
            uniform = edge_uniform(tickets, draw, (summed.shape[1], summed.shape[2]), slice(None), summed.device)
            return (uniform < torch.sigmoid(summed)).to(summed.dtype)

        visible, hidden = shown, sample(shown @ weight + further, 0)
        for step in range(self.gibbs):
            again = sample(hidden @ weight.mT, 2 * step + 1)
            visible = torch.where(free, again, visible)
            hidden = torch.where(free, sample(visible @ weight + further, 2 * step + 2), hidden)
        return {self.projection.pre.name: visible, self.projection.post.name: hidden}

    def arriving(self, projection: Projection, activity: Mapping[str, Tensor]) -> Tensor:
        """Return the states of the visible neurons, (R, S, visible)."""
        return activity[projection.pre.name]


def substrate(network: Network, *, gibbs: int = 1) -> BoltzmannSubstrate:
    """Return the substrate that samples a Boltzmann machine.

    Parameters
    ----------
    network : Network
    gibbs : int
        Rounds of Gibbs sampling in the free phase.
    """
    return BoltzmannSubstrate(network, gibbs)
