"""The numba kernels of packed synapses: products, decisions and moves over the live ones only.

Synapses lie column by column (postsynaptic neuron), ``rows[q]`` naming the presynaptic neuron of entry q, and
samples are contiguous, so each synapse is one straight pass over a vector. A column is the work of one thread and
its sums run in the order of its synapses: the same numbers on any number of threads.
"""

from __future__ import annotations

import numba
import numpy as np

from biosim.streams import hash32, unit
from biosim.wiring.selection import keep_best

BLOCK = 128  # columns indexed at a time


@numba.njit(cache=True, parallel=True)
def index_rows(alive, starts, rows, columns):  # type: ignore[no-untyped-def]
    """Fill ``rows`` and ``columns`` with the true entries of (n_pre, n_post) ``alive``, column by column."""
    n_pre, n_post = alive.shape
    for task in numba.prange((n_post + BLOCK - 1) // BLOCK):
        first, last = task * BLOCK, min(n_post, (task + 1) * BLOCK)
        place = starts[first:last].copy()
        for i in range(n_pre):
            row = alive[i, first:last]
            for j in range(last - first):
                if row[j]:
                    rows[place[j]], columns[place[j]] = i, first + j
                    place[j] += 1


@numba.njit(cache=True, parallel=True)
def gather(dense, rows, columns, out):  # type: ignore[no-untyped-def]
    """``out[q] = dense[rows[q], columns[q]]``."""
    for q in numba.prange(rows.size):
        out[q] = dense[rows[q], columns[q]]


@numba.njit(cache=True, parallel=True)
def scatter(values, rows, columns, dense):  # type: ignore[no-untyped-def]
    """``dense[rows[q], columns[q]] = values[q]``."""
    for q in numba.prange(rows.size):
        dense[rows[q], columns[q]] = values[q]


@numba.njit(cache=True, parallel=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def sample_product(starts, rows, left, right, scale, keep, out):  # type: ignore[no-untyped-def]
    """``out[q] = keep*out[q] + scale * sum_s left[rows[q], s]*right[j, s]`` for every synapse q of column j."""
    samples = right.shape[1]
    for j in numba.prange(starts.size - 1):
        g = right[j]
        for q in range(starts[j], starts[j + 1]):
            f = left[rows[q]]
            total = np.float32(0)
            for s in range(samples):
                total += f[s] * g[s]
            out[q] = scale * total if keep == 0 else keep * out[q] + scale * total


@numba.njit(cache=True, parallel=True, fastmath={"contract"}, error_model="numpy")
def transmit(starts, rows, weight, active, values, out):  # type: ignore[no-untyped-def]
    """``out[j] = sum_q weight[q]*values[rows[q]]`` over the active synapses q of column j; (n, S) values."""
    samples = values.shape[1]
    for j in numba.prange(starts.size - 1):
        total = out[j]
        total[:] = 0
        own = np.empty(starts[j + 1] - starts[j] + 1, np.int64)
        n = 0
        for q in range(starts[j], starts[j + 1]):
            own[n] = q
            n += active[q]
        p = 0
        while p + 4 <= n:  # four at a time: the sum is read and written once for the four
            a, b, c, d = own[p], own[p + 1], own[p + 2], own[p + 3]
            wa, wb, wc, wd = weight[a], weight[b], weight[c], weight[d]
            xa, xb, xc, xd = values[rows[a]], values[rows[b]], values[rows[c]], values[rows[d]]
            for s in range(samples):
                total[s] += (wa * xa[s] + wb * xb[s]) + (wc * xc[s] + wd * xd[s])
            p += 4
        while p < n:
            w, x = weight[own[p]], values[rows[own[p]]]
            for s in range(samples):
                total[s] += w * x[s]
            p += 1


@numba.njit(cache=True, parallel=True)
def set_active(starts, wanted, alive, active, since, degree, step):  # type: ignore[no-untyped-def]
    """Make ``active = wanted and alive``; keep ``since`` and the in-degree in step with it."""
    for j in numba.prange(starts.size - 1):
        count = 0
        for q in range(starts[j], starts[j + 1]):
            now = wanted[q] & alive[q]
            earlier = step if active[q] else since[q]
            since[q] = np.float32(np.inf) if now else earlier
            active[q] = now
            count += now
        degree[j] = count


@numba.njit(cache=True, parallel=True)
def kill(starts, rows, victims, alive, active, degree, whole_alive, death, step):  # type: ignore[no-untyped-def]
    """Eliminate the live ``victims``, here and in the (n_pre, n_post) records; return how many."""
    died = np.zeros(starts.size - 1, np.int64)
    for j in numba.prange(starts.size - 1):
        for q in range(starts[j], starts[j + 1]):
            if victims[q] & alive[q]:
                died[j] += 1
                degree[j] -= active[q]
                alive[q] = active[q] = 0
                whole_alive[rows[q], j] = 0
                death[rows[q], j] = step
    return died.sum()


@numba.njit(cache=True, parallel=True)
def count(starts, mask):  # type: ignore[no-untyped-def]
    """Return the true entries of each column."""
    out = np.zeros(starts.size - 1, np.int64)
    for j in numba.prange(starts.size - 1):
        total = 0
        for q in range(starts[j], starts[j + 1]):
            total += mask[q]
        out[j] = total
    return out


@numba.njit(cache=True, parallel=True)
def compete(starts, others, stride, along, origin, scores, candidate, quota, stream, keep):  # type: ignore[no-untyped-def]
    """Keep ``quota[j]`` of the synapses of neuron j; truth as bytes. Returns the number of neurons with a NaN.

    ``others[q]`` is the neuron at the other end; birth edge ``origin + j*along + others[q]*stride`` breaks ties.
    """
    bad = np.zeros(starts.size - 1, np.int64)
    for j in numba.prange(starts.size - 1):
        first, last = starts[j], starts[j + 1]
        if last > first:
            scratch, window = np.empty(last - first + 1, np.float32), np.empty(last - first, np.float32)
            own, chosen = others[first:last], keep[first:last]
            args = (own, scratch, window, chosen)
            bad[j] = keep_best(scores[first:last], candidate[first:last], quota[j], stream, origin + j * along, stride, *args) < 0
    return bad.sum()


@numba.njit(cache=True, parallel=True)
def uniform(rows, columns, first, total, stream, step, out):  # type: ignore[no-untyped-def]
    """Draw one number in [0, 1) for every synapse, a hash of its birth edge: column j is ``first + j`` of ``total``."""
    for q in numba.prange(rows.size):
        edge = np.uint64(np.int64(rows[q]) * total + first + columns[q])
        out[q] = unit(hash32(stream, step, edge))
