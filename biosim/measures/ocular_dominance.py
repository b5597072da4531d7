"""Ocular dominance: how strongly cortical cells answer either eye, and which eye's synapses are left."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.develop import Development
from biosim.drives import Drive
from biosim.drives.binocular_vision import BinocularVision
from biosim.errors import InputError
from biosim.findings import Findings, mean_of_known
from biosim.synapses import Network

METRICS = {
    "odi": "(R - L)/(R + L) of a cell's answers to either eye alone, mean over cells: -1 left only, 1 right only",
    "left": "share of the left eye's synapses left",
    "right": "share of the right eye's synapses left",
    "selectivity": "1 - mean/largest answer of a cell over the places that both eyes see, mean over cells",
    "silent": "share of the cells that answer neither eye",
}
PLACES = 4  # contours shown for each input of an eye
SILENT = 1e-3  # a cell that answers less than this
GROUPS = 7  # of ocular dominance, as Hubel and Wiesel counted them

Array = npt.NDArray[np.float64]


def check(network: Network, drive: Drive) -> None:
    """Refuse a drive that does not show contours to two eyes."""
    if not isinstance(drive, BinocularVision):
        raise InputError(f"it shows either eye the contours of the drive binocular-vision, not of {type(drive).__name__}", ("name",))


def answers(weight: Array, drive: BinocularVision) -> tuple[Array, Array, Array]:
    """Return what cells answer to contours without noise in the left eye, the right, both: (R, places, cells) each."""
    half = weight.shape[1] // 2
    seen = drive.bumps(np.arange(half * PLACES) / PLACES)
    left, right = seen @ weight[:, :half], seen @ weight[:, half:]
    return np.maximum(left, 0), np.maximum(right, 0), np.maximum(left + right, 0)


def dominance(weight: Array, drive: BinocularVision) -> Array:
    """Return (R - L)/(R + L) of the mean answers, (R, cells); NaN for a cell that answers neither eye."""
    left, right, _ = (answer.mean(1) for answer in answers(weight, drive))
    total = left + right
    return np.asarray(np.divide(right - left, total, out=np.full(total.shape, np.nan), where=total > SILENT))


def _by_eye(mask: npt.NDArray[np.bool_], born: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    half = mask.shape[1] // 2
    left, right = (m.sum((1, 2)) / b.sum((1, 2)) for m, b in ((mask[:, :half], born[:, :half]), (mask[:, half:], born[:, half:])))
    return left, right


def observe(network: Network, drive: Drive) -> dict[str, list[float]]:
    """Return ocular dominance and the shares of either eye's synapses for every record."""
    assert isinstance(drive, BinocularVision)
    p = next(iter(network.projections.values()))
    alive = p.alive.cpu().numpy()
    left, right = _by_eye(alive, p.born.cpu().numpy())
    odi = mean_of_known(dominance(p.weight.double().cpu().numpy() * alive, drive))
    return {"odi": odi.tolist(), "left": left.tolist(), "right": right.tolist()}


def measure(development: Development, drive: Drive) -> Findings:
    """Measure the network's first projection; the first half of its presynaptic neurons is the left eye."""
    assert isinstance(drive, BinocularVision)
    circuit = development.circuit
    name = circuit.projections[0][0]
    weight = (circuit.weight[name] * circuit.mask[name]).astype(np.float64)
    left, right = _by_eye(circuit.mask[name], circuit.born[name])
    both = answers(weight, drive)[2]
    largest, index = both.max(1), dominance(weight, drive)
    metrics = {
        "odi": mean_of_known(index),
        "left": left,
        "right": right,
        "selectivity": mean_of_known(1 - np.divide(both.mean(1), largest, out=np.full(largest.shape, np.nan), where=largest > SILENT)),
        "silent": np.isnan(index).mean(1),
    }
    groups = np.stack([np.histogram(own[np.isfinite(own)], np.linspace(-1, 1, GROUPS + 1))[0] for own in index])
    rows = [{"replicate": r, "group": g + 1, "cells": int(groups[r, g])} for r in range(len(groups)) for g in range(GROUPS)]
    figure = _figure(development, drive, groups)
    return Findings({"ocular-dominance": figure}, {"groups": rows}, {k: np.asarray(v).tolist() for k, v in metrics.items()})


def _figure(development: Development, drive: BinocularVision, groups: npt.NDArray[np.int64]) -> Figure:
    figure = Figure(figsize=(9.6, 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    records = development.history.records
    days = np.array([r["time"] for r in records]) / 86400
    last = drive.clock.duration / 86400
    for axes, lines in (
        (left, (("odi", "#555555", "ocular dominance"),)),
        (middle, (("left", "#d1495b", "left"), ("right", "#1b6ca8", "right"))),
    ):
        for key, colour, label in lines:
            values = np.array([r[f"measure.{key}"] for r in records])
            axes.plot(days, values.mean(1), color=colour, label=label)
            axes.fill_between(days, values.min(1), values.max(1), color=colour, alpha=0.2, lw=0)
        if drive.deprived != "none":
            axes.axvspan(drive.opens * last, drive.closes * last, color="0.9", lw=0, label=f"closed: {drive.deprived}")
        axes.set(xlabel="development (days)")
        axes.legend(frameon=False, fontsize=7)
    left.axhline(0, color="0.7", lw=0.7)
    left.set(ylabel="(R - L)/(R + L)", ylim=(-1.05, 1.05), title=f"Mean of the cells (n = {len(groups)}, band: range)")
    middle.set(ylabel="synapses / synapses born", ylim=(0, 1.02), title="Synapses of either eye")
    right.bar(np.arange(1, GROUPS + 1), groups.sum(0), color="0.5")
    right.set(xlabel="group (1 left only, 7 right only)", ylabel="cells (all replicates)", title="Ocular dominance in the end")
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
