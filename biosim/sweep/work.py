"""One run of a sweep, done by whoever is told to: a process of this machine, a Dask worker, a job of Slurm.

Whoever runs it holds the lock of its directory meanwhile. The lock goes with the process, so a killed worker blocks nobody;
and whoever gets the lock next finds the run done, or starts it anew. Nothing that is done is done again.
"""

from __future__ import annotations

import json
import os
import socket
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biosim.errors import BiosimError
from biosim.progress import Stages
from biosim.sweep.plan import Job

ATTEMPTS, LOCKS, LOGS = "attempts.jsonl", "locks", "logs"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """What came of a job: ``reason`` is empty when it is done; ``fresh`` when it was run now."""

    id: str
    reason: str = ""
    fresh: bool = True
    seconds: float = 0.0


def threads(count: int) -> dict[str, str]:
    """Return environment variables that give a process so many threads."""
    return dict.fromkeys(THREADS, str(count))


def finished(folder: Path) -> dict[str, Any] | None:
    """Return ``run.json`` of a run that is done, else None."""
    from biosim.rundir import seal

    try:
        about = seal.read(folder / "run.json")
    except (OSError, BiosimError):
        return None
    return about if about["status"] == "done" else None


@contextmanager
def lock(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a lock that the operating system takes back when the process ends; yield whether it was got."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def note(job: Job, event: str, **more: Any) -> None:
    """Append one line to the sweep's list of attempts; short enough that lines of several processes do not mix."""
    entry = {"run": job.id, "event": event, "pid": os.getpid(), "host": socket.gethostname(), "time": time.time(), **more}
    with (Path(job.folder).parents[1] / ATTEMPTS).open("a") as file:
        file.write(json.dumps(entry) + "\n")


def perform(data: Mapping[str, Any], progress: Stages | None = None) -> dict[str, Any]:
    """Carry out a job (plain data) unless it is done; return the outcome as plain data. Never raises for what a run may do."""
    job = Job.of(data)
    folder = Path(job.folder)
    began = time.perf_counter()
    with lock(folder.parents[1] / LOCKS / job.id):
        if finished(folder) is not None:
            return vars(Outcome(job.id, fresh=False))
        note(job, "started")
        try:
            _run(job, folder, progress)
        except BiosimError as error:
            note(job, "failed", reason=str(error)[:1000])
            return vars(Outcome(job.id, str(error)))
        except Exception as error:
            log = folder.parents[1] / LOGS / f"{job.id}.log"
            log.parent.mkdir(exist_ok=True)
            log.write_text(traceback.format_exc())
            reason = f"{type(error).__name__}: {str(error)[:300]} ({log})"
            note(job, "failed", reason=reason)
            return vars(Outcome(job.id, reason))
        note(job, "done")
    return vars(Outcome(job.id, seconds=time.perf_counter() - began))


def _run(job: Job, folder: Path, progress: Stages | None) -> None:
    from biosim import runner
    from biosim.errors import DamageError
    from biosim.scenario import read_scenario

    if Path.cwd() != Path(job.home):
        os.chdir(job.home)
    if os.environ.get("OMP_NUM_THREADS"):
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    scenario = read_scenario(Path(job.scenario), job.settings)
    if scenario.id != job.id:
        raise BiosimError(f"{job.scenario} or a file it uses has changed since the sweep was planned; give the command again")
    try:
        runner.run(scenario, folder, device=job.device, progress=progress, report=False)  # from where it was, if it was begun
    except DamageError:
        runner.run(scenario, folder, device=job.device, progress=progress, report=False, force=True)
