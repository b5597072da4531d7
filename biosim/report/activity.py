"""The report of a run in which a network developed from activity: what was measured, development, the rule."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from biosim.report import study
from biosim.report.development import others
from biosim.report.distributions import DISTRIBUTIONS, distributions
from biosim.report.drawing import BLUE, COLOURS, YELLOW, band, time_axis
from biosim.report.parts import Section, counted, inline, mean_and_deviation, measured, percent, rule_text
from biosim.store import Run

OWN = "development"  # the figure that every such run comes with


def drawings(run: Run) -> dict[str, Any]:
    """Return the figures of the measure, as SVG text, and of development."""
    found = {n: d for n, d in study.drawings(run).items() if n != OWN and n not in DISTRIBUTIONS}
    return found | {OWN: _development(run)} | distributions(run)


def _development(run: Run) -> Figure:
    """Density and mean activity over developmental time."""
    records = run.history
    x, unit, _ = time_axis(records)
    figure = Figure(figsize=(7.2, 2.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    for key, colour, label in (("density", BLUE, "alive"), ("active", YELLOW, "active")):
        band(left, x, np.array([r[key] for r in records]), colour, label)
    left.set(xlabel=f"developmental time ({unit})", ylabel="synapses / synapses born", ylim=(0, 1.02), title="Synapses")
    rates = [name for name in records[0] if name.startswith("rate.")]
    for colour, name in zip(COLOURS, rates, strict=False):
        band(right, x, np.array([r[name] for r in records]), colour, name.removeprefix("rate."))
    n = len(run.about["seeds"])
    right.set(xlabel=f"developmental time ({unit})", ylabel="mean activity", title=f"Activity ({counted(n, ', band: range')})")
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=7)
    return figure


def table_rows(run: Run) -> tuple[list[str], list[list[str]], list[str]]:
    """Return heading, rows and notes of what was measured: a row a metric."""
    said = {f"measure.{name}": line for name, line in run.about["measures"].items()} | {
        "circuit.density": "synapses left over synapses born",
        "circuit.effective_density": "synapses on a path from the first population to the last, over synapses born",
        "circuit.synapses": "synapses left",
        "circuit.neurons": "share of the neurons in between that have inputs and outputs left",
        "circuit.final_cut": "share of births that were alive but silent at the end, and were eliminated then",
        "circuit.peak_density": "largest share of births that was alive at a moment recorded",
    }
    rows = [[name, *mean_and_deviation(values), said[name]] for name, values in run.results["metrics"].items()]
    return ["metric", "mean", "sd", "what it is"], sorted(rows, key=lambda row: not row[0].startswith("measure.")), []


def answer(run: Run) -> str:
    """Return what the heading says the run came to: the synapses left, and what checks ask of the measure."""
    metrics = run.results["metrics"]
    asked = study.told({name.removeprefix("measure."): metrics[name] for name in study.asked(run) if name.startswith("measure.")})
    return f"{percent(metrics['circuit.density'])} % of the synapses are left{f'; {asked}' if asked else ''}."


def facts(run: Run) -> list[str]:
    """Return what the heading says of such a run."""
    about, scenario = run.about, run.about["scenario"]
    given = ", ".join(f"{name} {value}" for name, value in scenario["drive"].items() if name != "kind")
    return [
        f"Rule <b>{html.escape(about['rule']['name'])}</b>, locality <b>{html.escape(str(about['locality']))}</b>",
        f"drive <b>{html.escape(scenario['drive']['kind'])}</b>" + (f" with {html.escape(given)}" if given else ""),
        f"measure <b>{html.escape(scenario['measure']['name'])}</b>",
    ]


def body(run: Run, drawn: Mapping[str, str]) -> list[Section]:
    """Return the sections of such a run's page."""
    head, rows, _ = table_rows(run)
    own = (OWN, *DISTRIBUTIONS)
    found = {n: d for n, d in drawn.items() if n not in own}
    return [
        Section("Measured", measured(head, rows) + inline(found)),
        Section("Development", inline({OWN: drawn[OWN]})),
        Section("Degrees, weights, survivors", inline({n: drawn[n] for n in DISTRIBUTIONS if n in drawn}), "Survivors"),
        *study.listings(run),
        Section(f"The rule: {run.about['rule']['name']}", rule_text(run.about["rule"]) + others(run.about), "Rule"),
    ]


def summary(run: Run) -> dict[str, Any]:
    """Return what ``biosim run --json`` prints of such a run."""
    metrics = run.results["metrics"]
    return {
        "locality": run.about["locality"],
        "circuit": {n.removeprefix("circuit."): v for n, v in metrics.items() if n.startswith("circuit.")},
        "measure": {n.removeprefix("measure."): v for n, v in metrics.items() if n.startswith("measure.")},
        "tables": {name: run.rows(name) for name in run.results["tables"]},
    }
