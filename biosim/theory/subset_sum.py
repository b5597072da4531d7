"""Random subset sums: the engine of every proof that pruning is enough.

Given values x_1..x_n and a target t, find the subset whose sum comes nearest to t. Meet in the middle (Horowitz & Sahni
1974, https://doi.org/10.1145/321812.321823) lists the sums of either half in order, by merging a list with itself shifted,
and walks the two lists towards each other: time and memory of order 2**(n/2).

Lueker 1998 (https://doi.org/10.1002/(SICI)1098-2418(199801)12:1<51::AID-RSA3>3.0.CO;2-S) shows that n = O(log 1/eps) random
values hold, for every target in a fixed interval, a subset within eps of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from biosim.errors import InputError

MOST = 44  # values of one sum: two lists of 2**22 sums
MOST_LISTED = 24  # values whose every sum is listed

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Subsets:
    """The best subset of each problem.

    Attributes
    ----------
    chosen : (B, n) bool
    error : (B,) float64
        Distance of its sum from the target.
    """

    chosen: npt.NDArray[np.bool_]
    error: _Floats


@numba.njit(cache=True)
def _sorted_sums(values, sums, members, other_sums, other_members):  # type: ignore[no-untyped-def]
    """Write the 2**n subset sums in ascending order, with the bits of their members, into ``sums`` and ``members``."""
    sums[0], members[0] = 0.0, 0
    count = 1
    for k in range(len(values)):
        value, bit = values[k], np.int64(1) << k
        other_sums[:count], other_members[:count] = sums[:count], members[:count]
        a = b = 0
        for place in range(2 * count):
            if b == count or (a < count and other_sums[a] <= other_sums[b] + value):
                sums[place], members[place] = other_sums[a], other_members[a]
                a += 1
            else:
                sums[place], members[place] = other_sums[b] + value, other_members[b] | bit
                b += 1
        count *= 2


@numba.njit(cache=True, parallel=True)
def _solve(values, targets, chosen, error):  # type: ignore[no-untyped-def]
    problems, n = values.shape
    half = n // 2
    for p in numba.prange(problems):
        left, left_members = np.empty(1 << half), np.empty(1 << half, np.int64)
        right, right_members = np.empty(1 << (n - half)), np.empty(1 << (n - half), np.int64)
        spare, spare_members = np.empty(1 << (n - half)), np.empty(1 << (n - half), np.int64)
        _sorted_sums(values[p, :half], left, left_members, spare, spare_members)
        _sorted_sums(values[p, half:], right, right_members, spare, spare_members)
        best, found_left, found_right = np.inf, np.int64(0), np.int64(0)
        i, j = 0, len(right) - 1
        while i < len(left) and j >= 0:
            difference = left[i] + right[j] - targets[p]
            if abs(difference) < best:
                best, found_left, found_right = abs(difference), left_members[i], right_members[j]
            if difference > 0:
                j -= 1
            else:
                i += 1
        for k in range(half):
            chosen[p, k] = (found_left >> k) & 1
        for k in range(half, n):
            chosen[p, k] = (found_right >> (k - half)) & 1
        error[p] = best


def best_subsets(values: npt.ArrayLike, targets: npt.ArrayLike) -> Subsets:
    """Return, for each of B problems, the subset of n values whose sum comes nearest to its target.

    Parameters
    ----------
    values : (B, n) array
    targets : (B,) array

    Raises
    ------
    InputError
        On shapes that do not fit, values that are not finite, or more than 44 values.
    """
    x, t = np.ascontiguousarray(values, np.float64), np.ascontiguousarray(targets, np.float64)
    if x.ndim != 2 or t.shape != x.shape[:1]:
        raise InputError(f"subset sums take (B, n) values and (B,) targets, not {x.shape} and {t.shape}")
    if x.shape[1] > MOST:
        raise InputError(f"a subset sum of {x.shape[1]} values needs too much memory; at most {MOST}", ("n",))
    if not (np.isfinite(x).all() and np.isfinite(t).all()):
        raise InputError("subset sums take finite values and targets")
    chosen, error = np.zeros(x.shape, np.bool_), np.empty(len(x))
    _solve(x, t, chosen, error)
    return Subsets(chosen, error)


@numba.njit(cache=True, parallel=True)
def _largest_gaps(values, low, high, gaps):  # type: ignore[no-untyped-def]
    problems, n = values.shape
    for p in numba.prange(problems):
        sums, members = np.empty(1 << n), np.empty(1 << n, np.int64)
        spare, spare_members = np.empty(1 << n), np.empty(1 << n, np.int64)
        _sorted_sums(values[p], sums, members, spare, spare_members)
        i = np.searchsorted(sums, low)
        worst = min(sums[i] - low if i < len(sums) else np.inf, low - sums[i - 1] if i > 0 else np.inf)
        last = np.searchsorted(sums, high, side="right")
        worst = max(worst, min(high - sums[last - 1] if last > 0 else np.inf, sums[last] - high if last < len(sums) else np.inf))
        for k in range(max(i, 1), min(last + 1, len(sums))):
            middle = (sums[k] + sums[k - 1]) / 2
            if low <= middle <= high:
                worst = max(worst, (sums[k] - sums[k - 1]) / 2)
        gaps[p] = worst


def worst_error(values: npt.ArrayLike, low: float, high: float) -> _Floats:
    """Return the largest error of the best subset over *every* target in [low, high], (B,).

    The worst target is an end of the interval, or lies halfway between two neighbouring sums.
    """
    x = np.ascontiguousarray(values, np.float64)
    if x.ndim != 2 or x.shape[1] > MOST_LISTED:
        raise InputError(f"takes (B, n) values with n up to {MOST_LISTED}, not {x.shape}", ("n",))
    gaps = np.empty(len(x))
    _largest_gaps(x, float(low), float(high), gaps)
    return gaps


def expected_subsets(n: int, eps: float, kind: str, deviation: float) -> float:
    """Return how many subsets of n random values are expected within eps of a target uniform in [-1/2, 1/2].

    A sum of k values lies within eps of the target with probability 2 eps P(abs(S_k) <= 1/2), to first order in eps, and

        P(abs(S_k) <= 1/2) = 2/pi int_0^inf phi(u)**k sin(u/2)/u du

    with phi the characteristic function. By Markov's inequality no chance of success exceeds this number.

    Parameters
    ----------
    n : int
    eps : float
    kind : {"uniform", "normal"}
    deviation : float
        Standard deviation of a value.
    """
    if kind not in ("uniform", "normal"):
        raise InputError(f"the number of subsets is known for uniform and normal values, not '{kind}'", ("kind",))
    u = np.linspace(1e-9, 300.0 / deviation, 30_001)
    bound = np.sqrt(3.0) * deviation
    phi = np.sin(bound * u) / (bound * u) if kind == "uniform" else np.exp(-0.5 * (deviation * u) ** 2)
    window, power, ways, total = 2 / np.pi * np.sin(u / 2) / u, np.ones_like(u), 1.0, 2 * eps
    for k in range(1, n + 1):
        power *= phi
        ways *= (n - k + 1) / k
        total += ways * 2 * eps * _integral(power * window, u)
    return float(total)


def _integral(values: Any, at: Any) -> float:
    return float(np.sum((values[1:] + values[:-1]) / 2 * np.diff(at)))
