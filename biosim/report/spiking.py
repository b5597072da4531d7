"""The report of a run in which a spiking network lived and lost synapses."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from biosim.report.parts import Section, inline, mean_and_deviation, percent, rule_text, table
from biosim.report.spiking_figures import development, rasters, weights
from biosim.store import Run


def drawings(run: Run) -> dict[str, Any]:
    """Return the figures of a run."""
    return {"rasters": rasters(run), "development": development(run), "weights": weights(run)}


def table_rows(run: Run) -> tuple[list[str], list[list[str]], list[str]]:
    """Return heading, rows and notes of what was measured: a row a metric."""
    rows = [[name, *mean_and_deviation(values)] for name, values in run.results["metrics"].items()]
    return ["measured", "mean", "sd"], rows, []


def answer(run: Run) -> str:
    """Return what the heading says the run came to: the synapses left."""
    return f"{percent(run.results['metrics']['circuit.density'])} % of the synapses that a rule governs are left."


def facts(run: Run) -> list[str]:
    """Return what the heading says of such a run."""
    rules = ", ".join(f"<b>{html.escape(rule['name'])}</b> ({html.escape(name)})" for name, rule in run.about["rules"].items())
    return [f"Rules {rules}, locality <b>{html.escape(str(run.about['locality']))}</b>"]


def body(run: Run, drawn: Mapping[str, str]) -> list[Section]:
    """Return the sections of a spiking run's page."""
    head, rows, _ = table_rows(run)
    window = run.about["scenario"]["simulation"]["window"]
    given = run.about["rules"].items()
    rules = "".join(f"<h3>{html.escape(name)}: {html.escape(r['name'])}</h3>{rule_text(r)}" for name, r in given)
    measured = f"""{table(head, rows, "Measured")}
<p class=quiet>Means and standard deviations over replicates. Rates (Hz) and coefficients of variation of interspike intervals (cv) are
those of {html.escape(window)} of the network that is left, weights frozen; rate_at_birth is that of the network as born. Density
counts synapses left in the projections that a rule governs. birth_weight_of_survivors is their
mean weight at birth over the mean of all at birth.</p>"""
    live = [n for n in ("development", "rasters") if n in drawn]
    return [
        Section("Measured", measured),
        Section("Development and spikes", inline({n: drawn[n] for n in live}), "Development"),
        Section("Weights and survivors", inline({n: d for n, d in drawn.items() if n not in live}), "Survivors"),
        Section("The rules", rules, "Rules"),
    ]


def summary(run: Run) -> dict[str, Any]:
    """Return what ``biosim run --json`` prints of such a run."""
    metrics = run.results["metrics"]
    return {"locality": run.about["locality"], "circuit": {"density": metrics["circuit.density"]}, "metrics": metrics}
