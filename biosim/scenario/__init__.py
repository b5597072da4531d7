"""Scenario files: one YAML an experiment, read, checked and turned into the parts of a run.

Reading reports every error at once as ``file:line: key: what is wrong``. Nothing is written before a scenario has
been read, its data loaded and its network built. The sections of a file say which kind of experiment it describes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from biosim.scenario.activity import ActivityScenario, read_activity
from biosim.scenario.base import Scenario
from biosim.scenario.conditions import ConditionsScenario, read_conditions
from biosim.scenario.development import DevelopmentScenario, read_development
from biosim.scenario.source import Source, read_source
from biosim.scenario.spiking import SpikingScenario, read_spiking
from biosim.scenario.study import StudyScenario, read_study

__all__ = [
    "ActivityScenario", "ConditionsScenario", "DevelopmentScenario", "Scenario", "SpikingScenario", "StudyScenario", "read_scenario",
    "scenario_from",
]  # fmt: skip


def read_scenario(path: Path, settings: Sequence[str] = ()) -> Scenario:
    """Read a scenario file, apply ``key=value`` settings, and check all that needs no data.

    Raises
    ------
    BiosimError
        With one line for every error found.

    Examples
    --------
    >>> from pathlib import Path
    >>> from biosim import read_scenario
    >>> from biosim.library import find
    >>> scenario = read_scenario(find("scenarios", "local-vs-global"), ["schedule.density=0.1", "seed=100"])
    >>> scenario.spec.schedule.density, scenario.seeds
    (0.1, (100, 101, 102, 103, 104))
    >>> read_scenario(find("scenarios", "local-vs-global"), ["schedule.densty=0.1"])
    Traceback (most recent call last):
        ...
    biosim.errors.BiosimError: --set schedule.densty=0.1: schedule.densty: unknown key (did you mean 'density'?)...
    """
    return scenario_from(read_source(path, settings))


def scenario_from(source: Source) -> Scenario:
    """Check what a source says, and return the scenario; see :func:`read_scenario`."""
    return read_conditions(source, _read) if "conditions" in source.document.data else _read(source)


def _read(source: Source) -> Scenario:
    data = source.document.data
    if "study" in data:
        return read_study(source)
    if "simulation" in data:
        return read_spiking(source)
    drive = data.get("drive")
    shown = drive.get("kind", "images") if isinstance(drive, dict) else "images"
    return read_activity(source) if "measure" in data or shown != "images" else read_development(source)
