"""Analyses of circuits: what each computes, and that each runs on a finished run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY

from biosim.analysis import analyse_runs
from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.library import find, load_module
from biosim.rundir import seal
from biosim.runner import run as run_scenario
from biosim.scenario import read_scenario
from biosim.store import open_run
from biosim.synapses import Network

Births = Callable[..., Network]
NAMES = ("who-survives", "receptive-fields", "ei-balance", "lesions", "same-circuit")


def module(name: str) -> Any:
    return load_module(find("analysis", name))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analyses")
    (folder / "tiny.yaml").write_text(TINY + "comparisons: {rivals: [edge-popup], searches: 2, nulls: 2, measures: [overlap, profiles]}\n")
    return run_scenario(read_scenario(folder / "tiny.yaml"), folder / "run", report=False)[0].folder


@pytest.fixture
def circuit(births: Births) -> Circuit:
    network, random = births((0, 1), weights="kaiming-normal"), np.random.default_rng(0)
    masks = {n: torch.from_numpy(random.random(p.born.shape) < 0.4) for n, p in network.projections.items()}
    return Circuit.of(network, {"scorer": "test", "locality": "none"}, masks)


@pytest.mark.parametrize("name", NAMES)
def test_each_runs(name: str, finished: Path) -> None:
    findings = module(name).analyse(open_run(finished))  # drawing them to files takes most of the time: one does, below
    assert set(findings.figures) == set(findings.tables) == {name}
    rows = findings.tables[name]
    assert len(rows) > 10 and all(set(row) == set(rows[0]) for row in rows)
    if name == "lesions":
        whole = {r["lesion"]: r["accuracy"] for r in rows if (r["method"], r["share"], r["replicate"]) == ("edge-popup", 0.0, 1)}
        assert len(whole) == 3 and len(set(whole.values())) == 1
    if name == "who-survives":
        wanted = ("random", "input-hidden1", "birth weight", 0)
        own = [r["survival"] for r in rows if (r["method"], r["projection"], r["factor"], r["replicate"]) == wanted]
        assert len(own) == 10 and np.mean(own) == pytest.approx(0.3, abs=0.01)


def test_figures_and_tables_are_written(finished: Path, tmp_path: Path) -> None:
    files = analyse_runs("same-circuit", [finished], tmp_path)
    assert {f.suffix for f in files} == {".png", ".svg", ".csv"} and all(f.stat().st_size > 100 for f in files)


def test_a_run_that_compared_nothing(finished: Path, tmp_path: Path) -> None:
    about = json.loads((finished / "run.json").read_text())
    files = {name: digest for name, digest in about["files"].items() if name != "comparison.json"}
    (tmp_path / "run.json").write_text(json.dumps(seal.sealed(about | {"files": files})))
    with pytest.raises(BiosimError, match="compared nothing: add"):
        analyse_runs("same-circuit", [tmp_path])


def test_survival_by_decile(circuit: Circuit) -> None:
    own, name = module("who-survives"), "input-hidden1"
    kept = circuit.mask[name][0]
    random = np.random.default_rng(1).random(kept.shape)
    chosen = own.survival(np.where(kept, 1 + random, random), circuit, name, 0)
    assert chosen[-1] == 1 and chosen[0] == 0 and chosen.mean() == pytest.approx(kept.mean(), abs=1e-3)
    assert own.survival(np.ones(kept.shape), circuit, name, 0) == pytest.approx([kept.mean()] * 10)  # equals share alike
    factors = own.at_birth(circuit, np.random.default_rng(2).standard_normal((50, 36)).astype(np.float32))
    born = Circuit.of(
        circuit.network,
        {},
        {n: torch.from_numpy(b) for n, b in circuit.born.items()},
        {n: torch.ones(g.shape) for n, g in circuit.gain.items()},
    )
    activity = born.activity(np.random.default_rng(2).standard_normal((50, 36)).astype(np.float32))
    expected = np.corrcoef(activity["input"][1][:, 3], activity["hidden1"][1][:, 5])[0, 1]
    assert factors[name]["correlation, pre and post"][1, 3, 5] == pytest.approx(expected, abs=1e-5)


def test_receptive_fields() -> None:
    own = module("receptive-fields")
    random = np.random.default_rng(0)
    anywhere = random.random((400, 60)) < 0.2
    near = np.zeros((20, 20, 1), bool)
    near[3:6, 3:6] = True
    assert np.mean(own.spread(anywhere, 20, 20)) == pytest.approx(1, abs=0.03)
    assert own.spread(near.reshape(400, 1), 20, 20)[0] < 0.2 and np.isnan(own.spread(np.zeros((400, 1), bool), 20, 20)[0])
    activity = np.array([[1, 1, 0], [1, 1, 0], [3, 0, 0], [3, 0, 0]], np.float32)
    found = own.selectivity(activity, np.array([0, 0, 1, 1]))
    assert found[:2] == pytest.approx([0.5, 1]) and np.isnan(found[2])


def test_balance_of_excitation_and_inhibition(circuit: Circuit) -> None:
    inputs = np.random.default_rng(0).standard_normal((40, 36)).astype(np.float32)
    before, after = module("ei-balance").balance(circuit, inputs)["hidden1"]
    for values, mask in ((before, circuit.born), (after, circuit.mask)):
        drive = inputs[:, :, None] * (circuit.weight["input-hidden1"][0] * mask["input-hidden1"][0])
        up, down = np.maximum(drive, 0).sum(1).mean(0), np.maximum(-drive, 0).sum(1).mean(0)
        np.testing.assert_allclose(values[0], (up - down) / (up + down), rtol=1e-3, atol=1e-5)


def test_lesions(circuit: Circuit) -> None:
    own = module("lesions")
    for kind in own.LESIONS:
        assert all((own.lesion(circuit, kind, 0.0).mask[n] == m).all() for n, m in circuit.mask.items())
        cut = own.lesion(circuit, kind, 0.5)
        assert all((cut.mask[n] <= m).all() for n, m in circuit.mask.items())
    for name, mask in own.lesion(circuit, "random synapses", 0.3).mask.items():
        before = circuit.mask[name].sum((1, 2))
        assert (mask.sum((1, 2)) == before - np.round(0.3 * before)).all()
    neurons = own.in_use(circuit, 0)
    most = max(neurons, key=lambda n: n[2])
    assert most[2] == max(circuit.mask["input-hidden1"][0].sum(0) + circuit.mask["hidden1-hidden2"][0].sum(1)) or most[0] == "hidden2"
    left = {(p, k) for p, k, _ in own.in_use(own.lesion(circuit, "hubs", 1 / len(neurons)), 0)}
    assert (most[0], most[1]) not in left
    assert len(own.in_use(own.lesion(circuit, "random neurons", 0.5), 0)) <= len(neurons) - round(0.5 * len(neurons))
