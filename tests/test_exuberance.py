"""Exuberance: how synapses turn over against a closed form, growth that heeds the error and its controls, the peak and its course."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY

from biosim.develop import Development, develop
from biosim.drives import ImageDrive
from biosim.library import find
from biosim.nursery.growth import Growth
from biosim.nursery.neurons import NeuronDeath
from biosim.recorder import Recorder
from biosim.scenario import ConditionsScenario, read_scenario
from biosim.schedule import Schedule
from biosim.synapses import Network
from biosim.teaching import Feedback

Births = Callable[..., Network]
Cli = Callable[..., Any]
STUDY = """\
from biosim.findings import Findings

METRICS = {"one": "is 1"}


def run(seeds, *, progress=None):
    return Findings(metrics={"one": [1.0] * len(seeds)})
"""
SCENARIO = find("scenarios", "exuberance")


@pytest.fixture(scope="module")
def rules() -> dict[str, Any]:
    scenario = read_scenario(SCENARIO)
    assert isinstance(scenario, ConditionsScenario)
    return {name: own.rule for name, own in scenario.conditions.items()}  # type: ignore[attr-defined]


def grown(network: Network, drive: ImageDrive, rule: Any, seeds: tuple[int, ...], start: float = 0.2, opens: float = 0.05) -> Development:
    schedule = Schedule(kind="free", opens=opens, closes=1)
    parts: dict[str, Any] = {"growth": Growth(None, start=start), "neuron_death": NeuronDeath("nothing", inactive_for=1e9)}
    return develop(
        network, drive, rule, schedule=schedule, feedback=Feedback(network, "random", seeds), seeds=seeds, recorder=Recorder(20), **parts
    )


@pytest.mark.parametrize(("start", "wither", "doubt"), [(0.2, 0.05, 0.9), (0.6, 0.1, 0.5)])
def test_turnover_without_learning_is_a_markov_chain(
    rules: dict[str, Any], births: Births, drive: ImageDrive, start: float, wither: float, doubt: float
) -> None:
    """Tags stand still: silent synapses die with chance wither, missing ones form with chance .01 and are silent.

    A synapse has one draw a step: one that dies by it (random < wither) forms again at once where random < .01.
    """
    seeds, forms = (0, 1, 2, 3), 0.01
    network = births(seeds, hidden=(60, 40))
    rule = rules["heedless"].with_parameters({"rate": 0, "wither": wither, "doubt": doubt})
    made = grown(network, drive, rule, seeds, start, 0.0)
    active, silent = (1 - doubt) * start, doubt * start
    expected = []
    for _ in range(drive.clock.steps):
        silent += forms * (1 - active - silent) - (wither - forms) * silent
        expected.append(active + silent)
    steps = [record["step"] - 1 for record in made.history.records]
    density = np.array([np.mean(record["density"]) for record in made.history.records])
    assert drive.clock.steps <= 500  # so that a decision falls on every step
    np.testing.assert_allclose(density, np.array(expected)[steps], atol=0.015)
    np.testing.assert_allclose(made.circuit.density().mean(), active, atol=0.015)  # what is silent at the end is cut


def test_density_turns_only_where_growth_heeds_the_error(rules: dict[str, Any], births: Births, images: Any) -> None:
    seeds, drive = (0, 1, 2), ImageDrive(images, batch=16, epochs=20)
    course = {}
    for name in ("exuberant", "heedless", "sparse"):
        made = grown(births(seeds, hidden=(40, 30)), drive, rules[name], seeds)
        course[name] = np.array([record["density"] for record in made.history.records]), made
    density, made = course["exuberant"]
    assert (made.peak_density == density.max(0)).all() and (density.max(0) > 1.25 * density[0]).all()
    assert (density[-1] < 0.9 * density.max(0)).all()
    assert (course["heedless"][0][-1] > 0.97 * course["heedless"][1].peak_density).all()
    sparse = course["sparse"][0]
    assert (np.diff(sparse, axis=0) <= 0).all() and (sparse[-1] < 0.5 * sparse[0]).all()


def test_a_replicate_grows_the_same_alone(rules: dict[str, Any], births: Births, drive: ImageDrive) -> None:
    batch = grown(births((4, 5)), drive, rules["exuberant"], (4, 5))
    alone = grown(births((5,)), drive, rules["exuberant"], (5,))
    for name, mask in alone.circuit.mask.items():
        assert np.array_equal(batch.circuit.mask[name][1], mask[0]) and mask.any()
    assert batch.peak_density[1] == alone.peak_density[0]


def test_the_peak_is_a_metric_and_the_course_is_drawn(cli: Cli, tmp_path: Path) -> None:
    path, run = tmp_path / "s.yaml", tmp_path / "run"
    text = TINY.replace("rivals: [edge-popup, random]\n", "growth: {start: 0.3, until: 0.5, peak: 0.8}\nneuron_death: {}\n")
    text += "conditions:\n  grown: {}\n  born: {growth.start: 0.8}\nchecks:\n"
    text += '  - {name: peak, value: grown.circuit.peak_density, needs: "<= born.circuit.peak_density"}\n'
    path.write_text(text)
    assert cli("run", str(path), "--out", str(run)).code == 0
    records = [json.loads(line) for line in (run / "conditions" / "grown" / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((run / "run.json").read_text())
    peak = np.max([r["density"] for r in records], axis=0)
    assert result["results"]["metrics"]["grown.circuit.peak_density"] == peak.tolist()
    written = cli("analyse", "course", str(run))
    assert written.code == 0, written.err
    table = next(Path(line) for line in written.out.splitlines() if line.endswith(".csv"))
    with table.open() as file:
        rows = [row for row in csv.DictReader(file) if row["condition"] == "grown"]
    assert [float(r["density"]) for r in rows] == pytest.approx([np.mean(r["density"]) for r in records])
    hidden = [np.mean(24 * np.array(r["neurons.hidden1"]) + 16 * np.array(r["neurons.hidden2"])) / 40 for r in records]
    assert [float(r["neurons"]) for r in rows] == pytest.approx(hidden) and len(rows) == len(records)
    alone = cli("analyse", "course", str(run / "conditions" / "grown"))
    assert alone.code == 0 and "course.csv" in alone.out


def test_no_course_without_a_development(cli: Cli, tmp_path: Path) -> None:
    study, path, run = tmp_path / "ones.py", tmp_path / "ones.yaml", tmp_path / "run"
    study.write_text(STUDY)
    path.write_text(f"name: ones\nstudy: {{name: {study}}}\n")
    assert cli("run", str(path), "--out", str(run)).code == 0
    refused = cli("analyse", "course", str(run))
    assert refused.code == 2 and "keeps no records of a development" in refused.err


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("growth: {start: 0.2}", "growth: {start: 0.2, peak: 0.5}", "growth.peak: the rule regrows, and growth is its own"),
        ("growth: {start: 0.2}", "growth: {start: 0}", "growth.start: "),
        (
            "eliminate: tag < 0 and random < wither",
            "eliminate: {compete: {within: post, by: tag}}",
            "schedule.kind: 'exuberance' lets synapses compete",
        ),
        ("exuberant.circuit.peak_density, needs", "exuberant.circuit.peak, needs", "'exuberant.circuit.peak' is not measured"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(old: str, new: str, expected: str, cli: Cli, tmp_path: Path) -> None:
    text = SCENARIO.read_text()
    assert old in text
    path = tmp_path / "s.yaml"
    path.write_text(text.replace(old, new))
    result = cli("run", str(path), "--out", str(tmp_path / "run"))
    assert result.code == 2 and "s.yaml:" in result.err and expected in result.err and not (tmp_path / "run").exists()
