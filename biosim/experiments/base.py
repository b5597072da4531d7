"""What an experiment is to the runner: a scenario made ready, with nothing written yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from biosim.store import RunWriter

Progress = Callable[[str, int, int, Mapping[str, float]], None]  # stage, step, steps, numbers


class Experiment(Protocol):
    """A scenario with its data loaded and its parts tried."""

    def outline(self) -> str:
        """Return what ``validate`` says of a scenario in order."""

    def about(self) -> dict[str, Any]:
        """Return what ``run.json`` says from the start, beside what it says of every run."""

    def execute(self, writer: RunWriter, progress: Progress | None) -> dict[str, Any]:
        """Do it, writing what lasts; return the results, ``checks`` among them."""
