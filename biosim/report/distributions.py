"""Figures of what a development left: degrees, weights, and who survives, of rate networks of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biosim.circuit import Circuit
from biosim.report.figures import LOCAL, RIVALS, degrees
from biosim.store import Run

DISTRIBUTIONS = ("degrees", "weights", "survival-by-weight")
BINS, FEW = 40, 8  # bars of a histogram; distinct weights that get a bar each
ROWS = 8  # projections that a figure has room for
_Array = npt.NDArray[Any]


def distributions(run: Run) -> dict[str, Figure]:
    """Return the figures of degrees, weights and survival, for the first projections of a run's circuit."""
    circuit = run.circuit
    where = "weight at the end, or when it died" if run.about.get("plastic") else "weight at birth"
    return {"degrees": degrees(run), "weights": weights(circuit, where), "survival-by-weight": survival(circuit, where)}


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
        for values, colour, label in ((born, RIVALS[1], "born"), (left, LOCAL, "left")):
            share = f", {100 * float((values > 0).mean()):.0f} % positive" if len(values) else ""
            axes.hist(values, bins, histtype="stepfilled", color=colour, alpha=0.6, label=f"{label}: {len(values):,}{share}")
        axes.set(xlabel=f"weight in {name}", ylabel="synapses", ylim=(0, 1.45 * axes.get_ylim()[1]))
        axes.legend(frameon=False, fontsize=7)
    figure.suptitle(f"Weights ({where}; n = {circuit.replicates} replicates together)", fontsize=9)
    return figure


def survival(circuit: Circuit, where: str) -> Figure:
    """Share of the births that survives, by weight: in 20 bins of as many births, or for each of a few distinct weights."""
    figure, panels = _grid(circuit)
    for axes, name in panels:
        shares = [_by_weight(circuit.weight[name][r], circuit.mask[name][r], circuit.born[name][r]) for r in range(circuit.replicates)]
        values, kept = (np.array([own[k] for own in shares]) for k in (0, 1)) if len({len(s[0]) for s in shares}) == 1 else shares[0]
        values, kept = np.atleast_2d(values), np.atleast_2d(kept)
        x, mean = values.mean(0), kept.mean(0)
        if 0 < x.size <= FEW:
            spread = np.abs(np.stack([kept.min(0), kept.max(0)]) - mean)
            axes.bar([f"{v:.3g}" for v in x], mean, 0.6, yerr=spread if circuit.replicates > 1 else None, color=LOCAL, error_kw={"lw": 0.8})
        else:
            axes.plot(x, mean, color=LOCAL, lw=1.6)
            axes.fill_between(x, kept.min(0), kept.max(0), color=LOCAL, alpha=0.18, lw=0)
        axes.axhline(circuit.mask[name].sum() / max(1, circuit.born[name].sum()), color="0.5", ls=":", lw=1)
        axes.set(xlabel=f"weight in {name}", ylabel="survivors / born")
        axes.set_ylim(0, max(0.02, min(1.02, 1.15 * axes.get_ylim()[1])))
    figure.suptitle(f"Who survives ({where}; n = {circuit.replicates} replicates)", fontsize=9)
    return figure


def _by_weight(weight: _Array, mask: _Array, born: _Array) -> tuple[_Array, _Array]:
    """Return weights and the share of the births near each that survives: distinct weights where they are few, else 20 quantiles."""
    values, alive = weight[born].astype(np.float64), mask[born]
    distinct = np.unique(values[:100_000])
    if distinct.size <= FEW:
        place = np.searchsorted(distinct, values).clip(0, max(0, distinct.size - 1))
        n = np.bincount(place, minlength=distinct.size)
        return distinct, np.bincount(place, alive, distinct.size) / np.maximum(n, 1)
    parts = np.array_split(np.argsort(values, kind="stable"), 20)
    return np.array([values[p].mean() for p in parts]), np.array([alive[p].mean() for p in parts])
