"""The page of a sweep: any metric against density, a line a rule, with its interval; a filter over what was swept; every number."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from biosim.errors import BiosimError
from biosim.findings import svg
from biosim.report.assets import asset
from biosim.report.parts import Section, facts_table, inline, table
from biosim.report.shell import SWEEP, page, write_page
from biosim.store import REPORT
from biosim.sweep.plan import Plan
from biosim.sweep.run import read_plan
from biosim.sweep.show import figure, metrics, summarise, swept, text_rows
from biosim.sweep.table import read_table
from biosim.sweep.work import finished

MOST = 40_000  # numbers with their intervals that a page holds
Row = dict[str, Any]


def write_sweep_report(folder: Path) -> Path:
    """Write ``report.html`` of a sweep; return its path.

    Raises
    ------
    BiosimError
        When the folder holds no sweep, or one without results.
    """
    plan, reasons = read_plan(folder)
    rows = read_table(folder)
    if not rows:
        raise BiosimError(f"{folder}: the sweep has no results yet")
    chosen, summary = summarise(rows)
    drawn = svg(figure(chosen, summary, swept(rows), plan.scenario))
    head, lines = text_rows(summary)
    sections = [
        Section("Results", explorer(rows)),
        Section("Figure", inline({"sweep": drawn}, {"sweep": f"{chosen}: mean and 95 % interval over seeds."})),
        Section("Table", f"<p class=quiet>{html.escape(chosen)}: mean and 95 % interval over seeds.</p>" + table(head, lines, "Summary")),
        Section("Runs", "".join(_runs(plan, reasons))),
        Section("Provenance", _provenance(plan, folder)),
    ]
    return write_page(folder / REPORT, page(f"Sweep of {plan.scenario}: biosim", _heading(plan, rows, reasons), sections, SWEEP))


def _heading(plan: Plan, rows: Sequence[Row], reasons: Mapping[str, str]) -> str:
    about = next((found for job in plan.jobs if (found := finished(Path(job.folder))) is not None), None)
    question = "" if about is None else str(about["scenario"].get("question") or "")
    done = len({row["run"] for row in rows})
    failed = f"<p><span class='badge fail'>{len(reasons)} failed</span></p>" if reasons else ""
    over = "; ".join(f"{key}: {', '.join(values)}" for key, values in plan.over.items())
    seeds = f"{len(plan.seeds)} seeds, {plan.seeds[0]} to {plan.seeds[-1]}" if len(plan.seeds) > 1 else f"seed {plan.seeds[0]}"
    asked = f"<p class=question>{html.escape(question)}</p>" if question else ""
    facts = html.escape(f"{done} of {len(plan.jobs)} runs done; {over or 'nothing swept'}; {seeds}; replicates a run: {plan.replicates}.")
    return f"<h1>Sweep of {html.escape(plan.scenario)}</h1>{asked}{failed}<p class=quiet>{facts}</p>"


def explorer_data(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what the page plots, as plain data: for each setting, method and regime every metric's n, mean and 95 % interval."""
    keys = [*swept(rows), "method", "regime", "density"]
    names = metrics(rows)
    cells: dict[tuple[Any, ...], dict[str, list[float | None]]] = {}
    for name in names:
        for entry in summarise(rows, name)[1]:
            low, high = (None if entry[c] != entry[c] else entry[c] for c in ("low", "high"))
            cells.setdefault(tuple(entry[k] for k in keys), {})[name] = [entry["n"], entry["mean"], low, high]
    if (count := sum(len(own) for own in cells.values())) > MOST:
        raise BiosimError(f"the sweep has {count} numbers, more than the {MOST} that a page holds; `biosim sweep show` has them all")
    return {"keys": keys, "metrics": names, "cells": [[list(place), own] for place, own in cells.items()]}


def explorer(rows: Sequence[Row]) -> str:
    """Return the plot, its filter and its table, with their data as a text that no parser takes for markup."""
    text = json.dumps(explorer_data(rows), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Template(asset("sweep.html")).substitute(data=text)


def _runs(plan: Plan, reasons: Mapping[str, str]) -> Iterator[str]:
    rows = []
    for job in plan.jobs:
        place = Path(job.folder)
        state = f"failed: {reasons[job.id]}" if job.id in reasons else "done" if finished(place) is not None else "not done"
        written = (place / REPORT).is_file()
        address = f"runs/{quote(place.name)}/{REPORT}"
        link = f'<a href="{html.escape(address)}">page</a>' if written else "<span class=quiet>no page</span>"
        cells = (*job.point.values(), str(job.seed), job.id, state)
        rows.append("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + f"<td>{link}</td></tr>")
    keys = list(plan.jobs[0].point) if plan.jobs else []
    head = "".join(f"<th scope=col>{html.escape(k)}</th>" for k in (*keys, "seed", "run", "state", "page"))
    yield '<div class=scroll role=region tabindex=0 aria-label="Runs">'
    yield f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    yield "<p class=quiet>A sweep draws no pages; <code>biosim report RUN</code> draws the one of a run.</p>"


def _provenance(plan: Plan, folder: Path) -> str:
    over = " ".join(f"--over '{key}={','.join(values)}'" for key, values in plan.over.items())
    seeds = ",".join(map(str, plan.seeds))
    more = f" --replicates {plan.replicates}" if plan.replicates != 1 else ""
    said = "<p class=quiet>Settings given by --set belong to the command, too; each run's own page has the whole scenario.</p>"
    about = next((found for job in plan.jobs if (found := finished(Path(job.folder))) is not None), None)
    rows = {"scenario": plan.scenario, "runs": str(len(plan.jobs)), "seeds": seeds}
    if about is not None:
        rows["versions"] = ", ".join(f"{n} {v}" for n, v in about["versions"].items())
    line = f"biosim sweep {plan.scenario} {over} --seeds {seeds}{more} --out {folder.name}"
    return facts_table(rows, "Provenance") + f"<pre tabindex=0>{html.escape(line)}</pre>{said}"
