"""The report of a scenario under several conditions: what each came to, side by side."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
from matplotlib.figure import Figure

from biosim.report.drawing import BLUE, band, colour, style, time_axis
from biosim.report.parts import Section, counted, inline, mean_and_deviation, measured, percent
from biosim.rundir.artefacts import CONDITIONS, REPORT
from biosim.scenario.checks import named_in
from biosim.store import Run

MOST = 6  # metrics that the figure has room for


def drawings(run: Run) -> dict[str, Any]:
    """Return the figures: every metric that a check names, condition by condition, and density over development."""
    shown = _checked(run)[:MOST]
    figures = _histories(run)
    if not shown:
        return figures
    names = list(run.conditions)
    across = min(len(shown), 3 if len(names) < 4 else 2)
    rows = -(-len(shown) // across)
    figure = Figure(figsize=(max(3.0, 0.75 * len(names) + 0.8) * across, 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, across, squeeze=False).ravel()
    for empty in panels[len(shown) :]:
        empty.set_axis_off()
    for axes, metric in zip(panels, shown, strict=False):
        for place, name in enumerate(names):
            values = np.array([v for v in run.results["metrics"].get(f"{name}.{metric}", []) if v is not None])
            spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(len(values))
            axes.plot(place + spread, values, "o", ms=3.5, color=BLUE, alpha=0.7)
            if len(values):
                axes.hlines(values.mean(), place - 0.25, place + 0.25, color="black", lw=1.2)
        axes.set_xticks(range(len(names)), names, rotation=20 if len(names) > 3 else 0)
        axes.set(ylabel=metric, xlim=(-0.6, len(names) - 0.4))
    figure.suptitle(f"Conditions ({counted(len(run.about['seeds']), '; line: mean')})", fontsize=9)
    return {"conditions": figure} | figures


def _histories(run: Run) -> dict[str, Any]:
    """Return a figure of density over development, a line a condition, where networks developed."""
    known = {name: own.history for name, own in run.conditions.items() if own.kind in ("development", "activity")}
    known = {name: records for name, records in known.items() if records and "density" in records[0]}
    if not known:
        return {}
    longest = max(known.values(), key=lambda records: float(records[-1]["time"]))
    _, unit, scale = time_axis(longest)
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    axes = figure.subplots()
    for k, (name, records) in enumerate(known.items()):
        x = np.array([r["time"] for r in records], np.float64) / scale
        band(axes, x, np.array([r["density"] for r in records]), colour(k), name, style(k, ("-", "--", ":")))
    axes.set(xlabel=f"developmental time ({unit})", ylabel="synapses / synapses born", ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=7)
    axes.set_title(f"Density ({counted(len(run.about['seeds']), ', band: range')})", fontsize=9)
    return {"histories": figure}


def _checked(run: Run) -> list[str]:
    """Return the metrics that checks name, without the condition."""
    found = [m for check in run.about["scenario"]["checks"] for m in named_in(check["value"], check["needs"], list(run.results["metrics"]))]
    return list(dict.fromkeys(m.split(".", 1)[1] for m in found))


def table_rows(run: Run) -> tuple[list[str], list[list[str]], list[str]]:
    """Return heading, rows and notes: a row a metric, a column a condition."""
    names = list(run.conditions)
    metrics = run.results["metrics"]
    every = list(dict.fromkeys(key.split(".", 1)[1] for key in metrics))
    shown = _checked(run) + [m for m in every if m not in _checked(run)]
    rows = [[metric, *(_cell(metrics.get(f"{name}.{metric}")) for name in names)] for metric in shown]
    return ["metric", *names], rows, []


def _cell(values: list[float] | None) -> str:
    mean, deviation = mean_and_deviation(values or ())
    return f"{mean} ± {deviation}" if deviation else mean


def answer(run: Run) -> str:
    """Return what the heading says the run came to: the synapses left, where networks developed, condition by condition."""
    metrics = run.results["metrics"]
    left = {name: metrics[f"{name}.circuit.density"] for name in run.conditions if f"{name}.circuit.density" in metrics}
    told = ", ".join(f"{name} {percent(values)}" for name, values in left.items())
    return f"Synapses left in %: {told}." if left else ""


def facts(run: Run) -> list[str]:
    """Return what the heading says of such a run."""
    return [f"Conditions {', '.join(f'<b>{html.escape(name)}</b>' for name in run.conditions)}"]


def body(run: Run, drawn: Mapping[str, str]) -> list[Section]:
    """Return the sections of the page of a scenario under several conditions."""
    head, rows, _ = table_rows(run)
    changed = run.about["scenario"]["conditions"]
    links = "".join(
        f"<li><a href='{CONDITIONS}/{quote(name)}/{REPORT}'>{html.escape(name)}</a>: "
        + html.escape(", ".join(f"{key} = {value}" for key, value in changed[name].items()) or "as the file says")
        + "</li>"
        for name in run.conditions
    )
    return [
        Section("Conditions", f"<ul>{links}</ul>{inline(drawn)}"),
        Section("Measured", measured(head, rows)),
    ]


def summary(run: Run) -> dict[str, Any]:
    """Return what ``biosim run --json`` prints of such a run."""
    metrics = run.results["metrics"]
    names = list(run.conditions)
    return {"conditions": {n: {k.split(".", 1)[1]: v for k, v in metrics.items() if k.startswith(f"{n}.")} for n in names}}
