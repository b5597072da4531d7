"""Do two circuits keep the same synapses? Observed overlap, next to what chance gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.errors import InputError

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Overlap:
    """Overlap of two masks over one projection's births; every field is (R,).

    Attributes
    ----------
    jaccard : ndarray
        Shared synapses over synapses in either.
    chance : ndarray
        Jaccard of two independent random masks with the same counts: with a and b kept of n, the shared
        count is hypergeometric with mean a*b/n, and chance = (a*b/n) / (a + b - a*b/n).
    deviation : ndarray
        Standard deviation of the shared count under that null, as a Jaccard difference (first order).
    kappa : ndarray
        Cohen's kappa: agreement on keep or drop beyond chance; 0 is chance, 1 identity.
    """

    jaccard: _Array
    chance: _Array
    deviation: _Array
    kappa: _Array


def overlap(first: Circuit, second: Circuit) -> dict[str, Overlap]:
    """Return the overlap of each projection, replicate by replicate.

    Raises
    ------
    InputError
        When the two circuits were not carved from the same births.
    """
    if first.projections != second.projections or any((first.born[n] != second.born[n]).any() for n in first.born):
        raise InputError("the two circuits do not share their births, so their synapses cannot be matched")
    return {name: _overlap(first.mask[name], second.mask[name], first.born[name]) for name in first.mask}


def _overlap(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_], born: npt.NDArray[np.bool_]) -> Overlap:
    n, kept_a, kept_b, shared = (m.sum((1, 2)).astype(np.float64) for m in (born, a & born, b & born, a & b))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = kept_a * kept_b / n
        variance = expected * (n - kept_a) * (n - kept_b) / (n * np.maximum(n - 1, 1))
        either = kept_a + kept_b - shared
        union = kept_a + kept_b - expected
        agree = (n - kept_a - kept_b + 2 * shared) / n
        agree_by_chance = (kept_a * kept_b + (n - kept_a) * (n - kept_b)) / n**2
        kappa = (agree - agree_by_chance) / (1 - agree_by_chance)
        slope = (kept_a + kept_b) / union**2
        return Overlap(shared / either, expected / union, np.sqrt(variance) * slope, kappa)
