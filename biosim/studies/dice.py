"""Dice: the chance that n random weights hold a subset within eps of a target, and how many are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.errors import InputError
from biosim.findings import Findings
from biosim.progress import Stages
from biosim.streams import generator
from biosim.theory.drawing import COLOURS, band, legend, panels
from biosim.theory.subset_sum import best_subsets, expected_subsets, worst_error

METRICS = {
    "slope_uniform": "weights needed for one more bit of precision, log2(1/eps): uniform weights, 90 % of targets hit",
    "slope_normal": "the same for normal weights of the same variance",
    "slope_product": "the same for products of two uniform weights, what a gadget of the depth-2L construction sums",
    "slope_every": "the same for uniform weights where every target in [-1/2, 1/2] must be hit (median over sets of weights)",
    "fit_uniform": "R squared of the line through the weights needed and log2(1/eps), uniform weights",
    "success_uniform": "share of targets within eps = .01 at the largest n, uniform weights",
    "success_constant": "the same for signed constants of the same variance",
    "growth_constant": "success_constant less the share at n = 8: what more signed constants bring",
    "above_bound": "largest excess of a measured chance over Markov's bound, min(1, expected number of subsets)",
}
DEVIATION = 3**-0.5  # of U(-1, 1); all weights have its variance
EVERY = list(range(4, 19, 2))  # n at which all targets are tried
_Draw = Callable[[np.random.Generator, tuple[int, int]], npt.NDArray[np.float64]]
KINDS: dict[str, _Draw] = {
    "uniform": lambda g, shape: g.uniform(-1, 1, shape),
    "normal": lambda g, shape: g.normal(0, DEVIATION, shape),
    "product": lambda g, shape: g.uniform(0, 1, shape) * g.uniform(-1, 1, shape),
    "constant": lambda g, shape: np.where(g.random(shape) < 0.5, -DEVIATION, DEVIATION),
}
LABELS = {"uniform": "uniform", "normal": "normal", "product": "uniform x uniform", "constant": "signed constant"}


def run(
    seeds: Sequence[int],
    *,
    draws: int = 250,
    most: int = 26,
    every: int = 40,
    eps: list[float] = [0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5, 1e-6],  # noqa: B006 (never changed; a default a scenario can read)
    progress: Stages | None = None,
) -> Findings:
    """Throw the dice.

    Parameters
    ----------
    seeds : sequence of int
    draws : int
        Random problems for each kind of weights and each n.
    most : int
        Largest n.
    every : int
        Random sets of weights whose every target in [-1/2, 1/2] is tried, for each n.
    eps : list of float
        Distances from the target.
    progress : callable, optional
    """
    if draws < 20 or every < 2 or not 8 <= most <= 40:
        raise InputError("dice needs at least 20 draws, 2 sets of weights and most between 8 and 40")
    if len(eps) < 3 or min(eps) <= 0 or 0.01 not in eps:
        raise InputError("dice needs at least three positive distances, .01 among them", ("eps",))
    sizes, distances = list(range(2, most + 1, 2)), sorted(eps, reverse=True)
    chance = {kind: np.empty((len(seeds), len(sizes), len(distances))) for kind in KINDS}
    worst = np.empty((len(seeds), len(EVERY), every))
    for r, seed in enumerate(seeds):
        for kind in KINDS:
            random = generator(seed, f"dice/{kind}")
            for i, n in enumerate(sizes):
                values, targets = KINDS[kind](random, (draws, n)), random.uniform(-0.5, 0.5, draws)
                chance[kind][r, i] = (best_subsets(values, targets).error[:, None] <= distances).mean(0)
        random = generator(seed, "dice/every")
        worst[r] = [worst_error(KINDS["uniform"](random, (every, n)), -0.5, 0.5) for n in EVERY]
        if progress is not None:
            progress("throwing dice", r + 1, len(seeds), {})
    return _findings(chance, worst, sizes, distances, draws)


def _findings(
    chance: dict[str, npt.NDArray[Any]], worst: npt.NDArray[Any], sizes: list[int], distances: list[float], draws: int
) -> Findings:
    expected = np.array([[expected_subsets(n, 1.0, "uniform", DEVIATION) * e for e in distances] for n in sizes])
    needed = {kind: np.array([_needed(own, sizes) for own in chance[kind]]) for kind in KINDS}
    precision = np.log2(1 / np.median(worst, 2))  # (R, n) bits that hold for every target
    lines = {kind: np.array([_line(np.log2(1 / np.array(distances)), own) for own in needed[kind]]) for kind in KINDS if kind != "constant"}
    lines["every"] = np.array([_line(own[2:], np.array(EVERY[2:], np.float64)) for own in precision])
    at = distances.index(0.01)
    metrics = {f"slope_{kind}": line[:, 0] for kind, line in lines.items()} | {
        "fit_uniform": lines["uniform"][:, 1],
        "success_uniform": chance["uniform"][:, -1, at],
        "success_constant": chance["constant"][:, -1, at],
        "growth_constant": chance["constant"][:, -1, at] - chance["constant"][:, sizes.index(8), at],
        "above_bound": (chance["uniform"] - np.minimum(1, expected)).max((1, 2)),
    }
    rows = [
        {
            "weights": LABELS[kind], "n": n, "eps": e, "share_of_targets_hit": float(chance[kind][:, i, j].mean()),
            "markov_bound": float(min(1, expected[i, j])) if kind == "uniform" else None, "draws": draws * len(chance[kind]),
        }
        for kind in KINDS for i, n in enumerate(sizes) for j, e in enumerate(distances)
    ]  # fmt: skip
    fits = [
        {"weights": LABELS[kind], "targets": "random", "eps": e, "log2_1_over_eps": float(np.log2(1 / e)),
         "n_for_90_percent": float(np.mean(own)) if np.isfinite(own).all() else None}
        for kind in KINDS for e, own in zip(distances, needed[kind].T, strict=True)
    ]  # fmt: skip
    fits += [
        {"weights": "uniform", "targets": "every", "eps": float(2**-bits), "log2_1_over_eps": float(bits), "n_for_90_percent": n}
        for n, bits in zip(EVERY, precision.mean(0), strict=True)
    ]
    return Findings(
        {"dice": _draw(chance, needed, precision, expected, sizes, distances, draws)}, {"chance": rows, "needed": fits}, metrics
    )


def _needed(chance: npt.NDArray[np.float64], sizes: Sequence[int]) -> list[float]:
    """Return the n at which the chance passes 90 %, interpolated, for each eps of (n, eps) chances; NaN where it never does."""
    found = []
    for own in chance.T:
        reached = np.flatnonzero(own >= 0.9)
        if not reached.size:
            found.append(np.nan)
            continue
        i = int(reached[0])
        below = 0.0 if i == 0 else (own[i] - 0.9) / (own[i] - own[i - 1]) * (sizes[i] - sizes[i - 1])
        found.append(sizes[i] - below)
    return found


def _line(bits: npt.NDArray[np.float64], needed: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return slope and R squared of the weights needed against bits of precision; NaN with fewer than three points."""
    known = np.isfinite(needed)
    x, y = bits[known], needed[known]
    if len(x) < 3:
        return np.nan, np.nan
    slope, offset = np.polyfit(x, y, 1)
    return float(slope), float(1 - (y - (slope * x + offset)).var() / y.var())


def _draw(
    chance: dict[str, npt.NDArray[Any]], needed: dict[str, npt.NDArray[Any]], precision: npt.NDArray[Any],
    expected: npt.NDArray[Any], sizes: list[int], distances: list[float], draws: int,
) -> Figure:  # fmt: skip
    figure, ((left, middle, right),) = panels(3)
    for colour, e in zip(COLOURS, distances[:7:2], strict=False):
        j = distances.index(e)
        band(left, sizes, chance["uniform"][:, :, j], colour, f"eps = {e:g}")
        left.plot(sizes, np.minimum(1, expected[:, j]), "--", color=colour, lw=1)
    left.plot([], [], "--", color="0.3", lw=1, label="Markov's bound")
    left.set(xlabel="random weights n (uniform)", ylabel="share of targets hit", title="Chance of a subset within eps")
    for colour, kind in zip(COLOURS, KINDS, strict=False):
        band(middle, sizes, chance[kind][:, :, distances.index(0.01)], colour, LABELS[kind])
    middle.set(xlabel="random weights n", ylabel="share of targets hit", title="eps = .01, four kinds of weights")
    middle.axhline(0.02, color="0.3", ls=":", lw=1, label="signed constants: 2 eps")
    x = np.log2(1 / np.array(distances))
    for colour, kind in zip(COLOURS, ("uniform", "normal", "product"), strict=False):
        band(right, x, needed[kind], colour, LABELS[kind])
    right.plot(precision.mean(0), EVERY, "s-", color=COLOURS[4], lw=1.5, ms=3.5, label="uniform, every target (median)")
    right.plot(x, x - 1, "k:", lw=1, label="counting bound, log2(1/(2 eps))")
    right.set(xlabel="bits of precision, log2(1/eps)", ylabel="weights needed for 90 %", title="Weights needed")
    for axes in (left, middle, right):
        legend(axes)
    figure.suptitle(f"Random subset sums: n = {len(chance['uniform'])} replicates of {draws} draws, band: range", fontsize=9)
    return figure
