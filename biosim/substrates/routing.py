"""The routing substrate: messages travel hop by hop along shortest paths of the synapses that are active.

Who routes: the substrate. At every hop the neuron that holds a message sends it to one of those neighbours from which the
target is nearest, as a routing table would tell it; among equals the message's own ticket decides. Finding such a path needs
the whole graph, so no synapse can do it, and none is asked to: a synapse senses only what passes it. One sample is one
hop, ``pre`` one-hot at the sender, ``post`` one-hot at the receiver; a message that has no path, or arrived, or runs out of
hops is silence. Weights are not read: an edge is there or not.

Source of the task: Navlakha, Barth & Bar-Joseph 2015, https://doi.org/10.1371/journal.pcbi.1004347.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.substrates.routing_kernels import messages, route
from biosim.synapses import Network, Projection


class RoutingSubstrate:
    """Routes messages through the active synapses of a network with one population.

    Parameters
    ----------
    network : Network

    Attributes
    ----------
    inputs : int
        Numbers a sample: source, target and ticket of the message that starts there, or three times -1.
    """

    inputs = 3

    def __init__(self, network: Network) -> None:
        if len(network.populations) != 1 or len(network.projections) != 1:
            raise InputError("the routing substrate runs one population with one projection onto itself")
        self.network = network
        (self.population,), (self.projection,) = network.populations, network.projections.values()
        self._sent = torch.zeros(0)

    def respond(self, inputs: Tensor, push: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return who receives a message at each sample, one-hot (R, S, nodes), for (R, S, 3) inputs; ``push`` moves nothing."""
        active, shown = self.projection.active.cpu().numpy(), inputs.cpu().numpy()
        shape = (*shown.shape[:2], self.network.populations[self.population].size)
        sent, received = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for r in range(len(shown)):
            for one_hot, node in zip((sent[r], received[r]), route(active[r], *messages(shown[r])), strict=True):
                moving = np.flatnonzero(node >= 0)
                one_hot[moving, node[moving]] = 1
        self._sent = torch.from_numpy(sent).to(inputs.device)
        return {self.population: torch.from_numpy(received).to(inputs.device)}

    def arriving(self, projection: Projection, activity: Mapping[str, Tensor]) -> Tensor:
        """Return who sends at each sample of the last response, one-hot (R, S, nodes)."""
        return self._sent


def substrate(network: Network) -> RoutingSubstrate:
    """Return the substrate that routes messages through a network; it takes no arguments."""
    return RoutingSubstrate(network)
