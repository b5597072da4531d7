"""What an experiment is to the runner: a scenario made ready, with nothing written yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from biosim.checks import Check
from biosim.store import RunWriter

Progress = Callable[[str, int, int, Mapping[str, float]], None]  # stage, step, steps, numbers


def outcome(metrics: Mapping[str, npt.NDArray[np.float64]], checks: Sequence[Check]) -> dict[str, Any]:
    """Return (R,) metrics as plain data, None where one is not defined, and the verdicts on the checks over them."""
    plain = {name: [float(v) if np.isfinite(v) else None for v in values] for name, values in metrics.items()}
    return {"metrics": plain, "checks": [check.result(metrics) for check in checks]}


class Experiment(Protocol):
    """A scenario with its data loaded and its parts tried."""

    def outline(self) -> str:
        """Return what ``validate`` says of a scenario in order."""

    def about(self) -> dict[str, Any]:
        """Return what ``run.json`` says from the start, beside what it says of every run."""

    def execute(self, writer: RunWriter, progress: Progress | None) -> dict[str, Any]:
        """Do it, writing what lasts; return the results, ``checks`` among them."""
