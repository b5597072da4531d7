"""Fused passes over the scores of edge-popup on the CPU.

One step moves the top-k threshold of abs(S) very little. The pass that updates the scores therefore also
collects the values inside a narrow window around the last threshold and counts those above it; the next
threshold is then selected, exactly, among the few collected. Where it left the window a full selection is made.
"""

from __future__ import annotations

import numba
import numpy as np

from biosim.streams import hash32
from biosim.wiring.selection import kth_largest

CHUNK = 1 << 13  # scores a task; all its arrays lie in cache together
_BLOCK = 256


@numba.njit(cache=True, inline="always")
def _collect(scores, n, low, high, window, size, room):  # type: ignore[no-untyped-def]
    """Append the values of abs(scores[:n]) in [low, high] to ``window``; return the count and how many lie above."""
    above = inside = np.int32(0)
    for i in range(n):
        a = abs(scores[i])
        above += np.int32(a > high)
        inside += np.int32((a >= low) & (a <= high))
    if inside > 0 and size + inside <= room:
        for i in range(n):
            a = abs(scores[i])
            if low <= a <= high:
                window[size] = a
                size += 1
    elif inside > 0:
        size = room + 1  # overflow
    return size, above


@numba.njit(cache=True, parallel=True)
def update(scores, speed, gradient, weight, momentum, decay, rate, low, high, window, size, above):  # type: ignore[no-untyped-def]
    """SGD on the flat scores of one projection: V = momentum V + dL/dW W sign(S) + decay S; S = S - rate V.

    ``window`` is (chunks, room); chunk c leaves its values inside [low, high] there, their number in
    ``size[c]`` (more than room: they did not fit) and the number above in ``above[c]``.
    """
    for c in numba.prange(len(size)):
        first, last = c * CHUNK, min(len(scores), (c + 1) * CHUNK)
        found = higher = 0
        for start in range(first, last, _BLOCK):
            stop = min(last, start + _BLOCK)
            s, v, g, w = scores[start:stop], speed[start:stop], gradient[start:stop], weight[start:stop]
            for i in range(stop - start):
                through = g[i] * w[i]
                through = through if s[i] > 0 else (-through if s[i] < 0 else np.float32(0))
                v[i] = (momentum * v[i] + through) + decay * s[i]
                s[i] -= rate * v[i]
            if found <= window.shape[1]:
                found, more = _collect(s, stop - start, low, high, window[c], found, window.shape[1])
                higher += more
        size[c], above[c] = found, higher


@numba.njit(cache=True)
def threshold(k, window, size, above, pool):  # type: ignore[no-untyped-def]
    """Return the k-th largest of abs(S) from what :func:`update` collected and how many exceed or equal it; NaN if it is not there."""
    n = higher = 0
    for c in range(len(size)):
        if size[c] > window.shape[1]:
            return np.float32(np.nan), 0
        higher += above[c]
        n += size[c]
    if not higher < k <= higher + n:
        return np.float32(np.nan), 0
    n = 0
    for c in range(len(size)):
        for i in range(size[c]):
            pool[n] = window[c, i]
            n += 1
    spare = np.empty(n + 1, np.float32)
    cut = kth_largest(pool, n, k - higher, spare)
    reached = higher
    for i in range(n):
        reached += pool[i] >= cut
    return cut, reached


@numba.njit(cache=True)
def full_threshold(scores, k):  # type: ignore[no-untyped-def]
    """Return the k-th largest of abs(scores) and how many exceed or equal it."""
    values, spare = np.abs(scores), np.empty(len(scores) + 1, np.float32)
    cut = kth_largest(values, len(values), k, spare)
    reached = 0
    for i in range(len(scores)):
        reached += abs(scores[i]) >= cut
    return cut, reached


@numba.njit(cache=True, parallel=True)
def transmit(scores, weight, cut, effective):  # type: ignore[no-untyped-def]
    """Set ``effective`` to the weight where abs(S) reaches the cut, else 0."""
    chunks = (len(scores) + CHUNK - 1) // CHUNK
    for c in numba.prange(chunks):
        first, last = c * CHUNK, min(len(scores), (c + 1) * CHUNK)
        s, w, e = scores[first:last], weight[first:last], effective[first:last]
        for i in range(last - first):
            e[i] = w[i] if abs(s[i]) >= cut else np.float32(0)


@numba.njit(cache=True)
def drop_ties(scores, cut, surplus, stream, effective):  # type: ignore[no-untyped-def]
    """Set ``effective`` to 0 for ``surplus`` of the edges whose abs(S) equals the cut: the last by seeded hash, as ``keep`` has it."""
    ties = 0
    for i in range(len(scores)):
        ties += abs(scores[i]) == cut
    tied, order, n = np.empty(ties, np.int64), np.empty(ties, np.uint64), 0
    for i in range(len(scores)):
        if abs(scores[i]) == cut:
            tied[n] = i
            order[n] = (np.uint64(hash32(stream, np.uint32(0), np.uint64(i))) << np.uint64(32)) | np.uint64(n)
            n += 1
    order.sort()
    for q in range(ties - surplus, ties):
        effective[tied[order[q] & np.uint64(0xFFFFFFFF)]] = 0
