"""A study made ready to run: its replicates, its findings, its checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from biosim.errors import BiosimError, InputError
from biosim.experiments.base import Progress, outcome
from biosim.findings import Findings
from biosim.scenario import StudyScenario
from biosim.store import RunWriter


@dataclass(frozen=True)
class StudyExperiment:
    """A study with its arguments, ready to run."""

    scenario: StudyScenario

    def outline(self) -> str:
        """Return what ``validate`` says of a scenario in order."""
        return f"study {self.scenario.spec.study.name}, which measures {', '.join(self.scenario.measures)}"

    def about(self) -> dict[str, Any]:
        """Return what ``run.json`` says from the start."""
        return {"study_source_sha256": self.scenario.resolved["study_source"], "measures": dict(self.scenario.measures)}

    def execute(self, writer: RunWriter, progress: Progress | None) -> dict[str, Any]:
        """Run the study and write its tables and figures."""
        scenario = self.scenario
        options = dict(scenario.arguments) | ({} if progress is None else {"progress": progress})
        try:
            findings = scenario.study(scenario.seeds, **options)
        except InputError as error:
            raise scenario.error(error.under("study")) from None
        metrics = self._metrics(findings)
        writer.findings(findings)
        return {"tables": list(findings.tables)} | outcome({f"study.{name}": v for name, v in metrics.items()}, scenario.checks)

    def _metrics(self, findings: Findings) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """Return the metrics as (R,) arrays; a study that does not keep its word is told so."""
        scenario = self.scenario
        found = {name: np.asarray(values, np.float64) for name, values in findings.metrics.items()}
        name, shape = scenario.spec.study.name, (scenario.spec.replicates,)
        if set(found) != set(scenario.measures):
            odd = ", ".join(sorted(set(found) ^ set(scenario.measures)))
            raise BiosimError(f"the study '{name}' did not measure just what its METRICS name: {odd}")
        for metric, values in found.items():
            if values.shape != shape:
                raise BiosimError(f"the study '{name}' gave {metric} as {values.shape}, not as one value for each replicate, {shape}")
        return found
