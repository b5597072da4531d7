"""Carry an experiment out into a run directory, from the beginning or from where it was stopped."""

from __future__ import annotations

import json
import platform
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from biosim import __version__
from biosim.errors import BiosimError, DamageError, Interrupted, Notice
from biosim.experiments.base import Experiment
from biosim.progress import Stages
from biosim.rundir import lock
from biosim.rundir.artefacts import CHECKPOINTS, CONDITIONS, METRICS, OWN_FILES, REPORT, RUN
from biosim.rundir.checkpoint import EVERY
from biosim.rundir.files import PART
from biosim.rundir.run_writer import RunWriter
from biosim.scenario import Scenario
from biosim.store import Run


def carry_out(
    scenario: Scenario,
    prepare: Callable[[], Experiment],
    folder: Path,
    device: str,
    progress: Stages | None,
    *,
    report: bool = True,
    force: bool = False,
    every: float = EVERY,
    processes: int = 1,
) -> tuple[Run, bool]:
    """Execute an experiment, write its run directory and (asked for) its report, unless that was done before.

    Parameters
    ----------
    prepare : callable
        Makes the experiment ready; called before anything is written.
    force : bool
        Begin anew whatever is there.
    every : float
        Seconds between two checkpoints.
    processes : int
        How many share the network; this is the first of them.

    Returns
    -------
    run : Run
    fresh : bool
        False when the run was done already.

    Raises
    ------
    BiosimError
        When the folder holds something else, another process works on it, or it cannot be written.
    """
    found = existing(folder, scenario, force)
    if found is None:
        experiment = prepare()
        with lock.held(folder):
            found = existing(folder, scenario, force)  # another process may have done it meanwhile
            if found is None:
                _make_way(folder, device, processes, force)
                about = _about(scenario, device) | {"processes": processes} | experiment.about()
                return _execute(about, experiment, folder, progress, report, every), True
    if report and not (folder / REPORT).exists():
        _report(found)  # it was stopped after the last result was there
    return found, False


def _execute(about: dict[str, Any], experiment: Experiment, folder: Path, progress: Stages | None, report: bool, every: float) -> Run:
    writer = RunWriter(folder, about, every)
    try:
        results = experiment.execute(writer, progress)
        results["seconds"] = writer.checkpoints.seconds()
        writer.status("done", results=results)
    except BaseException as error:
        kind = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt, SystemExit)) else "failed"
        with suppress(BiosimError):  # on a full disk this fails too; the first error says why
            writer.status(kind, reason=f"{type(error).__name__}: {error}")
        if isinstance(error, Interrupted):
            error.folder = folder
        raise
    writer.checkpoints.clear()
    finished = Run(folder)
    if report:
        _report(finished)
    return finished


def _report(run: Run) -> None:
    from biosim.report import write_report  # here, since a sweep's workers do without matplotlib

    write_report(run)


def existing(folder: Path, scenario: Scenario, force: bool) -> Run | None:
    """Return the finished run of a scenario if ``folder`` holds it, None if it holds nothing or an unfinished one.

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
        left = (METRICS, lock.LOCK)  # these a kill at the start leaves
        if any(p.name not in left and not p.name.endswith(PART) for p in folder.iterdir()):
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
    return None


def _make_way(folder: Path, device: str, processes: int, force: bool) -> None:
    """Make ready for a run in ``folder``: what is unfinished stays, unless it is to begin anew; notes of a user always do.

    Raises
    ------
    BiosimError
        When what is unfinished was begun on another device, or by another number of processes.
    """
    if force:
        for name in (*OWN_FILES, CONDITIONS, CHECKPOINTS):
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    elif (folder / CHECKPOINTS).is_dir() and (folder / RUN).exists():
        about = Run(folder).about
        if about.get("device", device) != device:
            raise BiosimError(f"{folder} was begun on {about['device']}: go on with --device {about['device']}, or anew with --force")
        if (begun := about.get("processes", 1)) != processes:
            raise BiosimError(f"{folder} was begun by {begun} process(es): go on with --processes {begun}, or anew with --force")
        changed = [f"{n} {v} to {now}" for n, now in _versions().items() if (v := about["versions"].get(n)) != now]
        if changed:
            why = f"{folder} was begun with other versions ({', '.join(changed)}): results may differ in their last digits"
            warnings.warn(why, Notice, stacklevel=2)


def _versions() -> dict[str, str]:
    return {"biosim": __version__, "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}


def _about(scenario: Scenario, device: str) -> dict[str, Any]:
    return {
        "id": scenario.id,
        "kind": scenario.spec.kind,
        "scenario": scenario.resolved["scenario"],
        "document": json.dumps(scenario.source.document.data, default=str),  # as text: run.json is sorted, and order may matter
        "seeds": list(scenario.seeds),
        "versions": _versions(),
        "device": device,
    }
