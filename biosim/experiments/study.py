"""A study made ready to run: its replicates, its findings, its checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from biosim.errors import InputError
from biosim.experiments.base import checked_metrics, outcome
from biosim.progress import Stages
from biosim.rundir.run_writer import RunWriter
from biosim.scenario import StudyScenario


@dataclass(frozen=True)
class StudyExperiment:
    """A study with its arguments, ready to run."""

    scenario: StudyScenario

    def outline(self) -> str:
        """Return what ``validate`` says of a scenario in order."""
        return f"study {self.scenario.spec.study.name}, which measures {', '.join(self.scenario.measures)}"

    def about(self) -> dict[str, Any]:
        """Return what ``run.json`` says from the start."""
        return {"study_source_sha256": self.scenario.resolved["study_source"], "measures": self.scenario.measures}

    def execute(self, writer: RunWriter, progress: Stages | None) -> dict[str, Any]:
        """Run the study and write its tables and figures."""
        scenario = self.scenario
        told = {"progress": progress} if progress is not None and scenario.study.takes("progress") else {}
        try:
            findings = scenario.study(scenario.seeds, **told)
        except InputError as error:
            raise scenario.error(error.under("study")) from None
        metrics = checked_metrics(findings, scenario.measures, scenario.spec.replicates, f"the study '{scenario.spec.study.name}'")
        writer.findings(findings)
        return {"tables": list(findings.tables)} | outcome({f"study.{name}": v for name, v in metrics.items()}, scenario.checks)
