"""Who survives: survival by birth weight, by how active both neurons were, and by how correlated, for every method.

biosim analyse who-survives RUN          or          python analysis/who_survives.py RUN

Activity and correlation are those of the network at birth, on the evaluation images: what a synapse could sense before any died.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.circuit import Circuit
from biosim.store import Run

SAMPLES, BINS = 500, 10
_Array = npt.NDArray[np.float64]


def analyse(run: Run) -> Findings:
    """Tabulate and draw survival by decile of weight, activity and correlation at birth."""
    circuits = run.circuits
    factors = at_birth(run.circuit, run.images().test[:SAMPLES])
    rows: list[dict[str, Any]] = []
    names = [p[0] for p in run.circuit.projections]
    figure = Figure(figsize=(9.2, 2.3 * len(names)), layout="constrained")
    grid = figure.subplots(len(names), 3, squeeze=False, sharey="row")
    for line, projection in zip(grid, names, strict=True):
        for axes, (factor, values) in zip(line, factors[projection].items(), strict=True):
            for k, (method, circuit) in enumerate(circuits.items()):
                kept = np.array([survival(values[r], circuit, projection, r) for r in range(circuit.replicates)])
                rows += [
                    {
                        "method": method,
                        "projection": projection,
                        "factor": factor,
                        "decile": d + 1,
                        "replicate": r,
                        "survival": float(share),
                    }
                    for r, own in enumerate(kept)
                    for d, share in enumerate(own)
                ]
                axes.plot(range(1, BINS + 1), kept.mean(0), marker="o", ms=2.5, lw=1.2, color=f"C{k}", label=method)
            axes.set(xlabel=f"decile of {factor}", xticks=range(1, BINS + 1))
        line[0].set_ylabel(f"{projection}\nsurvivors / born")
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=7)
    figure.suptitle(f"{run.name}: who survives (mean of n = {run.circuit.replicates} births; factors at birth)", fontsize=10)
    return Findings({"who-survives": figure}, {"who-survives": rows})


def at_birth(circuit: Circuit, inputs: npt.NDArray[np.float32]) -> dict[str, dict[str, _Array]]:
    """Return, for each projection, (R, n_pre, n_post) weight, mean activity product and correlation before any synapse died."""
    born = replace(circuit, mask=dict(circuit.born), gain={n: np.ones_like(g) for n, g in circuit.gain.items()})
    activity = {n: a.astype(np.float64) for n, a in born.activity(inputs).items()}
    centred = {n: a - a.mean(1, keepdims=True) for n, a in activity.items()}
    found = {}
    for name, pre, post in circuit.projections:
        size = {n: np.sqrt((centred[n] ** 2).sum(1)) for n in (pre, post)}
        scale = size[pre][:, :, None] * size[post][:, None, :]
        together = centred[pre].transpose(0, 2, 1) @ centred[post]
        found[name] = {
            "birth weight": circuit.weight[name].astype(np.float64),
            "activity, pre x post": np.abs(activity[pre]).mean(1)[:, :, None] * np.abs(activity[post]).mean(1)[:, None, :],
            "correlation, pre and post": np.divide(together, scale, out=np.zeros_like(together), where=scale > 0),
        }
    return found


def survival(values: _Array, circuit: Circuit, projection: str, replicate: int) -> _Array:
    """Return the share of births that survived in each decile of (n_pre, n_post) values, (BINS,); ties share their survival evenly."""
    born = circuit.born[projection][replicate]
    own, kept = values[born], circuit.mask[projection][replicate][born].astype(np.float64)
    _, place, count = np.unique(own, return_inverse=True, return_counts=True)
    evenly = (np.bincount(place, kept) / count)[place]  # signed-constant weights have two values: no order among equals
    return np.array([part.mean() for part in np.array_split(evenly[np.argsort(own, kind="stable")], BINS)])


if __name__ == "__main__":
    main(analyse, __file__)
