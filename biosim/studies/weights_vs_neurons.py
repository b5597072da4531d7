"""Weights against neurons: one ReLU neuron, and a small random network, reached by pruning weights and by pruning neurons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.errors import InputError
from biosim.findings import Findings
from biosim.progress import Stages
from biosim.streams import generator
from biosim.theory.construction import construct_with
from biosim.theory.drawing import COLOURS, band, legend, panels
from biosim.theory.random_features import error_by_width, error_of_best, least_error, least_neurons

DIMENSIONS = (10, 30, 100)
TARGETS = {"neuron": "one ReLU neuron", "network": "3 random neurons"}
FROM = 16  # neurons from which the decay is taken

METRICS = {
    **{f"decay_{d}": f"a of relative error ~ neurons**-a from 16 neurons to all, one ReLU neuron in {d} dimensions" for d in DIMENSIONS},
    **{f"over_bound_{d}": f"error of all neurons over the least that any such features could leave, {d} dimensions" for d in DIMENSIONS},
    **{
        f"least_{d}": f"log10 of the fewest neurons that could reach a relative error of .1 in {d} dimensions (a bound)" for d in DIMENSIONS
    },
    **{f"neurons_{d}": f"relative RMS error of all neurons with the best readout, one ReLU neuron in {d} dimensions" for d in DIMENSIONS},
    **{f"neurons_equal_{d}": f"the same at the synapse budget of weights_{d}, neurons chosen greedily" for d in DIMENSIONS},
    **{f"weights_{d}": f"relative RMS error of weight pruning at the largest pool, one ReLU neuron in {d} dimensions" for d in DIMENSIONS},
    **{f"bits_{d}": f"bits of precision gained by one more gadget neuron an input and sign, {d} dimensions" for d in DIMENSIONS},
    **{f"network_ratio_{d}": f"neurons' error over weights' at equal synapses, random network in {d} dimensions" for d in DIMENSIONS},
}
_Floats = npt.NDArray[np.float64]


def run(
    seeds: Sequence[int],
    *,
    width: int = 2048,
    pools: list[int] = [2, 4, 6, 8, 10, 12, 14],  # noqa: B006 (never changed; a default a scenario can read)
    chosen: int = 256,
    samples: int = 4000,
    progress: Stages | None = None,
) -> Findings:
    """Prune neurons and weights towards the same targets, in 10, 30 and 100 dimensions.

    Parameters
    ----------
    seeds : sequence of int
    width : int
        Hidden neurons of the network that neurons are pruned from.
    pools : list of int
        Gadget neurons of each input and sign of the network that weights are pruned from.
    chosen : int
        Neurons chosen greedily, at most.
    samples : int
        Normal inputs on which the masked random network is run; the neurons' error is exact.
    progress : callable, optional
    """
    if width < 2 * FROM or not 2 <= chosen <= width:
        raise InputError(f"needs at least {2 * FROM} neurons, and no more chosen than there are", ("width",))
    if len(pools) < 3 or min(pools) < 1 or max(pools) > 24:
        raise InputError("needs at least three pools between 1 and 24", ("pools",))
    results: dict[tuple[int, str], list[dict[str, Any]]] = {(d, t): [] for d in DIMENSIONS for t in TARGETS}
    for r, seed in enumerate(seeds):
        for d in DIMENSIONS:
            features = generator(seed, f"weights-vs-neurons/{d}/births").standard_normal((width, d))
            for target in TARGETS:
                results[d, target].append(_one(seed, d, target, features, sorted(pools), chosen, samples))
        if progress is not None:
            progress("pruning", r + 1, len(seeds), {})
    return _findings(results, sorted(pools))


def _one(seed: int, d: int, target: str, features: _Floats, pools: list[int], chosen: int, samples: int) -> dict[str, Any]:
    random = generator(seed, f"weights-vs-neurons/{d}/{target}")
    m = 1 if target == "neuron" else 3
    directions = random.standard_normal((m, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    readout = np.where(np.arange(m) % 2 == 0, 1.0, -1.0) * random.uniform(0.5, 1, m) if m > 1 else np.ones(1)
    x = random.standard_normal((samples, d))
    wanted = np.maximum(x @ directions.T, 0) @ readout
    errors, kept, born = [], [], []
    for pool in pools:
        made = construct_with([directions.T, readout[:, None]], pool, random)
        off = made.circuit.respond(x.astype(np.float32))[0, :, 0] - wanted
        errors.append(float(np.sqrt((off**2).mean() / (wanted**2).mean())))
        kept.append(made.kept)
        born.append(made.born)
    return {
        "all": np.sqrt(error_by_width(features, directions, readout)),
        "best": np.sqrt(error_of_best(features, directions, readout, chosen)),
        "weights": np.array(errors), "kept": np.array(kept), "born": np.array(born),
    }  # fmt: skip


def _findings(results: dict[tuple[int, str], list[dict[str, Any]]], pools: list[int]) -> Findings:
    metrics: dict[str, _Floats] = {}
    for d in DIMENSIONS:
        own = results[d, "neuron"]
        width = len(own[0]["all"])
        metrics[f"decay_{d}"] = np.array([np.log(one["all"][FROM - 1] / one["all"][-1]) / np.log(width / FROM) for one in own])
        metrics[f"over_bound_{d}"] = np.array([one["all"][-1] for one in own]) / np.sqrt(least_error(d, width))
        metrics[f"least_{d}"] = np.full(len(own), np.log10(least_neurons(d, 0.1)))
        metrics[f"neurons_{d}"] = np.array([one["all"][-1] for one in own])
        metrics[f"neurons_equal_{d}"] = np.array([_at_budget(one, d) for one in own])
        metrics[f"weights_{d}"] = np.array([one["weights"][-1] for one in own])
        metrics[f"bits_{d}"] = np.array([-np.polyfit(pools, np.log2(one["weights"]), 1)[0] for one in own])
        metrics[f"network_ratio_{d}"] = np.array([_at_budget(one, d) / one["weights"][-1] for one in results[d, "network"]])
    table = []
    for (d, target), own in results.items():
        for i, pool in enumerate(pools):
            table.append({"dimension": d, "target": target, "pruned": "weights", "size": pool,
                          "synapses_kept": float(np.mean([one["kept"][i] for one in own])),
                          "synapses_born": float(np.mean([one["born"][i] for one in own])),
                          "relative_error": float(np.mean([one["weights"][i] for one in own]))})  # fmt: skip
        for kind in ("all", "best"):
            for n in _sizes(len(own[0][kind])):
                table.append({"dimension": d, "target": target, "pruned": "neurons, " + ("none" if kind == "all" else "chosen greedily"),
                              "size": n, "synapses_kept": float(n * (d + 1)), "synapses_born": float(len(own[0]["all"]) * (d + 1)),
                              "relative_error": float(np.mean([one[kind][n - 1] for one in own]))})  # fmt: skip
    figure = _draw(results)
    return Findings({"weights-vs-neurons": figure}, {"errors": table}, metrics)


def _sizes(most: int) -> list[int]:
    return [2**k for k in range(int(np.log2(most)) + 1)]


def _at_budget(one: dict[str, Any], d: int) -> float:
    """Return the error of as many greedily chosen neurons as the synapses of the largest weight-pruned circuit pay for."""
    count = int(one["kept"][-1]) // (d + 1)
    return float(one["best"][min(max(count, 1), len(one["best"])) - 1])


def _draw(results: dict[tuple[int, str], list[dict[str, Any]]]) -> Figure:
    figure, grid = panels(3, 2, width=3.5, height=2.9)
    for row, target in zip(grid, TARGETS, strict=True):
        for axes, d in zip(row, DIMENSIONS, strict=True):
            own = results[d, target]
            sizes = np.array(_sizes(len(own[0]["all"])))
            few = np.array(_sizes(len(own[0]["best"])))
            band(axes, sizes * (d + 1), [one["all"][sizes - 1] for one in own], COLOURS[1], "neurons, as drawn")
            band(axes, few * (d + 1), [one["best"][few - 1] for one in own], COLOURS[3], "neurons, chosen greedily")
            band(axes, own[0]["kept"], [one["weights"] for one in own], COLOURS[0], "weights, kept")
            axes.plot(
                np.mean([one["born"] for one in own], 0),
                np.mean([one["weights"] for one in own], 0),
                ":",
                color=COLOURS[0],
                label="weights, born",
            )
            if target == "neuron":
                axes.plot(sizes * (d + 1), np.sqrt(least_error(d, sizes)), "k:", lw=1, label="least that those as drawn can leave")
            axes.set(xscale="log", yscale="log", ylim=(3e-5, 2), title=f"{TARGETS[target]}, d = {d}")
            axes.set(xlabel="synapses", ylabel="relative RMS error")
    legend(grid[0, 0], loc="lower left")
    figure.suptitle(
        f"Neurons with their best readout, weights as born: n = {len(results[10, 'neuron'])} replicates, band: range", fontsize=9
    )
    return figure
