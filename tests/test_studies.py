"""Studies: scenarios that ask a question of a file, from a user's own folder and through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biosim.store import open_run

Cli = Callable[..., Any]

STUDY = '''"""How far the mean of a few draws lies from the truth."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from biosim.errors import InputError
from biosim.findings import Findings

METRICS = {"error": "distance of the mean of the draws from zero", "draws": "draws taken"}


def run(seeds: Sequence[int], *, draws: int = 100, kind: str = "normal", progress=None) -> Findings:
    if draws < 1:
        raise InputError("needs at least one draw", ("draws",))
    errors = []
    for k, seed in enumerate(seeds):
        errors.append(abs(float(np.random.default_rng(seed).standard_normal(draws).mean())))
        if progress is not None:
            progress("drawing", k + 1, len(seeds), {"error": errors[-1]})
    figure = Figure(figsize=(3, 2))
    figure.subplots().plot(errors)
    rows = [{"seed": seed, "error": error} for seed, error in zip(seeds, errors)]
    return Findings({"errors": figure}, {"by-seed": rows}, {"error": errors, "draws": [draws] * len(seeds)})
'''

SCENARIO = """\
name: mean
question: How far from the truth is a mean?
headline: Not far.
study: {name: STUDY, draws: 400}
replicates: 3
checks:
  - {name: close, value: study.error, needs: "<= 4/sqrt(study.draws)"}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    (tmp_path / "mean.py").write_text(STUDY)
    path = tmp_path / "mean.yaml"
    path.write_text(SCENARIO.replace("STUDY", str(tmp_path / "mean.py")))
    return path


def test_a_study_runs_and_is_read_back(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, printed, _ = cli("run", str(scenario), "--json", "--out", str(out))
    result = json.loads(printed.splitlines()[-1])
    assert code == 0 and result["kind"] == "study" and result["checks"][0]["passed"]
    assert result["metrics"]["draws"] == [400, 400, 400]
    run = open_run(out)
    assert [float(row["error"]) for row in run.rows("by-seed")] == result["metrics"]["error"]
    page = (out / "report.html").read_text()
    assert "How far from the truth" in page and "<svg" in page and "by seed" in page and "Not far." in page
    again = cli("run", str(scenario), "--out", str(out))
    assert again.code == 0 and "was finished before" in again.out


def test_replicate_2_alone_equals_replicate_2_of_the_batch(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    batch = json.loads(cli("run", str(scenario), "--json", "--out", str(tmp_path / "a")).out.splitlines()[-1])
    alone = json.loads(
        cli("run", str(scenario), "--json", "--out", str(tmp_path / "b"), "--seed", "2", "--replicates", "1").out.splitlines()[-1]
    )
    assert alone["metrics"]["error"] == batch["metrics"]["error"][2:]


def test_settings_reach_a_study_and_a_failed_check_is_status_3(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    arguments = ("--set", "study.draws=1", "--set", "checks.0.needs=<= 0", "--json", "--out", str(tmp_path / "run"))
    code, printed, _ = cli("run", str(scenario), *arguments)
    assert code == 3 and json.loads(printed.splitlines()[-1])["metrics"]["draws"] == [1, 1, 1]


def test_a_metric_that_is_not_defined_is_no_number(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    study = tmp_path / "mean.py"
    study.write_text(STUDY.replace('{"error": errors,', '{"error": [float("nan"), *errors[1:]],'))
    out = tmp_path / "run"
    code, printed, _ = cli("run", str(scenario), "--json", "--out", str(out))
    found = json.loads(printed.splitlines()[-1])
    assert code == 3 and found["metrics"]["error"][0] is None and found["checks"][0]["holds_in"] == pytest.approx(2 / 3)
    assert found["checks"][0]["value"] == pytest.approx(sum(found["metrics"]["error"][1:]) / 2)
    study.write_text(STUDY.replace('{"error": errors,', '{"error": [float("nan")] * 3,'))
    code, printed, _ = cli("run", str(scenario), "--json", "--out", str(tmp_path / "none"))
    found = json.loads(printed.splitlines()[-1])
    assert code == 3 and found["checks"][0]["value"] is None and "not defined" in found["checks"][0]["note"]
    assert "n/a" in (tmp_path / "none" / "report.html").read_text()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("draws: 400", "drawz: 400", "mean.yaml:4: study.drawz: study 'PATH' has no argument 'drawz' (did you mean 'draws'?)"),
        ("draws: 400", "draws: many", "mean.yaml:4: study.draws: "),
        ("draws: 400", "draws: 0", "mean.yaml:4: study.draws: needs at least one draw"),
        ("study.error", "study.errors", "'study.errors' is not measured (did you mean 'study.error'?)"),
        ("replicates: 3", "replicas: 3", "mean.yaml:5: replicas: unknown key (did you mean 'replicates'?)"),
        ("STUDY", "dicee", "mean.yaml:4: study.name: unknown study 'dicee'"),
        ("{name: STUDY, draws: 400}", "{draws: 400}", "mean.yaml:4: study.name: is missing"),
        ("METRICS", "METRICZ", "has no METRICS, a mapping of what it measures to one line on each"),
        ('{"error": errors, "draws"', '{"drawz"', "did not measure just what its METRICS name"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_study_is_one_clear_line(cli: Cli, tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in STUDY + SCENARIO
    study = tmp_path / "mean.py"
    study.write_text(STUDY.replace(old, new))
    scenario = tmp_path / "mean.yaml"
    scenario.write_text(SCENARIO.replace(old, new).replace("STUDY", str(study)))
    code, _, err = cli("run", str(scenario), "--out", str(tmp_path / "run"))
    assert code == 2 and expected.replace("PATH", str(study)) in err and "Traceback" not in err
