"""Neuron pruning as random features: how well hidden neurons with fixed random weights can do, whatever their readout.

A network of one hidden layer from which whole neurons are pruned computes sum_j c_j relu(u_j x) over those kept. For normal
inputs the mean squared error under the *best* readout is known without a sample, for

    E[relu(u x) relu(v x)] = |u||v|/(2 pi) (sin t + (pi - t) cos t),      t the angle between u and v

(Cho & Saul 2009). Yehudai & Shamir 2019, https://arxiv.org/abs/1904.00687: for one ReLU neuron in d dimensions random
features need a number or weights exponential in d.
"""

from __future__ import annotations

from math import comb

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular
from scipy.special import eval_gegenbauer, roots_jacobi

_Floats = npt.NDArray[np.float64]
_HARMONICS = 10**10  # of one degree; more would have coefficients lost in rounding
_JITTER = 1e-10  # of the diagonal: rounding may not make a least squares problem indefinite


def covariance(first: _Floats, second: _Floats) -> _Floats:
    """Return E[relu(u x) relu(v x)] for rows u of (N, d) and v of (M, d) and standard normal x, (N, M)."""
    lengths = np.linalg.norm(first, axis=1)[:, None] * np.linalg.norm(second, axis=1)
    cosine = np.clip(first @ second.T / np.maximum(lengths, 1e-300), -1, 1)
    angle = np.arccos(cosine)
    return np.asarray(lengths / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * cosine))


def error_by_width(features: _Floats, target: _Floats, readout: _Floats) -> _Floats:
    """Return the relative mean squared error of the best readout of the first n features, for every n, (N,).

    Parameters
    ----------
    features : (N, d) array
        Incoming weights of hidden neurons.
    target : (m, d) array
    readout : (m,) array
        The function is sum_k readout_k relu(target_k x).
    """
    own = covariance(features, features)
    own[np.diag_indices_from(own)] *= 1 + _JITTER
    along = solve_triangular(cholesky(own, lower=True), covariance(features, target) @ readout, lower=True)
    power = float(readout @ covariance(target, target) @ readout)
    return np.asarray(np.maximum(power - np.cumsum(along**2), 0) / power)


def error_of_best(features: _Floats, target: _Floats, readout: _Floats, most: int) -> _Floats:
    """Return the same for n features chosen greedily, each the one that lowers the error most: (most,).

    Orthogonal matching pursuit: c_j**2/r_j is what feature j would take off the error, c its covariance with what is left
    of the target and r its variance beyond the features chosen.
    """
    scale = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / scale
    left_over = np.full(len(unit), 0.5)
    wanted = covariance(unit, target) @ readout
    power = float(readout @ covariance(target, target) @ readout)
    rows = np.empty((most, len(unit)))
    errors, error = np.empty(most), power
    for n in range(most):
        gain = np.where(left_over > 1e-9, wanted**2 / np.maximum(left_over, 1e-9), 0.0)
        best = int(gain.argmax())
        row = covariance(unit, unit[best : best + 1])[:, 0] - rows[:n].T @ rows[:n, best]
        row /= np.sqrt(left_over[best])
        step = wanted[best] / np.sqrt(left_over[best])
        error -= step**2
        rows[n], errors[n] = row, max(error, 0.0)
        wanted = wanted - step * row
        left_over = left_over - row**2
        left_over[best] = 0.0
    return errors / power


def degrees(d: int) -> tuple[list[int], _Floats]:
    """Return how many spherical harmonics each degree has in d dimensions, and the share of relu(w x)'s power in each degree.

    The covariance of relu(w x) and relu(v x) depends on cos(w, v) alone; its Gegenbauer coefficients are the powers. Of odd
    degrees only the first has any. The list ends where a degree has more than 10**10 harmonics.
    """
    nodes, weights = roots_jacobi(400, (d - 3) / 2, (d - 3) / 2)
    weights = weights / weights.sum()
    angle = np.arccos(nodes)
    kernel = (np.sin(angle) + (np.pi - angle) * nodes) / (2 * np.pi)
    counts: list[int] = []
    shares: list[float] = []
    for k in range(60):
        count = comb(d + k - 1, k) - (comb(d + k - 3, k - 2) if k >= 2 else 0)
        if count > _HARMONICS:
            break
        shape = eval_gegenbauer(k, (d - 2) / 2, nodes) / eval_gegenbauer(k, (d - 2) / 2, 1.0)
        counts.append(count)
        shares.append(0.0 if k % 2 and k > 1 else max(0.0, count * float(weights @ (kernel * shape)) / 0.5))
    return counts, np.array(shares)


def least_error(d: int, sizes: npt.ArrayLike) -> _Floats:
    """Return a bound on the relative mean squared error of any n features, for one ReLU neuron of random direction.

    The functions relu(w x) span, degree by degree, the spherical harmonics of w; n features that know nothing of w leave, on
    average over w, at least what the n strongest harmonics leave (the average width of the set).
    """
    order, found = _strongest_first(d), []
    for n in np.atleast_1d(np.asarray(sizes)).tolist():
        error, left = 1.0, float(n)
        for count, share in order:
            taken = min(left, count)
            error -= share * taken / count
            left -= taken
        found.append(max(error, 0.0))
    return np.array(found)


def least_neurons(d: int, error: float) -> float:
    """Return the fewest features that :func:`least_error` allows at a relative RMS error; inf beyond the degrees listed."""
    left, total = 1.0, 0.0
    for count, share in _strongest_first(d):
        if left - share <= error**2:
            return total + count * (left - error**2) / share
        left, total = left - share, total + count
    return float("inf")


def _strongest_first(d: int) -> list[tuple[int, float]]:
    """Return the harmonics of each degree and their power together, most power a harmonic first."""
    counts, shares = degrees(d)
    return sorted(zip(counts, shares.tolist(), strict=True), key=lambda own: -own[1] / own[0])
