"""What survivors look at: receptive fields of hidden neurons, how local they are, and whether they are tuned to a class.

biosim analyse receptive-fields RUN          or          python analysis/receptive_fields.py RUN

A receptive field is the surviving weights from the image to one neuron of the first hidden population. Its *spread* is the
root mean square distance of its synapses from their centre, in pixels, over the spread of as many synapses at random pixels;
its *selectivity* is (a - b)/(a + b), a the neuron's mean activity on its best class, b that on all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.store import Run

SHOWN = 12


def analyse(run: Run) -> Findings:
    """Draw the most selective neurons' fields for every method, and tabulate spread and selectivity of all neurons."""
    circuits = run.circuits
    height, width = run.about["image_side"]
    images = run.images()
    name, _, post = run.circuit.projections[0]
    if run.circuit.mask[name].shape[1] != height * width:
        raise BiosimError(f"{run.folder}: the first projection does not start from the {height} x {width} pixels")
    figure = Figure(figsize=(0.75 * SHOWN + 1.4, 0.95 * len(circuits) + 0.5), layout="constrained")
    grid = figure.subplots(len(circuits), SHOWN, squeeze=False)
    rows: list[dict[str, Any]] = []
    for line, (method, circuit) in zip(grid, circuits.items(), strict=True):
        activity = circuit.activity(images.test, (post,))[post]
        for r in range(circuit.replicates):
            tuned = selectivity(activity[r], images.test_labels)
            spreads = spread(circuit.mask[name][r], height, width)
            for neuron, (s, d) in enumerate(zip(tuned, spreads, strict=True)):
                synapses = int(circuit.mask[name][r, :, neuron].sum())
                row = {
                    "method": method,
                    "replicate": r,
                    "neuron": neuron,
                    "synapses": synapses,
                    "spread": float(d),
                    "selectivity": float(s),
                }
                rows.append(row)
            if r == 0:
                best = np.argsort(-np.nan_to_num(tuned, nan=-1), kind="stable")[:SHOWN]
                _draw(line, circuit, name, best, tuned, (height, width))
        line[0].set_ylabel(method, fontsize=7, rotation=0, ha="right", va="center")
    text = f"{run.name}: surviving inputs of the most selective neurons of {post} (red +, blue -, white none; birth 0; above: selectivity)"
    figure.suptitle(text, fontsize=8)
    return Findings({"receptive-fields": figure}, {"receptive-fields": rows})


def _draw(line: Any, circuit: Circuit, name: str, best: npt.NDArray[Any], tuned: npt.NDArray[np.float64], side: tuple[int, int]) -> None:
    fields = (circuit.weight[name] * circuit.mask[name])[0]
    limit = float(np.abs(fields).max()) or 1.0
    for axes in line:
        axes.set(xticks=[], yticks=[])
    for axes, neuron in zip(line, best, strict=False):
        axes.imshow(fields[:, neuron].reshape(side), cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title("silent" if np.isnan(tuned[neuron]) else f"{tuned[neuron]:.2f}", fontsize=6, pad=1)


def selectivity(activity: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return (best - others)/(best + others) of each neuron, from (n, size) activity >= 0; NaN for a silent one."""
    means = np.stack([np.abs(activity[labels == c]).mean(0, dtype=np.float64) for c in np.unique(labels)])
    best = means.max(0)
    others = (means.sum(0) - best) / (len(means) - 1)
    return np.asarray(np.divide(best - others, best + others, out=np.full(best.shape, np.nan), where=best > 0))


def spread(mask: npt.NDArray[np.bool_], height: int, width: int) -> npt.NDArray[np.float64]:
    """Return the spread of each neuron's (pixels, size) synapses over that of random pixels; NaN for fewer than two synapses."""
    place = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).reshape(-1, 2).astype(np.float64)
    found = np.full(mask.shape[1], np.nan)
    everywhere = place.var(0, ddof=1).sum()
    for neuron, own in enumerate(mask.T):
        if own.sum() > 1:
            found[neuron] = np.sqrt(place[own].var(0, ddof=1).sum() / everywhere)
    return found


if __name__ == "__main__":
    main(analyse, __file__)
