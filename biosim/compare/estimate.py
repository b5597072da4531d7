"""A measure with all that is needed to read it: null, ceiling, effect size, intervals over births.

For births b = 1..n with observed o_b (mean over pairs of searches), null u_b (mean over draws) and ceiling c_b (same method,
other searches), all three on the same birth:

    effect         mean of d_b = o_b - u_b, with Student's interval over births
    hedges_g       mean(d) / sd(d) * (1 - 3 / (4 (n - 1) - 1)): the effect in units of how it varies between births
                   (Hedges 1981, https://doi.org/10.3102/10769986006002107)
    ratio          mean(d) / mean(e), e_b = c_b - u_b: 0 is chance, 1 is as alike as two searches by the same method,
                   with Fieller's interval for a quotient of paired means (Fieller 1954)

The ratio is suppressed where the interval of e holds 0: there is then no room between chance and ceiling to measure in
(and Fieller's interval is unbounded).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from biosim.compare.group import Floats

LEVEL = 0.95
ROUNDING = 1e-9  # what two shares that are the same may differ by
Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Estimate:
    """One measure between two methods.

    Attributes
    ----------
    measure : str
        ``FAMILY.MEASURE``.
    layer : str
        Projection or population; empty for the whole circuit.
    observed, null, ceiling, own_ceiling : (n,) or None
        By birth. ``ceiling`` is that of the method compared with, ``own_ceiling`` that of the first one.
    null_kind : str
    null_draws : (K,)
        Means over births and pairs, one a draw: their quantiles are the interval of the null.
    reason : str
        Why ``ratio`` (or everything) is None.
    """

    measure: str
    layer: str
    null_kind: str
    observed: Floats
    null: Floats
    null_draws: Floats = field(repr=False)
    ceiling: Floats | None
    own_ceiling: Floats | None
    undefined: str = ""

    @property
    def effect(self) -> Floats:
        """Observed minus null, by birth."""
        return self.observed - self.null

    @property
    def reason(self) -> str:
        """Why there is no ratio; empty where there is one."""
        if not np.isfinite(self.effect).all():
            return self.undefined or "undefined on some birth"
        if self.ceiling is None:
            return "no ceiling: each method was searched once"
        room = self.ceiling - self.null
        if not np.isfinite(room).all():
            return self.undefined or "the ceiling is undefined on some birth"
        if len(room) < 2:
            return "one birth has no interval"
        low, _ = student(room) or (0.0, 0.0)
        if low <= ROUNDING:
            return "the ceiling's interval holds the null" if _holds_zero(room) else "the ceiling lies below the null"
        return ""

    @property
    def ratio(self) -> float | None:
        """(observed - null) / (ceiling - null), means over births; None where it would say nothing."""
        if self.reason or self.ceiling is None:
            return None
        return float(self.effect.mean() / (self.ceiling - self.null).mean())

    @property
    def ratios(self) -> Floats | None:
        """The ratio by birth."""
        return None if self.reason or self.ceiling is None else self.effect / (self.ceiling - self.null)

    def data(self) -> dict[str, Any]:
        """Return the estimate as plain data; what is undefined is None."""
        whole = bool(np.isfinite(self.observed).all())
        given = {
            "observed": self.observed,
            "null": self.null,
            "ceiling": self.ceiling,
            "own_ceiling": self.own_ceiling,
            "effect": self.effect,
        }
        row: dict[str, Any] = {"measure": self.measure, "layer": self.layer, "null_kind": self.null_kind}
        for name, values in given.items():
            usable = whole and values is not None and bool(np.isfinite(values).all())
            row[name] = float(np.mean(values)) if usable and values is not None else None
            row[f"{name}_interval"] = student(values) if usable and values is not None else None
            row[f"{name}_by_birth"] = None if values is None else [float(v) if np.isfinite(v) else None for v in values]
        draws = self.null_draws[np.isfinite(self.null_draws)]
        tail = 50 * (1 - LEVEL)
        row["null_interval"] = (
            tuple(float(q) for q in np.percentile(draws, [tail, 100 - tail])) if row["null"] is not None and draws.size else None
        )
        row["hedges_g"] = hedges_g(self.effect)
        row["ratio"] = self.ratio
        row["ratio_interval"] = None if self.ratio is None or self.ceiling is None else fieller(self.effect, self.ceiling - self.null)
        row["reason"] = self.reason
        return row


def student(values: Floats) -> Interval:
    """Return Student's 95 % interval for the mean of (n,) values; None for fewer than two, or undefined ones."""
    n = len(values)
    if n < 2 or not np.isfinite(values).all():
        return None
    half = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1) * values.std(ddof=1) / math.sqrt(n))
    return float(values.mean()) - half, float(values.mean()) + half


def _holds_zero(values: Floats) -> bool:
    found = student(values)
    return found is not None and found[0] <= ROUNDING and found[1] >= -ROUNDING


def hedges_g(differences: Floats) -> float | None:
    """Return Hedges' g of (n,) paired differences; None for fewer than three births, or where they do not vary."""
    n = len(differences)
    if n < 3 or not np.isfinite(differences).all():
        return None
    deviation = float(differences.std(ddof=1))
    if deviation <= 1e-12 * max(1.0, float(np.abs(differences).max())):
        return None
    return float(differences.mean()) / deviation * (1 - 3 / (4 * (n - 1) - 1))


def fieller(numerator: Floats, denominator: Floats) -> Interval:
    """Return Fieller's 95 % interval for mean(numerator) / mean(denominator), paired; None where it is unbounded."""
    n = len(numerator)
    if n < 2:
        return None
    t = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1))
    (sxx, sxy), (_, syy) = np.cov(numerator, denominator) / n
    sxx, sxy, syy = float(sxx), float(sxy), float(syy)
    x, y = float(numerator.mean()), float(denominator.mean())
    a, b, c = y * y - t * t * syy, x * y - t * t * sxy, x * x - t * t * sxx  # (x - q y)**2 <= t**2 var(x - q y), in q
    if a <= 0:
        return None
    root = math.sqrt(max(0.0, b * b - a * c))
    return (b - root) / a, (b + root) / a
