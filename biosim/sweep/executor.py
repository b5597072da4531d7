"""What carries a sweep out: a module with ``carry_out(jobs, means, tell)``, one for each ``--on``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from biosim.sweep.plan import Job
from biosim.sweep.work import Outcome

Tell = Callable[[Job, str, float], None]  # job, stage, share of it
EXECUTORS = {"local": "biosim.sweep.pool", "dask": "biosim.sweep.dask_cluster", "slurm": "biosim.sweep.slurm"}


@dataclass(frozen=True)
class Means:
    """What a sweep may use.

    Attributes
    ----------
    folder : Path
        The sweep's.
    workers : int
    threads : int
        Of each worker.
    retries : int
        How often a job whose worker dies is tried again.
    scheduler : str, optional
        Address of a Dask scheduler; a cluster of this machine without.
    cluster : mapping
        Slurm's parameters, as submitit takes them.
    """

    folder: Path
    workers: int
    threads: int = 1
    retries: int = 5
    scheduler: str | None = None
    cluster: dict[str, Any] = field(default_factory=dict)


class Executor(Protocol):
    """A module that carries jobs out."""

    def carry_out(self, jobs: Sequence[Job], means: Means, tell: Tell) -> Iterator[Outcome]:
        """Yield the outcome of every job, as it comes."""
        ...


def executor(name: str) -> Executor:
    """Return the module behind an ``--on``."""
    module: Any = import_module(EXECUTORS[name])
    found: Executor = module
    return found
