"""``biosim report``: the page of a run, of a sweep, or of two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biosim.errors import BiosimError


def report(
    folder: Annotated[Path, typer.Argument(help="a run directory, or the folder of a sweep")],
    second: Annotated[Path | None, typer.Argument(help="another run directory, to compare the first with")] = None,
    out: Annotated[Path | None, typer.Option(help="where the page of two runs goes; compare-FIRST-SECOND.html when left out")] = None,
    nulls: Annotated[int, typer.Option(min=2, help="draws of every null, of two runs")] = 100,
) -> None:
    """Write the page of a finished run or of a sweep again, or one that compares two runs."""
    from biosim.store import open_run
    from biosim.sweep.run import SWEEP

    if second is None:
        if out is not None:
            raise BiosimError("--out is for the page of two runs; that of one is RUN/report.html")
        if (folder / SWEEP).is_file():
            from biosim.sweep.page import write_sweep_report

            print(write_sweep_report(folder))
            return
        from biosim.report import write_report

        if not (folder / "run.json").is_file():
            what = "holds neither a run.json nor a sweep.json" if folder.is_dir() else "is no folder"
            raise BiosimError(f"{folder} is not a run directory, nor the folder of a sweep: it {what}")
        print(write_report(open_run(folder)))
        return
    from biosim.report.pair import write_pair_report

    for place in (folder, second):
        if (place / SWEEP).is_file():
            raise BiosimError(f"{place} is the folder of a sweep; two runs are compared, each by its run directory")
    runs = open_run(folder), open_run(second)
    path = out or Path(f"compare-{folder.resolve().name}-{second.resolve().name}.html")
    print(write_pair_report(*runs, path, nulls))
