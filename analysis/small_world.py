"""Does development make a small world? Clustering and path length of every projection over time, against nulls of the same degrees.

biosim analyse small-world RUN          or          python analysis/small_world.py RUN

The masks of earlier moments are rebuilt from the step at which each synapse died. A recurrent projection is measured as a
directed graph (Fagiolo's clustering, directed paths; sigma and omega). A projection between two populations has no triangles, so
its clustering is the share of three-step paths that close to a square, its paths run both ways along synapses, and
sigma = (C / C_null) / (L / L_null) is read in the same way: above 1 for a small world.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.errors import UndefinedError
from biosim.graphs import Graph, bipartite_clustering, path_length, reachable, small_world
from biosim.graphs.nulls import curveball
from biosim.store import Run

NULLS, MOMENTS = 5, 8

Mask = npt.NDArray[np.bool_]


def analyse(run: Run) -> Findings:
    """Measure every projection of the local circuit at several moments of development."""
    deaths, circuit = run.dataset(), run.circuit
    steps, times = deaths["step"].values, deaths["time"].values
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(MOMENTS, len(steps))).round().astype(int))
    rows: list[dict[str, Any]] = []
    for name, pre, post in circuit.projections:
        when = deaths[f"death_step.{name}"].values
        for moment in chosen:
            last = moment == chosen[-1]
            for r in range(circuit.replicates):
                mask = circuit.mask[name][r] if last else (when[r] == -1) | (when[r] >= steps[moment])
                births = circuit.born[name][r]
                values = _recurrent(mask, r) if pre == post else _bipartite(mask, births, r)
                own = {"projection": name, "replicate": r, "time": float(times[moment]), "density": float(mask.sum() / births.sum())}
                rows.append(own | values)
    return Findings({"small_world": _figure(rows, run)}, {"small_world": rows})


def _recurrent(mask: Mask, seed: int) -> dict[str, float]:
    graph = Graph.from_matrix(mask.astype(float))
    try:
        found = small_world(graph, NULLS, seed)
    except UndefinedError:
        return _row(float("nan"), float("nan"), float("nan"), float("nan"), reachable(graph))
    numbers = (found.clustering, found.path_length, found.null_clustering, found.null_path_length, reachable(graph))
    return _row(*numbers) | {"omega": found.omega}


def _bipartite(mask: Mask, births: Mask, seed: int) -> dict[str, float]:
    graph = _two_sided(mask)
    nulls = curveball(mask, NULLS, seed, None if births.all() else births)
    try:
        c, length = bipartite_clustering(mask), path_length(graph)
        null_c = float(np.mean([bipartite_clustering(m) for m in nulls]))
        null_length = float(np.mean([path_length(_two_sided(m)) for m in nulls]))
    except UndefinedError:
        c = length = null_c = null_length = float("nan")
    return _row(c, length, null_c, null_length, reachable(graph))


def _two_sided(mask: Mask) -> Graph:
    n_pre, n_post = mask.shape
    i, j = np.nonzero(mask)
    ends = (np.concatenate([i, j + n_pre]), np.concatenate([j + n_pre, i]))
    return Graph.from_edges(n_pre + n_post, *ends)


def _row(c: float, length: float, null_c: float, null_length: float, connected: float) -> dict[str, float]:
    sigma = (c / null_c) / (length / null_length) if null_c > 0 and length > 0 else float("nan")
    return {
        "clustering": c, "null_clustering": null_c, "path_length": length, "null_path_length": null_length, "sigma": sigma,
        "omega": float("nan"), "reachable_pairs": connected,
    }  # fmt: skip


def _figure(rows: list[dict[str, Any]], run: Run) -> Figure:
    figure = Figure(figsize=(8.6, 3.3), layout="constrained")
    panels = figure.subplots(1, 3)
    for k, (name, _, _) in enumerate(run.circuit.projections):
        times = sorted({r["time"] for r in rows})
        for axes, key, null in zip(
            panels, ("clustering", "path_length", "sigma"), ("null_clustering", "null_path_length", None), strict=True
        ):
            values = np.array([[r[key] for r in rows if r["projection"] == name and r["time"] == t] for t in times])
            axes.plot(times, values.mean(1), "o-", color=f"C{k}", markersize=3, linewidth=1.2, label=name)
            axes.fill_between(times, values.mean(1) - values.std(1), values.mean(1) + values.std(1), color=f"C{k}", alpha=0.2, linewidth=0)
            if null:
                chance = np.array([[r[null] for r in rows if r["projection"] == name and r["time"] == t] for t in times])
                axes.plot(times, chance.mean(1), ":", color=f"C{k}", linewidth=1.2)
            axes.set(xlabel="developmental time (s)", ylabel=key.replace("_", " "))
            axes.locator_params(axis="x", nbins=4)
    panels[2].axhline(1, color="0.6", linewidth=0.8)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    n = run.circuit.replicates
    figure.suptitle(
        f"{run.name}: small worlds over development (mean ± sd, n = {n} replicates; dotted: {NULLS} nulls, same degrees)", fontsize=9
    )
    return figure


if __name__ == "__main__":
    main(analyse, __file__)
