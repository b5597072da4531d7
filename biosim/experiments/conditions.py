"""The same experiment under several conditions, each a run of its own within the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.experiments.base import Experiment, outcome
from biosim.experiments.carry_out import carry_out
from biosim.progress import Stages
from biosim.rundir.artefacts import CONDITIONS
from biosim.rundir.run_writer import RunWriter
from biosim.scenario import ConditionsScenario, Scenario


@dataclass(frozen=True)
class ConditionsExperiment:
    """Conditions that have all been tried; each is made ready again when its turn comes."""

    scenario: ConditionsScenario
    device: str
    prepare: Callable[[Scenario, str], Experiment]
    outlines: Mapping[str, str]

    def outline(self) -> str:
        """Return what ``validate`` says of a scenario in order."""
        return f"{len(self.outlines)} conditions; " + "; ".join(f"{name}: {text}" for name, text in self.outlines.items())

    def about(self) -> dict[str, Any]:
        """Return what ``run.json`` says from the start."""
        return {"conditions": {name: scenario.id for name, scenario in self.scenario.conditions.items()}}

    def execute(self, writer: RunWriter, progress: Stages | None) -> dict[str, Any]:
        """Run each condition in a folder of its own; one that is there and finished is left alone."""
        metrics: dict[str, npt.NDArray[np.float64]] = {}
        for name, scenario in self.scenario.conditions.items():
            folder = writer.folder / CONDITIONS / name
            prepared = lambda scenario=scenario: self.prepare(scenario, self.device)  # noqa: E731
            run, _ = carry_out(scenario, prepared, folder, self.device, _under(name, progress), every=writer.checkpoints.every)
            metrics |= {f"{name}.{metric}": np.array(values, np.float64) for metric, values in run.results["metrics"].items()}
        return outcome(metrics, self.scenario.checks)


def _under(name: str, progress: Stages | None) -> Stages | None:
    return None if progress is None else (lambda stage, step, steps, numbers: progress(f"{name}: {stage}", step, steps, numbers))
