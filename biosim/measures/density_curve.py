"""Synapse density against age, counted as an anatomist counts it, and the exponential that describes it.

At each of some ages the synapses of other cells are counted, so that the counts are independent, and

    kappa(t) = k_inf + (k_0 - k_inf) exp(-(t - t_0)/tau)

is fitted by least squares: for each tau the two densities follow linearly, and tau is where the residuals are smallest. Intervals
are the 95 % of Student's t from the Jacobian there. A straight line is the rival, and

    dBIC = n ln(RSS_line/RSS_exponential) - ln(n)

with n ages; above 10 the exponential wins very clearly. Source of curve and data: Millan, Torres, Johnson & Marro 2018,
https://doi.org/10.1038/s41467-018-04537-6, after Navlakha et al. 2015 (mouse) and Huttenlocher & Dabholkar 1997 (human).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.optimize import minimize_scalar
from scipy.stats import t as student

from biosim.develop import Development
from biosim.drives import Drive
from biosim.equations.units import parse_seconds
from biosim.errors import InputError, under
from biosim.findings import Findings
from biosim.synapses import Network

METRICS = {
    "loss": "share of the synapses lost in the long run, 1 - k_inf/k_0 as fitted; no share at all where the line fits as well",
    "loss_low": "the same, lower end of the 95 % interval",
    "loss_high": "the same, upper end",
    "counted_loss": "share of all synapses lost by the end of development",
    "tau": "time constant in days as fitted",
    "tau_low": "the same, lower end of the 95 % interval",
    "tau_high": "the same, upper end",
    "dbic": "BIC of a straight line less BIC of the exponential",
    "residual": "root mean square residual of the exponential, in units of the density at birth",
    "published_loss": "1 - k_inf/k_0 as published",
    "published_tau": "time constant in days as published",
    "loss_difference": "absolute difference between loss and published_loss",
}
DAY = 86400.0
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """An exponential fitted to densities.

    Attributes
    ----------
    k_inf, k_0, tau : float
        ``tau`` in the unit of the ages.
    loss : float
        ``1 - k_inf/k_0``.
    loss_error, tau_error : float
        Half the width of the 95 % interval.
    dbic : float
        BIC of a straight line less BIC of the exponential.
    residual : float
        Root mean square.
    """

    k_inf: float
    k_0: float
    tau: float
    loss: float
    loss_error: float
    tau_error: float
    dbic: float
    residual: float

    def at(self, age: npt.ArrayLike) -> Vector:
        """Return the density at ages since t_0."""
        return np.asarray(self.k_inf + (self.k_0 - self.k_inf) * np.exp(-np.asarray(age, np.float64) / self.tau))


def fit_exponential(age: npt.ArrayLike, density: npt.ArrayLike) -> Fit:
    """Fit the exponential and the straight line to densities at ages since t_0; tau lies within a hundredth and 100 times the last age."""
    x, y = np.asarray(age, np.float64), np.asarray(density, np.float64)
    n, window = len(x), float(np.max(x))

    def solve(log_tau: float) -> tuple[Vector, float]:
        decay = np.exp(-x / math.exp(log_tau))
        design = np.stack([1 - decay, decay], 1)  # of k_inf and k_0
        found = np.linalg.lstsq(design, y, rcond=None)[0]
        return np.asarray(found, np.float64), float(((y - design @ found) ** 2).sum())

    grid = np.log(window) + np.linspace(math.log(0.01), math.log(100), 200)
    best = int(np.argmin([solve(g)[1] for g in grid]))
    around = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    least: Any = minimize_scalar(lambda g: solve(g)[1], bounds=around, method="bounded", options={"xatol": 1e-10})
    log_tau = float(least.x)
    (k_inf, k_0), rss = solve(log_tau)
    tau = math.exp(log_tau)
    decay = np.exp(-x / tau)
    jacobian = np.stack([1 - decay, decay, (k_0 - k_inf) * decay * x / tau**2], 1)
    covariance = np.linalg.pinv(jacobian.T @ jacobian) * rss / (n - 3)
    width = float(student.ppf(0.975, n - 3))
    slope = np.array([-1 / k_0, k_inf / k_0**2, 0.0])  # of the loss in (k_inf, k_0, tau)
    line = float(((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2).sum())
    tiny = n * float(np.finfo(np.float64).eps) ** 2  # of residuals that are nothing but rounding
    dbic = n * math.log(max(line, tiny) / max(rss, tiny)) - math.log(n)
    errors = width * math.sqrt(max(float(slope @ covariance @ slope), 0.0)), width * math.sqrt(max(float(covariance[2, 2]), 0.0))
    return Fit(float(k_inf), float(k_0), tau, float(1 - k_inf / k_0), *errors, dbic, math.sqrt(rss / n))


def check(
    network: Network, drive: Drive, *, ages: int = 16, onset: str = "19 day", start: float = 1.0, end: float = 0.5, tau: str = "6 day"
) -> None:
    """Refuse what cannot be measured; parameters as for :func:`measure`."""
    cells = network.readout.size
    if not 5 <= ages <= cells:
        raise InputError(f"ages must lie between 5 and the {cells} cells: every age is counted in cells of its own", ("ages",))
    if ages > drive.clock.steps + 1:
        raise InputError(f"development has {drive.clock.steps} steps, too few for {ages} ages", ("ages",))
    if not 0 < end < start:
        raise InputError(f"the published density must fall: need 0 < end < start, not {end} and {start}", ("end",))
    for name, text in (("onset", onset), ("tau", tau)):
        under(name, parse_seconds, text)


def measure(
    development: Development,
    drive: Drive,
    *,
    ages: int = 16,
    onset: str = "19 day",
    start: float = 1.0,
    end: float = 0.5,
    tau: str = "6 day",
) -> Findings:
    """Count synapses at some ages and fit what was counted.

    Parameters
    ----------
    development : Development
    drive : Drive
        Only its clock is read.
    ages : int
        Counts, evenly spaced over development; each is made in cells of its own.
    onset : str
        Age at which pruning begins, t_0: for the axis only.
    start, end, tau : float, float, str
        k_0, k_inf and tau as published: what the fit is compared with, drawn beside it, and nothing else.
    """
    network, clock = development.network, drive.clock
    *_, population = network.populations
    death = np.concatenate([p.death_step.cpu().numpy() for p in network.incoming(population)], 1)
    death = np.where(death == -1, clock.steps + 1, death)  # (R, births, cells); a synapse alive at the end outlives every count
    born = np.concatenate([p.born.cpu().numpy() for p in network.incoming(population)], 1)
    moments = np.linspace(0, clock.steps, ages).round().astype(int)
    age = moments * clock.dt / DAY
    groups = [np.arange(death.shape[2])[k::ages] for k in range(ages)]
    counted = np.stack(
        [(born[:, :, g] & (death[:, :, g] >= m)).sum((1, 2)) / born[:, :, g].sum((1, 2)) for g, m in zip(groups, moments, strict=True)], 1
    )
    fits = [fit_exponential(age, own) for own in counted]
    published_loss, published_tau = 1 - end / start, parse_seconds(tau) / DAY
    metrics = {
        "loss": [f.loss for f in fits], "loss_low": [f.loss - f.loss_error for f in fits],
        "loss_high": [f.loss + f.loss_error for f in fits],
        "counted_loss": (1 - (born & (death > clock.steps)).sum((1, 2)) / born.sum((1, 2))).tolist(),
        "tau": [f.tau for f in fits], "tau_low": [f.tau - f.tau_error for f in fits], "tau_high": [f.tau + f.tau_error for f in fits],
        "dbic": [f.dbic for f in fits], "residual": [f.residual for f in fits],
        "published_loss": [published_loss] * len(fits), "published_tau": [published_tau] * len(fits),
        "loss_difference": [abs(f.loss - published_loss) for f in fits],
    }  # fmt: skip
    seeds: Sequence[int] = development.circuit.provenance["seeds"]
    first = parse_seconds(onset) / DAY
    rows = [
        {"seed": seed, "age_days": float(first + a), "cells": len(g), "density": float(counted[r, k]), "fitted": float(fits[r].at(a))}
        for r, seed in enumerate(seeds) for k, (a, g) in enumerate(zip(age, groups, strict=True))
    ]  # fmt: skip
    return Findings({"density-curve": _draw(age, counted, fits, first, start, end, published_tau)}, {"density": rows}, metrics)


def _draw(age: Vector, counted: Vector, fits: Sequence[Fit], first: float, start: float, end: float, tau: float) -> Figure:
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axes: Any = figure.subplots()
    fine = np.linspace(0, age[-1], 200)
    curves = np.array([f.at(fine) for f in fits]) * start
    for k, own in enumerate(counted):
        axes.plot(first + age, own * start, "o", ms=3, color="#1b6ca8", alpha=0.5, label="counted" if k == 0 else None)
    axes.plot(first + fine, curves.mean(0), color="#1b6ca8", lw=1.6, label="exponential, fitted (mean)")
    axes.fill_between(first + fine, curves.min(0), curves.max(0), color="#1b6ca8", alpha=0.15, lw=0)
    axes.plot(first + fine, end + (start - end) * np.exp(-fine / tau), "k--", lw=1.2, label="exponential, published")
    mean, days = 1 - float(counted[:, -1].mean()), float(np.mean([f.tau for f in fits]))
    axes.set(xlabel="age (days)", ylabel="synapse density (published unit)", ylim=(0, 1.1 * start))
    axes.set_title(
        f"{100 * mean:.0f} % lost at the last age; tau {days:,.{1 if days < 100 else 0}f} days; n = {len(fits)} replicates", fontsize=9
    )
    axes.legend(frameon=False, fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
