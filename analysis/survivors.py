"""Who survives: share, sign, weight percentile and lifetime of the synapses that are left, by projection.

biosim analyse survivors RUN          or          python analysis/survivors.py RUN
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import rankdata

from biosim.analysis import Findings, main
from biosim.store import Run


def analyse(run: Run) -> Findings:
    """Tabulate the survivors of a run and draw when the others died."""
    circuit = run.circuit
    deaths = run.dataset()
    rows = []
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    times = np.concatenate([[0.0], deaths["time"].values])
    steps = np.concatenate([[0], deaths["step"].values])
    for name, _, _ in circuit.projections:
        mask, born, weight = circuit.mask[name], circuit.born[name], circuit.weight[name]
        when = deaths[f"death_step.{name}"].values
        for r in range(circuit.replicates):
            magnitude = np.abs(weight[r][born[r]])
            percentile = 100 * rankdata(magnitude) / magnitude.size
            kept = mask[r][born[r]]
            rows.append(
                {
                    "projection": name,
                    "replicate": r,
                    "born": int(born[r].sum()),
                    "survivors": int(mask[r].sum()),
                    "share": float(mask[r].sum() / born[r].sum()),
                    "excitatory_born": float((weight[r][born[r]] > 0).mean()),
                    "excitatory_kept": float((weight[r][mask[r]] > 0).mean()),
                    "mean_weight_percentile_kept": float(percentile[kept].mean()),
                    "median_death_step": float(np.median(when[r][when[r] >= 0])) if (when[r] >= 0).any() else float("nan"),
                    "neurons_without_input": int((mask[r].sum(0) == 0).sum()),
                    "neurons_without_output": int((mask[r].sum(1) == 0).sum()),
                }
            )
        alive = np.array([((when == -1) | (when >= s)).sum() for s in steps]) / (when != -2).sum()
        axes.plot(times, alive, label=name)
    axes.set(xlabel="developmental time (s)", ylabel="alive / born", ylim=(0, 1.02))
    axes.set_title(f"Survival curves of {run.name} (mean of n = {circuit.replicates} replicates)")
    axes.legend(frameon=False)
    return Findings({"survival": figure}, {"survivors": rows})


if __name__ == "__main__":
    main(analyse, __file__)
