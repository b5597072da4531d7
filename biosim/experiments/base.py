"""What an experiment is to the runner: a scenario made ready, with nothing written yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from biosim.errors import BiosimError
from biosim.findings import Findings
from biosim.progress import Stages
from biosim.rundir.run_writer import RunWriter
from biosim.scenario.checks import Check


def outcome(metrics: Mapping[str, npt.NDArray[np.float64]], checks: Sequence[Check]) -> dict[str, Any]:
    """Return (R,) metrics as plain data, None where one is not defined, and the verdicts on the checks over them."""
    plain = {name: [float(v) if np.isfinite(v) else None for v in values] for name, values in metrics.items()}
    return {"metrics": plain, "checks": [check.result(metrics) for check in checks]}


def checked_metrics(findings: Findings, promised: Iterable[str], replicates: int, who: str) -> dict[str, npt.NDArray[np.float64]]:
    """Return the metrics of findings as (R,) arrays.

    Raises
    ------
    BiosimError
        When they are not just the promised ones, or not one value a replicate; ``who`` is told.
    """
    found = {name: np.asarray(values, np.float64) for name, values in findings.metrics.items()}
    if odd := sorted(set(found) ^ set(promised)):
        raise BiosimError(f"{who} did not measure just what its METRICS name: {', '.join(odd)}")
    for metric, values in found.items():
        if values.shape != (replicates,):
            raise BiosimError(f"{who} gave {metric} as {values.shape}, not as one value for each replicate, {(replicates,)}")
    return found


class Experiment(Protocol):
    """A scenario with its data loaded and its parts tried."""

    def outline(self) -> str:
        """Return what ``validate`` says of a scenario in order."""
        ...

    def about(self) -> dict[str, Any]:
        """Return what ``run.json`` says from the start, beside what it says of every run."""
        ...

    def execute(self, writer: RunWriter, progress: Stages | None) -> dict[str, Any]:
        """Do it, writing what lasts; return the results, ``checks`` among them."""
        ...
