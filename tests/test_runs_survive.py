"""Runs that are stopped, killed, out of disk or fought over: they go on to the same end, or say in one line why not."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from stopped_runs import CONDITIONS, MACHINE, NOISE, RATE, SPIKING, WAVES, Clean, Cli, StopError, left, stop_at

from biosim.errors import BiosimError, Notice
from biosim.rundir import files, lock, seal
from biosim.rundir.checkpoint import AtWork, Checkpoints
from biosim.rundir.state_file import read_state
from biosim.runner import resume, run
from biosim.scenario import read_scenario
from biosim.store import open_run

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

    def interrupting(name: str, step: int, steps: int, numbers: Mapping[str, float]) -> None:
        """Send SIGINT in the middle of a decision, once."""
        if name == "developing" and step == 3 and not stopped:
            stopped.append(step)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("biosim.commands.run.progress", lambda title: nullcontext(interrupting))
        code, _, err = cli("run", str(path), "--out", str(folder))
    assert code == 130 and f"biosim resume {folder}" in err and "Traceback" not in err
    assert open_run(folder).about["status"] == "interrupted"
    assert read_state(folder / "checkpoints" / "work.safetensors")[1]["state"]["taken"] == 3  # the time between two was 30 s
    assert cli("resume", str(folder)).code == 0
    assert left(folder) == whole and (folder / "report.html").exists()


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
