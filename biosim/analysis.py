"""Runs analysis scripts: ``analyse(run) -> figures and tables``, one file a question."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from biosim.errors import BiosimError
from biosim.findings import Findings, csv_text
from biosim.library import find_given, load_module
from biosim.rundir.files import write_atomic
from biosim.store import Run, open_run

__all__ = ["Findings", "analyse_runs", "main", "write_findings"]


def analyse_runs(name: str, runs: Sequence[Path], out: Path | None = None) -> list[Path]:
    """Run one analysis over runs; return the files written.

    Raises
    ------
    BiosimError
        When the analysis or a run cannot be used.
    """
    path = find_given("analysis", name)
    analyse = getattr(load_module(path), "analyse", None)
    if analyse is None:
        raise BiosimError(f"{path} has no function analyse(run)")
    written = []
    for folder in runs:
        run = open_run(folder)
        target = out if out is not None else folder / "analysis" / path.stem
        if out is not None and len(runs) > 1:
            target = out / folder.name
        written += write_findings(analyse(run), target)
    return written


def write_findings(findings: Findings, folder: Path) -> list[Path]:
    """Write figures as PNG and SVG, tables as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in findings.figures.items():
        for ending in ("png", "svg"):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=ending, dpi=150)
            write_atomic(folder / f"{name}.{ending}", buffer.getvalue())
            written.append(folder / f"{name}.{ending}")
    for name, rows in findings.tables.items():
        write_atomic(folder / f"{name}.csv", csv_text(rows).encode())
        written.append(folder / f"{name}.csv")
    return written


def main(analyse: Callable[[Run], Findings], script: str) -> None:
    """Make an analysis file usable as a script: ``python analysis/NAME.py RUN...``."""
    import argparse

    parser = argparse.ArgumentParser(description=(analyse.__doc__ or "").strip().splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="run directories")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    try:
        for path in analyse_runs(str(Path(script).resolve()), given.runs, given.out):
            print(path)
    except BiosimError as error:
        parser.exit(2, f"{error}\n")
