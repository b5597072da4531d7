"""The page of a run: one self-contained HTML file, whatever the kind of the run."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from biosim.findings import svg
from biosim.report import activity, conditions, development, spiking, study
from biosim.report.parts import UNBROKEN, Section, checks_table
from biosim.report.provenance import provenance_section, scenario_section
from biosim.report.shell import VIEWER, page, told_of, write_page
from biosim.report.viewer import viewer_section
from biosim.rundir.artefacts import CONDITIONS, FIGURES, REPORT, RUN
from biosim.rundir.files import write_atomic
from biosim.store import Run

KINDS: dict[str, ModuleType] = {
    "development": development, "activity": activity, "spiking": spiking, "study": study, "conditions": conditions,
}  # fmt: skip


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
    """Write ``figures/*.svg`` and ``report.html``; return the page's path.

    Raises
    ------
    BiosimError
        When the run has not finished, or a file of it is damaged or does not hold what a run's does.
    """
    _ = run.results  # says so where the run has not finished
    with told_of(run.folder / RUN):
        drawings = {n: d if isinstance(d, str) else svg(d) for n, d in KINDS[run.kind].drawings(run).items()}
        text = page(f"{titled(run)}: biosim", heading(run), sections(run, drawings), VIEWER)
    folder = run.folder / FIGURES
    folder.mkdir(exist_ok=True)
    for name, drawn in drawings.items():
        write_atomic(folder / f"{name}.svg", drawn.encode())
    return write_page(run.folder / REPORT, text)


def sections(run: Run, drawings: Mapping[str, str]) -> list[Section]:
    """Return every section of a run's page, in order."""
    viewer = viewer_section(run)
    found = [Section("Checks", checks_table(run.results["checks"])), *([viewer] if viewer is not None else [])]
    own: list[Section] = KINDS[run.kind].body(run, drawings)
    return [*found, *(s for s in own if s.content), scenario_section(run), provenance_section(run)]


def titled(run: Run) -> str:
    """Return what a page calls its run: the scenario, and which of its conditions it is."""
    return f"{run.name}, {run.folder.name}" if _is_condition(run) else run.name


def _is_condition(run: Run) -> bool:
    """Whether the run is one condition of a run that lies above it."""
    return run.folder.parent.name == CONDITIONS and (run.folder.parents[1] / RUN).is_file()


def heading(run: Run) -> str:
    """Return what stands above a page's table of contents: name, question, headline, facts."""
    about, scenario = run.about, run.about["scenario"]
    checks, seeds = run.results["checks"], about["seeds"]
    facts = [
        *KINDS[run.kind].facts(run),
        html.escape(f"{len(seeds)} replicates, seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"),
        html.escape(f"run {about['id']}, biosim {about['versions']['biosim']}, {run.results['seconds']:.0f} s on {about['device']}"),
    ]
    passed = sum(bool(check["passed"]) for check in checks)
    word = "pass" if passed == len(checks) else "fail"
    badge = f"<p><span class='badge {word}'>{passed} of {len(checks)} checks passed</span></p>" if checks else ""
    asked = f"<p class=question>{html.escape(scenario['question'])}</p>" if scenario.get("question") else ""
    said = f"<p class=headline>{html.escape(scenario['headline'])}</p>" if scenario.get("headline") else ""
    found = html.escape(KINDS[run.kind].answer(run)).replace(" ± ", UNBROKEN)
    answer = f"<p class=answer>{found}</p>" if found else ""
    up = "<p class=quiet><a href='../../report.html'>The run of all conditions</a></p>" if _is_condition(run) else ""
    return f"<h1>{html.escape(titled(run))}</h1>{up}{asked}{said}{answer}{badge}<p class=quiet>{'; '.join(facts)}.</p>"
