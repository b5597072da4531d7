"""Neurons or weights: accuracy against width of selecting whole neurons and of selecting synapses, at equal budget.

biosim analyse neurons-vs-weights RUN          or          python analysis/neurons_vs_weights.py [--dataset digits]

One hidden layer of each width. The budget is a share of the synapses born, counted as effective synapses: a
neuron selection has as many whole neurons as it pays for, all of whose synapses lie on a path; edge-popup then
keeps exactly as many synapses, of which slightly fewer lie on a path. So neurons are never at a disadvantage.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from biosim.analysis import Findings, write_findings
from biosim.compare.function import circuit_accuracy
from biosim.drives import ImageDrive, Images, load_images
from biosim.errors import BiosimError
from biosim.scorers import load_scorer, prune
from biosim.scorers.keep_neurons import NeuronBudget
from biosim.store import Run
from biosim.synapses import Network

WIDTHS, BUDGETS = (50, 100, 200, 500, 1000), (0.5, 0.1)
METHODS = {"edge-popup": "synapses, edge-popup", "neuron-popup": "neurons, straight-through", "neuron-greedy": "neurons, greedy forward"}


def analyse(run: Run) -> Findings:
    """Sweep widths on a run's data, with its batch, epochs and seeds."""
    spec = run.about["scenario"]["drive"]
    drive = ImageDrive(run.images(), spec["batch"], spec["epochs"])
    return sweep(drive, WIDTHS, BUDGETS, tuple(run.about["seeds"]))


def sweep(drive: ImageDrive, widths: Sequence[int], budgets: Sequence[float], seeds: tuple[int, ...]) -> Findings:
    """Return the figure, the accuracies and the gaps."""
    rows = [row for budget in budgets for width in widths for row in _cell(drive, width, budget, seeds)]
    gaps = [_gap(rows, budget, width) for budget in budgets for width in widths]
    return Findings({"neurons_vs_weights": _figure(rows, drive.images, widths, budgets, len(seeds))}, {"accuracy": rows, "gap": gaps})


def _cell(drive: ImageDrive, width: int, budget: float, seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    network = Network.layered([drive.inputs, width, drive.outputs], seeds)  # magnitudes differ: it matters what a neuron brings along
    born = float(network.born[0])
    bought = NeuronBudget.of(network, budget)
    rows = []
    for method in METHODS:
        density = bought.actual / born if method == "edge-popup" else budget
        circuit = prune(method, load_scorer(method), network, drive, density, seeds)
        right = circuit_accuracy(circuit, drive.images.test, drive.images.test_labels)
        for r, seed in enumerate(seeds):
            rows.append(
                {
                    "budget": budget,
                    "width": width,
                    "method": method,
                    "seed": seed,
                    "accuracy": float(right[r]),
                    "density": float(circuit.density()[r]),
                    "effective_density": float(circuit.effective_density()[r]),
                    "neurons_kept": int(np.any(circuit.mask["input-hidden1"][r], 0).sum()),
                }
            )
    return rows


def _of(rows: list[dict[str, Any]], budget: float, width: int, method: str) -> Any:
    return np.array([r["accuracy"] for r in rows if (r["budget"], r["width"], r["method"]) == (budget, width, method)])


def _gap(rows: list[dict[str, Any]], budget: float, width: int) -> dict[str, Any]:
    """Return synapses minus the better of the two neuron selections, paired within a seed."""
    neurons = np.maximum(_of(rows, budget, width, "neuron-popup"), _of(rows, budget, width, "neuron-greedy"))
    gap = _of(rows, budget, width, "edge-popup") - neurons
    return {"budget": budget, "width": width, "gap_mean": gap.mean(), "gap_least": gap.min(), "gap_greatest": gap.max(), "seeds": len(gap)}


def _figure(rows: list[dict[str, Any]], images: Images, widths: Sequence[int], budgets: Sequence[float], n: int) -> Figure:
    figure = Figure(figsize=(4.4 * len(budgets), 3.8), layout="constrained")
    panels = figure.subplots(1, len(budgets), sharey=True, squeeze=False)[0]
    for axes, budget in zip(panels, budgets, strict=True):
        for method, label in METHODS.items():
            values = 100 * np.stack([_of(rows, budget, w, method) for w in widths])
            mean, spread = values.mean(1), values.std(1, ddof=1 if n > 1 else 0)
            (line,) = axes.plot(widths, mean, marker="o", label=label)
            axes.fill_between(widths, mean - spread, mean + spread, color=line.get_color(), alpha=0.2, linewidth=0)
        axes.axhline(100 / images.classes, color="0.6", linestyle=":", label="chance")
        axes.set(xscale="log", xlabel="width of the hidden layer (neurons)", title=f"{budget:.0%} of the synapses")
        axes.set_xticks(list(widths), [str(w) for w in widths], minor=False)
        axes.minorticks_off()
    panels[0].set_ylabel(f"accuracy, {images.evaluated_on} split (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    figure.suptitle(f"{images.name}: mean ± sd over n = {n} seeds, weights as born")
    return figure


def main() -> None:
    """Run the sweep and write figure and tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--train-size", type=int, default=None)
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--budgets", type=float, nargs="+", default=list(BUDGETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path("runs/neurons_vs_weights"))
    given = parser.parse_args()
    try:
        drive = ImageDrive(load_images(given.dataset, train_size=given.train_size), given.batch, given.epochs)
        findings = sweep(drive, given.widths, given.budgets, tuple(range(given.seeds)))
        for gap in findings.tables["gap"]:
            numbers = [f"{100 * gap[k]:+.1f}" for k in ("gap_mean", "gap_least", "gap_greatest")]
            print("budget {} width {}: synapses ahead by {} points (least {}, greatest {})".format(gap["budget"], gap["width"], *numbers))  # noqa: T201
        for path in write_findings(findings, given.out):
            print(path)  # noqa: T201
    except BiosimError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
