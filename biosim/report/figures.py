"""The figures of a run in which a network developed from images: development, survivors by layer, receptive fields."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from biosim.circuit import Circuit
from biosim.report.drawing import BLUE, GREEN, YELLOW, band, colour, style, time_axis
from biosim.report.parts import counted
from biosim.store import Run

_FEW = 7  # methods that a legend within the axes has room for
_BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}


def development(run: Run) -> Figure:
    """Density and accuracy over developmental time."""
    records = run.history
    x, unit, _ = time_axis(records)
    methods = len(run.headline)
    figure = _figure(2.9, methods)
    left, right = figure.subplots(1, 2)
    for key, own, label in (
        ("density", BLUE, "alive"),
        ("active", YELLOW, "active"),
        ("effective_density", GREEN, "active, on a path"),
    ):
        band(left, x, np.array([r[key] for r in records]), own, label)
    left.set(xlabel=f"developmental time ({unit})", ylabel="synapses / synapses born", ylim=(0, 1.02), title="Synapses")
    left.legend(frameon=False)
    shown = [r for r in records if "accuracy" in r]
    if shown:
        values = 100 * np.array([r["accuracy"] for r in shown])
        band(right, x[[k for k, r in enumerate(records) if "accuracy" in r]], values, BLUE, "samples as they are shown")
    split = run.about["evaluated_on"]
    for index, row in enumerate(run.headline):
        trained = ", trained" if row["regime"] == "retrained" else ""
        line = style(index, ("--", ":", "-."))
        right.axhline(100 * float(np.mean(row["accuracy"])), color=colour(index), ls=line, lw=1, label=f"{row['method']}{trained}, {split}")
    n = run.circuit.replicates
    right.set(xlabel=f"developmental time ({unit})", ylabel="accuracy (%)", title=f"Accuracy ({counted(n, ', band: range')})")
    right.legend(frameon=False, fontsize=7, **(_BESIDE if methods > _FEW else {}))
    return figure


def _figure(height: float, methods: int) -> Figure:
    """Return a figure in which a legend of this many methods finds room."""
    return Figure(figsize=(7.2 + 2.2 * (methods > _FEW), max(height, 0.7 + 0.17 * methods)), layout="constrained")


def survivors(run: Run) -> Figure:
    """Survivors by layer, for every method."""
    circuits = run.circuits
    names = [p[0] for p in run.circuit.projections]
    figure = _figure(2.7, len(circuits))
    axes = figure.subplots()
    width = 0.8 / len(circuits)
    for m, (method, circuit) in enumerate(circuits.items()):
        share = np.array([circuit.mask[n].sum((1, 2)) / np.maximum(1, circuit.born[n].sum((1, 2))) for n in names])
        spread = np.abs(np.stack([share.min(1), share.max(1)]) - share.mean(1))
        place = np.arange(len(names)) + (m - (len(circuits) - 1) / 2) * width
        axes.bar(place, share.mean(1), width * 0.92, color=colour(m), hatch=style(m, ("", "///", "...")), label=method)
        axes.errorbar(place, share.mean(1), spread, fmt="none", ecolor="black", elinewidth=0.8)
    births = [int(run.circuit.born[n][0].sum()) for n in names]
    axes.set_xticks(range(len(names)), [f"{n}\n{b:,} born" for n, b in zip(names, births, strict=True)])
    axes.set_ylim(bottom=0)
    axes.set(ylabel="survivors / born", title=f"Survivors by projection ({counted(run.circuit.replicates, ', bars: range')})")
    axes.legend(frameon=False, fontsize=7 if len(circuits) > _FEW else None, **_BESIDE)
    return figure


def receptive_fields(run: Run) -> Figure:
    """Surviving first-layer weights of the neurons whose synapses still reach the readout most."""
    circuit: Circuit = run.circuit
    name, _, post = circuit.projections[0]
    height, width = run.about["image_side"]
    fields = (circuit.weight[name] * circuit.mask[name])[0].T.reshape(-1, height, width)
    leaving = [p for p in circuit.projections if p[1] == post]
    strength = np.zeros(len(fields)) + sum(np.abs(circuit.weight[n] * circuit.mask[n])[0].sum(1) for n, _, _ in leaving)
    order = np.argsort(-strength, kind="stable")[:24]
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    limit = float(np.abs(fields).max()) or 1.0
    panels = figure.subplots(3, 8).ravel()
    for empty in panels[len(order) :]:
        empty.set_axis_off()
    for axes, neuron in zip(panels, order, strict=False):
        axes.imshow(fields[neuron], cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(f"{neuron}", fontsize=6, pad=1)
        axes.set(xticks=[], yticks=[])
    figure.suptitle(
        f"Surviving inputs of {len(order)} {post} neurons{' with the strongest outputs' * bool(leaving)} "
        "(red +, blue -, white none; replicate 0)",
        fontsize=8,
    )
    return figure
