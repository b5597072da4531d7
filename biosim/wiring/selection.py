"""The numba kernels of competition: keep the k largest, exactly, with seeded tie-breaks."""

from __future__ import annotations

import numba
import numpy as np

from biosim.streams import hash32

BLOCK = 64  # columns (neurons) whose competitions are decided together


@numba.njit(cache=True, inline="always")
def _partition_step(values, low, high):  # type: ignore[no-untyped-def]
    """Hoare partition of ``values[low:high+1]`` around a median of three."""
    middle = (low + high) >> 1
    a, b, c = values[low], values[middle], values[high]
    pivot = max(min(a, b), min(max(a, b), c))
    i, j = low, high
    while i <= j:
        while values[i] < pivot:
            i += 1
        while values[j] > pivot:
            j -= 1
        if i <= j:
            values[i], values[j] = values[j], values[i]
            i += 1
            j -= 1
    return j, i


@numba.njit(cache=True)
def kth_smallest(values, n, k):  # type: ignore[no-untyped-def]
    """Return element ``k`` (from 0) of the sorted ``values[:n]``; reorders ``values`` in place."""
    low, high = 0, n - 1
    while low < high:
        j, i = _partition_step(values, low, high)
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@numba.njit(cache=True, fastmath={"nnan", "nsz"})
def _range(values, n):  # type: ignore[no-untyped-def]
    low = high = values[0]
    for i in range(n):
        low = min(low, values[i])
        high = max(high, values[i])
    return low, high


@numba.njit(cache=True)
def kth_largest(values, n, k, window):  # type: ignore[no-untyped-def]
    """Return the ``k``-th largest (from 1) of ``values[:n]`` exactly, by counting bisection.

    Every count is a straight pass that vectorises, so ten of them cost less than one quickselect,
    whose branches no processor can foresee. Bisection stops once the few values left fit in
    ``window`` and are selected there; heavy ties or tails fall back to quickselect on a copy.
    """
    low, high = _range(values, n)
    if low == high:
        return low
    above, inside = 0, n  # values > high; values in [low, high]
    for _ in range(24):
        if inside <= 32:
            break
        middle = np.float32(np.float32(0.5) * low + np.float32(0.5) * high)
        if not (low < middle < high):
            break
        larger = 0
        for i in range(n):
            larger += values[i] > middle
        if larger >= k:
            inside = larger - above
            low = middle  # the k-th largest lies strictly above: (middle, high]
        else:
            inside -= larger - above
            above = larger
            high = middle
    size = 0
    for i in range(n):
        if low <= values[i] <= high:
            window[size] = values[i]
            size += 1
    return kth_smallest(window, size, size - (k - above))


@numba.njit(cache=True)
def _break_ties(keep, tied, n, need, stream, offset, stride, places):  # type: ignore[no-untyped-def]
    """Among ``tied[:n]`` (positions in ``keep``) set ``need`` true, by the smallest hash of the edge."""
    order = np.empty(n, np.uint64)
    for q in range(n):
        place = np.int64(places[tied[q]]) if places.size else tied[q]
        edge = np.uint64(offset + place * stride)
        order[q] = (np.uint64(hash32(stream, np.uint32(0), edge)) << np.uint64(32)) | np.uint64(q)
    order.sort()
    for q in range(need):
        keep[tied[order[q] & np.uint64(0xFFFFFFFF)]] = 1


@numba.njit(cache=True)
def keep_best(scores, candidate, k, stream, offset, stride, places, scratch, window, keep):  # type: ignore[no-untyped-def]
    """Mark in ``keep`` exactly ``min(k, candidates)`` of the candidates, those with the largest scores.

    ``offset + i * stride`` is the birth edge of entry i, whose hash breaks ties; with ``places`` (empty when
    every entry is there) it is ``offset + places[i] * stride``. Returns -1 on NaN.
    """
    size = scores.size
    n = nans = 0
    for i in range(size):
        n += candidate[i]
    for i in range(size):
        nans += candidate[i] & (scores[i] != scores[i])
    if nans > 0:
        return -1
    if k >= n or k <= 0:
        for i in range(size):
            keep[i] = candidate[i] if k > 0 else 0
        return min(n, max(k, 0))
    if n == size:
        threshold = kth_largest(scores, n, k, window)
    else:
        n = 0
        for i in range(size):
            scratch[n] = scores[i]
            n += candidate[i]
        threshold = kth_largest(scratch, n, k, window)
    above = ties = 0
    for i in range(size):
        keep[i] = candidate[i] & (scores[i] >= threshold)
    for i in range(size):
        above += candidate[i] & (scores[i] > threshold)
    for i in range(size):
        ties += keep[i]
    ties -= above
    if above + ties == k:
        return k
    need = k - above
    tied = np.empty(ties, np.int64)
    q = 0
    for i in range(size):
        if keep[i] and scores[i] == threshold:
            keep[i] = 0
            tied[q] = i
            q += 1
    _break_ties(keep, tied, ties, need, stream, offset, stride, places)
    return k


@numba.njit(cache=True)
def _extremes(values, n_pre, width, low, high, count):  # type: ignore[no-untyped-def]
    """Find the range of each column and how many of its values are numbers above -inf."""
    for c in range(width):
        low[c], high[c], count[c] = np.inf, -np.inf, 0
    for i in range(n_pre):
        row = values[i]
        for c in range(width):
            count[c] += row[c] > -np.inf  # neither the dead, which are -inf here, nor a NaN
            low[c] = row[c] if (row[c] > -np.inf) & (row[c] < low[c]) else low[c]
            high[c] = row[c] if row[c] > high[c] else high[c]


@numba.njit(cache=True)
def _separate(values, n_pre, width, quota, low, high, threshold):  # type: ignore[no-untyped-def]
    """Bisect all columns at once for a threshold that exactly ``quota`` values exceed; NaN where none was found.

    Any such threshold serves, so a column is done as soon as its count fits: about 15 straight passes over
    a block in cache, with no transposition and no branches.
    """
    middle = np.empty(BLOCK, np.float32)
    larger = np.empty(BLOCK, np.int32)
    pending = width
    for c in range(width):
        if threshold[c] == threshold[c]:
            pending -= 1
    for _ in range(30 if pending else 0):
        for c in range(width):
            middle[c] = np.float32(0.5) * low[c] + np.float32(0.5) * high[c]
            larger[c] = 0
        for i in range(n_pre):
            row = values[i]
            for c in range(width):
                larger[c] += row[c] > middle[c]
        for c in range(width):
            if larger[c] == quota[c] and threshold[c] != threshold[c]:
                threshold[c] = middle[c]
                pending -= 1
            low[c] = middle[c] if larger[c] > quota[c] else low[c]
            high[c] = high[c] if larger[c] > quota[c] else middle[c]
        if pending == 0:
            break


@numba.njit(cache=True, parallel=True)
def compete_columns(scores, candidate, quota, streams, keep, origin, total):  # type: ignore[no-untyped-def]
    """Keep ``quota[r, j]`` of column j; truth as bytes. Returns the number of columns that held a NaN.

    Column j is column ``origin + j`` of the ``total`` that the whole projection has.
    """
    replicates, n_pre, n_post = scores.shape
    blocks = (n_post + BLOCK - 1) // BLOCK
    bad = np.zeros(replicates * blocks, np.int64)
    for task in numba.prange(replicates * blocks):
        r, first = task // blocks, (task % blocks) * BLOCK
        width = min(BLOCK, n_post - first)
        values = np.empty((n_pre, BLOCK), np.float32)
        low, high, threshold = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
        count, living = np.empty(BLOCK, np.int32), np.zeros(BLOCK, np.int32)
        wanted = quota[r, first : first + width]
        for i in range(n_pre):
            row, allowed, target = scores[r, i, first : first + width], candidate[r, i, first : first + width], values[i]
            for c in range(width):
                target[c] = row[c] if allowed[c] else np.float32(-np.inf)
            for c in range(width):
                living[c] += allowed[c]
        _extremes(values, n_pre, width, low, high, count)
        for c in range(width):
            threshold[c] = -np.inf if wanted[c] >= living[c] else np.nan  # all of them stay
            if count[c] != living[c]:
                threshold[c] = np.nan
                high[c] = np.nan  # an infinity or a NaN: no bisection, the column is decided alone
        _separate(values, n_pre, width, wanted, low, high, threshold)
        for i in range(n_pre):
            row, out = values[i], keep[r, i, first : first + width]
            for c in range(width):
                out[c] = row[c] > threshold[c]
        for c in range(width):
            if threshold[c] != threshold[c]:  # ties, infinities, a NaN
                j = first + c
                own, allowed, out = scores[r, :, j], candidate[r, :, j], keep[r, :, j]
                bad[task] += _decide_column(own, allowed, wanted[c], streams[r], origin + j, total, out)
    return int(bad.sum())


@numba.njit(cache=True)
def _decide_column(scores, candidate, quota, stream, j, n_post, keep):  # type: ignore[no-untyped-def]
    """Decide one column by exact selection, with its tie-break; return 1 when it held a NaN."""
    size = scores.size
    out = np.empty(size, np.uint8)
    scratch, window = np.empty(size + 1, np.float32), np.empty(size, np.float32)
    everywhere = np.empty(0, np.int32)
    found = keep_best(scores.copy(), candidate.copy(), quota, stream, j, n_post, everywhere, scratch, window, out)
    for i in range(size):
        keep[i] = out[i]
    return 1 if found < 0 else 0


@numba.njit(cache=True, parallel=True)
def compete_whole(scores, candidate, quota, streams, keep):  # type: ignore[no-untyped-def]
    """Keep ``quota[r]`` of row r of (R, n) arrays; truth as bytes. Returns the number of rows with a NaN."""
    replicates, size = scores.shape
    bad = np.zeros(replicates, np.int64)
    for r in numba.prange(replicates):
        scratch, window = np.empty(size + 1, np.float32), np.empty(size, np.float32)
        everywhere = np.empty(0, np.int32)
        if keep_best(scores[r], candidate[r], quota[r], streams[r], 0, 1, everywhere, scratch, window, keep[r]) < 0:
            bad[r] = 1
    return int(bad.sum())
