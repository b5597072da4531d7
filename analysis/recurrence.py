"""What recurrent synapses do: accuracy by settling steps, with the recurrent synapses there and with all of them cut.

biosim analyse recurrence RUN          or          python analysis/recurrence.py RUN
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.circuit import Circuit
from biosim.compare.function import circuit_accuracy
from biosim.errors import BiosimError
from biosim.store import Run


def analyse(run: Run) -> Findings:
    """Let every method's circuit settle for 2, 3, ... steps, whole and with its recurrent synapses cut."""
    circuits = run.circuits
    loops = [name for name, p in run.circuit.network.projections.items() if p.recurrent]
    if not loops:
        raise BiosimError(f"{run.folder}: the circuit has no recurrent projections to look at")
    images, steps = run.images(), range(2, 2 * run.circuit.steps + 1)
    rows = []
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    for k, (method, circuit) in enumerate(circuits.items()):
        for label, style, version in (("whole", "-", circuit), ("recurrent synapses cut", ":", cut(circuit, loops))):
            found = np.array([circuit_accuracy(replace(version, steps=t), images.test, images.test_labels) for t in steps])
            axes.plot(steps, 100 * found.mean(1), style, color=f"C{k}", label=f"{method}, {label}")
            for t, accuracies in zip(steps, found, strict=True):
                rows += [
                    {"method": method, "circuit": label, "steps": t, "replicate": r, "accuracy": float(a)} for r, a in enumerate(accuracies)
                ]
    axes.axvline(run.circuit.steps, color="0.7", lw=0.8, zorder=0)
    axes.set(xlabel="settling steps (grey: as developed)", ylabel=f"{images.evaluated_on} accuracy (%)", ylim=(0, 102))
    axes.set_title(f"{run.name}: what recurrent synapses do (mean of n = {run.circuit.replicates} replicates)", fontsize=9)
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return Findings({"recurrence": figure}, {"recurrence": rows})


def cut(circuit: Circuit, projections: list[str]) -> Circuit:
    """Return the circuit without the synapses of these projections."""
    return replace(circuit, mask={n: m & (n not in projections) for n, m in circuit.mask.items()})


if __name__ == "__main__":
    main(analyse, __file__)
