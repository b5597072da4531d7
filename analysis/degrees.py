"""Do survivors gather on few neurons? In- and out-degrees of every projection against synapses left at random.

biosim analyse degrees RUN          or          python analysis/degrees.py RUN

With k synapses left at random of n births, a neuron with b births keeps a hypergeometric number, of variance
k b (n - b)(n - k) / (n^2 (n - 1)). Dispersion is the observed variance about k b / n over that: 1 is chance, more is
heterogeneity, less is regulation (a rule that keeps the same number in every neuron has 0).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.graphs import spread
from biosim.graphs.nulls import shared_by_chance
from biosim.store import Run


def analyse(run: Run) -> Findings:
    """Tabulate degree heterogeneity by projection and method and draw the degrees in order of rank."""
    circuits = run.circuits
    projections = [name for name, _, _ in run.circuit.projections]
    figure = Figure(figsize=(2.6 * len(projections) + 1.4, 4.6), layout="constrained")
    panels = figure.subplots(2, len(projections), squeeze=False)
    rows = []
    for column, name in enumerate(projections):
        for k, (method, circuit) in enumerate(circuits.items()):
            mask, born, weight = circuit.mask[name], circuit.born[name], circuit.weight[name]
            for row, way in enumerate(("out", "in")):
                degree, births = mask.sum(2 - row), born.sum(2 - row)
                excitatory = (mask & (weight > 0)).sum(2 - row)
                for r in range(circuit.replicates):
                    found = spread(degree[r])
                    share = np.divide(excitatory[r], degree[r], out=np.full(degree[r].size, np.nan), where=degree[r] > 0)
                    rows.append(
                        {
                            "method": method, "projection": name, "way": way, "replicate": r, "mean": found.mean, "largest": found.largest,
                            "variation": found.variation, "gini": found.gini, "dispersion": dispersion(degree[r], births[r]),
                            "without": int((degree[r] == 0).sum()),
                            "share_excitatory_deviation": float(np.nanstd(share)) if degree[r].any() else float("nan"),
                        }
                    )  # fmt: skip
                ranked = np.sort(degree, 1)[:, ::-1].mean(0)
                panels[row, column].plot(np.linspace(0, 100, ranked.size), ranked, color=f"C{k}", linewidth=1.2, label=method)
                panels[row, column].set_xlabel("rank of the neuron (%)")
        panels[0, column].set_title(name, fontsize=9)
    for axes in panels.flat:
        axes.set_ylim(bottom=0)
    panels[0, 0].set_ylabel("out-degree")
    panels[1, 0].set_ylabel("in-degree")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
    figure.suptitle(f"{run.name}: degrees by rank (mean of n = {run.circuit.replicates} replicates)", fontsize=9)
    return Findings({"degrees": figure}, {"degrees": rows})


def dispersion(degree: npt.NDArray[np.int64], births: npt.NDArray[np.int64]) -> float:
    """Return the variance of degrees over that of synapses left at random; NaN when chance leaves none."""
    n, k = int(births.sum()), int(degree.sum())
    mean, variance = shared_by_chance(n, births, k)
    chance = float(variance.mean())
    return float(((degree - mean) ** 2).mean() / chance) if chance else float("nan")


if __name__ == "__main__":
    main(analyse, __file__)
