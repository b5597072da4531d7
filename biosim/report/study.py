"""The report of a study: what it measured, its figures, its tables."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biosim.report.parts import Section, inline, mean_and_deviation, measured, table
from biosim.rundir.artefacts import FIGURES, TABLES
from biosim.scenario.checks import named_in
from biosim.store import Run

SHOWN = 200  # rows of a table that the page shows
TOLD = 3  # metrics that the heading has room for


def drawings(run: Run) -> dict[str, str]:
    """Return the figures that the study left, as SVG text."""
    names = [n for n in run.about.get("files", {}) if n.startswith(f"{FIGURES}/")] or [
        f"{FIGURES}/{path.name}" for path in (run.folder / FIGURES).glob("*.svg")
    ]
    return {Path(name).stem: run.whole(name).read_text() for name in sorted(names)}


def table_rows(run: Run) -> tuple[list[str], list[list[str]], list[str]]:
    """Return heading, rows and notes of what was measured: a row a metric."""
    rows = []
    for name, values in run.results["metrics"].items():
        rows.append([name, *mean_and_deviation(values), run.about["measures"][name.removeprefix("study.")]])
    return ["metric", "mean", "sd", "what it is"], rows, []


def asked(run: Run) -> list[str]:
    """Return the metrics that checks name, as many as the heading has room for."""
    known = list(run.results["metrics"])
    found = [m for check in run.about["scenario"]["checks"] for m in named_in(check["value"], check["needs"], known)]
    return list(dict.fromkeys(found))[:TOLD]


def told(metrics: Mapping[str, list[float | None]]) -> str:
    """Return metrics and their means, as text."""
    found = ((name, *mean_and_deviation(values)) for name, values in metrics.items())
    return ", ".join(f"{name} {mean} ± {deviation}" if deviation else f"{name} {mean}" for name, mean, deviation in found)


def answer(run: Run) -> str:
    """Return what the heading says the run came to: what checks ask for, else the first things measured."""
    metrics = run.results["metrics"]
    names = asked(run) or list(metrics)[:TOLD]
    return f"{told({name.removeprefix('study.'): metrics[name] for name in names})}." if names else ""


def facts(run: Run) -> list[str]:
    """Return what the heading says of such a run."""
    study = run.about["scenario"]["study"]
    given = ", ".join(f"{name} {value}" for name, value in study.items() if name != "name")
    return [f"Study <b>{html.escape(study['name'])}</b>" + (f" with {html.escape(given)}" if given else "")]


def body(run: Run, drawn: Mapping[str, str]) -> list[Section]:
    """Return the sections of a study's page."""
    head, rows, _ = table_rows(run)
    return [Section("Measured", measured(head, rows)), Section("Figures", inline(drawn)), *listings(run)]


def listings(run: Run) -> list[Section]:
    """Return the tables that were left, a section each."""
    said = {name: name.replace("-", " ").replace("_", " ") for name in run.results["tables"]}
    return [Section(f"Table: {title}", _listing(run, name), title) for name, title in said.items()]


def _listing(run: Run, name: str) -> str:
    rows = run.rows(name)
    if not rows:
        return "<p class=quiet>empty</p>"
    shown = table(list(rows[0]), [[_short(value) for value in row.values()] for row in rows[:SHOWN]], name)
    rest = f"<p class=quiet>{len(rows) - SHOWN} more rows in {TABLES}/{html.escape(name)}.csv.</p>" if len(rows) > SHOWN else ""
    return shown + rest


def _short(text: str) -> str:
    """Return a number with five digits, any other text as it is."""
    try:
        return f"{float(text):.5g}" if "." in text or "e" in text else text
    except ValueError:
        return text


def summary(run: Run) -> dict[str, Any]:
    """Return what ``biosim run --json`` prints of a study."""
    tables = {name: run.rows(name) for name in run.results["tables"]}
    return {
        "study": run.about["scenario"]["study"],
        "metrics": {n.removeprefix("study."): v for n, v in run.results["metrics"].items()},
        "tables": tables,
    }
