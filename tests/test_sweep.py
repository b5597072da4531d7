"""Sweeps: planned, carried out whatever dies, taken up again, summed up."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from conftest import TINY
from scipy import stats

from biosim.errors import BiosimError
from biosim.scenario import read_scenario
from biosim.store import open_run, read_circuit
from biosim.sweep.plan import make_plan, metrics_of, parse_over, parse_seeds
from biosim.sweep.show import figure, summarise, swept
from biosim.sweep.table import results_of
from biosim.sweep.work import ATTEMPTS, finished, lock, perform

Cli = Callable[..., Any]
ROOT = Path(__file__).parents[1]
STUDY = '''"""Draws, and waits meanwhile."""

import os
import time

import numpy as np

from biosim.errors import InputError
from biosim.findings import Findings

METRICS = {"draw": "what was drawn", "scale": "its scale"}


def run(seeds, *, scale: float = 1.0, wait: float = 0.0, kind: str = "normal", progress=None):
    if kind == "broken":
        raise RuntimeError("it broke")
    if kind == "deadly":
        os.kill(os.getpid(), 9)
    if kind == "refused" and seeds[0] == 1:
        raise InputError("there is no kind 'refused' for seed 1", ("kind",))
    for k in range(4):
        time.sleep(wait / 4)
        if progress is not None:
            progress("drawing", k, 4, {})
    draws = [float(np.random.default_rng(s).normal(0, scale)) for s in seeds]
    return Findings({}, {}, {"draw": draws, "scale": [scale] * len(seeds)})
'''


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "draws.py").write_text(STUDY)
    path = tmp_path / "draws.yaml"
    path.write_text(f"name: draws\nstudy: {{name: {tmp_path / 'draws.py'}}}\nreplicates: 3\n")
    return path


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def attempts(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (folder / ATTEMPTS).read_text().splitlines():
        entry = json.loads(line)
        found.setdefault(entry["run"], []).append(entry["event"])
    return found


def test_values_and_seeds_are_read() -> None:
    assert parse_over(["a.b=1,.5", "rule={name: oja, x: [1, 2]},bcm", "q='a,b',c"]) == {
        "a.b": ("1", ".5"), "rule": ("{name: oja, x: [1, 2]}", "bcm"), "q": ("'a,b'", "c"),
    }  # fmt: skip
    assert parse_seeds("0..3,7, 9") == (0, 1, 2, 3, 7, 9) and parse_seeds("0..8..4") == (0, 4, 8)
    for text in ("3..1", "a", "", "1,1", "0..9..0", "0..99999999999", "0..9999999999"):
        with pytest.raises(BiosimError, match="--seeds"):
            parse_seeds(text)
    for texts in (["a"], ["=1"], ["a=1,,2"], ["a=1,1"], ["a=1", "a=2"], ["seed=1,2"]):
        with pytest.raises(BiosimError, match="--over"):
            parse_over(texts)


def test_a_plan_is_settings_times_seeds(study: Path, tmp_path: Path) -> None:
    plan = make_plan(str(study), {"study.scale": ("1", "2")}, (0, 4), out=tmp_path / "s")
    assert len(plan.jobs) == 4 and len({j.id for j in plan.jobs}) == 4
    assert {j.seed for j in plan.jobs} == {0, 4} and all(j.scenario == str(study.resolve()) for j in plan.jobs)
    assert not (tmp_path / "s").exists()
    json.dumps([j.data() for j in plan.jobs])  # names, paths and settings: plain data
    with pytest.raises(BiosimError, match="seed 4 is a replicate of the run of seed 0 too"):
        make_plan(str(study), {}, (0, 4), replicates=5)
    with pytest.raises(BiosimError) as caught:
        make_plan(str(study), {"study.scael": ("1", "2")}, (0, 1))
    assert len(str(caught.value).splitlines()) == 2 and "did you mean 'scale'" in str(caught.value)


def test_a_seed_alone_is_the_replicate_of_a_batch(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.replace("rivals: [edge-popup, random]", "rivals: [random]") + "births_seed: 7\nseed: 2\n")
    batch = make_plan(str(path), {}, None, replicates=2, out=tmp_path / "batch").jobs[0]
    alone = make_plan(str(path), {}, (3,), out=tmp_path / "alone").jobs[0]
    for job in (batch, alone):
        assert perform(job.data())["reason"] == ""
    a, b = (read_circuit(Path(job.folder) / "circuit.safetensors") for job in (batch, alone))
    assert all(np.array_equal(a.mask[n][1], b.mask[n][0]) and np.array_equal(a.weight[n][1], b.weight[n][0]) for n in a.mask)
    assert perform(alone.data())["fresh"] is False
    changed = dict(alone.data()) | {"id": "0000000000", "folder": str(tmp_path / "other" / "runs" / "x")}
    (tmp_path / "other").mkdir()
    assert "has changed since the sweep was planned" in perform(changed)["reason"]


def test_a_sweep_is_run_shown_and_taken_up_again(cli: Cli, study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    command = ("sweep", str(study), "--over", "study.scale=1,2", "--out", str(folder), "--workers", "1")
    code, out, err = cli(*command, "--seeds", "0..3", "--dry-run")
    assert code == 0 and "2 settings x 4 seeds (0 to 3) = 8 runs" in out and "8 to do" in out and not folder.exists(), err
    for job in make_plan(str(study), {"study.scale": ("1", "2")}, (0, 1, 2), out=folder).jobs:
        Path(job.folder).parent.mkdir(parents=True, exist_ok=True)
        assert perform(job.data())["reason"] == ""
    code, out, err = cli(*command, "--seeds", "0..3", "--dry-run")
    assert "6 done, 2 to do" in out and "a run takes" in out and "on 1 local workers" in out
    code, out, err = cli(*command, "--seeds", "0..3", "--json")
    assert code == 0 and json.loads(out.splitlines()[-1])["done"] == 8, err
    assert all(events == ["started", "done"] for events in attempts(folder).values()) and len(attempts(folder)) == 8
    rows = rows_of(folder)
    assert len(rows) == 16 and set(rows[0]) == {
        "run", "scenario", "study.scale", "seed", "replicate", "method", "regime", "density", "metric", "value",
    }  # fmt: skip
    for row in rows:
        if row["metric"] == "study.draw":
            assert float(row["value"]) == float(np.random.default_rng(int(row["seed"])).normal(0, float(row["study.scale"])))
    table = pyarrow.parquet.read_table(folder / "results.parquet").to_pylist()
    assert [(r["run"], r["seed"], r["value"]) for r in table] == [(r["run"], int(r["seed"]), float(r["value"])) for r in rows]
    assert {type(r["study.scale"]) for r in table} == {float}
    code, out, _ = cli("sweep", "show", str(folder), "--metric", "study.draw", "--json")
    summary = json.loads(out.splitlines()[-1])["summary"]
    draws = [float(r["value"]) for r in rows if r["metric"] == "study.draw" and r["study.scale"] == "1.0"]
    interval = stats.t.interval(0.95, 3, np.mean(draws), stats.sem(draws))
    np.testing.assert_allclose([summary[0][c] for c in ("mean", "low", "high")], [np.mean(draws), *interval])
    assert (folder / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    assert cli("sweep", "show", str(folder), "--metric", "drow")[0] == 2 and cli("sweep", "show", str(tmp_path))[0] == 2


def test_failures_are_listed_and_tried_again(cli: Cli, study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    kinds = "study.kind=normal,broken,refused,deadly"
    command = ("sweep", str(study), "--over", kinds, "--seeds", "0,1", "--out", str(folder), "--workers", "1", "--retries", "0")
    code, out, err = cli(*command)
    assert code == 3 and out.count("FAILED") == 5 and "RuntimeError: it broke" in out, err
    assert "(study.kind=refused, seed 1): " in out and "there is no kind 'refused' for seed 1" in out and "3 of 8 runs done" in out
    assert out.count("its worker was killed by SIGKILL, 1 times") == 2
    code, out, _ = cli("sweep", "show", str(folder))
    assert code == 0 and out.count("FAILED") == 5
    text = STUDY.replace('raise RuntimeError("it broke")', "scale = 3").replace("os.kill(os.getpid(), 9)", "scale = 4")
    (tmp_path / "draws.py").write_text(text)
    code, out, _ = cli(*command)  # the study's file changed, so every run is another
    assert code == 3 and out.count("FAILED") == 1 and "7 of 8 runs done" in out


def test_mistakes_are_told_before_anything_is_written(cli: Cli, study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    for arguments, words in (
        (("--on", "moon"), "there are local, dask, slurm"),
        (("--over", "study.scale"), "expected key=value"),
        (("--over", "study.scale=big,2"), "study.scale"),
        (("--seeds", "4..1"), "--seeds 4..1"),
        (("--metric", "study.dra"), "--metric study.dra: not measured (did you mean 'study.draw'?); there are: study.draw"),
        (("--on", "slurm"), "no sbatch"),
        (("--on", "slurm", "--cluster", "what"), "--cluster what"),
    ):
        code, out, err = cli("sweep", str(study), *arguments, "--out", str(folder))
        assert code == 2 and words in err and "Traceback" not in err + out, err
        assert not (folder / "runs").exists()
        assert not folder.exists() or "slurm" in arguments
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    assert cli("sweep", str(study), "--out", str(tmp_path / "mine"))[0] == 2
    with lock(folder / ".lock") as held:
        assert held
        code, _, err = cli("sweep", str(study), "--out", str(folder))
        assert code == 2 and "another sweep is at work" in err


@pytest.mark.parametrize("kind", ["development", "spiking", "conditions", "study"])
def test_what_runs_measure_is_known_before_them(kind: str, runs: dict[str, Path]) -> None:
    promised = metrics_of(read_scenario(runs["study"].parent / f"{kind}.yaml"), 1)
    assert {row["metric"] for row in results_of(open_run(runs[kind]).about)} <= set(promised)


def fire(folder: Path, kills: int, over: threading.Event, fired: list[int], seed: int = 0) -> None:
    """Kill workers of a sweep at random moments of their runs."""
    dice = random.Random(seed)
    while len(fired) < kills and not over.wait(dice.uniform(0.05, 0.4)):
        told = [json.loads(x) for x in (folder / ATTEMPTS).read_text().splitlines()] if (folder / ATTEMPTS).exists() else []
        ended = {e["run"] for e in told if e["event"] == "done"}
        busy = [e["pid"] for e in told if e["event"] == "started" and e["run"] not in ended and e["pid"] not in fired]
        if busy:
            victim = dice.choice(busy)
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
            fired.append(victim)


def sweep_under_fire(cli: Cli, study: Path, folder: Path, runs: int, kills: int, on: tuple[str, ...]) -> None:
    """Carry a sweep out while ``kills`` of its workers are killed; nothing is lost, nothing is done twice."""
    fired: list[int] = []
    over = threading.Event()
    gun = threading.Thread(target=fire, args=(folder, kills, over, fired))
    gun.start()
    command = (
        "sweep",
        str(study),
        "--set",
        "study.wait=0.4",
        "--seeds",
        f"0..{runs - 1}",
        "--out",
        str(folder),
        "--retries",
        "20",
        "--json",
        *on,
    )
    code, out, err = cli(*command)
    over.set()
    gun.join()
    assert code == 0, err
    assert len(fired) == kills, "the sweep was over before every shot was fired"
    result = json.loads(out.splitlines()[-1])
    assert result["done"] == runs and result["failed"] == {}
    check_nothing_lost(folder, runs, kills)
    before = (folder / ATTEMPTS).read_bytes()
    assert cli(*command)[0] == 0 and (folder / ATTEMPTS).read_bytes() == before


def check_nothing_lost(folder: Path, runs: int, kills: int) -> None:
    found = attempts(folder)
    assert len(found) == runs
    for events in found.values():
        assert events[-1] == "done" and events.count("done") == 1  # none lost, and none started again once it was done
    assert sum(events.count("started") for events in found.values()) >= runs + 1
    rows = [r for r in rows_of(folder) if r["metric"] == "study.draw"]
    assert {int(r["seed"]): float(r["value"]) for r in rows} == {s: float(np.random.default_rng(s).normal()) for s in range(runs)}
    assert all(finished(p) for p in (folder / "runs").iterdir())


def test_killed_workers_lose_nothing(cli: Cli, study: Path, tmp_path: Path) -> None:
    sweep_under_fire(cli, study, tmp_path / "s", 4, 1, ("--workers", "2"))


@pytest.mark.slow
@pytest.mark.parametrize("on", ["local", "dask"])
def test_forty_runs_under_fire(on: str, cli: Cli, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if on == "dask":
        pytest.importorskip("distributed", reason="needs the extra dask, which `make test-all` installs")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    sweep_under_fire(cli, study, tmp_path / "s", 40, 15, ("--on", on, "--workers", "2"))


@pytest.mark.slow
def test_slurm_jobs_under_fire(cli: Cli, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="needs the extra slurm, which `make test-all` installs")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # a job each is a process each: fewer of them, as processes of this machine
    sweep_under_fire(cli, study, tmp_path / "s", 6, 2, ("--on", "slurm", "--workers", "2", "--cluster", "cluster=local"))


def test_a_figure_has_an_axis_for_what_was_swept() -> None:
    rows = [
        {"run": f"{d}{k}{m}", "scenario": "s", "schedule.density": d, "rule": k, "seed": s, "replicate": 0, "method": m, "regime": "frozen",
         "density": d, "metric": "accuracy", "value": d + s / 10}
        for d in (0.1, 0.5) for k in ("a", "b") for m in ("local", "rival") for s in range(3)
    ]  # fmt: skip
    metric, summary = summarise(rows)
    assert metric == "accuracy" and len(summary) == 8 and all(r["n"] == 3 for r in summary)
    axes = figure(metric, summary, swept(rows), "s").axes[0]
    assert axes.get_xlabel() == "schedule.density" and axes.get_ylabel() == "accuracy" and "n = 3 seeds" in axes.get_title()
    assert {t.get_text() for t in axes.get_legend().get_texts()} == {f"{m}, rule {k}" for m in ("local", "rival") for k in "ab"}
    with pytest.raises(BiosimError, match="no results yet"):
        summarise([])
