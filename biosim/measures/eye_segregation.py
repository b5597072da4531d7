"""Eye-specific segregation and refinement of the inputs of cells that two eyes project to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from biosim.circuit import Circuit
from biosim.develop import Development
from biosim.drives import Drive
from biosim.errors import InputError
from biosim.findings import Findings, mean_of_known
from biosim.streams import generator
from biosim.synapses import Network

METRICS = {
    "inputs": "synapses left on a cell, mean",
    "inputs_at_birth": "the same at birth",
    "segregation": "abs(L - R)/(L + R) of the weights from either eye, mean over cells",
    "beyond_chance": "segregation over that of the same weights dealt out to the eyes by chance: 0 as by chance, 1 complete",
    "segregation_at_birth": "segregation of all synapses born, each counted as one",
    "left": "share of the cells that the left eye drives more",
    "silent": "share of the cells without any input left",
    "scatter": "circular spread of a cell's inputs from its stronger eye: 0 all in one place, 1 all round the eye",
}

DEALT = 200  # draws of what chance would give
Array = npt.NDArray[np.float64]


def check(network: Network, drive: Drive) -> None:
    """Refuse a network whose first population cannot be two eyes."""
    size = network.input.size
    if size % 2:
        raise InputError(f"the first population is two eyes: it cannot have {size} neurons", ("name",))


def eyes(weight: Array) -> tuple[Array, Array]:
    """Return the summed weight from the left and the right eye, (R, cells) each, of (R, both eyes, cells) weights."""
    half = weight.shape[1] // 2
    return weight[:, :half].sum(1), weight[:, half:].sum(1)


def segregation(weight: Array) -> Array:
    """Return abs(L - R)/(L + R), (R, cells); NaN for a cell without input."""
    left, right = eyes(weight)
    total = left + right
    return np.asarray(np.divide(np.abs(left - right), total, out=np.full(total.shape, np.nan), where=total > 0))


def by_chance(weight: Array, seeds: Sequence[int]) -> Array:
    """Return the segregation, (R, cells), expected where each cell's weights came from ganglion cells at random."""
    found = np.empty((len(weight), weight.shape[2]))
    for r, seed in enumerate(seeds):
        random = generator(seed, "eye-segregation/chance")
        dealt = np.stack([random.permuted(weight[r], axis=0) for _ in range(DEALT)])
        found[r] = segregation(dealt).mean(0)
    return found


def scatter(weight: Array) -> Array:
    """Return the circular spread ``1 - abs(sum w exp(i x))/sum w`` of the stronger eye's weights, (R, cells)."""
    half = weight.shape[1] // 2
    left, right = eyes(weight)
    own = np.where((left >= right)[:, None], weight[:, :half], weight[:, half:])
    turn = np.exp(2j * np.pi * np.arange(half) / half)[:, None]
    total = own.sum(1)
    return np.asarray(1 - np.divide(np.abs((own * turn).sum(1)), total, out=np.full(total.shape, np.nan), where=total > 0), np.float64)


def observe(network: Network, drive: Drive) -> dict[str, list[float]]:
    """Return segregation and inputs for every record."""
    p = next(iter(network.projections.values()))
    weight = (p.weight * p.alive).double().cpu().numpy()
    return {"segregation": mean_of_known(segregation(weight)).tolist(), "inputs": p.alive.sum(1).double().mean(1).tolist()}


def measure(development: Development, drive: Drive) -> Findings:
    """Measure the network's first projection; the first half of its presynaptic neurons is the left eye."""
    circuit = development.circuit
    name = circuit.projections[0][0]
    weight = (circuit.weight[name] * circuit.mask[name]).astype(np.float64)
    count = circuit.mask[name].sum(1)
    left, right = eyes(weight)
    found, chance = mean_of_known(segregation(weight)), mean_of_known(by_chance(weight, development.circuit.provenance["seeds"]))
    metrics = {
        "inputs": count.mean(1),
        "inputs_at_birth": circuit.born[name].sum(1).mean(1),
        "segregation": found,
        "beyond_chance": (found - chance) / np.maximum(1 - chance, 1e-9),
        "segregation_at_birth": mean_of_known(segregation(circuit.born[name].astype(np.float64))),
        "left": (left > right).mean(1),
        "silent": (count == 0).mean(1),
        "scatter": mean_of_known(scatter(weight)),
    }
    figure = _figure(development, circuit, name, weight)
    return Findings({"eye-segregation": figure}, {}, {k: np.asarray(v, np.float64).tolist() for k, v in metrics.items()})


def _figure(development: Development, circuit: Circuit, name: str, weight: Array) -> Figure:
    figure = Figure(figsize=(9.6, 3.0), layout="constrained")
    axes, middle, right = figure.subplots(1, 3, width_ratios=[1, 1, 1])
    records, half = development.history.records, weight.shape[1] // 2
    u = 100 * np.array([r["u"] for r in records])
    for key, scale, colour, label in (("segregation", 1.0, "#1b6ca8", "eye segregation"), ("inputs", 0.0, "#d1495b", "inputs / at birth")):
        values = np.array([r[f"measure.{key}"] for r in records])
        values = values / (scale or circuit.born[name].sum(1).mean(1))
        axes.plot(u, values.mean(1), color=colour, label=label)
        axes.fill_between(u, values.min(1), values.max(1), color=colour, alpha=0.2, lw=0)
    axes.set(
        xlabel="development (%)",
        ylabel="segregation; share of inputs",
        ylim=(-0.02, 1.02),
        title=f"n = {len(weight)} replicates, band: range",
    )
    axes.legend(frameon=False, fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    both = LinearSegmentedColormap.from_list("eyes", ["#1b6ca8", "white", "#d1495b"])
    shown = np.concatenate([weight[0][:half], -weight[0][half:]])
    limit = float(np.abs(shown).max()) or 1.0
    middle.imshow(shown, cmap=both, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    middle.axhline(half - 0.5, color="0.5", lw=0.7)
    middle.set(xlabel="geniculate cell", ylabel="ganglion cell (left eye, then right)", title="Weights in the end, replicate 0")
    left, other = eyes(weight)
    index = np.divide(left - other, left + other, out=np.zeros_like(left), where=left + other > 0)
    right.hist(index.ravel(), np.linspace(-1, 1, 21).tolist(), color="0.6")
    right.set(xlabel="(L - R)/(L + R) of a cell", ylabel="cells (all replicates)", title="Ocular dominance")
    right.spines[["top", "right"]].set_visible(False)
    return figure
