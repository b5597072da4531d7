"""What spike timing makes of weights: which grow, which die, and how many stay at which input rate.

biosim analyse spike-timing RUN          or          python analysis/spike_timing.py RUN

For a spiking run, or one with spiking conditions. A weight is counted with those that died at 0; an eliminated synapse transmits nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.equations import parse_rate
from biosim.errors import BiosimError
from biosim.store import Run

BINS = np.linspace(0, 1, 26)
OUTER = 0.2  # a weight within this share of the range from either end counts as near it
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#edae49")
Array = npt.NDArray[np.float64]


def analyse(run: Run) -> Findings:
    """Tabulate survivors and weights of every plastic projection; draw them, and survivors against the rate of the inputs."""
    runs = run.of_kind("spiking")
    if not runs:
        raise BiosimError(f"{run.folder} is of the kind {run.kind}: it has no spike timing to read")
    rows = [row for name, own in runs.items() for row in _rows(name, own)]
    return Findings({"spike-timing": _figure(run, runs, rows)}, {"spike-timing": rows})


def weights(run: Run, projection: str) -> list[tuple[Array, Array]]:
    """Return for each replicate the weights at birth and in the end, 0 where the synapse died, over the largest of either."""
    wiring = run.spiking_circuit.wiring[projection]
    pairs = [(w.birth_weight.astype(np.float64), np.where(w.alive, w.weight, 0).astype(np.float64)) for w in wiring]
    most = max(float(values.max(initial=1e-12)) for pair in pairs for values in pair)
    return [(birth / most, end / most) for birth, end in pairs]


def _rows(condition: str, run: Run) -> list[dict[str, Any]]:
    circuit, found = run.spiking_circuit, []
    rate = run.about["scenario"]["model"].get("rate")
    for projection in circuit.plastic:
        share, (_, post, _) = circuit.density(projection), circuit.projections[projection]
        for r, (birth, end) in enumerate(weights(run, projection)):
            middle = (end > OUTER) & (end < 1 - OUTER)
            found.append({
                "condition": condition, "projection": projection, "replicate": r, "seed": run.about["seeds"][r],
                "input_rate": "" if rate is None else parse_rate(rate), "output_rate": run.results["metrics"][f"rate.{post}"][r],
                "survivors": float(share[r]), "weak": float((end <= OUTER).mean()), "middle": float(middle.mean()),
                "strong": float((end >= 1 - OUTER).mean()), "middle_at_birth": float(((birth > OUTER) & (birth < 1 - OUTER)).mean()),
            })  # fmt: skip
    return found


def _figure(run: Run, runs: Mapping[str, Run], rows: list[dict[str, Any]]) -> Figure:
    rates = sorted({r["input_rate"] for r in rows if r["input_rate"] != ""})
    panels = len(runs) + 1 + (len(rates) > 1)
    columns = min(panels, 3)
    figure = Figure(figsize=(3.1 * columns, 2.7 * -(-panels // columns)), layout="constrained")
    axes = figure.subplots(-(-panels // columns), columns, squeeze=False).ravel()
    for idle in axes[panels:]:
        idle.set_axis_off()
    axes = axes[:panels]
    for one, (condition, own) in zip(axes, runs.items(), strict=False):
        for k, projection in enumerate(own.spiking_circuit.plastic):
            pairs = weights(own, projection)
            for values, style in ((np.concatenate([b for b, _ in pairs]), {"ls": ":"}), (np.concatenate([e for _, e in pairs]), {})):
                share = np.histogram(values, BINS)[0] / len(values)
                label = projection if not style else f"{projection}, at birth"
                one.stairs(100 * share, BINS, color=COLOURS[k % 4], lw=1.3, label=label, **style)
        one.set(xlabel="weight / largest", ylabel="synapses (%)", title=condition)
        one.legend(frameon=False, fontsize=6)
    if len(rates) > 1:
        _against_rate(axes[-2], rows)
    for k, (condition, own) in enumerate(runs.items()):
        for projection, line in zip(own.spiking_circuit.plastic, ("-", "--", ":"), strict=False):
            records = own.history
            alive = np.array([r[f"alive.{projection}"] for r in records])
            axes[-1].plot(
                [r["time"] for r in records], 100 * alive.mean(1), line, color=COLOURS[k % 4], lw=1.3, label=f"{condition}: {projection}"
            )
    axes[-1].set(xlabel="time (s)", ylabel="synapses alive (%)", ylim=(0, 103), title="survivors")
    axes[-1].legend(frameon=False, fontsize=6)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"{run.name}: n = {len(next(iter(runs.values())).about['seeds'])} replicates; those that died count as weight 0", fontsize=9
    )
    return figure


def _against_rate(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Draw the survivors of every replicate against the rate of its inputs, and the rate of the neuron they drive."""
    for k, condition in enumerate(dict.fromkeys(r["condition"] for r in rows)):
        for projection, mark in zip(dict.fromkeys(r["projection"] for r in rows), "os^", strict=False):
            own = [r for r in rows if (r["condition"], r["projection"]) == (condition, projection)]
            x, y = [r["input_rate"] for r in own], [100 * r["survivors"] for r in own]
            axes.plot(x, y, mark, ms=4, mfc="none", color=COLOURS[k % 4], label=f"{condition}: {projection}" if own else None)
    axes.set(xlabel="rate of the inputs (Hz)", ylabel="survivors (%)", ylim=(0, 103), title="survivors and input rate")
    other = axes.twinx()
    other.plot([r["input_rate"] for r in rows], [r["output_rate"] for r in rows], "x", ms=4, color="0.5", label="output rate")
    other.set(ylabel="rate of the neuron (Hz)")
    other.set_ylim(0, 30)
    other.legend(frameon=False, fontsize=6, loc="lower left")


if __name__ == "__main__":
    main(analyse, __file__)
