"""Innervation of targets: how many are left with one axon, with several, with none; how evenly axons share them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from torch import Tensor

from biosim.develop import Development
from biosim.drives import Drive
from biosim.findings import Findings
from biosim.synapses import Network

METRICS = {
    "single": "share of targets with exactly one axon left",
    "denervated": "share of targets with none left",
    "axons_a_target": "axons left on a target, mean",
    "axons_a_target_at_birth": "the same at birth",
    "unit_size": "targets left to an axon, mean",
    "unit_spread": "standard deviation of these over that of as many targets dealt out by chance",
}
COLOURS = {"one axon": "#1b6ca8", "several": "#edae49", "none": "#d1495b"}


def observe(network: Network, drive: Drive) -> dict[str, list[float]]:
    """Return the shares of targets with one axon and with none, and the mean number of axons, for every record."""
    alive: Tensor = next(iter(network.projections.values())).alive
    count = alive.sum(1).cpu().numpy()
    return {"single": (count == 1).mean(1).tolist(), "denervated": (count == 0).mean(1).tolist(), "axons": count.mean(1).tolist()}


def measure(development: Development, drive: Drive) -> Findings:
    """Count the axons of every target and the targets of every axon, in the network's first projection."""
    circuit = development.circuit
    name = circuit.projections[0][0]
    mask, born = circuit.mask[name], circuit.born[name]
    count, units = mask.sum(1), mask.sum(2)
    axons, left = mask.shape[1], mask.sum((1, 2))
    chance = np.sqrt(np.maximum(left, 1) * (1 / axons) * (1 - 1 / axons)) if axons > 1 else np.ones(len(left))
    metrics = {
        "single": (count == 1).mean(1),
        "denervated": (count == 0).mean(1),
        "axons_a_target": count.mean(1),
        "axons_a_target_at_birth": born.sum(1).mean(1),
        "unit_size": units.mean(1),
        "unit_spread": units.std(1) / chance,
    }
    rows = [{"replicate": r, "axon": i, "targets": int(units[r, i])} for r in range(len(units)) for i in range(axons)]
    return Findings({"innervation": _figure(development, mask, born)}, {"units": rows}, {k: v.tolist() for k, v in metrics.items()})


def _figure(development: Development, mask: npt.NDArray[np.bool_], born: npt.NDArray[np.bool_]) -> Figure:
    figure = Figure(figsize=(9.6, 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.2, 1, 1.2])
    records: list[dict[str, Any]] = development.history.records
    days = np.array([r["time"] for r in records]) / 86400
    for key, colour, label in (("single", COLOURS["one axon"], "one axon"), ("denervated", COLOURS["none"], "none")):
        values = 100 * np.array([r[f"measure.{key}"] for r in records])
        left.plot(days, values.mean(1), color=colour, label=label)
        left.fill_between(days, values.min(1), values.max(1), color=colour, alpha=0.2, lw=0)
    several = 100 - 100 * np.array([np.add(r["measure.single"], r["measure.denervated"]) for r in records])
    left.plot(days, several.mean(1), color=COLOURS["several"], label="several")
    left.fill_between(days, several.min(1), several.max(1), color=COLOURS["several"], alpha=0.2, lw=0)
    left.set(xlabel="development (days)", ylabel="targets (%)", ylim=(-2, 102), title=f"Axons on a target (n = {len(mask)}, band: range)")
    left.legend(frameon=False, fontsize=7)
    bins = np.arange(-0.5, mask.shape[1] + 1)
    middle.hist(born.sum(1).ravel(), bins, color="0.8", label="at birth")
    middle.hist(mask.sum(1).ravel(), bins, color=COLOURS["one axon"], alpha=0.8, label="in the end")
    middle.set(xlabel="axons on a target", ylabel="targets (all replicates)", title="Before and after")
    middle.legend(frameon=False, fontsize=7)
    order = np.lexsort((mask[0].argmax(0), -mask[0].sum(0)))
    right.imshow(mask[0][:, order], aspect="auto", cmap="Blues", vmin=0, vmax=1.4, interpolation="nearest")
    right.set(xlabel="target (sorted)", ylabel="axon", title="Terminals left, replicate 0")
    for axes in (left, middle):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
