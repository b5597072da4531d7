"""Comparisons from the command line and in scenarios; planted subnetworks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY

from biosim.compare_runs import searches
from biosim.contest import Contest
from biosim.drives import ImageDrive, load_images
from biosim.drives.teacher import Teacher, read_teacher
from biosim.errors import BiosimError, InputError
from biosim.library import find, load_module
from biosim.runner import run as run_scenario
from biosim.scenario import read_scenario
from biosim.scenario.roster import Rival
from biosim.store import open_run
from biosim.synapses import Network

Cli = Callable[..., tuple[int, str, str]]
COMPARED = (
    TINY
    + """\
comparisons: {rivals: [edge-popup], searches: 2, nulls: 4}
checks:
  - {name: within, value: comparisons.edge-popup.overlap.jaccard.first, needs: ">= comparisons.edge-popup.overlap.jaccard.first.null - 1"}
  - {name: local, value: comparisons.local.interventions.layer-shuffle, needs: "<= comparisons.local.interventions.intact + 1"}
"""
)
PLANTED = """\
name: planted
model: {name: planted}
drive: {dataset: teacher, batch: 64, epochs: 2}
rule: {name: three-factor, feedback: random}
schedule: {density: 0.2}
rivals: [edge-popup, random]
replicates: 2
moments: 5
checks:
  - {name: planted, value: planted.accuracy, needs: ">= 1"}
  - {name: edge-popup, value: rivals.edge-popup.precision, needs: ">= rivals.edge-popup.chance_precision + 0.04"}
  - {name: random, value: rivals.random.recall - rivals.random.chance_recall, needs: "<= 0.04"}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture
def compared(cli: Cli, folder: Path) -> Path:
    (folder / "compared.yaml").write_text(COMPARED)
    code, _, err = cli("run", str(folder / "compared.yaml"), "--out", str(folder / "run"))
    assert code == 0, err
    return folder / "run"


def test_a_scenario_compares(compared: Path) -> None:
    run = open_run(compared)
    assert [c["passed"] for c in run.results["checks"]] == [True, True]
    local, popup = searches(run, "local"), searches(run, "edge-popup")
    assert len(local) == len(popup) == 2 and len(searches(run, "random")) == 1
    for own in (local, popup):
        assert all((own[0].weight[n] == own[1].weight[n]).all() for n in own[0].weight)  # the same births
        assert any((own[0].mask[n] != own[1].mask[n]).any() for n in own[0].mask)  # another search
    data = run.comparison
    assert data is not None and data["searches"] == {"local": 2, "edge-popup": 2} and list(data["pairs"]) == ["edge-popup"]
    measures = run.results["comparisons"]["edge-popup"]["measures"]
    assert {m["measure"].split(".")[0] for m in measures} == {"overlap", "profiles", "flow", "function", "causal"}
    assert "measures" not in run.results["comparisons"]["random"]
    page = (compared / "report.html").read_text()
    assert "same synapses?" in page and "Between chance and ceiling" in page and "What the wiring does" in page
    assert (compared / "figures" / "compare-cka.svg").exists()


def test_two_circuits_of_one_run(cli: Cli, compared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said, err = cli(
        "compare", str(compared), "--circuit", "local", "--circuit", "edge-popup", "--nulls", "4", "--json", "--out", str(out)
    )
    assert code == 0, err
    data = json.loads(said.splitlines()[-1])
    stored = open_run(compared).comparison
    assert stored is not None and data["pairs"]["edge-popup"] == stored["pairs"]["edge-popup"]  # the same draws
    assert json.loads((out / "comparison.json").read_text())["pairs"] == data["pairs"]
    for name in ("measures", "degrees", "cka", "adjacency", "two-paths", "interventions"):
        assert (out / f"compare-{name}.png").stat().st_size > 1000
    assert "same synapses?" in err and "edge-popup twice" in err
    code, said, _ = cli("compare", str(compared), "--circuit", "random", "--nulls", "2", "--measures", "overlap")
    assert code == 0 and "random" in said and "same function?" not in said and "each method was searched once" in said


def test_two_runs(cli: Cli, compared: Path, tmp_path: Path) -> None:
    scenario, other = tmp_path / "tiny.yaml", tmp_path / "other"
    scenario.write_text(TINY)
    run_scenario(read_scenario(scenario, ["births_seed=0", "seed=50", "rivals=[]"]), other, report=False)
    code, out, _ = cli("compare", str(compared), str(other), "--nulls", "2")
    assert code == 0 and "run/local and other/local" in out and "predictions agree on" in out
    third = tmp_path / "third"
    run_scenario(read_scenario(scenario, ["seed=50", "rivals=[]"]), third, report=False)
    code, _, err = cli("compare", str(compared), str(third))
    assert code == 2 and "do not share their births: births seeds [0, 1] and [50, 51]" in err and "births_seed" in err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--circuit", "nobody"), "has no circuit 'nobody'; there are: edge-popup, local, random"),
        (("--circuit", "local"), "is compared with itself"),
        (("--circuit", "a", "--circuit", "b", "--circuit", "c"), "two circuits are compared at a time, not 3"),
        (("--measures", "shape"), "there are no measures 'shape'; there are: overlap, profiles, flow, function, causal"),
    ],
)
def test_compare_says_what_is_wrong(cli: Cli, compared: Path, arguments: tuple[str, ...], error: str) -> None:
    code, out, err = cli("compare", str(compared), *arguments)
    assert code == 2 and error in err and not out


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("comparisons: {rivals: [edge-pop]}", "comparisons.rivals[0]: no rival is called 'edge-pop' (did you mean 'edge-popup'?)"),
        ("comparisons: {rivals: []}", "comparisons: the local circuit is compared with rivals, and there are none"),
        ("comparisons: {searches: 0}", "comparisons.searches: "),
        ("comparisons: {measures: [shape]}", "comparisons.measures[0]: "),
        ("comparisons: {serches: 3}", "comparisons.serches: unknown key (did you mean 'searches'?)"),
        ("comparisons: {nulls: 1}", "comparisons.nulls: "),
        (
            "comparisons: {}\nchecks: [{name: x, value: comparisons.edge-popup.function.agree, needs: '> 0'}]",
            "'comparisons.edge-popup.function.agree' is not measured",
        ),
        ("checks: [{name: x, value: comparisons.edge-popup.function.agreement, needs: '> 0'}]", "is not measured"),
        (
            "checks: [{name: x, value: rivals.random.recall, needs: '> 0'}]",
            "checks[0]: model 'mlp' plants no subnetwork that could be found",
        ),
    ],
)
def test_scenarios_say_what_is_wrong(cli: Cli, tmp_path: Path, line: str, error: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"{TINY}{line}\n")
    code, _, err = cli("run", str(path), "--out", str(tmp_path / "run"))
    assert code == 2 and error in err and not (tmp_path / "run").exists()


def test_a_planted_circuit_is_found_above_chance(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "planted.yaml"
    path.write_text(PLANTED)
    code, out, err = cli("run", str(path), "--json", "--out", str(tmp_path / "run"))
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    rows = {r["method"]: r for r in result["table"]}
    assert rows["planted"]["accuracy"] == [1.0, 1.0] and rows["planted"]["recall"] == [1.0, 1.0]
    assert "precision %" in err and "precision % (chance)" in (tmp_path / "run" / "report.html").read_text()
    assert open_run(tmp_path / "run").rivals["planted"].mask["input-hidden1"].sum(1).std() == 0  # as many on every neuron
    bare, _ = run_scenario(read_scenario(path, ["model.plant=false"]), tmp_path / "control", report=False)
    assert [c["passed"] for c in bare.results["checks"]] == [False, False, True]
    control = {r["method"]: r for r in bare.table}
    assert np.mean(control["planted"]["accuracy"]) < 0.3
    assert np.mean(control["edge-popup"]["precision"]) == pytest.approx(np.mean(control["edge-popup"]["chance_precision"]), abs=0.02)


def test_what_is_not_defined_of_a_planted_circuit_is_no_number(births: Callable[..., Network], drive: ImageDrive) -> None:
    nothing = {n: np.zeros(p.born.shape, bool) for n, p in births().projections.items()}
    contest = Contest(births, drive, (0, 1, 2), None, "local", 0.3, planted=nothing)
    contest.rival("random", Rival("random", {}, ("frozen",)))
    (row,) = contest.rows
    assert row["precision"] == [0, 0, 0] and row["recall"] is None and row["chance_recall"] is None
    found = contest.metrics()
    assert "rivals.random.precision" in found and "rivals.random.recall" not in found


def test_the_teacher() -> None:
    images = load_images("teacher")
    assert (
        images.train.shape == (8000, 64)
        and (np.bincount(images.train_labels) == 800).all()
        and (np.bincount(images.test_labels) == 200).all()
    )
    teacher = Teacher()
    assert (teacher.label(images.test) == images.test_labels).all()
    assert [set(m.sum(0)) for m in teacher.masks] == [{13}, {20}] and load_images("teacher-1").digest != images.digest
    assert load_images("teacher", train_size=100).digest == load_images("teacher", train_size=100).digest
    assert read_teacher("teacher-x") is None and read_teacher("teacher-") is None and read_teacher("digits") is None
    with pytest.raises(BiosimError, match="known names: digits, teacher"):
        load_images("teacher-x")


def test_births_with_a_ticket() -> None:
    build = load_module(find("models", "planted")).build
    whole, alone = build(64, 10, [0, 1], hidden=120), build(64, 10, [1], hidden=120)
    control = build(64, 10, [0, 1], hidden=120, plant=False)
    for name, mask in whole.planted.items():
        projection = whole.projections[name]
        assert (mask[1] == alone.planted[name][0]).all() and (projection.weight[1] == alone.projections[name].weight[0]).all()
        assert (mask == control.planted[name]).all()
        assert (projection.weight[~mask] == control.projections[name].weight[~mask]).all()
        planted, others = projection.weight[mask], projection.weight[~mask]
        assert float(planted.std() / others.std()) == pytest.approx(1, abs=0.1) and abs(float(planted.mean() / others.std())) < 0.1
        assert (projection.effective == projection.weight).all()
    assert (whole.planted["input-hidden1"][0] != whole.planted["input-hidden1"][1]).any()
    with pytest.raises(InputError, match=r"64 inputs and 10 classes, not 36 and 4: use drive\.dataset: teacher"):
        build(36, 4, [0])
    with pytest.raises(InputError, match="100 hidden neurons do not fit into 99"):
        build(64, 10, [0], hidden=99)
