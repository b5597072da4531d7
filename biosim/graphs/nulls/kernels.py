"""The numba kernels of the nulls; each draws from a splitmix64 state of its own (Steele, Lea & Flood 2014)."""

from __future__ import annotations

import numba
import numpy as np

_UNIT = 2.0**-53


@numba.njit(cache=True, inline="always")
def _uniform(state):  # type: ignore[no-untyped-def]
    """Return a number in [0, 1) and move the state on."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * _UNIT


@numba.njit(cache=True)
def _trade(mask, born, restricted, rounds, state):  # type: ignore[no-untyped-def]
    """Global Curveball on one (rows, columns) mask of bytes, in place."""
    rows, columns = mask.shape
    order, differ = np.arange(rows), np.empty(columns + 1, np.int64)
    for _ in range(rounds):
        for k in range(rows - 1, 0, -1):
            other = np.int64(_uniform(state) * (k + 1))
            order[k], order[other] = order[other], order[k]
        for pair in range(rows // 2):
            first, second = mask[order[2 * pair]], mask[order[2 * pair + 1]]
            count, need = 0, 0
            if restricted:
                mine, yours = born[order[2 * pair]], born[order[2 * pair + 1]]
                for k in range(columns):
                    free = (first[k] ^ second[k]) & mine[k] & yours[k]
                    differ[count] = k
                    count += free
                    need += first[k] & free
            else:
                for k in range(columns):
                    free = first[k] ^ second[k]
                    differ[count] = k
                    count += free
                    need += first[k] & free
            for q in range(count):
                take = _uniform(state) * (count - q) < need
                need -= take
                first[differ[q]] = take
                second[differ[q]] = 1 - take


@numba.njit(cache=True, parallel=True)
def curveball_masks(mask, born, restricted, rounds, states, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (nulls, rows, columns) with randomised copies of ``mask``, one a state."""
    for k in numba.prange(states.size):
        out[k] = mask
        _trade(out[k], born, restricted, rounds, states[k : k + 1].copy())


@numba.njit(cache=True, parallel=True)
def curveball_shared(mask, born, restricted, rounds, states, other, out):  # type: ignore[no-untyped-def]
    """``out[k]`` = true entries that null k of ``mask`` shares with ``other``."""
    for k in numba.prange(states.size):
        own = mask.copy()
        _trade(own, born, restricted, rounds, states[k : k + 1].copy())
        total = 0
        for i in range(own.shape[0]):
            for j in range(own.shape[1]):
                total += own[i, j] & other[i, j]
        out[k] = total


@numba.njit(cache=True, inline="always")
def _has(bits, i, j, n):  # type: ignore[no-untyped-def]
    place = np.int64(i) * n + j
    return (bits[place >> 3] >> np.uint8(place & 7)) & np.uint8(1)


@numba.njit(cache=True, inline="always")
def _flip(bits, i, j, n):  # type: ignore[no-untyped-def]
    place = np.int64(i) * n + j
    bits[place >> 3] ^= np.uint8(1) << np.uint8(place & 7)


@numba.njit(cache=True)
def _table(source, target, n):  # type: ignore[no-untyped-def]
    """Return one bit a pair of nodes, set where there is an edge."""
    bits = np.zeros((np.int64(n) * n + 7) >> 3, np.uint8)
    for e in range(source.size):
        _flip(bits, source[e], target[e], n)
    return bits


@numba.njit(cache=True, inline="always")
def _rewire(bits, a, b, c, d, n):  # type: ignore[no-untyped-def]
    """Let a -> b, c -> d become a -> d, c -> b in the table."""
    _flip(bits, a, b, n)
    _flip(bits, c, d, n)
    _flip(bits, a, d, n)
    _flip(bits, c, b, n)


@numba.njit(cache=True)
def swap_targets(start, source, target, n, loops, proposals, state):  # type: ignore[no-untyped-def]
    """Maslov-Sneppen swaps, and reversals of directed triangles, on ``target`` in place.

    A proposal that would repeat an edge (or make a loop, unless ``loops``) leaves the graph as it is and counts.
    """
    edges, bits = source.size, _table(source, target, n)
    for _ in range(proposals):
        e, f = int(_uniform(state) * edges), int(_uniform(state) * edges)
        a, b, c, d = source[e], target[e], source[f], target[f]
        if a == c or b == d or (not loops and (a == b or c == d)):
            continue
        if loops or (a != d and b != c):
            if _has(bits, a, d, n) or _has(bits, c, b, n):
                continue
            _rewire(bits, a, b, c, d, n)
            target[e], target[f] = d, b
        elif b == c and a != d and _has(bits, d, a, n):  # a -> b -> d -> a may turn round: swaps alone cannot
            if _has(bits, b, a, n) or _has(bits, d, b, n) or _has(bits, a, d, n):
                continue
            _flip(bits, a, b, n)
            _flip(bits, b, d, n)
            _flip(bits, d, a, n)
            _flip(bits, a, d, n)
            _flip(bits, d, b, n)
            _flip(bits, b, a, n)
            target[e], target[f] = d, a
            for g in range(start[d], start[d + 1]):
                if target[g] == a:
                    target[g] = b
                    break


@numba.njit(cache=True)
def swap_weights(source, target, weight, gap_out, gap_in, proposals, state):  # type: ignore[no-untyped-def]
    """Let pairs of weights change places, in place, whenever the squared gaps of the strengths do not grow."""
    edges = source.size
    for _ in range(proposals):
        e, f = int(_uniform(state) * edges), int(_uniform(state) * edges)
        shift = weight[f] - weight[e]
        if shift == 0.0:
            continue
        a, b, c, d = source[e], target[e], source[f], target[f]
        change = 0.0
        if a != c:
            change += 2 * shift * (gap_out[a] - gap_out[c]) + 2 * shift * shift
        if b != d:
            change += 2 * shift * (gap_in[b] - gap_in[d]) + 2 * shift * shift
        if change <= 0:
            weight[e], weight[f] = weight[f], weight[e]
            gap_out[a] += shift
            gap_out[c] -= shift
            gap_in[b] += shift
            gap_in[d] -= shift


@numba.njit(cache=True)
def swap_undirected(source, target, n, proposals, state):  # type: ignore[no-untyped-def]
    """Maslov-Sneppen swaps of undirected edges, each listed once, in place."""
    edges, bits = source.size, _table(source, target, n)
    for e in range(edges):
        _flip(bits, target[e], source[e], n)
    for _ in range(proposals):
        e, f = int(_uniform(state) * edges), int(_uniform(state) * edges)
        a, b, c, d = source[e], target[e], source[f], target[f]
        if _uniform(state) < 0.5:
            c, d = d, c
        if e == f or b in (a, c) or d in (a, c) or _has(bits, a, d, n) or _has(bits, c, b, n):
            continue
        _rewire(bits, a, b, c, d, n)
        _rewire(bits, b, a, d, c, n)
        source[e], target[e], source[f], target[f] = a, d, c, b


@numba.njit(cache=True)
def swap_to_lattice(source, target, n, proposals, state):  # type: ignore[no-untyped-def]
    """Swap targets, in place, only where that brings edges nearer to the diagonal of a ring."""
    edges, bits = source.size, _table(source, target, n)
    for _ in range(proposals):
        e, f = int(_uniform(state) * edges), int(_uniform(state) * edges)
        a, b, c, d = source[e], target[e], source[f], target[f]
        before = min(abs(a - b), n - abs(a - b)) + min(abs(c - d), n - abs(c - d))
        if min(abs(a - d), n - abs(a - d)) + min(abs(c - b), n - abs(c - b)) >= before:
            continue
        if a == c or b == d or b in (a, c) or d in (a, c) or _has(bits, a, d, n) or _has(bits, c, b, n):
            continue
        _rewire(bits, a, b, c, d, n)
        target[e], target[f] = d, b
