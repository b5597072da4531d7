"""Figures of a run whose neurons spike: what they did as born, and what the survivors do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biosim.circuit import Circuit
from biosim.drives.encoding import encode
from biosim.report.drawing import BLUE, GREEN, GREY, PURPLE, RED, YELLOW
from biosim.report.parts import counted
from biosim.store import Run
from biosim.streams import generator
from biosim.substrates.time_stepped import unfold

BORN, LEFT, PROJECTIONS = GREY, BLUE, (BLUE, RED, GREEN, YELLOW, PURPLE)
SHOWN = 128  # images that rates are averaged over
Spikes = dict[str, npt.NDArray[np.float32]]


def as_born(circuit: Circuit) -> Circuit:
    """Return the births a circuit is left of, every gain 1."""
    gain = {n: np.ones_like(g) for n, g in circuit.gain.items()}
    return replace(circuit, mask=circuit.born, gain=gain)


def spike_trains(circuit: Circuit, pixels: npt.NDArray[np.float32]) -> Spikes:
    """Return the spikes of every population but the readout for (n, pixels) images, (R, T, n, size): above 0 where one spikes."""
    assert circuit.spiking is not None
    network, random = circuit.network, [generator(0, "images/spikes/figure")]
    with torch.inference_mode():
        shown = encode(torch.from_numpy(pixels).unsqueeze(0), circuit.spiking.encoding, random)
        effective = {n: p.effective for n, p in network.projections.items()}
        gains = {n: p.gain for n, p in network.populations.items()}
        return {n: s.numpy() for n, s in unfold(network, effective, gains, shown)[1].items()}


def _raster(axes: Axes, spikes: npt.NDArray[np.bool_], dt: float, colour: str) -> None:
    """Draw (T, size) spikes, one row a neuron."""
    step, neuron = np.nonzero(spikes)
    axes.scatter(1e3 * dt * step, neuron, s=3, marker="|", color=colour, lw=0.7)
    axes.set(xlim=(0, 1e3 * dt * len(spikes)), ylim=(-1, spikes.shape[1]))


def raster(run: Run) -> Figure:
    """Spikes of one test image, before and after pruning."""
    circuit, images = run.circuit, run.images()
    assert circuit.spiking is not None
    image, dt = images.test[:1], circuit.spiking.encoding.dt
    before, after = spike_trains(as_born(circuit), image), spike_trains(circuit, image)
    names = list(before)
    figure = Figure(figsize=(7.2, 2.1 * len(names)), layout="constrained")
    grid = figure.subplots(len(names), 2, squeeze=False, sharex=True, sharey="row")
    for row, name in zip(grid, names, strict=True):
        for axes, spikes, colour, when in ((row[0], before, BORN, "as born"), (row[1], after, LEFT, "survivors")):
            if spikes[name].shape[1] == 1:  # a constant current
                axes.text(0.5, 0.5, "constant current", ha="center", va="center", transform=axes.transAxes, color="0.4")
            else:
                _raster(axes, spikes[name][0, :, 0] > 0, dt, "0.35" if name == names[0] else colour)
            axes.set_title(f"{name}, {when}", fontsize=9)
        row[0].set_ylabel("neuron")
    for axes in grid[-1]:
        axes.set_xlabel("time (ms)")
    label = int(images.test_labels[0])
    figure.suptitle(f"Spikes for one {run.about['evaluated_on']} image, class {label} (replicate 0)")
    return figure


def rates(run: Run) -> Figure:
    """Mean rates of hidden neurons, before and after pruning."""
    circuit, images = run.circuit, run.images()
    assert circuit.spiking is not None
    window, pixels = circuit.spiking.encoding.window, images.test[:SHOWN]
    before, after = spike_trains(as_born(circuit), pixels), spike_trains(circuit, pixels)
    hidden = [n for n, _, _ in circuit.populations[1:-1]]
    figure = Figure(figsize=(7.2, 2.5), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(hidden), squeeze=False)[0], hidden, strict=True):
        own = [(s[name].sum(1).mean(1) / window).ravel() for s in (before, after)]
        top = max(float(max(x.max() for x in own)), 1.0)
        bins = np.linspace(0, top, 30).tolist()
        for values, colour, label in ((own[0], BORN, "as born"), (own[1], LEFT, "survivors")):
            said = f"{label}: mean {values.mean():.1f} Hz, {100 * float((values == 0).mean()):.0f} % silent"
            axes.hist(values, bins, color=colour, alpha=0.6, label=said)
        axes.set(xlabel=f"mean rate of a neuron of {name} (Hz)", ylabel="neurons")
        axes.legend(frameon=False, fontsize=7)
    n = circuit.replicates
    figure.suptitle(f"Rates over {len(pixels)} {run.about['evaluated_on']} images ({counted(n, ' together')})")
    return figure


def survival(run: Run) -> Figure:
    """Share of every projection's synapses alive over developmental time."""
    data, circuit, history = run.dataset(), run.circuit, run.history
    steps, seconds = history[-1]["step"], history[-1]["time"]
    figure = Figure(figsize=(7.2, 2.7), layout="constrained")
    axes = figure.subplots()
    moments = np.linspace(0, steps, 200)
    for k, (name, _, _) in enumerate(circuit.projections):
        died = data[f"death_step.{name}"].values
        curves = []
        for own in died:
            times = np.sort(own[own >= 0])
            born = int((own >= -1).sum())
            curves.append(1 - np.searchsorted(times, moments, side="right") / max(born, 1))
        share, colour = np.array(curves), PROJECTIONS[k % len(PROJECTIONS)]
        axes.plot(moments / steps * seconds / 60, share.mean(0), color=colour, label=name, lw=1.6)
        axes.fill_between(moments / steps * seconds / 60, share.min(0), share.max(0), color=colour, alpha=0.18, lw=0)
    axes.set(xlabel="developmental time (min)", ylabel="synapses alive / born", ylim=(0, 1.02))
    axes.legend(frameon=False)
    axes.set_title(f"Survivors over time, by projection ({counted(circuit.replicates, ', band: range')})")
    return figure


def image_figures(run: Run) -> dict[str, Figure]:
    """Return the figures of a run whose neurons spike when they are shown images."""
    return {"raster": raster(run), "rates": rates(run), "survival": survival(run)}
