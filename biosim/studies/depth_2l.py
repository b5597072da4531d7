"""Depth 2L: a trained network of depth L, computed by a mask on a random network of depth 2L that is then run itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.circuit import Circuit
from biosim.drives import ImageDrive, Images, load_images
from biosim.errors import InputError
from biosim.findings import Findings
from biosim.progress import Stages
from biosim.scorers.training import Training, train
from biosim.streams import generator
from biosim.synapses import Network
from biosim.theory.construction import Construction, construct
from biosim.theory.drawing import COLOURS, band, legend, panels
from biosim.theory.subset_sum import best_subsets

METRICS = {
    "error_over_eps": "largest output error seen over eps, the worst of all depths and eps",
    "mean_over_eps": "mean output error on test images over eps, the worst of all depths and eps",
    "bound_over_eps": "the bound certified for every input of the reach, over eps, the worst of all",
    "target_accuracy": "test accuracy of the trained targets, the lowest of all depths",
    "accuracy_lost": "largest change of test accuracy from the target to the masked random network",
    "agreement": "share of test images on which both name the same class at the smallest eps, the lowest of all depths",
    "kept_per_weight": "synapses kept for each weight of the target at the smallest eps, the most of all depths",
    "kept_per_bit": "synapses kept for each weight of the target for one more bit of precision, log2(1/eps), smallest depth",
    "pensia_constant": "largest C for which a layer needed C log2(d_in d_out L / eps) gadget neurons of each input and sign",
    "width_growth": "largest pool at the largest width over that at the smallest, the width growing sixteenfold",
    "single_exponent": "exponent of 1/tolerance in the gadget neurons a weight needs if it may keep one only (Malach et al.)",
    "subset_exponent": "the same if it may keep any subset (Pensia et al.)",
}
SINGLE = [0.1, 0.03, 0.01, 0.003, 0.001]  # tolerances, over the largest weight, at which one neuron is compared with subsets
_Floats = npt.NDArray[np.float64]


def run(
    seeds: Sequence[int],
    *,
    width: int = 20,
    widths: list[int] = [5, 10, 20, 40, 80],  # noqa: B006 (never changed; a default a scenario can read)
    eps: list[float] = [0.1, 0.03, 0.01],  # noqa: B006
    epochs: int = 15,
    depths: list[int] = [2, 3],  # noqa: B006
    progress: Stages | None = None,
) -> Findings:
    """Train the targets, build the random networks, find the masks, run them.

    Parameters
    ----------
    seeds : sequence of int
        Births and training of the target, and the random network.
    width : int
        Hidden neurons of the target, in every layer.
    widths : list of int
        Hidden neurons of targets of depth 2 at the middle eps.
    eps : list of float
        Largest output errors asked for.
    epochs : int
        Of the targets' training on digits.
    depths : list of int
        Layers of weights of the targets.
    progress : callable, optional
    """
    if len(eps) < 2 or not all(0 < e < 1 for e in eps):
        raise InputError("depth-2l needs at least two output errors between 0 and 1", ("eps",))
    if not depths or min(depths) < 2 or len(widths) < 2 or min(*widths, width) < 2:
        raise InputError("depth-2l needs targets of depth 2 or more with two hidden neurons or more, and two widths")
    images, order, depths = load_images("digits"), sorted(eps, reverse=True), sorted(depths)
    reach = 1.05 * float(np.abs(images.train).sum(1).max())
    middle = order[len(order) // 2]
    plans = [("eps", depth, width, e) for depth in depths for e in order]
    plans += [("width", 2, w, middle) for w in sorted(widths)]
    targets: dict[tuple[int, int], list[list[_Floats]]] = {}
    rows = []
    for step, (sweep, depth, size, e) in enumerate(plans):
        if (depth, size) not in targets:
            targets[depth, size] = _targets(seeds, images, depth, size, epochs)
        for seed, layers in zip(seeds, targets[depth, size], strict=True):
            made = construct(layers, e, reach, generator(seed, f"depth-2l/{depth}/{size}/{e:g}"))
            rows.append(_row(seed, sweep, layers, e, made, images, reach))
        if progress is not None:
            progress("building", step + 1, len(plans), {"eps": e})
    single = np.array([_gadgets_needed(seed, own) for seed, own in zip(seeds, targets[depths[0], width], strict=True)])
    return _findings(rows, single, seeds, order, depths)


def _targets(seeds: Sequence[int], images: Images, depth: int, width: int, epochs: int) -> list[list[_Floats]]:
    """Return the trained layers of each replicate."""
    network = Network.layered([images.train.shape[1], *[width] * (depth - 1), images.classes], seeds, weights="kaiming-normal")
    drive = ImageDrive(images, 32, epochs)
    weights = train(network, network.masks(), drive, tuple(seeds), Training(rate=0.05, decay=5e-4))
    return [[np.asarray(w[r].numpy(), np.float64) for w in weights.values()] for r in range(len(seeds))]


def forward(layers: Sequence[_Floats], inputs: npt.NDArray[Any]) -> _Floats:
    """Return the target's output for (n, d_in) inputs, (n, d_out)."""
    values = np.asarray(inputs, np.float64)
    for w in layers[:-1]:
        values = np.maximum(values @ w, 0)
    return np.asarray(values @ layers[-1])


def _row(
    seed: int, sweep: str, layers: list[_Floats], eps: float, made: Construction, images: Images, reach: float
) -> dict[str, Any]:  # fmt: skip
    random = generator(seed, "depth-2l/inputs").standard_normal((1000, layers[0].shape[0]))
    corners = np.concatenate([np.eye(layers[0].shape[0]), -np.eye(layers[0].shape[0])])  # where a norm of 1 weighs most on one input
    probes = reach * np.concatenate([random / np.abs(random).sum(1, keepdims=True), corners])
    wanted, given = forward(layers, images.test), _respond(made.circuit, images.test)
    off = np.abs(given - wanted)
    beyond = np.abs(_respond(made.circuit, probes) - forward(layers, probes))
    right = [(out.argmax(1) == images.test_labels).mean() for out in (wanted, given)]
    weights, depth = sum(w.size for w in layers), len(layers)
    constants = [own.pool / np.log2(w.size * depth / eps) for own, w in zip(made.layers, layers, strict=True)]
    return {
        "seed": seed, "sweep": sweep, "depth": depth, "width": layers[0].shape[1], "eps": eps,
        "max_error_test": float(off.max()), "mean_error_test": float(off.mean()), "max_error_probes": float(beyond.max()),
        "certified_bound": made.bound, "target_accuracy": float(right[0]), "circuit_accuracy": float(right[1]),
        "agreement": float((wanted.argmax(1) == given.argmax(1)).mean()), "target_weights": weights, "synapses_born": made.born,
        "synapses_kept": made.kept, "gadgets_first_layer": made.layers[0].pool, "gadgets_most": max(own.pool for own in made.layers),
        "pensia_constant": float(max(constants)),
    }  # fmt: skip


def _respond(circuit: Circuit, inputs: npt.NDArray[Any]) -> _Floats:
    return np.asarray(circuit.respond(inputs.astype(np.float32))[0], np.float64)


def _gadgets_needed(seed: int, layers: list[_Floats]) -> _Floats:
    """Return the gadget neurons with which 99 % of weights come within each tolerance, (2, tolerances): one kept, or a subset."""
    random, problems = generator(seed, "depth-2l/single"), 400
    weights = np.concatenate([w.ravel() / np.abs(w).max() for w in layers])
    wanted = random.choice(weights, problems)
    needed = np.empty((2, len(SINGLE)))
    for k, tolerance in enumerate(SINGLE):
        most = int(12 / tolerance)
        first = np.full(problems, most)
        for p in range(problems):
            hit = np.abs(random.uniform(0, 1, most) * random.uniform(-1, 1, most) - wanted[p]) <= tolerance
            first[p] = int(hit.argmax()) + 1 if hit.any() else most
        needed[0, k] = np.quantile(first, 0.99)
        sizes, shares = np.arange(2, 24, 2), []
        for n in sizes:
            products = random.uniform(0, 1, (problems, n)) * random.uniform(-1, 1, (problems, n))
            shares.append((best_subsets(products, wanted).error <= tolerance).mean())
            if shares[-1] >= 0.99:
                break
        needed[1, k] = sizes[len(shares) - 1]
    return needed


def _findings(rows: list[dict[str, Any]], single: _Floats, seeds: Sequence[int], eps: list[float], depths: list[int]) -> Findings:
    own = [[row for row in rows if row["seed"] == seed] for seed in seeds]
    sweep = [[row for row in mine if row["sweep"] == "eps"] for mine in own]
    least = [[row for row in mine if row["eps"] == eps[-1]] for mine in sweep]
    widths = [sorted((row for row in mine if row["sweep"] == "width"), key=lambda row: row["width"]) for mine in own]

    def extreme(of: list[list[dict[str, Any]]], value: Any, pick: Any = max) -> npt.NDArray[np.float64]:
        return np.array([pick(value(row) for row in mine) for mine in of])

    bits = np.log2(1 / np.array(eps))
    kept = [[row["synapses_kept"] / row["target_weights"] for row in mine if row["depth"] == depths[0]] for mine in sweep]
    x = np.log10(1 / np.array(SINGLE))
    metrics = {
        "error_over_eps": extreme(own, lambda row: max(row["max_error_test"], row["max_error_probes"]) / row["eps"]),
        "mean_over_eps": extreme(own, lambda row: row["mean_error_test"] / row["eps"]),
        "bound_over_eps": extreme(own, lambda row: row["certified_bound"] / row["eps"]),
        "target_accuracy": extreme(sweep, lambda row: row["target_accuracy"], min),
        "accuracy_lost": extreme(own, lambda row: abs(row["target_accuracy"] - row["circuit_accuracy"])),
        "agreement": extreme(least, lambda row: row["agreement"], min),
        "kept_per_weight": extreme(least, lambda row: row["synapses_kept"] / row["target_weights"]),
        "kept_per_bit": np.array([np.polyfit(bits, mine, 1)[0] for mine in kept]),
        "pensia_constant": extreme(own, lambda row: row["pensia_constant"]),
        "width_growth": np.array([mine[-1]["gadgets_most"] / mine[0]["gadgets_most"] for mine in widths]),
        "single_exponent": np.array([np.polyfit(x, np.log10(mine[0]), 1)[0] for mine in single]),
        "subset_exponent": np.array([np.polyfit(x, np.log10(mine[1]), 1)[0] for mine in single]),
    }
    needed = [
        {"kept": kind, "tolerance": t, "gadget_neurons_for_99_percent": float(single[:, k, i].mean())}
        for k, kind in enumerate(("one neuron", "a subset")) for i, t in enumerate(SINGLE)
    ]  # fmt: skip
    return Findings({"depth-2l": _draw(sweep, widths, single, eps, depths)}, {"networks": rows, "gadgets": needed}, metrics)


def _draw(sweep: Any, widths: Any, single: _Floats, eps: list[float], depths: list[int]) -> Figure:
    figure, ((errors, synapses), (by_width, gadgets)) = panels(2, 2, width=4.2)
    for colour, depth in zip(COLOURS, depths, strict=False):
        rows = [[row for row in mine if row["depth"] == depth] for mine in sweep]
        for key, style, label in (("max_error_probes", "s--", "largest, whole reach"), ("max_error_test", "o-", "largest, test images"),
                                  ("mean_error_test", "v:", "mean, test images")):  # fmt: skip
            band(errors, eps, [[row[key] for row in mine] for mine in rows], colour, f"L = {depth}: {label}", style)
        for key, style, label in (("synapses_born", "s--", "born"), ("synapses_kept", "o-", "kept")):
            band(
                synapses, eps, [[row[key] / row["target_weights"] for row in mine] for mine in rows], colour, f"L = {depth}: {label}", style
            )
    errors.plot(eps, eps, "k-", lw=0.8, label="eps")
    errors.set(
        xscale="log",
        yscale="log",
        xlabel="eps (units of the readout)",
        ylabel="output error",
        title="The masked random network",
        ylim=(None, 30),
    )
    start = np.mean([[row["synapses_kept"] / row["target_weights"] for row in mine if row["depth"] == depths[0]] for mine in sweep], 0)[0]
    synapses.plot(eps, [start * (eps[0] / e) ** 2 for e in eps], "k:", lw=1, label="Malach et al.: as 1/eps$^2$")
    synapses.set(
        xscale="log", yscale="log", xlabel="eps (units of the readout)", ylabel="synapses for each target weight", title="Synapses"
    )
    size = [row["width"] for row in widths[0]]
    band(by_width, size, [[row["gadgets_most"] for row in mine] for mine in widths], COLOURS[0], "measured")
    first = widths[0][0]["gadgets_most"]
    inputs, e = 64, widths[0][0]["eps"]
    by_width.plot(
        size,
        [first * np.log(inputs * d * 2 / e) / np.log(inputs * size[0] * 2 / e) for d in size],
        "k--",
        lw=1,
        label="Pensia et al.: as log(d)",
    )
    by_width.plot(size, [first * (d / size[0]) ** 4 for d in size], "k:", lw=1, label="Malach et al.: as d$^4$")
    by_width.set(xscale="log", xlabel="hidden neurons of the target, d", ylabel="gadget neurons of an input and sign")
    by_width.set_xticks(size, [str(d) for d in size])
    by_width.minorticks_off()
    by_width.set(ylim=(0, 3 * first), title=f"Width (L = 2, eps = {e:g})")
    for k, (label, colour) in enumerate((("one neuron kept (Malach et al.)", COLOURS[1]), ("a subset kept (Pensia et al.)", COLOURS[0]))):
        band(gadgets, SINGLE, single[:, k], colour, label)
    gadgets.plot(SINGLE, [single[:, 0].mean(0)[0] * SINGLE[0] / t for t in SINGLE], "k:", lw=1, label="as 1/tolerance")
    gadgets.set(xscale="log", yscale="log", xlabel="tolerance (share of the largest weight)", ylabel="gadget neurons for 99 % of weights")
    gadgets.set(title="One weight")
    for axes in (errors, synapses, by_width, gadgets):
        legend(axes)
    figure.suptitle(f"Digits, target of depth L, random network of depth 2L: n = {len(single)} replicates, band: range", fontsize=9)
    return figure
