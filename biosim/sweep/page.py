"""The page of a sweep: any metric against density, a line a rule, with its interval; a filter over what was swept; every number."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from matplotlib.figure import Figure

from biosim.errors import BiosimError
from biosim.findings import svg
from biosim.report.assets import asset
from biosim.report.drawing import colour
from biosim.report.parts import Section, facts_table, inline, marked_table, table
from biosim.report.shell import SWEEP, embedded, page, told_of, write_page
from biosim.rundir.artefacts import REPORT
from biosim.sweep.plan import Plan
from biosim.sweep.run import SWEEP as PLAN
from biosim.sweep.run import read_plan
from biosim.sweep.show import metrics, summarise, swept
from biosim.sweep.table import Row, read_table
from biosim.sweep.work import finished

MOST = 40_000  # numbers with their intervals that a page holds


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
    first: dict[str, Any] | None = None  # what one of the runs says of itself, for all
    done = set()
    for job in plan.jobs:
        if (about := finished(Path(job.folder))) is not None:
            first = first or about
            done.add(job.id)
    with told_of(folder / PLAN):
        sections = [
            Section("Results", explorer(explorer_data(rows))),
            Section("Runs", _runs(plan, reasons, done)),
            Section("Provenance", _provenance(plan, folder, first)),
        ]
        text = page(f"Sweep of {plan.scenario}: biosim", _heading(plan, rows, reasons, first), sections, SWEEP)
    return write_page(folder / REPORT, text)


def _heading(plan: Plan, rows: Sequence[Row], reasons: Mapping[str, str], about: Mapping[str, Any] | None) -> str:
    question = "" if about is None else str(about["scenario"].get("question") or "")
    done = len({row["run"] for row in rows})
    failed = f"<p><span class='badge fail'>{len(reasons)} failed</span></p>" if reasons else ""
    over = "; ".join(f"{key}: {', '.join(values)}" for key, values in plan.over.items())
    first, last = min(plan.seeds), max(plan.seeds)
    seeds = f"{len(plan.seeds)} seeds, {first} to {last}" if last > first else f"seed {first}"
    asked = f"<p class=question>{html.escape(question)}</p>" if question else ""
    facts = html.escape(f"{done} of {len(plan.jobs)} runs done; {over or 'nothing swept'}; {seeds}; replicates a run: {plan.replicates}.")
    return f"<h1>Sweep of {html.escape(plan.scenario)}</h1>{asked}{failed}<p class=quiet>{facts}</p>"


def explorer_data(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what the page plots, as plain data: for each setting, method and regime every metric's n, mean and 95 % interval.

    Where a rule leaves another density for every seed, the seeds are put together all the same: by which of its densities a
    row of a run is, the largest first.
    """
    keys = [*swept(rows), "method", "regime", "density"]
    ranked, targets = _by_rank(rows, keys)
    names = metrics(rows)
    cells: dict[tuple[Any, ...], dict[str, list[float | None]]] = {}
    for name in names:
        for entry in summarise(ranked, name)[1]:
            low, high = (None if math.isnan(entry[c]) else entry[c] for c in ("low", "high"))
            cells.setdefault(tuple(entry[k] for k in keys), {})[name] = [entry["n"], entry["mean"], low, high]
    if (count := sum(len(own) for own in cells.values())) > MOST:
        raise BiosimError(f"the sweep has {count} numbers, more than the {MOST} that a page holds; `biosim sweep show` has them all")
    return {"keys": keys, "metrics": names, "cells": [[[*place[:-1], targets[place]], own] for place, own in cells.items()]}


def _by_rank(rows: Sequence[Row], keys: Sequence[str]) -> tuple[list[Row], dict[tuple[Any, ...], float | None]]:
    """Return the rows with their density's rank in place of it, and the mean of what it was, by setting."""
    within: dict[tuple[Any, ...], set[float]] = {}
    for row in rows:
        within.setdefault((row["run"], row["method"], row["regime"]), set()).add(-1.0 if row["density"] is None else row["density"])
    rank = {run: {d: k for k, d in enumerate(sorted(own, reverse=True))} for run, own in within.items()}
    ranked, found = [], dict[tuple[Any, ...], list[float]]()
    for row in rows:
        own = rank[row["run"], row["method"], row["regime"]][-1.0 if row["density"] is None else row["density"]]
        ranked.append({**row, "density": own})
        found.setdefault((*(row[k] for k in keys[:-1]), own), []).extend([] if row["density"] is None else [row["density"]])
    return ranked, {place: sum(own) / len(own) if own else None for place, own in found.items()}


def explorer(data: Mapping[str, Any]) -> str:
    """Return the plot, its filter and its table, with their data as a text that no parser takes for markup."""
    return Template(asset("sweep.html")).substitute(data=embedded(data), still=_still(data))


def _still(data: Mapping[str, Any]) -> str:
    """Return what stands there without JavaScript: the first metric against density, and every setting's mean and interval."""
    name, keys = data["metrics"][0], data["keys"]
    lines: dict[str, list[tuple[float, list[Any]]]] = {}
    for place, own in data["cells"]:
        if name in own and place[-1] is not None:
            label = ", ".join(str(v) for k, v in zip(keys[:-1], place, strict=False) if v not in ("", None) and not k.endswith("density"))
            lines.setdefault(label, []).append((own["density"][1] if "density" in own else place[-1], own[name]))
    drawn = ""
    if lines:
        figure = Figure(figsize=(7.2, 3.2 + 0.2 * len(lines)), layout="constrained")
        axes = figure.subplots()
        for k, (label, points) in enumerate(lines.items()):
            x, cells = zip(*sorted(points), strict=True)
            mean = [cell[1] for cell in cells]
            half = [0.0 if cell[3] is None else cell[3] - cell[1] for cell in cells]
            axes.errorbar(x, mean, half, color=colour(k), marker="o", ms=4, capsize=2, label=label or None)
        axes.set(xlabel="density", ylabel=name)
        figure.legend(loc="outside lower center", frameon=False, fontsize=7)
        drawn = inline({"sweep": svg(figure)}, {"sweep": f"{name} against density: mean and 95 % interval over seeds."})
    rows = [[*("" if v is None else v for v in place), *_cells(own[name])] for place, own in data["cells"] if name in own]
    return drawn + table([*keys, "n", name, "95 % interval"], rows, name)


def _cells(own: Sequence[Any]) -> list[str]:
    n, mean, low, high = own
    return [str(n), f"{mean:.4g}", "" if low is None else f"{low:.4g} to {high:.4g}"]


def _runs(plan: Plan, reasons: Mapping[str, str], done: Set[str]) -> str:
    rows = []
    for job in plan.jobs:
        place = Path(job.folder)
        state = f"failed: {reasons[job.id]}" if job.id in reasons else "done" if job.id in done else "not done"
        written = (place / REPORT).is_file()
        address = f"runs/{quote(place.name)}/{REPORT}"
        link = f'<a href="{html.escape(address)}">page</a>' if written else "<span class=quiet>no page</span>"
        cells = (*job.point.values(), str(job.seed), job.id, state)
        rows.append("".join(f"<td>{html.escape(c)}</td>" for c in cells) + f"<td>{link}</td>")
    keys = list(plan.jobs[0].point) if plan.jobs else []
    said = "<p class=quiet>A sweep draws no pages; <code>biosim report RUN</code> draws the one of a run.</p>"
    return marked_table((*keys, "seed", "run", "state", "page"), rows, "Runs") + said


def _provenance(plan: Plan, folder: Path, about: Mapping[str, Any] | None) -> str:
    over = " ".join(f"--over '{key}={','.join(values)}'" for key, values in plan.over.items())
    seeds = ",".join(map(str, plan.seeds))
    more = f" --replicates {plan.replicates}" if plan.replicates != 1 else ""
    said = "<p class=quiet>Settings given by --set belong to the command, too; each run's own page has the whole scenario.</p>"
    rows = {"scenario": plan.scenario, "runs": str(len(plan.jobs)), "seeds": seeds}
    if about is not None:
        rows["versions"] = ", ".join(f"{n} {v}" for n, v in about["versions"].items())
    line = f"biosim sweep {plan.scenario} {over} --seeds {seeds}{more} --out {folder.name}"
    return facts_table(rows, "Provenance") + f"<pre tabindex=0>{html.escape(line)}</pre>{said}"
