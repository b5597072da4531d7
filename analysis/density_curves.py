"""Accuracy against density: one curve a method of a run's table, marked with its level of locality, band over replicates.

biosim analyse density-curves RUN          or          python analysis/density_curves.py RUN
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.store import Run

COLOURS = {
    "synapse": "#9e4a03", "neuron": "#d9822b", "modulated": "#7b3fa0", "broadcast": "#1f6fb4",
    "transport": "#2a9d8f", "none": "#999999",
}  # fmt: skip
MARKS = "osv^D<>pPX*h"
ROOM = 0.12  # between ticks, in logarithms


def analyse(run: Run) -> Findings:
    """Tabulate and draw the frozen and plastic rows of a run's table by density."""
    rows = [r for r in run.table if r["accuracy"] is not None and r["regime"] != "retrained"]
    curves: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        curves.setdefault(row["method"], []).append(row)
    ranked = sorted(curves, key=lambda name: -max(np.mean(r["accuracy"]) for r in curves[name]))
    figure = Figure(figsize=(8.6, 4.8), layout="constrained")
    axes = figure.subplots()
    for k, name in enumerate(ranked):
        own = sorted(curves[name], key=lambda r: float(np.mean(r["density"])))
        density = [100 * float(np.mean(r["density"])) for r in own]
        mean = np.array([100 * float(np.mean(r["accuracy"])) for r in own])
        spread = np.array([100 * float(np.std(r["accuracy"])) for r in own])
        level = own[0]["locality"]
        rival = not (own[0]["source"] == "circuit" or own[0]["source"].startswith("rules."))
        colour = COLOURS.get(level, "#222222")
        plastic = ", plastic" if own[0]["regime"] == "plastic" else ""
        axes.plot(
            density, mean, color=colour, marker=MARKS[k % len(MARKS)], markersize=4.5, linewidth=1.2,
            linestyle="--" if rival else "-", label=f"{name} ({level}{plastic})",
        )  # fmt: skip
        axes.fill_between(density, mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)
    axes.set(xscale="log", xlabel="synapses alive (% of births)", ylabel="test accuracy (%)")
    axes.set_xticks(*_ticks(rows))
    axes.minorticks_off()
    n = run.circuit.replicates
    axes.set_title(f"{run.name}: mean and deviation over {n} replicates" if n > 1 else f"{run.name}: one replicate")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=7.5)
    table = [
        {
            "method": name, "locality": r["locality"], "regime": r["regime"], "density": float(np.mean(r["density"])),
            "effective_density": float(np.mean(r["effective_density"])), "accuracy": float(np.mean(r["accuracy"])),
            "deviation": float(np.std(r["accuracy"])), "replicates": len(r["accuracy"]),
        }
        for name in ranked
        for r in curves[name]
    ]  # fmt: skip
    return Findings({"density_curves": figure}, {"density_curves": table})


def _ticks(rows: list[dict[str, Any]]) -> tuple[list[float], list[str]]:
    """Return the densities asked for and, where there is room beside these, those that methods chose for themselves; in percent."""
    asked = {round(100 * float(r["target_density"]), 3) for r in rows if r["target_density"] is not None}
    chosen = {float(f"{100 * np.mean(r['density']):.2g}") for r in rows if r["target_density"] is None}
    shown = sorted(asked)
    for own in sorted(chosen):
        if own > 0 and all(abs(np.log(own / t)) > ROOM for t in shown):
            shown.append(own)
    return sorted(shown), [f"{t:g}" for t in sorted(shown)]


if __name__ == "__main__":
    main(analyse, __file__)
