"""The table of a scenario with rivals: every method, density and regime, and what is said where there is no number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY

from biosim.contest import Contest
from biosim.drives import ImageDrive
from biosim.effective import breaks
from biosim.errors import DisconnectedWarning
from biosim.scenario.checks import known_metrics, metric_prefix
from biosim.scenario.roster import Rival
from biosim.scenario.spec import RetrainSpec
from biosim.scorers import Training
from biosim.store import open_run, read_circuit
from biosim.synapses import Network

Cli = Callable[..., tuple[int, str, str]]
Births = Callable[..., Network]
FEW = ", ".join(f"{{name: {search}, evaluations: 150}}" for search in ("annealing", "greedy-flips", "genetic"))
GRID = TINY.replace("rivals: [edge-popup, random]", f"densities: [0.5, 0.3]\nretrain: {{epochs: 1}}\nrivals: [all, {FEW}]")


def test_all_rivals_fill_one_table(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(
        GRID + "local_densities: true\nchecks:\n"
        "  - {name: trained, value: rivals.snip.at50.retrained.accuracy, needs: '>= 0'}\n"
        "  - {name: local, value: circuit.at50.accuracy, needs: '<= circuit.at50.retrained.density + 1'}\n"
        "  - {name: undefined, value: rivals.magnitude.accuracy, needs: '>= 0'}\n"
    )
    code, out, err = cli("run", str(path), "--json", "--out", str(tmp_path / "run"))
    assert code == 3, err
    result = json.loads(out.splitlines()[-1])
    assert [(c["passed"], c["value"] is None) for c in result["checks"]] == [(True, False), (True, False), (False, True)]
    assert "n/a: " in err and "[1]" in err
    rows = {(r["method"], r["target_density"], r["regime"]): r for r in result["table"]}
    assert len(rows) == len(result["table"])
    for method in ("three-factor", "random", "random-erk", "random-layer-matched", "edge-popup", "edge-popup-neuron", "edge-popup-network",
                   "snip", "grasp", "synflow"):  # fmt: skip
        for density in (0.5, 0.3):
            for regime in ("frozen", "retrained"):
                row = rows[method, density, regime]
                assert len(row["accuracy"]) == 2 and row["seconds"] >= 0 and row["density"] == pytest.approx([density] * 2, abs=2e-3)
                assert all(e <= d for e, d in zip(row["effective_density"], row["density"], strict=True))
    for method, regime, why in (
        ("supermask-rescaled", "retrained", "cannot be asked for"),
        ("magnitude", "frozen", "same size"), ("magnitude", "retrained", "same size"), ("supermask", "frozen", "cannot be asked for"),
        ("imp", "frozen", "no frozen circuit"),
    ):  # fmt: skip
        for density in (0.5, 0.3):
            row = rows[method, density, regime]
            assert row["accuracy"] is None and row["density"] is None and why in row["note"]
    assert rows["imp", 0.3, "retrained"]["accuracy"] and rows["supermask", None, "frozen"]["accuracy"]
    assert rows["dense", None, "retrained"]["density"] == [1.0, 1.0]
    assert all("made to be retrained" in rows[m, 0.5, "frozen"]["note"] for m in ("snip", "grasp", "synflow", "random"))
    assert "magnitude" not in result["rivals"] and result["rivals"]["imp"]["regime"] == "retrained"
    run = open_run(tmp_path / "run")
    assert set(run.rivals) == set(result["rivals"]) == {r["method"] for r in run.headline[1:]}
    table = run.dataset()
    assert np.isnan(table["table.accuracy"].values).any(1).sum() == sum(r["accuracy"] is None for r in result["table"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "cannot be asked for" in page and "retrained: test accuracy" in page and "n/a" in page
    assert read_circuit(tmp_path / "run" / "rivals" / "imp.safetensors").provenance["regime"] == "retrained"


def test_a_mask_that_disconnects_is_named(births: Births, drive: ImageDrive) -> None:
    network = births((0, 1), hidden=(20, 16))
    masks = {n: p.born.clone() for n, p in network.projections.items()}
    assert breaks(network, masks) == {}
    masks["hidden1-hidden2"][1] = False
    masks["hidden1-hidden2"][1, 3, 5] = True  # one synapse is left, from a neuron that nothing reaches
    masks["input-hidden1"][1, :, 3] = False
    assert breaks(network, masks) == {"hidden1-hidden2": [1]}
    contest = Contest(lambda: births((0, 1)), drive, (0, 1), None, "local", 0.003)
    with pytest.warns(DisconnectedWarning, match=r"random at density 0.003 is disconnected.*breaks at (input|hidden)"):
        contest.rival("random", Rival("random", {}, ("frozen", "retrained")))
    assert "breaks at" in contest.rows[0]["note"] and contest.rows[0]["effective_density"] == [0.0, 0.0]


def test_without_retrain_only_trained_references_are_trained(births: Births, drive: ImageDrive) -> None:
    contest = Contest(lambda: births((0,)), drive.with_epochs(1), (0,), None, "local", 0.2)
    contest.rival("random", Rival("random", {}, ("frozen", "retrained")))
    contest.rival("dense", Rival("dense", {}, ("retrained",)))
    assert [(r["method"], r["regime"]) for r in contest.rows] == [("random", "frozen"), ("dense", "retrained")]
    assert {"rivals.random.accuracy", "rivals.random.at20.accuracy", "rivals.dense.retrained.accuracy"} <= set(contest.metrics())


def test_retraining_rescues_what_frozen_is_at_chance(births: Births, drive: ImageDrive) -> None:
    contest = Contest(lambda: births((0, 1), hidden=(40, 30)), drive, (0, 1), Training(epochs=4), "local", 0.2)
    contest.rival("snip", Rival("snip", {}, ("frozen", "retrained")))
    frozen, trained = contest.rows
    assert np.mean(trained["accuracy"]) > 0.9 > 0.7 > np.mean(frozen["accuracy"])
    assert frozen["density"] == trained["density"] and trained["seconds"] > frozen["seconds"]


def test_names_of_metrics() -> None:
    assert metric_prefix("rivals.snip", "retrained", 0.05) == "rivals.snip.at5.retrained"
    assert metric_prefix("circuit", "frozen", 0.005) == "circuit.at0_5"
    known = known_metrics({"imp": ("retrained",), "snip": ("frozen", "retrained")}, [0.5])
    assert "rivals.imp.at50.retrained.accuracy" in known and "rivals.imp.accuracy" not in known
    assert "rivals.snip.retrained.accuracy" not in known and "circuit.final_cut" in known


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("rivals: [random, random]", "rivals[1]: two rivals are called 'random'; give one a label"),
        ("rivals: [{name: all, scope: layer}]", "rivals[0].scope: 'all' takes no scope"),
        ("densities: [0.5, 0.5]", "densities: a density stands twice"),
        ("densities: [1.5]", "densities[0]: "),
        ("retrain: {epoch: 3}", "retrain.epoch: unknown key (did you mean 'epochs'?)"),
        ("rivals: [{name: random, distribution: er}]", "rivals[0].distribution: unknown distribution"),
        ("rivals: [{name: snip, samples: many}]", "rivals[0].samples: of rival 'snip' should be a valid integer, not 'many'"),
    ],
)
def test_mistakes_are_named(line: str, error: str, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    text = TINY.replace("rivals: [edge-popup, random]\n", "") if line.startswith("rivals") else TINY
    path.write_text(f"{text}{line}\n")
    code, _, err = cli("validate", str(path))
    assert code == 2 and error in err


def test_the_schema_has_the_defaults_of_training() -> None:
    assert RetrainSpec().model_dump() == vars(Training())  # type: ignore[call-arg]


def test_labels_tell_variants_apart(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    rivals = "[snip, {name: random, distribution: layer-matched, like: snip, label: like-snip}, random]"
    path.write_text(TINY.replace("[edge-popup, random]", rivals))
    assert cli("run", str(path), "--out", str(tmp_path / "run"))[0] == 0
    run = open_run(tmp_path / "run")
    model, copy = (run.rivals[n] for n in ("snip", "like-snip"))
    for n, mask in model.mask.items():
        assert np.array_equal(mask.sum((1, 2)), copy.mask[n].sum((1, 2)))
    assert not torch.equal(*(torch.from_numpy(c.mask["input-hidden1"]) for c in (model, copy)))


def test_further_rules_develop_on_the_same_births(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        TINY.replace("rivals: [edge-popup, random]", "densities: [0.5]\nlocal_densities: true\nrivals: [random]")
        + "rules:\n  - {label: mirrored, rule: {name: mirrored-three-factor, feedback: weight-mirror}}\n  - node-perturbation\n"
        "  - {rule: covariance, readout: three-factor}\n"
        "checks:\n  - {name: there, value: rules.mirrored.at50.accuracy, needs: '>= rules.covariance.accuracy - 2'}\n"
    )
    code, out, err = cli("run", str(path), "--json", "--out", str(tmp_path / "run"))
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert set(result["rules"]) == {"mirrored", "node-perturbation", "covariance"} and set(result["rivals"]) == {"random"}
    rows = {(r["method"], r["target_density"]): r for r in result["table"]}
    assert rows["node-perturbation", 0.5]["locality"] == "modulated" and rows["covariance", 0.5]["locality"] == "neuron"
    assert len(rows) == len(result["table"]) == 2 * 5
    assert all(r["density"] == pytest.approx([d] * 2, abs=2e-3) for (_, d), r in rows.items())
    code, out, err = cli("analyse", "density-curves", str(tmp_path / "run"))
    assert code == 0, err
    alone = tmp_path / "alone.yaml"
    alone.write_text(TINY.replace("rule: {name: three-factor, feedback: random}", "rule: node-perturbation"))
    code, out, err = cli("run", str(alone), "--json", "--out", str(tmp_path / "one"))
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["circuit"]["metrics"] == result["rules"]["node-perturbation"]["metrics"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [hebian-trace]", "rules[0]: unknown rule 'hebian-trace' (did you mean 'hebbian-trace'?)"),
        ("rules: [{rule: covariance}, covariance]", "two rules are called 'covariance'"),
        ("rules: [{label: random, rule: covariance}]", "a rule and a rival are both called 'random'"),
        ("rules: [{rule: {name: covariance, memry: 1}}]", "rules[0].rule.memry"),
    ],
)
def test_mistakes_in_further_rules_are_located(text: str, message: str, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TINY + text + "\n")
    code, _, err = cli("run", str(path), "--out", str(tmp_path / "run"))
    assert code == 2 and message in err, err
    assert not (tmp_path / "run").exists()
