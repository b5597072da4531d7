"""Carry an experiment out into a run directory."""

from __future__ import annotations

import platform
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from biosim import __version__
from biosim.errors import BiosimError, DamageError, Interrupted
from biosim.experiments.base import Experiment, Progress
from biosim.scenario import Scenario
from biosim.store import CONDITIONS, METRICS, OWN_FILES, RUN, Run, RunWriter


def carry_out(scenario: Scenario, experiment: Experiment, folder: Path, device: str, progress: Progress | None, report: bool = True) -> Run:
    """Execute an experiment, write its run directory and (asked for) its report, and return the run."""
    began = time.perf_counter()
    writer = RunWriter(folder, _about(scenario, device) | experiment.about())
    try:
        results = experiment.execute(writer, progress)
        results["seconds"] = time.perf_counter() - began
        writer.status("done", results=results)
    except BaseException as error:
        kind = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt, SystemExit)) else "failed"
        writer.status(kind, reason=f"{type(error).__name__}: {error}")
        raise
    finished = Run(folder)
    if report:
        from biosim.report import write_report  # here, since a sweep's workers do without matplotlib

        write_report(finished)
    return finished


def existing(folder: Path, scenario: Scenario, force: bool) -> Run | None:
    """Return the finished run of a scenario if ``folder`` holds it; make way for a new one if it holds an unfinished one.

    Raises
    ------
    BiosimError
        When the folder holds something else.
    """
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise BiosimError(f"{folder} is a file; name a folder with --out")
    if not (folder / RUN).exists():
        if any(p.name != METRICS and not p.name.endswith(".part") for p in folder.iterdir()):  # these a kill at the start leaves
            raise BiosimError(f"{folder} holds other files; name an empty or new folder with --out")
        return None
    try:
        run = Run(folder)
        if run.about["id"] != scenario.id:
            raise BiosimError(f"{folder} holds another run ({run.about['id']}); name another folder with --out")
        if run.about["status"] == "done" and not force:
            run.check()
            return run
    except DamageError:
        if not force:
            raise
    again = (*OWN_FILES, CONDITIONS) if force else OWN_FILES  # conditions that are finished need not be run again
    for name in again:  # the same run over again; analyses and whatever else is in the folder stay
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return None


def _about(scenario: Scenario, device: str) -> dict[str, Any]:
    versions = {"biosim": __version__, "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    return {
        "id": scenario.id,
        "kind": scenario.spec.kind,
        "scenario": scenario.resolved["scenario"],
        "seeds": list(scenario.seeds),
        "versions": versions,
        "device": device,
    }
