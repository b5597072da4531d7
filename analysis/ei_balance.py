"""Excitation and inhibition: does pruning leave a neuron's inputs balanced?

biosim analyse ei-balance RUN          or          python analysis/ei_balance.py RUN

For every neuron, E is the summed positive input it receives, averaged over the evaluation images, and I the size of the
summed negative input: E = <sum_i [w_ij y_i]+>, I = <sum_i [w_ij y_i]->. The balance (E - I)/(E + I) is 0 where they cancel,
-1 or 1 where one is alone. Before: the same neuron with all its birth synapses and the survivor's presynaptic activity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.circuit import Circuit
from biosim.store import Run

SAMPLES = 500
_Array = npt.NDArray[np.float64]


def analyse(run: Run) -> Findings:
    """Tabulate and draw the balance of every neuron's input, before and after pruning."""
    circuits = run.circuits
    inputs = run.images().test[:SAMPLES]
    names = [n for n, _, _ in run.circuit.populations[1:]]
    figure = Figure(figsize=(7.6, 2.1 * len(names)), layout="constrained")
    grid = figure.subplots(len(names), 1, squeeze=False)[:, 0]
    rows: list[dict[str, Any]] = []
    found = {method: balance(circuit, inputs) for method, circuit in circuits.items()}
    bins = np.linspace(-1, 1, 41).tolist()
    for axes, name in zip(grid, names, strict=True):
        for k, method in enumerate(circuits):
            before, after = found[method][name]
            if k == 0:
                axes.hist(before[np.isfinite(before)], bins, color="0.85", label="before (all births)", density=True)
            axes.hist(after[np.isfinite(after)], bins, histtype="step", color=f"C{k}", label=method, density=True)
            for r in range(len(after)):
                rows.append(
                    {
                        "method": method, "population": name, "replicate": r, "before": _mean(before[r]), "after": _mean(after[r]),
                        "spread_before": _spread(before[r]), "spread_after": _spread(after[r]),
                        "neurons_without_input": int((~np.isfinite(after[r])).sum()),
                    }
                )  # fmt: skip
        axes.axvline(0, color="0.5", lw=0.7)
        axes.set(xlabel=f"(E - I)/(E + I) of neurons of {name}", ylabel="density of neurons")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=7)
    figure.suptitle(f"{run.name}: excitation and inhibition (n = {run.circuit.replicates} births together)", fontsize=10)
    return Findings({"ei-balance": figure}, {"ei-balance": rows})


def balance(circuit: Circuit, inputs: npt.NDArray[np.float32]) -> dict[str, tuple[_Array, _Array]]:
    """Return each population's balance with all births and with the survivors, (R, size) each; NaN without any input."""
    activity = circuit.activity(inputs)
    found = {}
    for name, size, _ in circuit.populations[1:]:
        sums = np.zeros((2, 2, circuit.replicates, size))  # births or survivors; excitation or inhibition
        for projection, pre, post in circuit.projections:
            if post != name:
                continue
            positive = np.maximum(activity[pre], 0).mean(1, dtype=np.float64)  # an input below its mean counts as the other sign
            negative = np.maximum(-activity[pre], 0).mean(1, dtype=np.float64)
            for k, mask in enumerate((circuit.born[projection], circuit.mask[projection])):
                up, down = (np.maximum(s * circuit.weight[projection], 0) * mask for s in (1, -1))
                sums[k, 0] += np.einsum("ri,rij->rj", positive, up) + np.einsum("ri,rij->rj", negative, down)
                sums[k, 1] += np.einsum("ri,rij->rj", positive, down) + np.einsum("ri,rij->rj", negative, up)
        total = sums.sum(1)
        values = np.divide(sums[:, 0] - sums[:, 1], total, out=np.full(total.shape, np.nan), where=total > 0)
        found[name] = values[0], values[1]
    return found


def _mean(values: _Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _spread(values: _Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if known.size else float("nan")


if __name__ == "__main__":
    main(analyse, __file__)
