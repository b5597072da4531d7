"""Checkpoints and runs that are damaged, or come from a stranger: noticed, named, and nothing of them is believed."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stopped_runs import RATE, SPIKING, Clean, StopError, left, stop_at

from biosim.errors import BiosimError, DamageError, Notice
from biosim.rundir import seal
from biosim.rundir.state_file import read_state, write_state
from biosim.runner import resume, run
from biosim.scenario import read_scenario


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
