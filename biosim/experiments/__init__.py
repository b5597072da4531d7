"""Scenarios made ready to run, one file a kind of experiment."""

from __future__ import annotations

import torch

from biosim.errors import BiosimError
from biosim.experiments.activity import prepare_activity
from biosim.experiments.base import Experiment
from biosim.experiments.conditions import ConditionsExperiment
from biosim.experiments.development import prepare_development
from biosim.experiments.spiking import SpikingExperiment
from biosim.experiments.study import StudyExperiment
from biosim.processes.team import ALONE, Team
from biosim.scenario import ActivityScenario, ConditionsScenario, DevelopmentScenario, Scenario, SpikingScenario, StudyScenario

__all__ = ["Experiment", "check_means", "prepare"]


def check_means(scenario: Scenario, device: str, processes: int) -> None:
    """Raise a BiosimError when a scenario cannot be run on a device, or by so many processes."""
    if device not in ("cpu", "cuda"):
        raise BiosimError(f"--device {device}: there are cpu and cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise BiosimError("--device cuda: torch finds no CUDA device here; leave --device out to run on the CPU")
    if device == "cuda" and isinstance(scenario, (StudyScenario, SpikingScenario)):
        raise BiosimError(f"--device cuda: a {scenario.spec.kind} scenario runs on the CPU; leave --device out")
    if processes > 1 and not isinstance(scenario, DevelopmentScenario):
        raise BiosimError(
            f"--processes {processes}: a scenario of the kind {scenario.spec.kind} runs in one process; leave --processes out"
        )


def prepare(scenario: Scenario, device: str = "cpu", team: Team = ALONE) -> Experiment:
    """Load what a scenario needs and try its parts; nothing is written. A ``team`` of processes shares its network.

    Raises
    ------
    BiosimError
        Naming the file, line and key of what is wrong.
    """
    check_means(scenario, device, team.size)
    if isinstance(scenario, StudyScenario):
        return StudyExperiment(scenario)
    if isinstance(scenario, ConditionsScenario):
        outlines = {name: prepare(condition, device).outline() for name, condition in scenario.conditions.items()}
        return ConditionsExperiment(scenario, device, prepare, outlines)
    if isinstance(scenario, SpikingScenario):
        return SpikingExperiment(scenario)
    if isinstance(scenario, ActivityScenario):
        return prepare_activity(scenario, device)
    assert isinstance(scenario, DevelopmentScenario)
    return prepare_development(scenario, device, team)
