"""The embedded default: worker processes of this machine, spawned anew whenever one dies.

A worker that is killed takes nothing with it: its job goes back in the queue, to be tried on another, until it has been
the death of ``retries`` + 1 of them.
"""

from __future__ import annotations

import collections
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from biosim.errors import BiosimError
from biosim.sweep.executor import Means, Tell
from biosim.sweep.plan import Job
from biosim.sweep.work import LOGS, Outcome, threads


class _Worker:
    """A process, what it is doing, and a thread that listens to it."""

    def __init__(self, number: int, means: Means, messages: queue.Queue[tuple[_Worker, dict[str, Any] | None]]) -> None:
        self.job: Job | None = None
        self.served = 0
        logs = means.folder / LOGS
        logs.mkdir(parents=True, exist_ok=True)
        self.log = logs / f"worker-{number}.log"
        environment = os.environ | threads(means.threads)
        command = [sys.executable, "-m", "biosim.sweep.worker"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, text=True, start_new_session=True
            )
        threading.Thread(target=self._listen, args=(messages,), daemon=True).start()

    def _listen(self, messages: queue.Queue[tuple[_Worker, dict[str, Any] | None]]) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                messages.put((self, json.loads(line)))
            except ValueError:
                break  # cut off by a kill
        messages.put((self, None))

    def give(self, job: Job) -> None:
        self.job = job
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(job.data()) + "\n")
            self.process.stdin.flush()
        except OSError:  # it died just now; its listener says so
            pass

    def end(self, kill: bool = False) -> None:
        try:
            if self.process.stdin is not None:
                self.process.stdin.close()
        except OSError:
            pass
        if kill:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def death(self) -> str:
        code = self.process.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def carry_out(jobs: Sequence[Job], means: Means, tell: Tell) -> Iterator[Outcome]:
    """Yield the outcome of every job as it comes."""
    waiting = collections.deque(jobs)
    deaths: collections.Counter[str] = collections.Counter()
    messages: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
    workers: set[_Worker] = set()
    number = idle_deaths = 0
    left = len(jobs)
    try:
        while left:
            for worker in workers:
                if worker.job is None and waiting:
                    worker.give(waiting.popleft())
            while waiting and len(workers) < means.workers:
                workers.add(worker := _Worker(number, means, messages))
                number += 1
                worker.give(waiting.popleft())
            worker, message = messages.get()
            if message is None:
                workers.discard(worker)
                worker.end()
                idle_deaths += not worker.served
                if worker.job is None:
                    continue
                deaths[worker.job.id] += 1
                if deaths[worker.job.id] <= means.retries:
                    waiting.append(worker.job)
                else:
                    left -= 1
                    yield Outcome(worker.job.id, f"its worker {worker.death()}, {deaths[worker.job.id]} times{_last_line(worker.log)}")
                if idle_deaths > means.workers * (means.retries + 2) and not any(w.served for w in workers) and left == len(jobs):
                    raise BiosimError(f"no worker lives long enough to finish a run: the last one {worker.death()}; see {worker.log}")
            elif "outcome" in message:
                worker.job, worker.served = None, worker.served + 1
                left -= 1
                yield Outcome(**message["outcome"])
            elif worker.job is not None:
                tell(worker.job, message["stage"], message["share"])
    finally:
        for worker in workers:
            worker.end(kill=worker.job is not None)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return f"; it said: {lines[-1][:300]}" if lines else ""
