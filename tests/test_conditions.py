"""One scenario under several conditions, from the file to the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY

from biosim.rundir import seal
from biosim.store import open_run

Cli = Callable[..., Any]

CONDITIONS = (
    TINY.replace("rivals: [edge-popup, random]\n", "")
    + """\
conditions:
  dense: {schedule.density: 0.6}
  sparse: {schedule.density: 0.2, rule.rate: 200}
checks:
  - {name: density follows, value: dense.circuit.density, needs: ">= sparse.circuit.density + 0.1"}
"""
)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "two.yaml"
    path.write_text(CONDITIONS)
    return path


def test_each_condition_is_a_run_of_its_own(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, printed, _ = cli("run", str(scenario), "--json", "--out", str(out))
    result = json.loads(printed.splitlines()[-1])
    assert code == 0 and result["kind"] == "conditions" and result["checks"][0]["passed"]
    run = open_run(out)
    assert list(run.conditions) == ["dense", "sparse"]
    for name, density in (("dense", 0.6), ("sparse", 0.2)):
        own = run.conditions[name]
        assert own.about["status"] == "done" and (own.folder / "report.html").exists()
        np.testing.assert_allclose(own.circuit.density(), density, atol=2e-3)
        np.testing.assert_allclose(result["conditions"][name]["circuit.density"], own.circuit.density())
    page = (out / "report.html").read_text()
    assert "conditions/dense/report.html" in page and "<svg" in page
    own = (out / "conditions" / "dense" / "report.html").read_text()
    assert f"<h1>{run.name}, dense</h1>" in own and "href='../../report.html'" in own and "href='../../report.html'" not in page


def test_a_condition_equals_the_same_settings_by_hand(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    cli("run", str(scenario), "--out", str(tmp_path / "both"))
    plain = tmp_path / "plain.yaml"
    plain.write_text(CONDITIONS[: CONDITIONS.index("conditions:")])
    cli("run", str(plain), "--set", "schedule.density=0.2", "--set", "rule.rate=200", "--out", str(tmp_path / "alone"))
    one, other = open_run(tmp_path / "both" / "conditions" / "sparse").circuit, open_run(tmp_path / "alone").circuit
    for name, mask in one.mask.items():
        np.testing.assert_array_equal(mask, other.mask[name])


def test_a_finished_condition_is_not_run_again(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    cli("run", str(scenario), "--out", str(out))
    about = json.loads((out / "run.json").read_text())
    stamp = (out / "conditions" / "dense" / "circuit.safetensors").stat().st_mtime_ns
    (out / "run.json").write_text(json.dumps(seal.sealed(about | {"status": "interrupted"})))  # as a run that was stopped leaves it
    assert cli("run", str(scenario), "--out", str(out)).code == 0
    assert (out / "conditions" / "dense" / "circuit.safetensors").stat().st_mtime_ns == stamp
    assert cli("run", str(scenario), "--out", str(out), "--force").code == 0
    assert (out / "conditions" / "dense" / "circuit.safetensors").stat().st_mtime_ns > stamp  # unless it is asked for


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{schedule.density: 0.6}", "{schedule.densty: 0.6}", "two.yaml:9: conditions.dense.schedule.densty: unknown key (did you mean 'density'?)"),
        ("{schedule.density: 0.6}", "{name.deep: x}", "two.yaml:9: conditions.dense.name.deep: there is no 'name.deep' to set"),
        ("{schedule.density: 0.6}", "{seed: 4}", "two.yaml:9: conditions.dense: conditions are compared on the same seeds"),
        ("rule.rate: 200", "rule: hebian-trace", "two.yaml:10: conditions.sparse.rule: "),
        ("dense.circuit.density", "dense.circuit.densty", "'dense.circuit.densty' is not measured"),
        ("batch: 64", "batch: 0", "two.yaml:3: drive.batch: "),
        ("  sparse: {schedule.density: 0.2, rule.rate: 200}\n", "", "two.yaml:8: conditions: "),
    ],
)  # fmt: skip
def test_a_mistake_is_told_of_once_and_where_it_stands(cli: Cli, tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in CONDITIONS
    path = tmp_path / "two.yaml"
    path.write_text(CONDITIONS.replace(old, new))
    code, _, err = cli("run", str(path), "--out", str(tmp_path / "run"))
    assert code == 2 and expected in err and err.count(expected) == 1 and "Traceback" not in err
    assert not (tmp_path / "run").exists()
