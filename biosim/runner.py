"""From a scenario to a finished run directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from importlib import machinery
from pathlib import Path, PurePath
from typing import Any

from biosim.errors import BiosimError
from biosim.experiments import prepare
from biosim.experiments.carry_out import carry_out
from biosim.experiments.development import DevelopmentExperiment
from biosim.processes import launch
from biosim.processes.team import ALONE, Team
from biosim.progress import Stages
from biosim.rundir.artefacts import CHECKPOINTS, RUN
from biosim.rundir.checkpoint import EVERY, Checkpoints
from biosim.scenario import Scenario, scenario_from
from biosim.scenario.source import Source
from biosim.store import Run
from biosim.yamlfile import Document


def run(
    scenario: Scenario,
    out: Path | None = None,
    *,
    device: str = "cpu",
    force: bool = False,
    progress: Stages | None = None,
    report: bool = True,
    checkpoint_every: float = EVERY,
    team: Team = ALONE,
) -> tuple[Run, bool]:
    """Run a scenario into a run directory; one that was stopped there goes on where it was.

    Parameters
    ----------
    scenario : Scenario
    out : Path, optional
        The run directory; ``runs/NAME-ID`` when left out.
    device : {"cpu", "cuda"}
    force : bool
        Run again from the beginning even when the directory holds the run, finished or not.
    progress : callable, optional
        Called with (stage, step, steps, numbers).
    report : bool
        Draw the figures and the page too.
    checkpoint_every : float
        Seconds between two checkpoints; 0: after every step.
    team : Team
        Processes that share the network, of which this is the first; the others call :func:`assist`.

    Returns
    -------
    run : Run
    fresh : bool
        False when the finished run was there already and was left alone.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import biosim
    >>> from biosim.library import find
    >>> small = ["model.hidden=[10]", "drive.epochs=1", "drive.train_size=200", "rivals=[random]", "checks=[]", "replicates=2"]
    >>> scenario = biosim.read_scenario(find("scenarios", "local-vs-global"), small)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run, fresh = biosim.run(scenario, Path(folder) / "RUN", report=False)
    ...     fresh, run.about["status"], [row["method"] for row in run.table]
    (True, 'done', ['mirrored-three-factor', 'random'])
    """
    folder = out if out is not None else default_folder(scenario)
    ready = partial(prepare, scenario, device, team)
    how: dict[str, Any] = {"report": report, "force": force, "every": checkpoint_every, "processes": team.size}
    return carry_out(scenario, ready, folder, device, progress, **how)


def default_folder(scenario: Scenario) -> Path:
    """Return the run directory where none is named."""
    return Path("runs") / f"{scenario.spec.name}-{scenario.id}"


def assist(scenario: Scenario, team: Team, out: Path | None = None, *, device: str = "cpu", checkpoint_every: float = EVERY) -> None:
    """Take a further process's part in the :func:`run` of the first; it writes nothing but its checkpoints."""
    experiment = prepare(scenario, device, team)
    assert isinstance(experiment, DevelopmentExperiment)
    folder = (out if out is not None else default_folder(scenario)) / CHECKPOINTS / f"process-{team.rank + 1}"
    experiment.assist(Checkpoints(folder, scenario.id, checkpoint_every))


def run_as_started(scenario: Scenario, out: Path | None = None, **how: Any) -> tuple[Run, bool] | None:
    """Run a scenario (:func:`run`), with the processes that this one was started with, if any; None in all but the first of them."""
    if not launch.asked_for():
        return run(scenario, out, **how)
    from biosim.processes.distributed import joined

    with joined(how["device"]) as team:
        if team.rank == 0:
            done = run(scenario, out, team=team, **how)
            team.dismiss()
            return done
        assist(scenario, team, out, device=how["device"], checkpoint_every=how["checkpoint_every"])
        return None


def resume(folder: Path, *, progress: Stages | None = None, report: bool = True, checkpoint_every: float = EVERY) -> tuple[Run, bool]:
    """Let the run in a folder go on where it was stopped: see :func:`run`.

    Its scenario is the one that ``run.json`` holds; no Python file that it names by a path is executed.

    Raises
    ------
    BiosimError
        When the folder holds no run, it cannot be taken up, or a file that it uses has changed since.
    """
    scenario, device = begun(folder)
    return run(scenario, folder, device=device, progress=progress, report=report, checkpoint_every=checkpoint_every)


def begun(folder: Path) -> tuple[Scenario, str]:
    """Return the scenario of the run in a folder, and the device that it was begun on."""
    about = Run(folder).about
    return scenario_of(folder / RUN, about), str(about.get("device", "cpu"))


def scenario_of(path: Path, about: Mapping[str, Any]) -> Scenario:
    """Return the scenario that a ``run.json`` was written for.

    Raises
    ------
    BiosimError
        When it does not say, names a Python file by its path, or what it names is not what it was.
    """
    again = "give the command that began it again (biosim run SCENARIO --out RUN): it goes on where it was"
    try:
        document = json.loads(about["document"])  # as text, in which the order of keys is the file's
    except (KeyError, TypeError, ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BiosimError(f"{path} does not hold the scenario; {again}")
    if (code := _code(document)) is not None:
        raise BiosimError(f"{path} names Python code by its path, {code}, and a run directory is data; {again}")
    scenario = scenario_from(Source(Document(path, document, document), {}))
    if scenario.id != about["id"]:
        raise BiosimError(f"{path}: the run was begun with other files or another version of biosim; run its scenario anew with --force")
    return scenario


def _code(node: Any) -> str | None:
    """Return a path of Python code that a scenario names anywhere in it."""
    if isinstance(node, str):
        return node if PurePath(node).name.endswith(tuple(machinery.all_suffixes())) else None
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return next((found for value in inner if (found := _code(value)) is not None), None)
