"""The figures of a spiking run: rasters before and after, rates, weights, survivors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.report.drawing import BLUE, GREY, band, colour
from biosim.report.parts import counted
from biosim.store import Run

SHOWN = 150  # neurons of a population that a raster has room for
SECONDS = 1.0  # of a raster
BINS = 40


def rasters(run: Run) -> Figure:
    """Spikes of the first replicate, weights frozen, as born and as it ended."""
    tensors, about = run.arrays("spikes")
    sizes: dict[str, int] = about["sizes"]
    figure = Figure(figsize=(8.2, 3.4), layout="constrained", dpi=200)
    for axes, (when, title) in zip(figure.subplots(1, 2, sharey=True), (("first", "at birth"), ("last", "at the end")), strict=True):
        offset, ticks = 0, []
        for k, (name, size) in enumerate(sizes.items()):
            times, neurons = tensors[f"{when}.{name}.0.times"], tensors[f"{when}.{name}.0.neurons"]
            rows = min(size, SHOWN)
            shown = (neurons < rows) & (times < SECONDS)
            axes.plot(times[shown], offset + neurons[shown], ".", ms=1.4, color=colour(k), rasterized=True)
            ticks.append((offset + rows / 2, f"{name}\n({rows} of {size})"))
            offset += rows + 4
        axes.set_yticks([t for t, _ in ticks], [label for _, label in ticks])
        axes.set(xlabel="time (s)", title=title, xlim=(0, min(SECONDS, about["window"])), ylim=(-2, offset))
    return figure


def development(run: Run) -> Figure:
    """Survivors and rates over the life of the network."""
    records = run.history
    x = np.array([r["time"] for r in records])
    figure = Figure(figsize=(8.2, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, prefix, label in ((left, "alive.", "synapses alive / born"), (right, "rate.", "rate (Hz)")):
        for k, key in enumerate(key for key in records[0] if key.startswith(prefix)):
            band(axes, x, np.array([r[key] for r in records], np.float64), colour(k), key.removeprefix(prefix))
        axes.set(xlabel="time (s)", ylabel=label)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    left.set_ylim(0, 1.02)
    right.set_title(counted(len(run.about["seeds"]), ", band: range"), fontsize=9)
    return figure


def weights(run: Run) -> Figure:
    """Weights at birth and of the survivors at the end, and survival by birth weight, of each plastic projection."""
    circuit = run.spiking_circuit
    figure = Figure(figsize=(8.2, 2.7 * len(circuit.plastic)), layout="constrained")
    grid: Any = figure.subplots(len(circuit.plastic), 2, squeeze=False)
    for (left, right), name in zip(grid, circuit.plastic, strict=True):
        own = circuit.wiring[name]
        everything = np.concatenate([np.concatenate([w.birth_weight, w.weight[w.alive]]) for w in own])
        edges = np.linspace(everything.min(), max(everything.max(), everything.min() + 1e-9), BINS + 1)
        for values, own_colour, label in (
            (np.concatenate([w.birth_weight for w in own]), GREY, "at birth"),
            (np.concatenate([w.weight[w.alive] for w in own]), BLUE, "survivors, at the end"),
        ):
            left.hist(values, edges, histtype="stepfilled", alpha=0.55, color=own_colour, label=f"{label} (n = {len(values)})")
        left.set(xlabel="weight", ylabel="synapses", title=name, ylim=(0, 1.4 * left.get_ylim()[1]))
        left.legend(frameon=False)
        centres, share = _survival(own)
        right.plot(centres, share, color=BLUE)
        right.set(xlabel="weight at birth", ylabel="share that survives", ylim=(0, 1.02), title="who survives")
    return figure


def _survival(own: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the centres of bins of equal width in birth weight, and the share of each that lives."""
    birth = np.concatenate([w.birth_weight for w in own]).astype(np.float64)
    alive = np.concatenate([w.alive for w in own])
    edges = np.linspace(birth.min(), max(birth.max(), birth.min() + 1e-9), 21)
    place = np.clip(np.digitize(birth, edges) - 1, 0, 19)
    n = np.bincount(place, minlength=20)
    kept = n > 0
    return (edges[:-1] + np.diff(edges) / 2)[kept], np.bincount(place, alive, 20)[kept] / n[kept]
