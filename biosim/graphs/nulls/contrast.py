"""An observed value next to its null."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError


@dataclass(frozen=True)
class Contrast:
    """What was seen, what the null gives, and how far apart they are.

    Attributes
    ----------
    observed : float
    mean, deviation : float
        Of the null's values (deviation with n - 1; NaN for one null).
    nulls : int
        How many values the null has.
    difference : float
        observed - mean: an effect in the measure's own unit.
    ratio : float
        observed / mean; NaN when the mean is 0.
    z : float
        difference / deviation; NaN when the null does not vary. It grows with the graph: compare graphs of different
        size by ``difference``, ``ratio`` or ``normalised``.
    normalised : float
        (observed - mean) / (abs(observed) + abs(mean)), in [-1, 1]; 0 when both are 0 (the Delta of Milo et al. 2004 is its kin).
    p : float
        Two-sided: min(1, 2 * (1 + least of the nulls on either side) / (nulls + 1)).
    """

    observed: float
    mean: float
    deviation: float
    nulls: int
    difference: float
    ratio: float
    z: float
    normalised: float
    p: float


def contrast(observed: float, null: npt.ArrayLike) -> Contrast:
    """Compare an observed value with the values of its null.

    Raises
    ------
    InputError
        When there are no null values, or some are NaN while the observed value is a number.

    Examples
    --------
    >>> from biosim.graphs.nulls import contrast
    >>> found = contrast(0.5, [0.25, 0.3, 0.2])
    >>> round(found.ratio, 2), round(found.normalised, 2)
    (2.0, 0.33)
    """
    values = np.asarray(null, np.float64).ravel()
    if not values.size:
        raise InputError("a null needs at least one value")
    if np.isnan(observed):
        return Contrast(float("nan"), float(np.mean(values)), float("nan"), values.size, *(float("nan"),) * 5)
    if np.isnan(values).any():
        raise InputError(f"{int(np.isnan(values).sum())} of {values.size} nulls are undefined where the graph itself is not")
    mean = float(values.mean())
    deviation = float(values.std(ddof=1)) if values.size > 1 else float("nan")
    difference = observed - mean
    scale = abs(observed) + abs(mean)
    beyond = 1 + min(int((values >= observed).sum()), int((values <= observed).sum()))
    return Contrast(
        float(observed), mean, deviation, values.size, difference,
        observed / mean if mean else float("nan"),
        difference / deviation if deviation > 0 else float("nan"),
        difference / scale if scale else 0.0,
        min(1.0, 2 * beyond / (values.size + 1)),
    )  # fmt: skip
