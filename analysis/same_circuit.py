"""The same circuit? Six headline measures of a run's comparison, each as a share of the way from chance to ceiling.

biosim analyse same-circuit RUN          or          python analysis/same_circuit.py RUN

Needs a run of a scenario with a section ``comparisons`` and at least two searches by each method. Dots are births.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.errors import BiosimError
from biosim.report.comparison import primary
from biosim.store import Run

SHOWN = {
    "overlap.jaccard": "synapses shared (Jaccard)",
    "profiles.out_degree": "degrees (out-degree of the input)",
    "flow.path_mass": "path mass, input to class",
    "flow.signed_path": "signed paths, input to class",
    "function.agreement": "predictions (agreement)",
    "function.cka": "representations (CKA)",
}
FIRST_LAYER = ("profiles.out_degree",)


def analyse(run: Run) -> Findings:
    """Tabulate every measure of a comparison and draw the headline ones."""
    data = run.comparison
    if data is None:
        raise BiosimError(f"{run.folder} compared nothing: add `comparisons: {{searches: 3}}` to its scenario, or use biosim compare")
    figure = Figure(figsize=(4.0 + 3.2 * len(data["pairs"]), 3.2), layout="constrained")
    panels = figure.subplots(1, len(data["pairs"]), sharey=True, squeeze=False)[0]
    rows: list[dict[str, Any]] = []
    for axes, other in zip(panels, data["pairs"], strict=True):
        own = primary(data, other)
        rows += [_flat(other, row) for row in own]
        for y, measure in enumerate(SHOWN):
            row = next((r for r in own if r["measure"] == measure and bool(r["layer"]) == (measure in FIRST_LAYER)), None)
            if row is not None:
                _draw(axes, row, y)
        axes.axvline(0, color="0.5", lw=1)
        axes.axvline(1, color="0.5", lw=1, ls="--")
        axes.set(title=f"{data['reference']} and {other}", xlabel="(observed - chance) / (ceiling - chance)", xlim=(-0.35, 1.75))
        axes.set_yticks(range(len(SHOWN)), list(SHOWN.values()))
    panels[0].invert_yaxis()
    n = f"n = {data['births']} births x {min(data['searches'].values())} searches"
    figure.suptitle(f"{run.name}: 0 chance, 1 as alike as two searches by one method ({n}; bars: 95 %)", fontsize=9)
    return Findings({"same-circuit": figure}, {"same-circuit": rows})


def _draw(axes: Any, row: dict[str, Any], y: int) -> None:
    if row["ratio"] is None:
        axes.text(0.5, y, f"n/a: {row['reason']}", va="center", ha="center", fontsize=7, color="0.4")
        return
    births = [np.array(row[f"{k}_by_birth"], float) for k in ("observed", "null", "ceiling")]
    room = births[2] - births[1]
    shown = room > 0.2 * room.mean()  # a birth with next to no room says nothing by itself
    axes.plot((births[0] - births[1])[shown] / room[shown], np.full(shown.sum(), y + 0.18), ".", color="0.6", ms=5)
    if row["ratio_interval"] is not None:
        axes.plot(row["ratio_interval"], [y, y], color="#1b6ca8", lw=2.4, alpha=0.6)
    axes.plot(row["ratio"], y, "o", color="#1b6ca8", ms=5)


def _flat(other: str, row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {"method": other, "measure": row["measure"], "layer": row["layer"], "null_kind": row["null_kind"]}
    for name in ("observed", "null", "ceiling", "effect", "ratio"):
        low, high = row[f"{name}_interval"] or (None, None)
        flat |= {name: row[name], f"{name}_low": low, f"{name}_high": high}
    return flat | {"hedges_g": row["hedges_g"], "reason": row["reason"]}


if __name__ == "__main__":
    main(analyse, __file__)
