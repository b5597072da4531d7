"""One self-contained HTML page a run: no network, no script."""

from __future__ import annotations

import html
from pathlib import Path
from types import ModuleType
from typing import Any

from biosim.findings import svg
from biosim.report import activity, conditions, development, spiking, study
from biosim.report.parts import checks_table
from biosim.store import FIGURES, REPORT, Run, write_atomic

KINDS: dict[str, ModuleType] = {
    "development": development, "activity": activity, "spiking": spiking, "study": study, "conditions": conditions,
}  # fmt: skip
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2733}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem;border-bottom:1px solid #dde3ea}
table{border-collapse:collapse;margin:.6rem 0}td,th{padding:.25rem .8rem .25rem 0;text-align:left;font-variant-numeric:tabular-nums}
th{font-weight:600;color:#56657a}code,pre{background:#f3f5f8;border-radius:4px}pre{padding:.6rem .8rem;overflow-x:auto}
.pass{color:#2a7d4f;font-weight:600}.fail{color:#c0392b;font-weight:600}.quiet{color:#56657a}svg{max-width:100%;height:auto}.wide{overflow-x:auto}
"""


def summary(run: Run) -> dict[str, Any]:
    """Return the object that ``biosim run --json`` prints."""
    results = run.results
    first = {"run": str(run.folder), "scenario": run.name, "kind": run.kind, "seconds": results["seconds"]}
    own: dict[str, Any] = KINDS[run.kind].summary(run)
    return first | own | {"checks": results["checks"]}


def table_rows(run: Run) -> tuple[list[str], list[list[str]], list[str]]:
    """Return heading, rows and numbered notes of a run's table, as text."""
    found: tuple[list[str], list[list[str]], list[str]] = KINDS[run.kind].table_rows(run)
    return found


def write_report(run: Run) -> Path:
    """Write ``figures/*.svg`` and ``report.html``; return the page's path."""
    kind = KINDS[run.kind]
    drawings = {name: drawn if isinstance(drawn, str) else svg(drawn) for name, drawn in kind.drawings(run).items()}
    folder = run.folder / FIGURES
    folder.mkdir(exist_ok=True)
    for name, text in drawings.items():
        write_atomic(folder / f"{name}.svg", text.encode())
    head = f"<meta charset=utf-8><title>{html.escape(run.name)}: biosim</title><style>{_STYLE}</style>"
    checks = f"<h2>Checks</h2>{checks_table(run.results['checks'])}"
    path = run.folder / REPORT
    page = f"<!doctype html><html lang=en>{head}{_heading(run, kind.facts(run))}{checks}{kind.body(run, drawings)}</html>\n"
    write_atomic(path, page.encode())
    return path


def _heading(run: Run, own: list[str]) -> str:
    about, scenario = run.about, run.about["scenario"]
    first, last = about["seeds"][0], about["seeds"][-1]
    facts = [
        *own,
        f"{len(about['seeds'])} replicates, seeds {first} to {last}" if last > first else f"seed {first}",
        f"run {about['id']}, biosim {about['versions']['biosim']}, {run.results['seconds']:.0f} s on {about['device']}",
    ]
    asked = f"<p>{html.escape(scenario['question'])}</p>" + (
        f"<p><i>{html.escape(scenario['headline'])}</i></p>" if scenario["headline"] else ""
    )
    return f"<h1>{html.escape(run.name)}</h1>{asked}<p class=quiet>{'; '.join(facts)}.</p>"
