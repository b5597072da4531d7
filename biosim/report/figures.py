"""The figures every run comes with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biosim.circuit import Circuit
from biosim.report.image_spikes import SPIKING_FIGURES
from biosim.report.parts import counted
from biosim.store import Run

LOCAL, RIVALS = "#1b6ca8", ["#d1495b", "#8d99ae", "#66a182", "#edae49", "#5c4d7d", "#00798c"]
_FEW = 7  # methods that a legend within the axes has room for
_BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})


def band(axes: Axes, x: npt.NDArray[np.float64], values: npt.NDArray[np.float64], colour: str, label: str, style: str = "-") -> None:
    """Plot the mean over replicates with the range of all of them; (moments, R) values."""
    axes.plot(x, values.mean(1), style, color=colour, label=label, lw=1.6)
    if values.shape[1] > 1:
        axes.fill_between(x, values.min(1), values.max(1), color=colour, alpha=0.18, lw=0)


def time_axis(records: Sequence[Mapping[str, Any]]) -> tuple[npt.NDArray[np.float64], str, float]:
    """Return the times of records, in a unit that suits them, the unit, and its seconds."""
    x = np.array([r["time"] for r in records], np.float64)
    unit, scale = ("s", 1.0) if x[-1] < 600 else ("min", 60.0) if x[-1] < 36000 else ("h", 3600.0) if x[-1] < 6e5 else ("days", 86400.0)
    return x / scale, unit, scale


def development(run: Run) -> Figure:
    """Density and accuracy over developmental time."""
    records = run.history
    x, unit, _ = time_axis(records)
    methods = len(run.headline)
    figure = _figure(2.9, methods)
    left, right = figure.subplots(1, 2)
    for key, colour, label in (
        ("density", LOCAL, "alive"),
        ("active", RIVALS[3], "active"),
        ("effective_density", RIVALS[2], "active, on a path"),
    ):
        band(left, x, np.array([r[key] for r in records]), colour, label)
    left.set(xlabel=f"developmental time ({unit})", ylabel="synapses / synapses born", ylim=(0, 1.02), title="Synapses")
    left.legend(frameon=False)
    shown = [r for r in records if "accuracy" in r]
    if shown:
        values = 100 * np.array([r["accuracy"] for r in shown])
        band(right, x[[k for k, r in enumerate(records) if "accuracy" in r]], values, LOCAL, "samples as they are shown")
    split = run.about["evaluated_on"]
    for index, row in enumerate(run.headline):
        trained = ", trained" if row["regime"] == "retrained" else ""
        colour = [LOCAL, *RIVALS][index % 7]
        line = ("--", ":", "-.")[index // 7 % 3]
        right.axhline(100 * float(np.mean(row["accuracy"])), color=colour, ls=line, lw=1, label=f"{row['method']}{trained}, {split}")
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
        axes.bar(
            place,
            share.mean(1),
            width * 0.92,
            color=[LOCAL, *RIVALS][m % 7],
            hatch=("", "///", "...")[m // 7 % 3],
            label=method,
        )
        axes.errorbar(place, share.mean(1), spread, fmt="none", ecolor="black", elinewidth=0.8)
    births = [int(run.circuit.born[n][0].sum()) for n in names]
    axes.set_xticks(range(len(names)), [f"{n}\n{b:,} born" for n, b in zip(names, births, strict=True)])
    axes.set_ylim(bottom=0)
    axes.set(ylabel="survivors / born", title=f"Survivors by projection ({counted(run.circuit.replicates, ', bars: range')})")
    axes.legend(frameon=False, fontsize=7 if len(circuits) > _FEW else None, **_BESIDE)
    return figure


def _degrees(axes: Axes, before: npt.NDArray[np.int64], after: npt.NDArray[np.int64], random: npt.NDArray[np.int64] | None) -> None:
    top = max(int(after.max()), 1 if random is None else int(random.max()), 1)
    bins = np.linspace(-0.5, top + 0.5, min(top + 2, 40)).tolist()
    axes.hist(after.ravel(), bins, color=LOCAL, alpha=0.75, label="survivor")
    if random is not None:
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


def degrees(run: Run) -> Figure:
    """In- and out-degree of every projection, before and after."""
    circuit = run.circuit
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


FIGURE_MAKERS: dict[str, Callable[[Run], Figure]] = {
    "development": development,
    "survivors": survivors,
    "degrees": degrees,
    "receptive-fields": receptive_fields,
}


def make_figures(run: Run) -> dict[str, Figure]:
    """Return every figure of a finished run, by name."""
    makers = FIGURE_MAKERS | (SPIKING_FIGURES if run.circuit.spiking is not None else {})
    return {name: make(run) for name, make in makers.items()}
