"""Synapses, hidden neurons and accuracy over development; one curve a condition, where a run has some.

biosim analyse course RUN          or          python analysis/course.py RUN
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.errors import BiosimError
from biosim.store import Run

COLOURS = ("#1b6ca8", "#222222", "#d1495b", "#edae49", "#66a182", "#5c4d7d", "#8d99ae")
WHAT = {
    "density": "synapses alive (% of births)",
    "neurons": "hidden neurons alive (%)",
    "accuracy": "right as they are shown (%)",
}


def analyse(run: Run) -> Findings:
    """Tabulate and draw the records of a development, or of each condition's."""
    runs = run.of_kind("development", "activity")
    if not runs:
        raise BiosimError(f"{run.folder}: a {run.kind} run keeps no records of a development")
    courses = {name: course(own) for name, own in runs.items()}
    shown = [what for what in WHAT if any(what in c for c in courses.values())]
    figure = Figure(figsize=(3.3 * len(shown) + 1.3, 3.0), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(shown)))
    for axes, what in zip(panels, shown, strict=True):
        for k, (name, own) in enumerate(courses.items()):
            if what in own:
                _draw(axes, own["u"][:, 0], 100 * own[what], COLOURS[k % len(COLOURS)], ("-", "--")[k // len(COLOURS) % 2], name)
        axes.set(xlabel="development (%)", ylabel=WHAT[what], ylim=(0, 102))
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
    n = len(next(iter(courses.values()))["density"][0])
    figure.suptitle(f"{run.name}: mean over n = {n}, band: range" if n > 1 else f"{run.name}: one replicate", fontsize=9)
    return Findings({"course": figure}, {"course": [row for name, own in courses.items() for row in _rows(name, own)]})


def course(run: Run) -> dict[str, npt.NDArray[np.float64]]:
    """Return (moments, R) values by name; ``u`` is (moments, 1), and what the run did not record is left out.

    ``neurons`` is the share of all hidden neurons alive, every population counted by its size.
    """
    records = run.history
    found = {"u": np.array([[r["u"]] for r in records]), "density": np.array([r["density"] for r in records])}
    hidden = {f"neurons.{name}": size for name, size, _ in run.circuit.populations if f"neurons.{name}" in records[0]}
    if hidden:
        shares = [np.array([r[name] for r in records]) * size for name, size in hidden.items()]
        found["neurons"] = np.sum(shares, axis=0) / sum(hidden.values())
    if all("accuracy" in r for r in records):
        found["accuracy"] = np.array([r["accuracy"] for r in records])
    return found


def _draw(axes: Axes, u: npt.NDArray[np.float64], values: npt.NDArray[np.float64], colour: str, line: str, label: str) -> None:
    axes.plot(100 * u, values.mean(1), line, color=colour, lw=1.6, label=label)
    axes.fill_between(100 * u, values.min(1), values.max(1), color=colour, alpha=0.15, lw=0)


def _rows(name: str, own: dict[str, npt.NDArray[np.float64]]) -> list[dict[str, Any]]:
    """Return a row a moment: means over replicates, empty where a condition did not record it."""
    means = {what: own[what].mean(1) if what in own else None for what in WHAT}
    return [
        {"condition": name, "u": float(u)} | {what: "" if m is None else float(m[k]) for what, m in means.items()}
        for k, u in enumerate(own["u"][:, 0])
    ]


if __name__ == "__main__":
    main(analyse, __file__)
