"""The overlap of two random masks, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from biosim.errors import InputError
from biosim.graphs.graph import Numbers


@dataclass(frozen=True)
class OverlapNull:
    """Overlap by chance of a random mask with ``first`` synapses and one with ``second``, of ``born`` births.

    Attributes
    ----------
    born, first, second : int
    mean, deviation : float
        Of the number of shared synapses: mean a*b/n, variance a*b*(n - a)*(n - b) / (n^2 (n - 1)).
    jaccard, jaccard_deviation : float
        Mean and deviation of shared / (a + b - shared), exact; NaN when both masks are empty.
    """

    born: int
    first: int
    second: int
    mean: float
    deviation: float
    jaccard: float
    jaccard_deviation: float

    def at_least(self, shared: int) -> float:
        """Return the chance of sharing that many synapses or more."""
        return float(hypergeom.sf(shared - 1, self.born, self.first, self.second))

    def at_most(self, shared: int) -> float:
        """Return the chance of sharing that many synapses or fewer."""
        return float(hypergeom.cdf(shared, self.born, self.first, self.second))


def shared_by_chance(born: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Numbers, Numbers]:
    """Return mean and variance of the number of synapses two random masks with these counts share: ``a b / n`` and
    ``a b (n - a)(n - b) / (n^2 (n - 1))``; of arrays, element by element.
    """
    n, a, b = (np.asarray(x, np.float64) for x in (born, first, second))
    some = np.maximum(n, 1)
    mean = a * b / some
    return np.asarray(mean), np.asarray(mean * (n - a) * (n - b) / (some * np.maximum(n - 1, 1)))


def hypergeometric(born: int, first: int, second: int) -> OverlapNull:
    """Return the null of the overlap of two masks with these counts, every mask with its count being equally likely.

    The shared count is hypergeometric. Only the two counts are kept: see :func:`biosim.graphs.nulls.curveball_shared` for
    the null that keeps the degrees of every neuron.

    Raises
    ------
    InputError
        When a count is negative or larger than the births.
    """
    if not (0 <= first <= born and 0 <= second <= born):
        raise InputError(f"of {born} births a mask cannot keep {first} or {second} synapses")
    shared = np.arange(max(0, first + second - born), min(first, second) + 1)
    probability = hypergeom.pmf(shared, born, first, second) if born else np.ones(1)
    mean, variance = (float(x) for x in shared_by_chance(born, first, second))
    if first + second == 0:
        return OverlapNull(born, first, second, mean, 0.0, float("nan"), float("nan"))
    ratio = shared / (first + second - shared)
    jaccard = float((probability * ratio).sum() / probability.sum())
    spread = float((probability * (ratio - jaccard) ** 2).sum() / probability.sum())
    return OverlapNull(born, first, second, mean, float(np.sqrt(variance)), jaccard, float(np.sqrt(max(spread, 0.0))))
