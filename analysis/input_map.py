"""Where the circuit looks: surviving out-degree of every input pixel, for the local rule and its rivals.

biosim analyse input-map RUN          or          python analysis/input_map.py RUN
"""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.store import Run


def analyse(run: Run) -> Findings:
    """Map input out-degree over the image and correlate the maps of all methods."""
    circuits = run.circuits
    height, width = run.about["image_side"]
    name = run.circuit.projections[0][0]
    degrees = {method: c.mask[name].sum(2).astype(float) for method, c in circuits.items()}
    variance = run.images().train.reshape(-1, height, width).var(0)
    figure = Figure(figsize=(2.3 * (len(degrees) + 1), 2.7), layout="constrained")
    panels = figure.subplots(1, len(degrees) + 1)
    top = max(d.mean(0).max() for d in degrees.values())
    image = None
    for axes, (method, degree) in zip(panels, degrees.items(), strict=False):
        image = axes.imshow(degree.mean(0).reshape(height, width), cmap="viridis", vmin=0, vmax=top)
        axes.set(title=method, xticks=[], yticks=[])
    assert image is not None
    figure.colorbar(image, ax=panels[:-1], label="surviving synapses a pixel", shrink=0.8)
    panels[-1].imshow(variance, cmap="gray")
    panels[-1].set(title="pixel variance", xticks=[], yticks=[])
    figure.suptitle(f"{run.name}: where the circuits look (mean of n = {run.circuit.replicates})", fontsize=9)
    rows = []
    for (a, x), (b, y) in itertools.combinations(
        {**degrees, "pixel-variance": np.tile(variance.ravel(), (len(run.about["seeds"]), 1))}.items(), 2
    ):
        for r in range(run.circuit.replicates):
            constant = x[r].std() == 0 or y[r].std() == 0
            correlation = float("nan") if constant else float(np.corrcoef(x[r], y[r])[0, 1])
            rows.append({"first": a, "second": b, "replicate": r, "degree_correlation": correlation})
    return Findings({"input-map": figure}, {"degree-correlation": rows})


if __name__ == "__main__":
    main(analyse, __file__)
