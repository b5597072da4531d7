"""Carry a plan out: skip what is done, run the rest, keep the table in step, list what failed and why."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from biosim.errors import BiosimError
from biosim.rundir.run_writer import write_json
from biosim.sweep.executor import Means, executor
from biosim.sweep.plan import RUNS, Job, Plan
from biosim.sweep.table import Row, gather, write_table
from biosim.sweep.work import ATTEMPTS, LOCKS, LOGS, Outcome, finished, lock

SWEEP, LOCK = "sweep.json", ".lock"
TABLE_EVERY = 60.0  # seconds between two writings of the table


@dataclass
class State:
    """How far a sweep is.

    Attributes
    ----------
    done, failed : dict
        Jobs by id; seconds each took, and why each failed.
    left : list of Job
    running : dict
        Share of each job at work that is done.
    rows : list
        The table, as last written.
    """

    plan: Plan
    done: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    left: list[Job] = field(default_factory=list)
    running: dict[str, float] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan) -> State:
        """Look at what is there."""
        state = cls(plan)
        for job in plan.jobs:
            about = finished(Path(job.folder))
            if about is None:
                state.left.append(job)
            else:
                state.done[job.id] = float(about["results"]["seconds"])
        return state

    def seconds(self) -> float | None:
        """Return what a run takes on average; None before one is done."""
        return float(np.mean(list(self.done.values()))) if self.done else None

    def remaining(self, workers: int) -> float | None:
        """Return an estimate of the seconds left, from the means of each setting's finished runs."""
        mean = self.seconds()
        if mean is None:
            return None
        by_point: dict[tuple[tuple[str, str], ...], list[float]] = {}
        for job in self.plan.jobs:
            if job.id in self.done:
                by_point.setdefault(tuple(job.point.items()), []).append(self.done[job.id])
        left = [j for j in self.plan.jobs if j.id not in self.done and j.id not in self.failed]
        means = {point: float(np.mean(seconds)) for point, seconds in by_point.items()}
        costs = [means.get(tuple(j.point.items()), mean) * (1 - self.running.get(j.id, 0.0)) for j in left]
        return max(sum(costs) / max(1, min(workers, len(left))), max(costs, default=0.0)) if left else 0.0


def outline(state: State, on: str, workers: int) -> list[str]:
    """Return the plan, ready to read."""
    plan = state.plan
    points = len({tuple(j.point.items()) for j in plan.jobs})
    first, last = plan.seeds[0], plan.seeds[-1]
    seeds = f"{len(plan.seeds)} seeds ({first} to {last})" if len(plan.seeds) > 1 else f"seed {first}"
    size = f"{plan.replicates} replicate{'s' * (plan.replicates > 1)} each"
    lines = [f"sweep of {plan.scenario}: {points} setting{'s' * (points > 1)} x {seeds} = {len(plan.jobs)} runs, {size}, in {plan.folder}"]
    lines += [f"  {key}: {', '.join(values)}" for key, values in plan.over.items()]
    lines.append(f"  {len(state.done)} done, {len(state.left)} to do")
    mean, left = state.seconds(), state.remaining(workers)
    if not state.left:
        return lines
    if mean is None or left is None:
        return [*lines, f"  no run has been timed yet; the first one tells how long the sweep takes on {workers} {on} workers"]
    return [*lines, f"  a run takes {duration(mean)} (mean of {len(state.done)}): about {duration(left)} on {workers} {on} workers"]


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def carry_out(state: State, means: Means, on: str, tell: Callable[[State, Outcome | None], None]) -> State:
    """Run what is left.

    Raises
    ------
    BiosimError
        When another process carries the same sweep out, or the folder cannot be written.
    """
    folder = state.plan.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = [p.name for p in folder.iterdir()] if not (folder / SWEEP).exists() else []
        if set(strangers) - {LOCK, ATTEMPTS, LOCKS, LOGS, RUNS}:
            raise BiosimError(f"{folder} holds other files; name an empty or new folder with --out")
        with lock(folder / LOCK, wait=False) as held:
            if not held:
                raise BiosimError(f"another sweep is at work in {folder}; wait for it, or name another folder with --out")
            return _carry_out(state, means, on, tell)
    except OSError as error:
        raise BiosimError(f"{folder} cannot be written: {error.strerror}") from None


def _carry_out(state: State, means: Means, on: str, tell: Callable[[State, Outcome | None], None]) -> State:
    folder, written = state.plan.folder, time.monotonic()
    _record(state)
    waiting, folders = list(state.left), {job.id: Path(job.folder) for job in state.left}
    state.left = []

    def keep() -> None:
        _record(state)
        state.rows = gather(state.plan.jobs)
        write_table(state.rows, folder)

    def progress(job: Job, stage: str, share: float) -> None:
        state.running[job.id] = share
        tell(state, None)

    if waiting:
        for outcome in executor(on).carry_out(waiting, means, progress):
            _take(state, outcome, folders[outcome.id])
            tell(state, outcome)
            if time.monotonic() - written > TABLE_EVERY:
                keep()
                written = time.monotonic()
    keep()
    return state


def _take(state: State, outcome: Outcome, folder: Path) -> None:
    state.running.pop(outcome.id, None)
    if outcome.reason:
        state.failed[outcome.id] = outcome.reason
        return
    about = finished(folder)
    if about is None:
        state.failed[outcome.id] = "its worker says it is done, and its run directory does not"
    else:
        state.done[outcome.id] = float(about["results"]["seconds"])


def _record(state: State) -> None:
    plan = state.plan
    entries = [{**job.data(), "done": job.id in state.done, "reason": state.failed.get(job.id, "")} for job in plan.jobs]
    about: dict[str, Any] = {"scenario": plan.scenario, "over": dict(plan.over), "seeds": list(plan.seeds), "replicates": plan.replicates}
    write_json(plan.folder / SWEEP, about | {"jobs": entries})


def read_plan(folder: Path) -> tuple[Plan, dict[str, str]]:
    """Return the plan that a sweep's folder holds, and why runs of it failed.

    Raises
    ------
    BiosimError
        When it is no sweep's folder.
    """
    try:
        about = json.loads((folder / SWEEP).read_text())
        entries: Iterable[dict[str, Any]] = about["jobs"]
        reasons = {e["id"]: e["reason"] for e in entries if e["reason"]}
        jobs = tuple(Job.of({k: v for k, v in e.items() if k not in ("done", "reason")}) for e in entries)
        over = {k: tuple(v) for k, v in about["over"].items()}
        return Plan(about["scenario"], folder, over, tuple(about["seeds"]), about["replicates"], jobs), reasons
    except FileNotFoundError:
        raise BiosimError(f"{folder} is not the folder of a sweep: it has no {SWEEP}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BiosimError(f"{folder / SWEEP} cannot be read: {error}; the sweep's command writes it anew") from None
