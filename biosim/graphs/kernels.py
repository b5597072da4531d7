"""The numba kernels of paths and communities."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
def _ones(word):  # type: ignore[no-untyped-def]
    """Return the number of set bits of a 64-bit word."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@numba.njit(cache=True)
def count_distances(start, target, nodes):  # type: ignore[no-untyped-def]
    """Return how many ordered pairs are 0, 1, 2, ... steps apart: breadth first from all nodes at once, 64 to a word."""
    words = (nodes + 63) >> 6
    reach, grown = np.zeros((nodes, words), np.uint64), np.zeros((nodes, words), np.uint64)
    for i in range(nodes):
        reach[i, i >> 6] |= np.uint64(1) << np.uint64(i & 63)
    counts = np.zeros(nodes + 1, np.int64)
    counts[0] = nodes
    moving, moved = np.ones(nodes, np.bool_), np.zeros(nodes, np.bool_)
    for step in range(1, nodes + 1):
        total = 0
        for i in range(nodes):
            row = grown[i]
            row[:] = reach[i]
            for e in range(start[i], start[i + 1]):
                if moving[target[e]]:
                    other = reach[target[e]]
                    for w in range(words):
                        row[w] |= other[w]
            fresh = 0
            for w in range(words):
                fresh += _ones(row[w] ^ reach[i, w])
            moved[i] = fresh > 0
            total += fresh
        if total == 0:
            break
        counts[step] = total
        reach, grown = grown, reach
        moving, moved = moved, moving
    return counts


@numba.njit(cache=True)
def mark_reciprocal(start, source, target, nodes):  # type: ignore[no-untyped-def]
    """Return which edges run the other way too; edges sorted by source, then target."""
    into = np.zeros(nodes + 1, np.int64)
    for j in target:
        into[j + 1] += 1
    into = np.cumsum(into)
    place, back = into[:-1].copy(), np.empty(target.size, np.int64)
    for e in range(target.size):  # edges by target, sources ascending
        back[place[target[e]]] = e
        place[target[e]] += 1
    out = np.zeros(target.size, np.bool_)
    for i in range(nodes):  # i's targets and i's sources both ascend: walk along both
        e, f = start[i], into[i]
        while e < start[i + 1] and f < into[i + 1]:
            j, k = target[e], source[back[f]]
            if j == k:
                out[e] = i != j
            e += j <= k
            f += k <= j
    return out


@numba.njit(cache=True)
def _lengths_from(root, start, target, length, distance, heap, where):  # type: ignore[no-untyped-def]
    """Dijkstra from one node with a binary heap of nodes; ``where`` is a node's place in it, negative outside.

    A node's edges come shortest first: once they lead farther than any node still is, the rest cannot matter.
    """
    distance[:] = np.inf
    farthest, settled, look = np.inf, 0, 1
    where[:] = -1
    distance[root] = 0.0
    heap[0], where[root], size = root, 0, 1
    while size:
        node = heap[0]
        size -= 1
        where[node] = -2
        if size:
            last, k = heap[size], 0
            while True:
                child = 2 * k + 1
                if child >= size:
                    break
                if child + 1 < size and distance[heap[child + 1]] < distance[heap[child]]:
                    child += 1
                if distance[heap[child]] >= distance[last]:
                    break
                heap[k] = heap[child]
                where[heap[k]] = k
                k = child
            heap[k] = last
            where[last] = k
        near = distance[node]
        settled += 1
        if settled == look:
            farthest = distance.max()
            look *= 2
        for e in range(start[node], start[node + 1]):
            other, through = target[e], near + length[e]
            if through > farthest:
                break
            if through < distance[other]:
                distance[other] = through
                k = where[other]
                if k < 0:
                    k = size
                    size += 1
                while k > 0:
                    parent = (k - 1) >> 1
                    if distance[heap[parent]] <= through:
                        break
                    heap[k] = heap[parent]
                    where[heap[k]] = k
                    k = parent
                heap[k] = other
                where[other] = k


@numba.njit(cache=True, parallel=True)
def sum_lengths(start, target, length, nodes):  # type: ignore[no-untyped-def]
    """Return (nodes, 3): sum of lengths to, sum of inverse lengths to, and number of the nodes each node reaches.

    The edges of each node come shortest first.
    """
    out = np.zeros((nodes, 3))
    for root in numba.prange(nodes):
        distance, heap, where = np.empty(nodes), np.empty(nodes, np.int64), np.empty(nodes, np.int64)
        _lengths_from(root, start, target, length, distance, heap, where)
        for j in range(nodes):
            if j != root and distance[j] < np.inf:
                out[root, 0] += distance[j]
                out[root, 1] += 1.0 / distance[j]
                out[root, 2] += 1
    return out


@numba.njit(cache=True)
def move_nodes(order, start, target, weight, strength, totals, resolution, community, sums, sizes):  # type: ignore[no-untyped-def]
    """Move nodes to the community that gains most until none gains (Louvain's first phase), in place; say whether any moved.

    ``weight`` is ``w_ij + w_ji`` of the other nodes; ``strength`` (nodes, 4) is out+, in+, out-, in-, ``sums`` the same by
    community and ``sizes`` its number of nodes, ``totals`` the positive and negative weight of the graph. A node may also
    go to a community of its own.
    """
    n = order.size
    toward, seen, stamp = np.zeros(n), np.zeros(n + 1, np.int64), np.full(n, -1)
    plus = resolution / totals[0] if totals[0] > 0 else 0.0
    minus = resolution / totals[1] if totals[1] > 0 else 0.0
    changed, gained, visit, sweeps = False, True, 0, 0
    while gained and sweeps < 100:
        gained = False
        sweeps += 1
        for i in order:
            own, count = community[i], 1
            seen[0], toward[own], stamp[own] = own, 0.0, visit
            for e in range(start[i], start[i + 1]):
                c = community[target[e]]
                if stamp[c] != visit:
                    stamp[c] = visit
                    toward[c] = 0.0
                    seen[count] = c
                    count += 1
                toward[c] += weight[e]
            visit += 1
            s = strength[i]
            sizes[own] -= 1
            for k in range(4):
                sums[own, k] -= s[k]
            best, most = own, -np.inf
            for k in range(count):
                c = seen[k]
                by_chance = plus * (s[0] * sums[c, 1] + s[1] * sums[c, 0]) - minus * (s[2] * sums[c, 3] + s[3] * sums[c, 2])
                gain = toward[c] - by_chance if sizes[c] > 0 else 0.0
                if k == 0 or gain > most + 1e-12 * (abs(most) + 1.0):
                    best, most = c, gain
            if most < -1e-12:
                best = 0
                while sizes[best] > 0:
                    best += 1
            for k in range(4):
                sums[best, k] += s[k]
            sizes[best] += 1
            if best != own:
                community[i] = best
                gained = changed = True
    return changed
