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

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.streams import hash32
from biosim.synapses import Network, Projection

NOBODY = -1.0  # in place of the source, where a sample starts no message


@numba.njit(cache=True)
def distances_to(target, start, sender, distance, queue, source):  # type: ignore[no-untyped-def]
    """Fill ``distance`` with every node's hops to ``target``, -1 where there is no path; edges by receiver, ``start`` as in CSR.

    Breadth first, until ``source`` is reached (all nodes nearer to the target are then known), or everything where it is -1.
    """
    distance[:] = -1
    distance[target] = 0
    queue[0] = target
    first, last = 0, 1
    while first < last:
        node = queue[first]
        first += 1
        for e in range(start[node], start[node + 1]):
            other = sender[e]
            if distance[other] < 0:
                distance[other] = distance[node] + 1
                if other == source:
                    return
                queue[last] = other
                last += 1


@numba.njit(cache=True)
def by_receiver(alive):  # type: ignore[no-untyped-def]
    """Return (start, sender): the senders of node j's edges are ``sender[start[j]:start[j + 1]]``, ascending."""
    nodes = len(alive)
    start = np.zeros(nodes + 1, np.int64)
    for i in range(nodes):
        for j in range(nodes):
            start[j + 1] += alive[i, j]
    start = np.cumsum(start)
    place, sender = start[:-1].copy(), np.empty(start[-1], np.int64)
    for i in range(nodes):
        for j in range(nodes):
            if alive[i, j]:
                sender[place[j]] = i
                place[j] += 1
    return start, sender


@numba.njit(cache=True)
def route(alive, source, target, ticket):  # type: ignore[no-untyped-def]
    """Return (sent, received): the node at either end of each sample's hop, -1 where nothing moves.

    A message starts at sample k where ``source[k] >= 0`` and has the samples up to the next start for its hops.
    """
    nodes, samples = len(alive), len(source)
    start, sender = by_receiver(alive)
    distance, queue = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    sent, received = np.full(samples, -1), np.full(samples, -1)
    for k in range(samples):
        if source[k] < 0:
            continue
        distances_to(target[k], start, sender, distance, queue, source[k])
        node, hop = source[k], 0
        while distance[node] > 0 and k + hop < samples and (hop == 0 or source[k + hop] < 0):
            chosen, equals = -1, 0
            for other in range(nodes):
                if alive[node, other] and distance[other] == distance[node] - 1:
                    equals += 1
                    if hash32(ticket[k], np.uint32(hop), np.uint64(other)) % np.uint32(equals) == 0:
                        chosen = other
            sent[k + hop], received[k + hop] = node, chosen
            node = chosen
            hop += 1
    return sent, received


@numba.njit(cache=True)
def hops_between(alive, sources, targets):  # type: ignore[no-untyped-def]
    """Return the hops from each source to each target, (sources, targets); -1 where there is no path."""
    nodes = len(alive)
    start, sender = by_receiver(alive)
    distance, queue = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    hops = np.empty((len(sources), len(targets)), np.int64)
    for j in range(len(targets)):
        distances_to(targets[j], start, sender, distance, queue, -1)
        for i in range(len(sources)):
            hops[i, j] = distance[sources[i]]
    return hops


def messages(inputs: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Return source, target and ticket of every sample of one replicate's (S, 3) inputs, as :func:`route` takes them."""
    return inputs[:, 0].astype(np.int64), inputs[:, 1].astype(np.int64), np.maximum(inputs[:, 2], 0).astype(np.uint32)


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
