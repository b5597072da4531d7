"""Are motifs more frequent than degrees explain? Bi-fans of every projection, and three-node motifs of recurrent ones, against nulls.

biosim analyse motifs RUN          or          python analysis/motifs.py RUN

Nulls keep the in- and out-degree of every neuron. Those of bi-fans respect the births (Curveball); those of three-node motifs are
Maslov-Sneppen swaps, which may place a synapse where none was born. Three-node motifs of a projection between two populations are
fixed by its degrees, so there bi-fans are counted: two presynaptic neurons that share two postsynaptic ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.circuit import Circuit
from biosim.graphs import bifans, from_circuit, motifs
from biosim.graphs.nulls import Contrast, contrast, curveball
from biosim.store import Run

NULLS = 20


def analyse(run: Run) -> Findings:
    """Count motifs of every method's circuits and draw how far they are from their nulls."""
    circuits = run.circuits
    rows = [row for method, circuit in circuits.items() for row in _rows(method, circuit)]
    kinds = list(dict.fromkeys(f"{r['projection']} {r['motif']}" for r in rows))
    figure = Figure(figsize=(2.2 + 0.62 * max(len(kinds), 4), 3.8), layout="constrained")
    axes = figure.subplots()
    for k, method in enumerate(circuits):
        values = [[r["ratio"] for r in rows if r["method"] == method and f"{r['projection']} {r['motif']}" == kind] for kind in kinds]
        place = np.arange(len(kinds)) + 0.5 * (k + 0.5) / len(circuits) - 0.25
        mean, spread = [float(np.mean(v)) for v in values], [float(np.std(v)) for v in values]
        axes.errorbar(place, mean, spread, fmt="o", markersize=4, linewidth=1, color=f"C{k}", label=method)
    axes.axhline(1, color="0.6", linewidth=0.8)
    axes.set_xticks(range(len(kinds)), kinds, rotation=50, ha="right", fontsize=8)
    axes.set(ylabel="count / mean count of the nulls")
    axes.set_title(
        f"{run.name}: motifs against {NULLS} nulls of the same degrees\n(mean ± sd, n = {run.circuit.replicates} replicates)", fontsize=9
    )
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return Findings({"motifs": figure}, {"motifs": rows})


def _rows(method: str, circuit: Circuit) -> list[dict[str, Any]]:
    found = []
    for name, pre, post in circuit.projections:
        for r in range(circuit.replicates):
            mask, born = circuit.mask[name][r], circuit.born[name][r]
            nulls = curveball(mask, NULLS, r, None if born.all() else born)
            counts: dict[str, Contrast] = {"bi-fan": contrast(bifans(mask), [bifans(m) for m in nulls])}
            if pre == post:
                counts |= motifs(from_circuit(circuit, r, name), NULLS, r)
            found += [{"method": method, "projection": name, "replicate": r, "motif": motif, **_flat(c)} for motif, c in counts.items()]
    return found


def _flat(found: Contrast) -> dict[str, float]:
    names = {"observed": "count", "mean": "null_mean", "deviation": "null_deviation"}
    return {names.get(k, k): getattr(found, k) for k in ("observed", "mean", "deviation", "ratio", "normalised", "z", "p")}


if __name__ == "__main__":
    main(analyse, __file__)
