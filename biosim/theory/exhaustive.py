"""The best mask of all, by looking at every one: ground truth for networks of up to about 32 synapses.

A network d -> h -> 2 without bias, ReLU, gain g on every summed input. Its loss is the mean cross-entropy over S samples,
which depends on the difference z of the two outputs alone. Neuron j, with mask a of its d inputs and masks b of its two
outputs, adds c_j(a, b) to z: one of 2**(d+2) vectors. With labels y = +-1,

    loss = 1/S sum_s log(1 + exp(-y z)) = 1/S log prod_s (1 + prod_j exp(-y_s c_js)),

so tables of exponentials are made once, and a mask costs one multiplication and one addition a sample, no exponential.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt

from biosim.errors import InputError

Within = Literal["free", "network", "layer", "neuron"]
MOST = 36  # synapses: 2**36 masks are hours
_CHUNK = 8  # factors multiplied before a logarithm is taken
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """One network and its samples.

    Attributes
    ----------
    first : (d, h) array
        Weights onto the hidden neurons.
    second : (h, 2) array
    samples : (S, d) array
    labels : (S,) array of 0 and 1
    gain : float
        On every summed input.
    """

    first: _Floats
    second: _Floats
    samples: _Floats
    labels: npt.NDArray[np.int64]
    gain: float

    def __post_init__(self) -> None:
        (d, h), (s, width) = self.first.shape, self.samples.shape
        if self.second.shape != (h, 2) or width != d or self.labels.shape != (s,):
            raise InputError("an exhaustive search takes weights (d, h) and (h, 2), samples (S, d) and S labels")
        if h < 2:
            raise InputError(f"an exhaustive search takes two hidden neurons or more, not {h}")
        if d * h + 2 * h > MOST:
            raise InputError(f"an exhaustive search over {d * h + 2 * h} synapses would not end; at most {MOST}")

    @property
    def synapses(self) -> int:
        """Synapses born."""
        return int(self.first.size + self.second.size)


@dataclass(frozen=True)
class Optimum:
    """What looking at every mask found.

    Attributes
    ----------
    loss : float
    first, second : bool arrays
        The best mask.
    masks : int
        Masks looked at.
    mean : float
        Their mean loss.
    better : (T,) int64
        How many lie below each threshold.
    """

    loss: float
    first: npt.NDArray[np.bool_]
    second: npt.NDArray[np.bool_]
    masks: int
    mean: float
    better: npt.NDArray[np.int64]


def best_mask(problem: Problem, within: Within = "layer", density: float = 0.5, thresholds: npt.ArrayLike = ()) -> Optimum:
    """Look at every mask and return the best.

    Parameters
    ----------
    problem : Problem
    within : {"free", "network", "layer", "neuron"}
        Which masks: all 2**n, or those with exactly ``round(density * born)`` synapses in all, in each layer, or (the
        quota of :meth:`biosim.synapses.Projection.quota`) in each neuron.
    density : float
        Share kept, where counts are exact.
    thresholds : array
        Losses; masks better than each are counted.
    """
    if within not in ("free", "network", "layer", "neuron"):
        raise InputError(f"unknown scope '{within}'; there are: free, network, layer, neuron", ("within",))
    if not 0 <= density <= 1:
        raise InputError(f"the share of synapses kept must lie in [0, 1], not {density}", ("density",))
    d, h = problem.first.shape
    tables, counts = _tables(problem)
    quotas = [_quotas(d, h, density), _quotas(h, 2, density)]
    order = [np.arange(len(counts))] * h
    if within == "neuron":
        order = [np.flatnonzero(counts[:, 0] == quotas[0][j]) for j in range(h)]
    wanted = {
        "free": np.array([-1, -1, -1, -1]),
        "network": np.array([-1, -1, -1, _round(density * problem.synapses)]),
        "layer": np.array([_round(density * d * h), -1, _round(density * 2 * h), -1]),
        "neuron": np.array([-1, quotas[1][0], quotas[1].sum(), -1]),
    }[within].astype(np.int64)
    length = max(len(own) for own in order)
    options = np.full((h, length), -1, np.int64)
    for j, own in enumerate(order):
        options[j, : len(own)] = own
    given = np.atleast_1d(np.asarray(thresholds, np.float64))
    losses, codes, total, number, better = _search(tables, counts, options, wanted, given, len(problem.labels))
    best = int(losses.argmin())
    first, second = np.zeros((d, h), np.bool_), np.zeros((h, 2), np.bool_)
    for j in range(h):
        code = int(codes[best, j])
        first[:, j] = [(code >> i) & 1 for i in range(d)]
        second[j] = [(code >> d) & 1, (code >> (d + 1)) & 1]
    masks = int(number.sum())
    return Optimum(float(losses[best]), first, second, masks, float(total.sum() / max(masks, 1)), better.sum(0))


def loss_of(problem: Problem, first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return the loss of one mask."""
    hidden = np.maximum(problem.gain * (problem.samples @ (problem.first * np.asarray(first))), 0)
    output = problem.gain * (hidden @ (problem.second * np.asarray(second)))
    margin = np.where(problem.labels == 1, 1, -1) * (output[:, 1] - output[:, 0])
    return float(np.logaddexp(0, -margin).mean())


def _round(count: float) -> int:
    return int(np.floor(count + 0.5))


def _quotas(n_pre: int, n_post: int, density: float) -> npt.NDArray[np.int64]:
    total = np.array([_round(density * n_pre * j) for j in range(n_post + 1)])
    return np.diff(total)


def _tables(problem: Problem) -> tuple[_Floats, npt.NDArray[np.int64]]:
    """Return exp(-y c) of every neuron and option, and the synapses an option keeps: inputs, output 0, output 1.

    Tables are (h, options, S), S rounded up to a multiple of 8; the columns added are 0 and leave no trace in a loss.
    """
    d, h = problem.first.shape
    bits = (np.arange(1 << (d + 2))[:, None] >> np.arange(d + 2)) & 1
    counts = np.stack([bits[:, :d].sum(1), bits[:, d], bits[:, d + 1]], 1).astype(np.int64)
    sign = np.where(problem.labels == 1, 1.0, -1.0)
    tables = np.zeros((h, len(bits), -(-len(sign) // _CHUNK) * _CHUNK))
    for j in range(h):
        rate = np.maximum(problem.gain * (bits[:, :d] * problem.first[:, j]) @ problem.samples.T, 0)
        weight = problem.gain * (bits[:, d + 1] * problem.second[j, 1] - bits[:, d] * problem.second[j, 0])
        tables[j, :, : len(sign)] = np.exp(-sign * rate * weight[:, None])
    if np.log(np.maximum(tables, 1e-300)).max(1).sum(0).max() * _CHUNK > 690:
        raise InputError("outputs are too large to multiply their exponentials: scale the weights down", ("gain",))
    return tables, counts


@numba.njit(cache=True, inline="always")
def _fits(first, zero, one, wanted):  # type: ignore[no-untyped-def]
    """Whether counts are as wanted: inputs, onto output 0, onto both outputs, all; -1 is any."""
    return (
        (wanted[0] < 0 or first == wanted[0])
        and (wanted[1] < 0 or zero == wanted[1])
        and (wanted[2] < 0 or zero + one == wanted[2])
        and (wanted[3] < 0 or first + zero + one == wanted[3])
    )


@numba.njit(cache=True, fastmath=True)
def _summed(before, table):  # type: ignore[no-untyped-def]
    """Return the sum of log(1 + before*table) over samples, whose number is a multiple of 8."""
    total = 0.0
    for start in range(0, len(before), _CHUNK):
        product = 1.0
        for s in range(_CHUNK):
            product *= 1.0 + before[start + s] * table[start + s]
        total += np.log(product)
    return total


@numba.njit(cache=True, parallel=True)
def _search(tables, counts, options, wanted, thresholds, shown):  # type: ignore[no-untyped-def]
    h, _, samples = tables.shape
    begins = options.shape[1]
    losses, codes = np.full(begins, np.inf), np.full((begins, h), -1, np.int64)
    total, number = np.zeros(begins), np.zeros(begins, np.int64)
    better = np.zeros((begins, len(thresholds)), np.int64)
    for begin in numba.prange(begins):
        if options[0, begin] < 0:
            continue
        place = np.zeros(h, np.int64)  # option of each neuron; an odometer over those between the first and the last
        place[0] = begin
        partial = np.ones((h, samples))
        sums = np.zeros((h, 3), np.int64)
        level = 0
        while level >= 0:
            option = options[level, place[level]]
            for s in range(samples):
                partial[level, s] = tables[level, option, s] * (partial[level - 1, s] if level > 0 else 1.0)
            for c in range(3):
                sums[level, c] = counts[option, c] + (sums[level - 1, c] if level > 0 else 0)
            if level < h - 2:
                level += 1
                place[level] = 0
                continue
            found = _last(tables, counts, options, wanted, thresholds, partial[level], sums[level], shown, losses[begin], better[begin])
            if found[0] < losses[begin]:
                losses[begin] = found[0]
                for j in range(h - 1):
                    codes[begin, j] = options[j, place[j]]
                codes[begin, h - 1] = found[3]
            total[begin] += found[1]
            number[begin] += found[2]
            while level > 0:
                place[level] += 1
                if place[level] < options.shape[1] and options[level, place[level]] >= 0:
                    break
                level -= 1
            if level == 0:
                break
    return losses, codes, total, number, better


@numba.njit(cache=True)
def _last(tables, counts, options, wanted, thresholds, before, sums, shown, best, better):  # type: ignore[no-untyped-def]
    """Try every option of the last neuron; return the best loss, their sum and number, and the option."""
    total, number, chosen, h = 0.0, 0, -1, len(tables)
    for k in range(options.shape[1]):
        option = options[h - 1, k]
        if option < 0:
            break
        if not _fits(sums[0] + counts[option, 0], sums[1] + counts[option, 1], sums[2] + counts[option, 2], wanted):
            continue
        loss = _summed(before, tables[h - 1, option]) / shown
        total += loss
        number += 1
        if loss < best:
            best, chosen = loss, option
        for t in range(len(thresholds)):
            if loss < thresholds[t]:
                better[t] += 1
    return best, total, number, chosen
