"""How does a spiking network fire before and after elimination? Rates, irregularity, correlations and synchrony of every population.

biosim analyse spike-trains RUN          or          python analysis/spike_trains.py RUN

Measures are those of biosim.spike_measures (`pip install 'biosim[spikes]'`), of the window before development and the one after it.
Of a large population the first neurons are measured: pairs grow with the square of their number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.errors import BiosimError
from biosim.spike_measures import SpikeTrains, summary
from biosim.store import Run

MOST = 200  # neurons of a population
WINDOWS = {"first": "before", "last": "after"}
UNITS = {
    "rate": "rate (Hz)", "cv": "CV of intervals", "cv2": "CV2 of intervals", "fano_factor": "Fano factor (100 ms)",
    "silent": "silent neurons (share)", "correlation": "correlation (5 ms bins)", "synchrony": "synchrony (spike contrast)",
}  # fmt: skip


def analyse(run: Run) -> Findings:
    """Tabulate and draw the spike measures of every population in the first and the last window."""
    if run.kind != "spiking":
        raise BiosimError(f"the run in {run.folder} is a {run.kind}: it has no spike trains to read")
    arrays, about = run.arrays("spikes")
    duration, sizes = float(about["window"]), {name: int(size) for name, size in about["sizes"].items()}
    rows: list[dict[str, Any]] = []
    for name, size in sizes.items():
        for window, text in WINDOWS.items():
            for r in range(len(run.about["seeds"])):
                times, neurons = (arrays[f"{window}.{name}.{r}.{what}"] for what in ("times", "neurons"))
                found = summary(_first(times, neurons, size, duration))
                rows.append({"population": name, "window": text, "replicate": r, "neurons": min(size, MOST), **found})
    return Findings({"spike-trains": _figure(rows, run)}, {"spike-trains": rows})


def _first(times: Any, neurons: Any, size: int, duration: float) -> SpikeTrains:
    """Return the spikes of the first neurons; times, stored in single precision, are kept from passing the end by rounding."""
    count = min(size, MOST)
    kept = neurons < count
    return SpikeTrains(np.clip(times[kept].astype(np.float64), 0, duration), neurons[kept].astype(np.int64), count, duration)


def _figure(rows: list[dict[str, Any]], run: Run) -> Figure:
    names = list(dict.fromkeys(r["population"] for r in rows))
    figure = Figure(figsize=(9.2, 4.6), layout="constrained")
    panels = figure.subplots(2, 4).ravel()
    for axes, (measure, label) in zip(panels, UNITS.items(), strict=False):
        for k, name in enumerate(names):
            own = [[r[measure] for r in rows if r["population"] == name and r["window"] == w] for w in WINDOWS.values()]
            axes.plot((0, 1), own, "-", color=f"C{k}", alpha=0.4, lw=0.8, marker="o", ms=3)
        axes.set_xticks((0, 1), list(WINDOWS.values()), fontsize=8)
        axes.set_xlim(-0.3, 1.3)
        axes.set_title(label, fontsize=8)
    for k, name in enumerate(names):
        panels[-1].plot([], [], "o-", color=f"C{k}", label=name)
    panels[-1].axis("off")
    panels[-1].legend(frameon=False, fontsize=8, loc="center")
    replicates = len(run.about["seeds"])
    figure.suptitle(f"{run.name}: spike trains before and after elimination (a line a replicate, n = {replicates})", fontsize=9)
    return figure


if __name__ == "__main__":
    main(analyse, __file__)
