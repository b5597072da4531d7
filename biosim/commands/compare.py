"""``biosim compare`` and ``biosim analyse``: what is asked of finished runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from biosim.commands.console import print_rows, say
from biosim.commands.run import Json, RunFolder, progress


def compare(
    first: RunFolder,
    second: Annotated[Path | None, typer.Argument(help="another run directory, with the same births")] = None,
    circuit: Annotated[list[str] | None, typer.Option(help="local, or a rival's label; give two to compare those")] = None,
    out: Annotated[Path | None, typer.Option(help="write figures and comparison.json here")] = None,
    as_json: Json = False,
    measures: Annotated[list[str] | None, typer.Option(help="overlap, profiles, flow, function, causal; repeat for more")] = None,
    nulls: Annotated[int, typer.Option(min=2, help="draws of every null")] = 100,
    samples: Annotated[int, typer.Option(min=10, help="at most this many images are shown")] = 500,
) -> None:
    """Compare two circuits on the same births: every measure with its null, its ceiling and an effect size.

    Two circuits of one run (the local one and the first rival when none is named), or one of each of two runs.
    """
    from biosim.compare import FAMILIES
    from biosim.compare_runs import compare_runs
    from biosim.report.comparison import BRIEF, HEAD, answers, measure_rows, primary
    from biosim.store import open_run

    runs = [open_run(folder) for folder in (first, second) if folder is not None]
    with progress("compare") as shown:
        found = compare_runs(
            runs[0], runs[1] if second is not None else None, circuit or (), families=measures or tuple(FAMILIES), nulls=nulls,
            samples=samples, progress=lambda step, steps: shown("nulls", step, steps, {}),
        )  # fmt: skip
    (other,) = found.data["pairs"]
    rows, notes = measure_rows(primary(found.data, other), brief=True)
    title = f"{found.data['reference']} and {other}: {found.data['births']} births; {found.data['shown']}"
    print_rows(title, HEAD, rows, as_json, [BRIEF, *notes])
    for line in answers(found.data, other):
        say(line, as_json)
    if out is not None:
        from biosim.analysis import write_findings
        from biosim.findings import Findings
        from biosim.report.comparison_figures import comparison_figures
        from biosim.rundir.artefacts import COMPARISON
        from biosim.rundir.run_writer import write_json

        for path in write_findings(Findings(comparison_figures(found.data, found.circuits)), out):
            say(str(path), as_json)
        write_json(out / COMPARISON, found.data)
    if as_json:
        print(json.dumps(found.data))


def analyse(
    name: Annotated[str, typer.Argument(help="name of an analysis, or a path ending in .py")],
    runs: Annotated[list[Path], typer.Argument(help="one or more run directories")],
    out: Annotated[Path | None, typer.Option(help="where to write; RUN/analysis/NAME when left out")] = None,
) -> None:
    """Run an analysis over finished runs; it writes figures and tables."""
    from biosim.analysis import analyse_runs

    for path in analyse_runs(name, runs, out):
        print(path)
