"""From a scenario to a finished run directory."""

from __future__ import annotations

from pathlib import Path

from biosim.experiments import Progress, prepare
from biosim.experiments.carry_out import carry_out, existing
from biosim.scenario import Scenario
from biosim.store import Run


def run(
    scenario: Scenario,
    out: Path | None = None,
    *,
    device: str = "cpu",
    force: bool = False,
    progress: Progress | None = None,
    report: bool = True,
) -> tuple[Run, bool]:
    """Run a scenario into a run directory.

    Parameters
    ----------
    scenario : Scenario
    out : Path, optional
        The run directory; ``runs/NAME-ID`` when left out.
    device : {"cpu", "cuda"}
    force : bool
        Run again even when the directory holds the finished run.
    progress : callable, optional
        Called with (stage, step, steps, numbers).
    report : bool
        Draw the figures and the page too.

    Returns
    -------
    run : Run
    fresh : bool
        False when the finished run was there already and was left alone.
    """
    folder = out if out is not None else Path("runs") / f"{scenario.spec.name}-{scenario.id}"
    found = existing(folder, scenario, force)
    if found is not None:
        return found, False
    return carry_out(scenario, prepare(scenario, device), folder, device, progress, report), True
