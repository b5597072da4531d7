"""Against gradient descent: accuracy for operations and for time, of training weights and of five ways to prune frozen ones."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from biosim.circuit import Circuit
from biosim.compare.function import circuit_accuracy
from biosim.drives import ImageDrive, Images, load_images
from biosim.errors import InputError
from biosim.findings import Findings
from biosim.progress import Stages
from biosim.scorers import load_scorer
from biosim.scorers.base import Task, make, prune
from biosim.scorers.training import Training, retrain
from biosim.synapses import Network
from biosim.theory.drawing import COLOURS, panels
from biosim.theory.flops import Cost
from biosim.theory.grown import grown

METHODS = {
    "sgd": "dense SGD", "imp": "iterative magnitude pruning", "edge_popup": "edge-popup", "mirrored": "mirrored three-factor (local)",
    "three_factor": "three-factor (local)", "greedy": "greedy flips (no gradient)",
}  # fmt: skip
LOCAL = {"mirrored": ("mirrored-three-factor", 1), "three_factor": ("three-factor", 0)}  # rule, coincidences that read teach_pre
DATASETS = ("digits", "fashion")
SAMPLES = 512  # on which a search without gradients judges masks
_Floats = npt.NDArray[np.float64]

METRICS = {
    **{f"{m}_{d}": f"test accuracy of {what} at the largest width and budget, {d}" for m, what in METHODS.items() for d in DATASETS},
    **{f"flops_{m}": f"log10 of the operations of {what} for that on digits" for m, what in METHODS.items()},
    **{f"width_{m}": f"accuracy of {what} on digits at the largest width less that at the smallest" for m, what in METHODS.items()},
    "at_equal_edge_popup": "accuracy of dense SGD on digits less that of edge-popup, for the same operations",
    "at_equal_mirrored": "accuracy of dense SGD on digits less that of the mirrored rule, with no more operations",
}


def run(
    seeds: Sequence[int],
    *,
    widths: list[int] = [30, 100],  # noqa: B006 (never changed; a default a scenario can read)
    epochs: list[int] = [1, 8],  # noqa: B006
    evaluations: list[int] = [30, 300],  # noqa: B006
    density: float = 0.2,
    train_size: int = 2000,
    fashion_epochs: list[int] = [1, 5],  # noqa: B006
    progress: Stages | None = None,
) -> Findings:
    """Give every method the same births and images, and several budgets.

    Parameters
    ----------
    seeds : sequence of int
    widths : list of int
        Hidden neurons, in each of two layers; Fashion-MNIST is run at the largest.
    epochs : list of int
        Budgets of the methods that see all images, on digits; a run each, for schedules depend on them.
    evaluations : list of int
        Budgets of the search without gradients.
    density : float
        Share of synapses kept, by all but dense SGD.
    train_size : int
        Training images of Fashion-MNIST.
    fashion_epochs : list of int
        Budgets on Fashion-MNIST.
    progress : callable, optional
    """
    if len(widths) < 2 or min(widths) < 1 or not epochs or not evaluations or not fashion_epochs:
        raise InputError("versus-gradient needs two widths and a budget of each kind")
    plans = [("digits", width, sorted(epochs)) for width in sorted(widths)] + [("fashion", max(widths), sorted(fashion_epochs))]
    rows: list[dict[str, Any]] = []
    for step, (dataset, width, budgets) in enumerate(plans):
        images = load_images("digits") if dataset == "digits" else load_images("fashion-mnist", train_size=train_size)
        for found in _runs(tuple(seeds), images, width, budgets, sorted(evaluations), density):
            rows.append({"dataset": dataset, "width": width, **found})
        if progress is not None:
            progress("comparing", step + 1, len(plans), {"width": width})
    return _findings(rows, len(seeds))


def _runs(
    seeds: tuple[int, ...], images: Images, width: int, budgets: list[int], evaluations: list[int], density: float
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield one row a method and budget: accuracies, operations a replicate, seconds a replicate."""
    batch = 32 if len(images.train) < 2000 else 64

    def births() -> Network:
        return Network.layered([images.train.shape[1], width, width, images.classes], seeds, weights="signed-constant")

    network = births()
    cost, drive = Cost.of(network), ImageDrive(images, batch, 1)
    per_epoch = drive.clock.steps

    def row(method: str, budget: int, flops: int, began: float, circuit: Circuit) -> dict[str, Any]:
        seconds = (time.perf_counter() - began) / len(seeds)
        accuracy = circuit_accuracy(circuit, images.test, images.test_labels)
        return {"method": method, "budget": budget, "flops": flops, "seconds": seconds, "accuracy": accuracy}

    for epochs in budgets:
        shown, steps = drive.with_epochs(epochs), epochs * per_epoch
        training = Training(epochs=epochs)
        began = time.perf_counter()
        circuit = retrain(network, network.masks(), shown, seeds, training)
        yield row("sgd", epochs, steps * cost.gradient_step(batch), began, circuit)
        began = time.perf_counter()
        circuit = prune("edge-popup", load_scorer("edge-popup"), network, shown, density, seeds)
        yield row("edge_popup", epochs, steps * cost.gradient_step(batch), began, circuit)
        for method, (rule, echoed) in LOCAL.items():
            began = time.perf_counter()
            circuit = grown(rule, births(), shown, density, seeds)
            yield row(method, epochs, steps * cost.local_step(batch, 1, echoed), began, circuit)
    for epochs in budgets[:-1] or budgets:  # its rounds make it the dearest by far
        shown, training = drive.with_epochs(epochs), Training(epochs=epochs)
        began = time.perf_counter()
        rounds: list[int] = []
        counted = Task(network, shown, (density,), seeds, training, progress=lambda done, last, _: rounds.append(done))  # noqa: B023 (used up here)
        (made,) = make(load_scorer("imp"), counted)
        circuit = retrain(network, made.masks[0], shown, seeds, training, start=made.start)
        yield row("imp", epochs, (len(rounds) + 1) * epochs * per_epoch * cost.gradient_step(batch), began, circuit)
    for count in evaluations:
        began = time.perf_counter()
        scorer = load_scorer("greedy-flips", {"evaluations": count, "samples": SAMPLES})
        circuit = prune("greedy-flips", scorer, network, drive, density, seeds)
        yield row("greedy", count, cost.search(SAMPLES, count), began, circuit)


def _findings(rows: list[dict[str, Any]], replicates: int) -> Findings:
    def best(method: str, dataset: str, largest: bool = True) -> dict[str, Any]:
        own = [row for row in rows if row["method"] == method and row["dataset"] == dataset]
        width = (max if largest else min)(row["width"] for row in own)
        return max((row for row in own if row["width"] == width), key=lambda row: row["budget"])

    metrics: dict[str, _Floats] = {}
    for m in METHODS:
        for d in DATASETS:
            metrics[f"{m}_{d}"] = best(m, d)["accuracy"]
        metrics[f"flops_{m}"] = np.full(replicates, np.log10(best(m, "digits")["flops"]))
        metrics[f"width_{m}"] = best(m, "digits")["accuracy"] - best(m, "digits", False)["accuracy"]
    sgd = [row for row in rows if row["method"] == "sgd" and row["dataset"] == "digits" and row["width"] == best("sgd", "digits")["width"]]
    for m in ("edge_popup", "mirrored"):
        own = best(m, "digits")
        rival = max((row for row in sgd if row["flops"] <= own["flops"]), key=lambda row: row["flops"])
        metrics[f"at_equal_{m}"] = rival["accuracy"] - own["accuracy"]
    table = [
        {**{k: row[k] for k in ("dataset", "width")}, "method": METHODS[row["method"]], "budget": row["budget"],
         "operations": float(row["flops"]), "seconds_a_replicate": round(row["seconds"], 3), "accuracy": float(row["accuracy"].mean()),
         "lowest": float(row["accuracy"].min()), "highest": float(row["accuracy"].max())}
        for row in rows
    ]  # fmt: skip
    return Findings({"versus-gradient": _draw(rows, replicates)}, {"compute": table}, metrics)


def _draw(rows: list[dict[str, Any]], replicates: int) -> Figure:
    cells = list(dict.fromkeys((row["dataset"], row["width"]) for row in rows))
    figure, grid = panels(len(cells), 2, width=3.8, height=2.9)
    for column, (dataset, width) in enumerate(cells):
        for axes, key, label in (
            (grid[0, column], "flops", "operations a replicate"),
            (grid[1, column], "seconds", "wall time a replicate (s)"),
        ):
            for colour, m in zip(COLOURS, METHODS, strict=False):
                own = sorted(
                    (r for r in rows if (r["dataset"], r["width"], r["method"]) == (dataset, width, m)), key=lambda r: float(r[key])
                )
                values = 100 * np.array([row["accuracy"] for row in own])
                at = [row[key] for row in own]
                axes.plot(at, values.mean(1), "o-", color=colour, lw=1.4, ms=3.5, label=METHODS[m])
                axes.fill_between(at, values.min(1), values.max(1), color=colour, alpha=0.15, lw=0)
            axes.set(
                xscale="log", xlabel=label, ylabel="test accuracy (%)", ylim=(0, 100), title=f"{dataset}, {width}-{width} hidden neurons"
            )
            axes.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    figure.suptitle(f"Accuracy against compute, same births and images: n = {replicates} replicates, band: range", fontsize=9)
    return figure
