"""The page of two runs side by side: what differs in their scenarios, what each came to, whether they left the same circuit."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from biosim.compare_runs import compare_runs
from biosim.errors import BiosimError
from biosim.findings import svg
from biosim.report.comparison import section
from biosim.report.comparison_figures import comparison_figures
from biosim.report.page import heading, table_rows
from biosim.report.parts import Section, checks_table, noted, table
from biosim.report.provenance import provenance_section
from biosim.report.shell import VIEWER, page, told_of, write_page
from biosim.report.viewer import viewer_section
from biosim.rundir.artefacts import RUN
from biosim.store import Run

ROOM = 800_000  # characters of packed edges for each of the two viewers


def write_pair_report(first: Run, second: Run, path: Path, nulls: int = 100) -> Path:
    """Write the page of two runs to ``path``.

    Raises
    ------
    BiosimError
        When one has not finished, is damaged, or both are the same.
    """
    runs = {"first": first, "second": second}
    if first.folder.resolve() == second.folder.resolve():
        raise BiosimError(f"{first.folder} is compared with itself; name another run")
    for run in runs.values():
        _ = run.results
    with told_of(f"{first.folder / RUN}, or {second.folder / RUN},"):
        text = _page(runs, nulls)
    return write_page(path, text)


def _page(runs: Mapping[str, Run], nulls: int) -> str:
    both = first, second = runs["first"], runs["second"]
    sections = [
        Section("What differs", _differences(first, second)),
        Section("Measured", _beside(_measured(run) for run in both)),
        Section("The same circuit?", _same_circuit(first, second, nulls), "Same circuit?"),
        Section("Checks", _beside(checks_table(run.results["checks"]) for run in both)),
    ]
    for (name, run), prefix in zip(runs.items(), ("", "b-"), strict=True):
        shown = viewer_section(run, prefix, f"Watch the {name}: {run.name}", f"Viewer of the {name}", ROOM)
        sections += [] if shown is None else [shown]
    sections.append(Section("Provenance", _beside(provenance_section(run).content for run in both)))
    above = "".join(f"<div>{heading(run).replace('<h1>', '<h2>').replace('</h1>', '</h2>')}</div>" for run in both)
    names = " and ".join(html.escape(str(run.folder)) for run in both)
    top = f"<h1>Two runs compared</h1><p class=quiet>{names}</p><div class=pair>{above}</div>"
    return page(f"{both[0].name} and {both[1].name}: biosim", top, sections, VIEWER)


def _beside(parts: Iterator[str]) -> str:
    return f"<div class=pair>{''.join(f'<div>{part}</div>' for part in parts)}</div>"


def _measured(run: Run) -> str:
    head, rows, notes = table_rows(run)
    return f"<h3>{html.escape(run.name)}</h3>{table(head, rows, f'Measured: {run.folder.name}')}{noted(notes)}"


def _same_circuit(first: Run, second: Run, nulls: int) -> str:
    if {first.kind, second.kind} != {"development"}:
        return "<p>Circuits are compared between two runs of the kind development; these are of the kinds " + (
            f"{html.escape(first.kind)} and {html.escape(second.kind)}.</p>"
        )
    try:
        found = compare_runs(first, second, nulls=nulls)
    except BiosimError as error:
        return f"<p>These circuits cannot be compared: {html.escape(str(error))}</p>"
    drawings = {name: svg(drawn) for name, drawn in comparison_figures(found.data, found.circuits).items()}
    return section(found.data, drawings)


def leaves(data: Any, key: str = "") -> dict[str, str]:
    """Return every value of nested plain data as text, by its dotted key."""
    if isinstance(data, Mapping) and data:
        return {k: v for name, own in data.items() for k, v in leaves(own, f"{key}.{name}" if key else str(name)).items()}
    if isinstance(data, list) and any(isinstance(own, Mapping | list) for own in data):
        return {k: v for n, own in enumerate(data) for k, v in leaves(own, f"{key}.{n}").items()}
    return {key: "none" if data is None else str(data)}


def _differences(first: Run, second: Run) -> str:
    """Return what differs between two scenarios, their rules as resolved, seeds and versions."""
    one, other = (
        leaves({"scenario": run.about["scenario"], "rule": run.about.get("rule", run.about.get("rules", {})), "seeds": run.about["seeds"],
                "versions": run.about["versions"], "data": str(run.about.get("data_sha256", ""))})
        for run in (first, second)
    )  # fmt: skip
    keys = [key for key in dict.fromkeys([*one, *other]) if one.get(key) != other.get(key)]
    rows = [[key.removeprefix("scenario."), one.get(key, "not there"), other.get(key, "not there")] for key in keys]
    same = sum(one.get(key) == other.get(key) for key in {**one, **other})
    if not rows:
        return f"<p>Nothing: all {same} values of both scenarios are the same.</p>"
    return table(["key", "first", "second"], rows, "What differs") + f"<p class=quiet>{same} other values are the same.</p>"
