"""Slurm, through submitit: one job array for the runs that are left, resubmitted where a job is lost.

``--cluster KEY=VALUE`` are submitit's parameters (``timeout_min``, ``mem_gb``, ``slurm_partition``, ``slurm_array_parallelism``,
...); ``cluster=local`` runs the same jobs as processes of this machine. submitit passes a job's names and paths on in files
of its own, under ``slurm/`` in the sweep's folder.
"""

from __future__ import annotations

import collections
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Any

from biosim.errors import BiosimError, first_line
from biosim.extras import need
from biosim.sweep.executor import Means, Tell
from biosim.sweep.plan import Job
from biosim.sweep.work import Outcome, perform, threads

POLL = 1.0  # seconds


def carry_out(jobs: Sequence[Job], means: Means, tell: Tell) -> Iterator[Outcome]:
    """Yield the outcome of every job as it comes."""
    executor = _executor(means)
    deaths: collections.Counter[str] = collections.Counter()
    waiting = list(jobs)
    running: dict[str, tuple[Job, Any]] = {}
    try:
        while waiting or running:
            if waiting:
                room = means.workers - len(running) if executor.cluster == "local" else len(waiting)
                now, waiting = waiting[:room], waiting[room:]
                handles = executor.map_array(perform, [job.data() for job in now]) if now else []
                running |= {job.id: (job, handle) for job, handle in zip(now, handles, strict=True)}
            ended = [(job, handle) for job, handle in running.values() if handle.done()]
            for job, handle in ended:
                del running[job.id]
                reason = _reason(handle)
                if reason is None:
                    yield Outcome(**handle.result())
                    continue
                deaths[job.id] += 1
                if deaths[job.id] <= means.retries:
                    waiting.append(job)
                else:
                    yield Outcome(job.id, f"{reason}, {deaths[job.id]} times")
            if not ended:
                time.sleep(POLL)
    finally:
        for _, handle in running.values():
            handle.cancel()


def _executor(means: Means) -> Any:
    options = dict(means.cluster)
    cluster = str(options.pop("cluster", "slurm"))
    if cluster not in ("slurm", "local"):
        raise BiosimError(f"--cluster cluster={cluster}: there are slurm and local")
    if cluster == "slurm" and shutil.which("sbatch") is None:
        raise BiosimError(
            "--on slurm: this machine has no sbatch; give the command on a login node, or --cluster cluster=local to try it here"
        )
    executor = need("submitit", "slurm").AutoExecutor(folder=means.folder / "slurm", cluster=cluster)
    setup = [f"export {name}={value}" for name, value in threads(means.threads).items()]
    known = {"timeout_min": 240, "cpus_per_task": means.threads, "name": "biosim"} | ({"slurm_setup": setup} if cluster == "slurm" else {})
    try:
        executor.update_parameters(**(known | options))
    except (TypeError, ValueError, NameError) as error:
        raise BiosimError(f"--cluster: {first_line(error)}") from None
    return executor


def _reason(handle: Any) -> str | None:
    """Return why a job brought no outcome, or None when it did."""
    try:
        error = handle.exception()
    except Exception as failure:  # submitit raises of its own when a job leaves no result behind
        error = failure
    return None if error is None else f"its job ended without an answer ({first_line(error)})"
