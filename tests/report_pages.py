"""A page of every kind, made from runs of a second or less: what the tests of pages look at."""

from __future__ import annotations

from pathlib import Path

from conftest import TINY

from biosim.runner import run
from biosim.scenario import read_scenario

DEVELOPMENT = (
    TINY.replace("[edge-popup, random]", "[random]").replace("name: tiny\n", "name: tiny\nquestion: Does it work?\nheadline: It does.\n")
    + "checks:\n  - {name: a third is left, value: circuit.density, needs: '<= 0.31'}\n  - {name: too much, value: circuit.density, needs: '<= 0.1'}\n"
)
GROWTH = TINY.replace("rivals: [edge-popup, random]", "growth: {start: 0.4, until: 0.5}")
REGROWTH = TINY.replace("{name: three-factor, feedback: random}", "regrowth").replace("rivals: [edge-popup, random]\n", "")
SPIKING = """\
name: small
model: {name: ei-lif, neurons: 60, probability: 0.5, inhibition: 6, drive_rate: 10000 Hz}
simulation: {duration: 1 s, decide_every: 250 ms, window: 500 ms}
rules: {exc-exc: {name: additive-stdp, a_plus: 0.3, a_minus: 0.4, grace: 200 ms}}
replicates: 2
"""
STUDY = '''"""How far the mean of a few draws lies from the truth."""

import numpy as np
from matplotlib.figure import Figure

from biosim.findings import Findings

METRICS = {"error": "distance of the mean of the draws from zero"}


def run(seeds, *, draws: int = 100, progress=None) -> Findings:
    errors = [abs(float(np.random.default_rng(seed).standard_normal(draws).mean())) for seed in seeds]
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.plot(errors, label="error")
    axes.legend()
    rows = [{"seed": k, "error": errors[0] / (k + 1)} for k in range(40)]
    return Findings({"errors": figure}, {"by-seed": rows}, {"error": errors})
'''
CONDITIONS = """\
name: retinal-waves
model: {name: two-eyes, ganglion: 24, cells: 24}
drive: {kind: waves, synchrony: 0.0, waves: 2000}
rule: {name: burst-timing}
measure: eye-segregation
replicates: 2
moments: 8
conditions:
  waves: {}
  together: {drive.synchrony: 1.0}
"""


def make(folder: Path, name: str, text: str, settings: tuple[str, ...] = (), page: bool = True) -> Path:
    """Run a scenario and return its directory, page and all."""
    (folder / f"{name}.yaml").write_text(text)
    run(read_scenario(folder / f"{name}.yaml", list(settings)), folder / name, report=page)
    return folder / name


def study(folder: Path) -> Path:
    """Return the directory of a study's run."""
    (folder / "mean.py").write_text(STUDY)
    return make(folder, "study", f"name: mean\nquestion: How far off?\nstudy: {{name: {folder / 'mean.py'}}}\nreplicates: 2\n")
