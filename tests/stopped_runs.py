"""Runs to stop, what stops them, and what the ones that nobody stopped left: for the tests of resuming.

Every test file loads this one: what is heavy is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY

Cli = Callable[..., Any]
RATE = TINY.replace("moments: 5", "moments: 100").replace("replicates: 2", "replicates: 1") + (
    "densities: [0.2]\nlocal_densities: true\nretrain: {epochs: 1}\ncomparisons: {searches: 2, nulls: 5, samples: 50, measures: [overlap]}\n"
)
SPIKING = """\
name: small
model: {name: ei-lif, neurons: 60, probability: 0.5, inhibition: 6, drive_rate: 10000 Hz}
simulation: {duration: 1 s, decide_every: 100 ms, window: 200 ms}
rules: {exc-exc: {name: additive-stdp, a_plus: 0.3, a_minus: 0.4, grace: 200 ms}}
moments: 100
"""
CONDITIONS = TINY.replace("rivals: [edge-popup, random]", "rivals: [random]") + (
    "conditions:\n  dense: {schedule.density: 0.6}\n  sparse: {schedule.density: 0.2}\n"
    'checks:\n  - {name: fewer, value: sparse.circuit.density, needs: "< dense.circuit.density"}\n'
)
NOISE = """\
name: noise
model: {name: clustered-linear, neurons: 60, clusters: 3, bridges: 2}
drive: {kind: white-noise, samples: 10, steps: 12}
rule: {name: noise-pruning, keep: 0.3, when: 50 % dev}
schedule: {kind: critical-window, density: 0.02, opens: 0.0, closes: 1.0}
measure: {name: slow-modes, modes: 2}
moments: 12
replicates: 2
"""
MACHINE = """\
name: machine
model: {name: rbm, visible: 64, hidden: 12}
drive: {kind: two-phases, dataset: digits, batch: 128, epochs: 1}
rule: {name: fisher, power: 2}
plasticity: {name: contrastive-divergence, rate: 0.2}
schedule: {kind: constant-share, density: 0.3, opens: 0.2, closes: 0.9}
measure: encoding
moments: 100
replicates: 2
"""
WAVES = """\
name: waves
model: {name: two-eyes, ganglion: 6, cells: 6}
drive: {kind: waves, waves: 240, batch: 20, width: 2}
rule: burst-timing
measure: eye-segregation
moments: 12
replicates: 2
"""


class StopError(Exception):
    """What a test stops a run with."""


def stop_at(stage: str, step: int) -> Callable[[str, int, int, Mapping[str, float]], None]:
    """Return a progress that stops the run where a stage tells of a step."""

    def progress(name: str, now: int, steps: int, numbers: Mapping[str, float]) -> None:
        if name == stage and now >= step:
            raise StopError

    return progress


def left(folder: Path) -> dict[str, Any]:
    """Return all that a run left, but for the seconds it took."""
    from biosim.store import open_run

    found: dict[str, Any] = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.safetensors")}
    found["metrics"] = (folder / "metrics.jsonl").read_bytes()
    results = open_run(folder).results
    found["results"] = {k: v for k, v in results.items() if k not in ("seconds", "table")}
    found["table"] = [{k: v for k, v in row.items() if k != "seconds"} for row in results.get("table", [])]
    if (folder / "comparison.json").exists():
        found["comparison"] = (folder / "comparison.json").read_bytes()
    return found


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path, dict[str, Any]]]:
    """Return a function from a scenario's text to its file, its run that nobody stopped, and what that left; run once each."""
    from biosim.runner import run
    from biosim.scenario import read_scenario

    made: dict[str, tuple[Path, Path, dict[str, Any]]] = {}

    def of(text: str) -> tuple[Path, Path, dict[str, Any]]:
        if text not in made:
            folder = tmp_path_factory.mktemp("clean")
            (folder / "scenario.yaml").write_text(text)
            finished, _ = run(read_scenario(folder / "scenario.yaml"), folder / "run", report=False)
            made[text] = folder / "scenario.yaml", folder / "run", left(finished.folder)
        return made[text]

    return of


Clean = Callable[[str], tuple[Path, Path, dict[str, Any]]]


@pytest.fixture
def stopped(clean: Clean, tmp_path: Path) -> Path:
    """Return a run that was stopped at step 5 of its development, with two checkpoints."""
    from biosim.runner import run
    from biosim.scenario import read_scenario

    path, _, _ = clean(RATE)
    with pytest.raises(StopError):
        run(read_scenario(path), tmp_path / "run", progress=stop_at("developing", 5), report=False, checkpoint_every=0.0)
    return tmp_path / "run"
