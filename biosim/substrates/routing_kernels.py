"""The numba kernels of routing: hops to a target, and the shortest paths that messages take."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from biosim.streams import hash32


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
