"""Do synapses survive where the image varies? Synapses left on each pixel against the pixel's variance.

biosim analyse ./my_analysis.py RUN          or          python my_analysis.py RUN
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from biosim.analysis import Findings, main
from biosim.store import Run


def analyse(run: Run) -> Findings:
    """Draw synapses left on a pixel against its variance, and tabulate Spearman's correlation, a row a replicate."""
    circuit = run.circuit
    first = circuit.projections[0][0]
    variance = run.images().train.var(0)
    left = circuit.mask[first].sum(2)  # (replicate, pixel)
    varies = variance > 0
    rows = [
        {"replicate": r, "synapses": int(own.sum()), "spearman": float(spearmanr(variance[varies], own[varies]).statistic)}
        for r, own in enumerate(left)
    ]
    figure = Figure(figsize=(4.2, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(variance, left.mean(0), ".", ms=5)
    axes.set(xlabel="variance of the pixel (training images)", ylabel="synapses left on it (mean)")
    axes.set_title(f"{run.name}: rho = {np.mean([row['spearman'] for row in rows]):.2f}, n = {len(rows)}", fontsize=9)
    return Findings({"pixels": figure}, {"pixels": rows})


if __name__ == "__main__":
    main(analyse, __file__)
