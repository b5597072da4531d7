"""Robustness to lesions: accuracy as synapses or hidden neurons are cut at random, or the most used ones first.

biosim analyse lesions RUN          or          python analysis/lesions.py RUN

*Random synapses* and *random neurons*: drawn anew in each replicate. *Hubs*: hidden neurons with most surviving synapses,
in and out, go first. Shares are of the synapses, or hidden neurons, that the circuit still has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.circuit import Circuit
from biosim.compare.function import circuit_accuracy
from biosim.store import Run
from biosim.streams import generator

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
LESIONS = ("random synapses", "random neurons", "hubs")


def analyse(run: Run) -> Findings:
    """Lesion every method's circuit and draw what is left of its accuracy."""
    circuits = run.circuits
    images = run.images()
    figure = Figure(figsize=(9.6, 3.1), layout="constrained")
    panels = figure.subplots(1, len(LESIONS), sharey=True)
    rows: list[dict[str, Any]] = []
    for axes, kind in zip(panels, LESIONS, strict=True):
        for k, (method, circuit) in enumerate(circuits.items()):
            found = np.array([circuit_accuracy(lesion(circuit, kind, share), images.test, images.test_labels) for share in SHARES])
            for share, own in zip(SHARES, found, strict=True):
                rows += [
                    {"method": method, "lesion": kind, "share": share, "replicate": r, "accuracy": float(a)} for r, a in enumerate(own)
                ]
            x, mean = 100 * np.array(SHARES), 100 * found.mean(1)
            axes.plot(x, mean, marker="o", ms=3, lw=1.3, color=f"C{k}", label=method)
            axes.fill_between(x, 100 * found.min(1), 100 * found.max(1), color=f"C{k}", alpha=0.15, lw=0)
        axes.axhline(100 / images.classes, color="0.5", ls=":", lw=1)
        axes.set(xlabel=f"{kind} cut (%)")
    panels[0].set(ylabel=f"accuracy, {images.evaluated_on} split (%)", ylim=(0, 102))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=7)
    figure.suptitle(f"{run.name}: lesions (mean of n = {run.circuit.replicates}, band: range; dotted: chance)", fontsize=10)
    return Findings({"lesions": figure}, {"lesions": rows})


def lesion(circuit: Circuit, kind: str, share: float) -> Circuit:
    """Return a circuit without a share of its synapses, or of its hidden neurons' synapses."""
    mask = {n: m.copy() for n, m in circuit.mask.items()}
    for r in range(circuit.replicates):
        random = generator(r, f"lesions/{kind}")
        if kind == "random synapses":
            for own in mask.values():
                places = np.flatnonzero(own[r])
                own[r].ravel()[random.permutation(places)[: round(share * len(places))]] = False
            continue
        neurons = in_use(circuit, r)
        chosen = (
            [k for _, k in sorted((-d, k) for k, (_, _, d) in enumerate(neurons))] if kind == "hubs" else random.permutation(len(neurons))
        )
        for k in chosen[: round(share * len(neurons))]:
            population, neuron, _ = neurons[int(k)]
            cut(mask, circuit, r, population, neuron)
    return replace(circuit, mask=mask)


def in_use(circuit: Circuit, replicate: int) -> list[tuple[str, int, int]]:
    """Return the hidden neurons with a synapse left: (population, neuron, synapses in and out)."""
    found = []
    for name, size, _ in circuit.populations[1:-1]:
        degree = np.zeros(size, np.int64)
        for projection, pre, post in circuit.projections:
            own = circuit.mask[projection][replicate]
            degree += (own.sum(0) if post == name else 0) + (own.sum(1) if pre == name else 0)
        found += [(name, neuron, int(d)) for neuron, d in enumerate(degree) if d]
    return found


def cut(mask: dict[str, npt.NDArray[np.bool_]], circuit: Circuit, replicate: int, population: str, neuron: int) -> None:
    """Take all synapses of one neuron out of ``mask``."""
    for projection, pre, post in circuit.projections:
        if pre == population:
            mask[projection][replicate, neuron, :] = False
        if post == population:
            mask[projection][replicate, :, neuron] = False


if __name__ == "__main__":
    main(analyse, __file__)
