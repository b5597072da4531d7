"""Figures of what a development left: degrees, weights, and who survives, of rate networks of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biosim.circuit import Circuit
from biosim.report.drawing import BLUE, GREY
from biosim.report.parts import counted
from biosim.store import Run

DISTRIBUTIONS = ("degrees", "weights", "survival-by-weight")
BINS, FEW = 40, 8  # bars of a histogram; distinct weights that get a bar each
ROWS = 8  # projections that a figure has room for
_Array = npt.NDArray[Any]


def distributions(run: Run) -> dict[str, Figure]:
    """Return the figures of degrees, weights and survival, for the first projections of a run's circuit."""
    circuit = run.circuit
    where = "weight at the end, or when it died" if run.about.get("plastic") else "weight at birth"
    return {"degrees": degrees(circuit), "weights": weights(circuit, where), "survival-by-weight": survival(circuit, where)}


def _degrees(axes: Axes, before: _Array, after: _Array, random: _Array) -> None:
    top = max(int(after.max()), int(random.max()), 1)
    bins = np.linspace(-0.5, top + 0.5, min(top + 2, 40)).tolist()
    axes.hist(after.ravel(), bins, color=BLUE, alpha=0.75, label="survivor")
    axes.hist(random.ravel(), bins, histtype="step", color="0.35", lw=1.1, label="same count, random")
    low, high = int(before.min()), int(before.max())
    axes.plot([], [], " ", label=f"at birth: {low}" if low == high else f"at birth: {low} to {high}")
    axes.legend(frameon=False, fontsize=7)


def at_random(mask: npt.NDArray[np.bool_], born: npt.NDArray[np.bool_], random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return as many of the births of each replicate as survived in it, drawn at random."""
    drawn = np.zeros(mask.shape, np.bool_)
    for own, births, left in zip(drawn, born, mask.sum((1, 2)), strict=True):
        place = np.flatnonzero(births)
        chosen = np.zeros(place.size, np.bool_)
        if left:
            chosen[np.argpartition(random.random(place.size), left - 1)[:left]] = True
        own.ravel()[place] = chosen
    return drawn


def degrees(circuit: Circuit) -> Figure:
    """In- and out-degree of every projection, before and after."""
    figure = Figure(figsize=(7.2, 2.1 * len(circuit.projections)), layout="constrained")
    grid = figure.subplots(len(circuit.projections), 2, squeeze=False)
    chance = np.random.default_rng(0)
    for row, (name, pre, post) in zip(grid, circuit.projections, strict=True):
        mask, born = circuit.mask[name], circuit.born[name]
        random = at_random(mask, born, chance)
        for axes, axis, neuron, what in ((row[0], 2, pre, "out"), (row[1], 1, post, "in")):
            _degrees(axes, born.sum(axis), mask.sum(axis), random.sum(axis))
            axes.set(xlabel=f"{what}-degree of {neuron} in {name}", ylabel="neurons")
    figure.suptitle(f"Degrees before and after ({counted(circuit.replicates, ' together')})")
    return figure


def _grid(circuit: Circuit, across: int = 2) -> tuple[Figure, list[tuple[Axes, str]]]:
    names = [name for name, _, _ in circuit.projections[:ROWS]]
    rows = -(-len(names) // across)
    figure = Figure(figsize=(7.2, 2.4 * rows), layout="constrained")
    axes = figure.subplots(rows, min(across, len(names)), squeeze=False).ravel()
    for empty in axes[len(names) :]:
        empty.set_axis_off()
    return figure, list(zip(axes, names, strict=False))


def weights(circuit: Circuit, where: str) -> Figure:
    """Weights of all births and of the survivors, replicates together, a panel a projection."""
    figure, panels = _grid(circuit)
    for axes, name in panels:
        born, left = circuit.weight[name][circuit.born[name]], circuit.weight[name][circuit.mask[name]]
        limit = float(np.abs(born).max(initial=0.0)) or 1.0
        low = -1.05 * limit if (born < 0).any() else 0.0
        bins = np.linspace(low, 1.05 * limit if (born > 0).any() else 0.0, BINS + 1).tolist()
        for values, colour, label in ((born, GREY, "born"), (left, BLUE, "left")):
            share = f", {100 * float((values > 0).mean()):.0f} % positive" if len(values) else ""
            axes.hist(values, bins, histtype="stepfilled", color=colour, alpha=0.6, label=f"{label}: {len(values):,}{share}")
        axes.set(xlabel=f"weight in {name}", ylabel="synapses", ylim=(0, 1.45 * axes.get_ylim()[1]))
        axes.legend(frameon=False, fontsize=7)
    figure.suptitle(f"Weights ({where}; {counted(circuit.replicates, ' together')})", fontsize=9)
    return figure


def survival(circuit: Circuit, where: str) -> Figure:
    """Share of the births that survives, by weight: in 20 bins of as many births, or for each of a few distinct weights."""
    figure, panels = _grid(circuit)
    for axes, name in panels:
        x, kept = by_weight(circuit.weight[name], circuit.mask[name], circuit.born[name])
        mean, low, high = (np.asarray(of(0)) for of in (kept.mean, kept.min, kept.max))
        if 0 < x.size <= FEW:
            axes.bar(range(x.size), mean, 0.6, color=BLUE)
            axes.errorbar(range(x.size), mean, np.abs(np.stack([low, high]) - mean), fmt="none", ecolor="black", elinewidth=0.8)
            axes.set_xticks(range(x.size), [f"{v:.3g}" for v in x])
        else:
            axes.plot(x, mean, color=BLUE, lw=1.6)
            axes.fill_between(x, low, high, color=BLUE, alpha=0.18, lw=0)
        axes.axhline(circuit.mask[name].sum() / max(1, circuit.born[name].sum()), color="0.5", ls=":", lw=1)
        axes.set(xlabel=f"weight in {name}", ylabel="survivors / born")
        axes.set_ylim(0, max(0.02, min(1.02, 1.15 * axes.get_ylim()[1])))
    figure.suptitle(f"Who survives ({where}; {counted(circuit.replicates, ', mean and range')})", fontsize=9)
    return figure


def by_weight(weight: _Array, mask: _Array, born: _Array) -> tuple[_Array, _Array]:
    """Return weights, (bins,), and the share of the births near each that survives, (R, bins), of replicates that have births.

    Distinct weights where they are few in all replicates together, else quantiles of each replicate: 20, or as many as the least births.
    """
    values = [w[b].astype(np.float64) for w, b in zip(weight, born, strict=True) if b.any()]
    alive = [m[b] for m, b in zip(mask, born, strict=True) if b.any()]
    if not values:
        return np.zeros(0), np.zeros((1, 0))
    distinct = np.unique(np.concatenate([v[:100_000] for v in values]))
    if distinct.size <= FEW:
        places = [np.searchsorted(distinct, v).clip(0, distinct.size - 1) for v in values]
        n = np.stack([np.bincount(p, minlength=distinct.size) for p in places])
        left = np.stack([np.bincount(p, a, distinct.size) for p, a in zip(places, alive, strict=True)])
        # a replicate may have no birth of a weight
        kept = np.ma.masked_where(n == 0, left / np.maximum(n, 1))  # type: ignore[no-untyped-call]
        return distinct, kept
    bins = min(20, min(v.size for v in values))
    parts = [np.array_split(np.argsort(v, kind="stable"), bins) for v in values]
    x = np.array([[v[p].mean() for p in own] for v, own in zip(values, parts, strict=True)]).mean(0)
    return x, np.array([[a[p].mean() for p in own] for a, own in zip(alive, parts, strict=True)])
