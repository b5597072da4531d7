"""Runs that are stopped, killed, damaged or fought over: they go on to the same end, or say in one line why not."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from conftest import TINY

from biosim.errors import BiosimError, DamageError, Notice
from biosim.rundir import files, lock, seal
from biosim.rundir.checkpoint import AtWork, Checkpoints, read_state, write_state
from biosim.runner import resume, run
from biosim.scenario import read_scenario
from biosim.store import open_run

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
    found: dict[str, Any] = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.safetensors")}
    found["metrics"] = (folder / "metrics.jsonl").read_bytes()
    results = open_run(folder).results
    found["results"] = {k: v for k, v in results.items() if k not in ("seconds", "table")}
    found["table"] = [{k: v for k, v in row.items() if k != "seconds"} for row in results.get("table", [])]
    if (folder / "comparison.json").exists():
        found["comparison"] = (folder / "comparison.json").read_bytes()
    return found


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path, dict[str, Any]]]:
    """Return a function from a scenario's text to its file, its run that nobody stopped, and what that left; run once each."""
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
STAGES = [
    (RATE, "developing", 1), (RATE, "developing", 5), (RATE, "three-factor, retrained", 2), (RATE, "developing 20 %", 3),
    (RATE, "edge-popup", 4), (RATE, "random, retrained", 1), (RATE, "local, search 2", 4), (RATE, "edge-popup, search 2", 2),
    (RATE, "comparing", 1), (SPIKING, "developing", 6), (CONDITIONS, "sparse: developing", 4),
    (NOISE, "developing", 7), (MACHINE, "developing", 6), (WAVES, "developing", 5),
]  # fmt: skip


@pytest.mark.parametrize(("text", "stage", "step"), STAGES, ids=lambda v: "" if isinstance(v, str) and ":" in v and "\n" in v else str(v))
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(clean: Clean, tmp_path: Path, text: str, stage: str, step: int) -> None:
    path, _, whole = clean(text)
    folder = tmp_path / "run"
    with pytest.raises(StopError):
        run(read_scenario(path), folder, progress=stop_at(stage, step), report=False, checkpoint_every=0.0)
    assert open_run(folder).about["status"] == "failed"
    seen: list[tuple[str, int]] = []
    finished, fresh = resume(
        folder, progress=lambda name, now, steps, numbers: seen.append((name, now)), report=False, checkpoint_every=0.0
    )
    assert fresh and left(folder) == whole and not (folder / "checkpoints").exists() and not (folder / lock.LOCK).exists()
    first = next(now for name, now in seen if name == stage)
    assert first == (step if "developing" in stage or stage.startswith("local,") else 1)  # no step of development is taken twice
    assert stage == "developing" or "developing" not in {name for name, _ in seen}  # and no stage that was finished
    assert finished.results["seconds"] > 0


def test_real_kills_change_nothing(clean: Clean, tmp_path: Path) -> None:
    """SIGKILL to a process of the command line: as soon as there is a checkpoint, and as soon as there is a rival."""
    path, _, whole = clean(RATE)
    folder = tmp_path / "run"
    for sign in (folder / "checkpoints" / "work.safetensors", folder / "rivals" / "edge-popup.safetensors"):
        command = [sys.executable, "-m", "biosim", "run", str(path), "--out", str(folder), "--checkpoint-every", "0s"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not sign.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
        assert process.wait(60) == -signal.SIGKILL and open_run(folder).about["status"] == "running"
    resume(folder, report=False)
    assert left(folder) == whole


def test_ctrl_c_keeps_the_step_it_was_at_and_says_how_to_go_on(clean: Clean, tmp_path: Path, cli: Cli) -> None:
    path, _, whole = clean(SPIKING)
    folder, stopped = tmp_path / "run", []

    class Signals:
        """Sends SIGINT in the middle of a decision, once."""

        def __call__(self, name: str, step: int, steps: int, numbers: Mapping[str, float]) -> None:
            if name == "developing" and step == 3 and not stopped:
                stopped.append(step)
                os.kill(os.getpid(), signal.SIGINT)

    import biosim.cli as cli_module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli_module._Progress, "__call__", Signals().__call__)
        code, _, err = cli("run", str(path), "--out", str(folder))
    assert code == 130 and f"biosim resume {folder}" in err and "Traceback" not in err
    assert open_run(folder).about["status"] == "interrupted"
    assert read_state(folder / "checkpoints" / "work.safetensors")[1]["state"]["taken"] == 3  # the time between two was 30 s
    assert cli("resume", str(folder)).code == 0
    assert left(folder) == whole and (folder / "report.html").exists()


# -- damage ---------------------------------------------------------------------------------------
@pytest.fixture
def stopped(clean: Clean, tmp_path: Path) -> Path:
    """Return a run that was stopped at step 5 of its development, with two checkpoints."""
    path, _, _ = clean(RATE)
    with pytest.raises(StopError):
        run(read_scenario(path), tmp_path / "run", progress=stop_at("developing", 5), report=False, checkpoint_every=0.0)
    return tmp_path / "run"


def harm(path: Path, dice: random.Random) -> None:
    """Cut a file, flip a bit, or write something else."""
    content, kind = path.read_bytes(), dice.randrange(4)
    place = dice.randrange(len(content))
    if kind == 0:
        path.write_bytes(content[:place])
    elif kind == 1:
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << dice.randrange(8))]) + content[place + 1 :])
    elif kind == 2:
        path.write_bytes(dice.choice([b"", b"\0" * 100, b"{}", content[::-1], content + b"\0"]))
    else:
        path.write_bytes((2**63).to_bytes(8, "little") + content[8:])


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(clean: Clean, stopped: Path) -> None:
    _, _, whole = clean(RATE)
    work = stopped / "checkpoints" / "work.safetensors"
    harm(work, random.Random(1))
    with pytest.warns(Notice, match=r"work\.safetensors is damaged: .*; the one before it is used"):
        resume(stopped, report=False)
    assert left(stopped) == whole


def test_without_a_whole_checkpoint_a_stage_begins_anew(clean: Clean, stopped: Path) -> None:
    _, _, whole = clean(RATE)
    for name in ("work", "before"):
        harm(stopped / "checkpoints" / f"{name}.safetensors", random.Random(2))
    with pytest.warns(Notice) as noted:
        resume(stopped, report=False)
    assert [n for n in noted if "the stage begins anew" in str(n.message)] and left(stopped) == whole


def test_harm_of_every_kind_is_noticed(stopped: Path, tmp_path: Path) -> None:
    source, copy, dice = stopped / "checkpoints" / "work.safetensors", tmp_path / "copy.safetensors", random.Random(0)
    for _ in range(200):
        shutil.copy(source, copy)
        harm(copy, dice)
        with pytest.raises(DamageError, match=r"copy\.safetensors is damaged"):
            read_state(copy)


def test_a_stage_whose_result_is_damaged_is_done_again(clean: Clean, tmp_path: Path) -> None:
    path, _, whole = clean(RATE)
    folder = tmp_path / "run"
    with pytest.raises(StopError):
        run(read_scenario(path), folder, progress=stop_at("random, retrained", 1), report=False)
    (done,) = (folder / "checkpoints").glob("rival-edge-popup.*")
    harm(done, random.Random(0))
    with pytest.warns(Notice, match="rival-edge-popup.* is damaged: .*; that stage is done again"):
        resume(folder, report=False)
    assert left(folder) == whole


def crafted(path: Path, name: str, change: Callable[[Any], Any]) -> None:
    """Change one array of a checkpoint and seal it again, as a stranger can."""
    about, state = read_state(path)
    *above, last = name.split("/")
    node = state
    for key in above:
        node = node[key]
    node[last] = change(np.array(node[last]))
    write_state(path, about, state)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("state/projections/input-hidden1/weight", lambda w: w[:, :3], "'weight' is torch.float32"),
        ("state/projections/input-hidden1/alive", lambda a: a.astype(np.int8), "'alive' is torch.int8"),
        ("state/populations/output/gain", lambda g: g[:, :0], "'gain of output' is"),
    ],
)
def test_a_sealed_state_of_something_else_is_refused(stopped: Path, name: str, change: Callable[[Any], Any], expected: str) -> None:
    crafted(stopped / "checkpoints" / "work.safetensors", name, change)
    with pytest.raises(DamageError, match=f"holds no state of this run: {expected}"):
        resume(stopped, report=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [("queue", 10**6), ("queued", 10**6), ("log_neuron", 10**6), ("log_step", 10**8), ("log_last", 10**9)],
)
def test_an_index_that_leads_out_of_a_spiking_network_is_refused(clean: Clean, tmp_path: Path, name: str, value: int) -> None:
    path, _, _ = clean(SPIKING)
    with pytest.raises(StopError):
        run(read_scenario(path), tmp_path / "run", progress=stop_at("developing", 3), report=False, checkpoint_every=0.0)
    work = tmp_path / "run" / "checkpoints" / "work.safetensors"

    def out(array: Any) -> Any:
        array.reshape(-1)[:] = value
        return array

    crafted(work, f"state/simulation/0/{name}", out)
    with pytest.raises(DamageError, match="holds no state of this run"):
        resume(tmp_path / "run", report=False)


def test_promised_sizes_are_checked_before_anything_is_made(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    write_state(path, {"run": "x"}, {"a": np.arange(4, dtype=np.float32), "deep": {"b~/": np.ones((2, 0)), "c": [1.5, None, "x"]}})
    about, state = read_state(path)
    assert about == {"run": "x"} and state["deep"]["c"] == [1.5, None, "x"] and state["deep"]["b~/"].shape == (2, 0)
    np.testing.assert_array_equal(state["a"], np.arange(4, dtype=np.float32))
    from safetensors.numpy import load_file

    np.testing.assert_array_equal(load_file(path)["/a"], state["a"])  # it is what it says it is
    content = path.read_bytes()
    for old, new in ((b'"shape":[4]', b'"shape":[9]'), (b'"shape":[4]', b'"shape":-4 '), (b"[0,16]", b"[0,90]"), (b'"F32"', b'"F99"')):
        path.write_bytes(content.replace(old, new, 1))
        with pytest.raises(DamageError, match="is damaged"):
            read_state(path)


# -- disks, folders, clocks, other processes -------------------------------------------------------
def test_a_full_disk_stops_a_run_with_one_message_and_loses_nothing(clean: Clean, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _, whole = clean(SPIKING)
    folder, written = tmp_path / "run", []

    class Full:
        """A file on a disk that is full after a while."""

        def __init__(self, file: BinaryIO) -> None:
            self.file = file

        def write(self, content: Any) -> int:
            written.append(len(memoryview(content)))
            if sum(written) > 2_000_000:
                self.file.write(bytes(memoryview(content)[:10]))
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(content)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

    real = Path.open
    with monkeypatch.context() as patch:
        patch.setattr(
            Path, "open", lambda self, mode="r", *a, **k: Full(real(self, mode, *a, **k)) if mode == "wb" else real(self, mode, *a, **k)
        )
        with pytest.raises(BiosimError, match=r"checkpoints/work.safetensors cannot be written: No space left on device; .*biosim resume"):
            run(read_scenario(path), folder, report=False, checkpoint_every=0.0)
    assert not list(folder.rglob(f"*{files.PART}"))  # what was half written gave its room back
    assert read_state(folder / "checkpoints" / "before.safetensors")[1]["state"]["taken"] > 0
    resume(folder, report=False)
    assert left(folder) == whole


def test_a_folder_that_cannot_be_written_is_one_message(clean: Clean, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _, _ = clean(SPIKING)
    (tmp_path / "locked").mkdir()
    real = Path.open

    def refused(self: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        if mode[0] in "wa" and tmp_path / "locked" in self.parents:
            raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))
        return real(self, mode, *more, **named)

    monkeypatch.setattr(Path, "open", refused)
    code, _, err = cli("run", str(path), "--out", str(tmp_path / "locked" / "run"))
    assert code == 2 and "cannot be written: Read-only file system" in err and len(err.strip().splitlines()) == 1


def test_two_processes_cannot_work_on_one_run(clean: Clean, stopped: Path, cli: Cli) -> None:
    path, _, whole = clean(RATE)
    before = {p: p.read_bytes() for p in stopped.rglob("*") if p.is_file()}
    code = f"from biosim.rundir.lock import held\nfrom pathlib import Path\nwith held(Path({str(stopped)!r})):\n    print('held', flush=True)\n    input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        _fight(path, stopped, cli, other)
        other.kill()  # the lock goes with the process, though its file stays
    assert {p: p.read_bytes() for p in before} == before and (stopped / lock.LOCK).exists()
    resume(stopped, report=False)
    assert left(stopped) == whole and not (stopped / lock.LOCK).exists()


def _fight(path: Path, stopped: Path, cli: Cli, other: subprocess.Popen[str]) -> None:
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    for command in (
        ("resume", str(stopped)),
        ("run", str(path), "--out", str(stopped)),
        ("run", str(path), "--out", str(stopped), "--force"),
    ):
        status, _, err = cli(*command)
        assert status == 2 and f"{stopped} is at work: process {other.pid} on " in err and "two processes" in err


def test_setting_the_clock_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, made = [100.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: pytest.fail("the time of day was asked for"))
    keeper = AtWork(Checkpoints(tmp_path / "c", "id", 30.0), "stage")
    for seconds in (10.0, 19.0, 2.0, 29.0, 2.0):
        now[0] += seconds
        keeper.offer(lambda: made.append(now[0]) or {})
    assert made == [131.0, 162.0]


def test_checkpoints_that_take_long_are_made_more_rarely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, made = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def slow() -> dict[str, Any]:
        made.append(now[0])
        now[0] += 10.0
        return {}

    keeper = AtWork(Checkpoints(tmp_path / "c", "id", 30.0), "stage")
    while now[0] < 5000:
        now[0] += 1.0
        keeper.offer(slow)
    assert keeper.spent == 10.0 * len(made) and 0.015 < keeper.spent / now[0] <= 0.025


# -- whose run it is -------------------------------------------------------------------------------
def test_a_run_directory_is_data(stopped: Path, tmp_path: Path) -> None:
    """A stranger's run that names code by a path is refused, and that code is not executed."""
    evil, mark = tmp_path / "evil.py", tmp_path / "mark"
    evil.write_text(f"open({str(mark)!r}, 'w')\ndef build(*a, **k): pass\n")
    about = {k: v for k, v in json.loads((stopped / "run.json").read_text()).items() if k != "sha256"}
    for name in (str(evil), f"{evil}/", f"{tmp_path}/./evil.py/."):
        document = json.loads(about["document"]) | {"model": {"name": name}}
        (stopped / "run.json").write_text(json.dumps(seal.sealed(about | {"document": json.dumps(document)})))
        with pytest.raises(BiosimError, match="names Python code by its path"):
            resume(stopped, report=False)
    assert not mark.exists()
    document = json.loads(about["document"]) | {"schedule": {"kind": "decreasing-rate", "density": 0.31}}
    (stopped / "run.json").write_text(json.dumps(seal.sealed(about | {"document": json.dumps(document)})))
    with pytest.raises(BiosimError, match="begun with other files"):
        resume(stopped, report=False)


def test_what_cannot_be_taken_up_says_so(stopped: Path, tmp_path: Path, cli: Cli, clean: Clean) -> None:
    path, done, whole = clean(RATE)
    code, _, err = cli("resume", str(tmp_path / "nothing"))
    assert code == 2 and "is not a run directory" in err
    code, out, _ = cli("resume", str(done))
    assert code == 0 and "finished before" in out and left(done) == whole
    assert cli("resume", str(stopped), "--checkpoint-every", "5").code == 2
    about = {k: v for k, v in json.loads((stopped / "run.json").read_text()).items() if k != "sha256"}
    (stopped / "run.json").write_text(json.dumps(seal.sealed(about | {"device": "cuda"})))
    code, _, err = cli("run", str(path), "--out", str(stopped))
    assert code == 2 and "was begun on cuda" in err
    del about["document"]
    (stopped / "run.json").write_text(json.dumps(seal.sealed(about)))
    code, _, err = cli("resume", str(stopped))
    assert code == 2 and "does not hold the scenario" in err and "biosim run SCENARIO --out RUN" in err
    about["versions"]["torch"] = "1.0"
    (stopped / "run.json").write_text(json.dumps(seal.sealed(about)))
    with pytest.warns(Notice, match=r"other versions \(torch 1.0 to "):
        run(read_scenario(path), stopped, report=False)
    assert left(stopped) == whole
