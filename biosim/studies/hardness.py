"""Hardness: how far from the best mask of all are the masks that heuristics find, and does the gap grow with size?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from biosim.drives import SampleDrive
from biosim.errors import InputError
from biosim.findings import Findings
from biosim.progress import Stages
from biosim.scorers import load_scorer
from biosim.scorers.base import Scorer
from biosim.scorers.keep import keep
from biosim.streams import generator, stable_hash
from biosim.synapses import Network
from biosim.theory.drawing import COLOURS, legend, panels
from biosim.theory.exhaustive import Problem, best_mask, loss_of
from biosim.theory.grown import grown

SHAPES = {8: (2, 2), 16: (2, 4), 20: (3, 4), 24: (4, 4), 28: (5, 4)}  # synapses: inputs, hidden neurons
LOCAL = {"three-factor": ("three-factor", "reciprocal"), "mirrored-three-factor": ("mirrored-three-factor", "random")}
SEARCHES = ("greedy-flips", "annealing", "genetic")
METHODS = ("random", *LOCAL, "edge-popup", *SEARCHES)
SAME = 1e-5  # losses closer than this are one: methods work in single precision
DENSITY = 0.5
_KEYS = {name: name.replace("-", "_") for name in METHODS}

METRICS = {
    **{f"gap_{_KEYS[m]}": f"mean gap of {m} on 16 and 20 synapses: 0 is the best mask, 1 the average one" for m in METHODS},
    **{f"found_{_KEYS[m]}": f"share of instances of 16 and 20 synapses on which {m} finds the best mask" for m in METHODS},
    **{f"growth_{_KEYS[m]}": f"mean gap of {m} on 24 and 28 synapses less that on 8" for m in METHODS},
    "gap_neuron_scope": "mean gap of the best mask that meets every neuron's quota, as a local rule must; 16 and 20 synapses",
    "instances": "instances of 16 and 20 synapses whose best mask is known",
    "largest": "synapses of the largest instances",
}


def run(
    seeds: Sequence[int],
    *,
    small: int = 20,
    at24: int = 10,
    at28: int = 1,
    samples: int = 32,
    evaluations: int = 300,
    steps: int = 150,
    progress: Stages | None = None,
) -> Findings:
    """Solve instances exactly, and by every method.

    Parameters
    ----------
    seeds : sequence of int
    small : int
        Instances of each size up to 20 synapses, a replicate.
    at24, at28 : int
        Instances of 24 and of 28 synapses, a replicate; 0 for none of 28.
    samples : int
        Points to classify in each instance.
    evaluations : int
        Masks that a search without gradients may look at.
    steps : int
        Steps of edge-popup and of the local rules, all samples in each.
    progress : callable, optional
    """
    if min(small, at24) < 1 or at28 < 0 or samples < 4:
        raise InputError("hardness needs an instance of each size up to 24 synapses, and four samples")
    numbers = {8: small, 16: small, 20: small, 24: at24, 28: at28}
    rows: list[dict[str, Any]] = []
    for step, (size, count) in enumerate(numbers.items()):
        if count:
            rows += _instances(seeds, size, count, samples, evaluations, steps)
        if progress is not None:
            progress("solving", step + 1, len(numbers), {"synapses": size})
    return _findings(rows, seeds)


def _instances(seeds: Sequence[int], size: int, count: int, samples: int, evaluations: int, steps: int) -> list[dict[str, Any]]:
    """Return one row an instance and method: its best loss, and the loss, gap and rank of the method's mask."""
    d, h = SHAPES[size]
    own = tuple(stable_hash(f"hardness/{seed}/{size}/{k}") for seed in seeds for k in range(count))
    network = Network.layered([d, h, 2], own, weights="kaiming-normal")
    drive = _task(own, d, h, samples)
    masks = {"random": _random(network, own)}
    for name, (rule, feedback) in LOCAL.items():
        births = Network.layered([d, h, 2], own, weights="kaiming-normal")
        circuit = grown(rule, births, drive.with_epochs(steps), DENSITY, own, feedback)
        masks[name] = {n: torch.from_numpy(m) for n, m in circuit.mask.items()}
    for name in ("edge-popup", *SEARCHES):
        options: dict[str, Any] = {"epochs": steps} if name == "edge-popup" else {"evaluations": evaluations, "samples": samples}
        options |= {"mutation": 1 / size} if name == "genetic" else {}
        scorer = load_scorer(name, options)
        assert isinstance(scorer, Scorer)
        masks[name] = keep(scorer.score(network, drive, DENSITY, own), network, DENSITY, "layer", own)
    rows = []
    for k in range(len(own)):
        rows += _compared(seeds[k // count], size, k, k % count, _problem(network, drive, k), masks)
    return rows


def _task(seeds: tuple[int, ...], d: int, h: int, samples: int) -> SampleDrive:
    """Return normal points, half of them in each class of a random network twice as wide as the one to prune."""
    points = np.stack([generator(seed, "hardness/points").standard_normal((samples, d)) for seed in seeds]).astype(np.float32)
    teacher = Network.layered([d, 2 * h, 2], [stable_hash(f"teacher/{seed}") for seed in seeds], weights="kaiming-normal")
    hidden = torch.relu(torch.from_numpy(points) @ teacher.projections["input-hidden1"].weight)
    output = hidden @ teacher.projections["hidden1-output"].weight
    difference = output[..., 1] - output[..., 0]
    return SampleDrive(torch.from_numpy(points), (difference > difference.median(1, keepdim=True).values).long(), 2)


def _random(network: Network, seeds: tuple[int, ...]) -> dict[str, Tensor]:
    scores = {
        n: torch.from_numpy(np.stack([generator(seed, f"hardness/random/{n}").random(p.shape[1:]) for seed in seeds]))
        for n, p in network.projections.items()
    }
    return keep(scores, network, DENSITY, "layer", seeds)


def _problem(network: Network, drive: SampleDrive, k: int) -> Problem:
    first, second = (np.asarray(p.weight[k].numpy(), np.float64) for p in network.projections.values())
    return Problem(first, second, np.asarray(drive.samples[k].numpy(), np.float64), drive.labels[k].numpy(), DENSITY**-0.5)


def _compared(
    seed: int, size: int, k: int, instance: int, problem: Problem, masks: Mapping[str, Mapping[str, Tensor]]
) -> list[dict[str, Any]]:  # fmt: skip
    losses = {name: loss_of(problem, *(m[k].numpy() for m in own.values())) for name, own in masks.items()}
    began = time.perf_counter()
    best = best_mask(problem, "layer", DENSITY, [value - SAME for value in losses.values()])
    seconds = time.perf_counter() - began
    neuron = best_mask(problem, "neuron", DENSITY)
    spread = max(best.mean - best.loss, 1e-12)
    shared = {"seed": seed, "synapses": size, "instance": instance, "best_loss": best.loss, "mean_loss": best.mean, "masks": best.masks,
              "best_by_neuron": neuron.loss, "gap_by_neuron": (neuron.loss - best.loss) / spread, "seconds": seconds}  # fmt: skip
    return [
        {**shared, "method": name, "loss": loss, "gap": (loss - best.loss) / spread, "better_masks": int(better),
         "rank": int(better) / best.masks}
        for (name, loss), better in zip(losses.items(), best.better, strict=True)
    ]  # fmt: skip


def _findings(rows: list[dict[str, Any]], seeds: Sequence[int]) -> Findings:
    def mean(key: str, seed: int, sizes: Sequence[int], method: str = "random", of: Any = float) -> float:
        return float(
            np.mean([of(row[key]) for row in rows if row["seed"] == seed and row["method"] == method and row["synapses"] in sizes])
        )

    present = sorted({row["synapses"] for row in rows})
    metrics: dict[str, npt.NDArray[np.float64]] = {}
    for name, key in _KEYS.items():
        metrics[f"gap_{key}"] = np.array([mean("gap", seed, (16, 20), name) for seed in seeds])
        metrics[f"found_{key}"] = np.array([mean("better_masks", seed, (16, 20), name, lambda count: count == 0) for seed in seeds])
        metrics[f"growth_{key}"] = np.array([mean("gap", seed, (24, 28), name) - mean("gap", seed, (8,), name) for seed in seeds])
    metrics["gap_neuron_scope"] = np.array([mean("gap_by_neuron", seed, (16, 20)) for seed in seeds])
    middle = [row for row in rows if row["synapses"] in (16, 20) and row["method"] == "random"]
    metrics["instances"] = np.array([float(sum(row["seed"] == seed for row in middle)) for seed in seeds])
    metrics["largest"] = np.full(len(seeds), float(present[-1]))
    table = []
    for size in present:
        for name in METHODS:
            own = [row for row in rows if row["synapses"] == size and row["method"] == name]
            gaps = np.array([row["gap"] for row in own])
            table.append(
                {"synapses": size, "method": name, "instances": len(own), "masks": own[0]["masks"], "gap_mean": float(gaps.mean()),
                 "gap_median": float(np.median(gaps)),
                 "seconds_median": float(np.median([row["seconds"] for row in own])), "gap_90_percent": float(np.quantile(gaps, 0.9)),
                 "best_found": float(np.mean([row["better_masks"] == 0 for row in own])),
                 "rank_median": float(np.median([row["rank"] for row in own]))}
            )  # fmt: skip
    instances = []
    for row in rows:
        if row["method"] == METHODS[0]:
            instances.append({k: v for k, v in row.items() if k not in ("method", "loss", "gap", "better_masks", "rank")})
        instances[-1][f"gap_{_KEYS[row['method']]}"] = row["gap"]
    return Findings({"hardness": _draw(rows, present)}, {"gaps": table, "instances": instances}, metrics)


def _draw(rows: list[dict[str, Any]], sizes: list[int]) -> Figure:
    figure, ((growth, found, spread),) = panels(3, width=3.9, height=3.3)
    for colour, name in zip(COLOURS, METHODS, strict=False):
        gaps = [np.array([row["gap"] for row in rows if row["synapses"] == size and row["method"] == name]) for size in sizes]
        error = [own.std() / max(1, len(own) - 1) ** 0.5 for own in gaps]
        growth.errorbar(sizes, [own.mean() for own in gaps], error, fmt="o-", color=colour, label=name, lw=1.4, ms=3.5, capsize=2)
        hits = [np.mean([row["better_masks"] == 0 for row in rows if row["synapses"] == s and row["method"] == name]) for s in sizes]
        found.plot(sizes, hits, "o-", color=colour, lw=1.4, ms=3.5, label=name)
        middle = np.sort(np.concatenate([own for own, size in zip(gaps, sizes, strict=True) if size in (16, 20)]))
        spread.plot(middle, np.arange(1, len(middle) + 1) / len(middle), color=colour, lw=1.4, label=name)
    floor = [np.mean([row["gap_by_neuron"] for row in rows if row["synapses"] == s and row["method"] == "random"]) for s in sizes]
    growth.plot(sizes, floor, "k:", lw=1.2, label="best by neuron quota")
    number = {size: sum(row["synapses"] == size and row["method"] == "random" for row in rows) for size in sizes}
    growth.set(xlabel="synapses born", ylabel="gap (0: best mask, 1: average mask)", title="Gap to the best mask", ylim=(0, 1.7))
    growth.set_xticks(sizes, [f"{size}\nn={number[size]}" for size in sizes])
    found.set(xlabel="synapses born", ylabel="share of instances", title="Best mask found", ylim=(0, 1.03), xticks=sizes)
    n = sum(number.get(size, 0) for size in (16, 20))
    spread.set(xlabel="gap", ylabel="share of instances below", title=f"16 and 20 synapses (n = {n})", xlim=(-0.02, 1.5))
    legend(growth, ncols=2)
    figure.suptitle("Every mask with half of each layer's synapses was looked at; bars: standard error over instances", fontsize=9)
    return figure
