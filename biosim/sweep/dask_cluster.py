"""Dask: worker processes of this machine (``LocalCluster``), or of a cluster whose scheduler's address is given.

On a cluster, start the scheduler and workers with dask-jobqueue or ``dask worker``, one thread a worker; they need biosim
and the sweep's folder under the same path.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from biosim.errors import BiosimError, first_line
from biosim.extras import need
from biosim.sweep.executor import Means, Tell
from biosim.sweep.plan import Job
from biosim.sweep.work import Outcome, perform, threads


def carry_out(jobs: Sequence[Job], means: Means, tell: Tell) -> Iterator[Outcome]:
    """Yield the outcome of every job as it comes."""
    distributed, dask = need("distributed", "dask"), need("dask", "dask")
    own = {f"distributed.nanny.pre-spawn-environ.{k}": v for k, v in threads(means.threads).items()}
    settings = {"distributed.scheduler.allowed-failures": means.retries, **own, "distributed.logging.distributed": "error"}
    with dask.config.set(settings):
        cluster = None
        try:
            if means.scheduler is None:
                cluster = distributed.LocalCluster(
                    n_workers=means.workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
                )
            try:
                client = distributed.Client(cluster if cluster is not None else means.scheduler, timeout=20)
            except (OSError, TimeoutError, ValueError) as error:
                raise BiosimError(f"--scheduler {means.scheduler}: no Dask scheduler answers there: {error}") from None
            with client:
                yield from _gather(client, distributed, jobs)
        finally:
            if cluster is not None:
                cluster.close()


def _gather(client: Any, distributed: Any, jobs: Sequence[Job]) -> Iterator[Outcome]:
    known, futures = {}, []
    for job in jobs:  # a name of its own each, so that Dask never takes an earlier answer for this one
        futures.append(client.submit(perform, job.data(), key=f"biosim-{job.id}-{time.time_ns()}", pure=False))
        known[futures[-1].key] = job
    for future in distributed.as_completed(futures):
        job, error = known[future.key], future.exception()
        if error is None:
            yield Outcome(**future.result())
        else:
            yield Outcome(job.id, f"{type(error).__name__}: {first_line(error)}")
