"""Damaged scenarios and run directories: one clear message that names the file, never a traceback or a wrong result."""

from __future__ import annotations

import json
import random
import shutil
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biosim.errors import BiosimError
from biosim.runner import run
from biosim.scenario import read_scenario
from biosim.store import open_run

Cli = Callable[..., tuple[int, str, str]]
FULL = TINY.replace("replicates: 2", "replicates: 1") + (
    "densities: [0.2]\nseed: 3\n"
    "homeostasis: [{kind: synaptic-scaling, target: 0.4, tau: 2 s}]\n"
    'checks:\n  - {name: works, value: circuit.accuracy, needs: ">= 0"}\n'
)
ODD = ["", "null", "-1", "1e400", ".nan", ".inf", "[]", "{}", "[1, {a: b}]", "'", "no", "0x1F", "2020-01-01", "!!python/object:os.system x", "&a [*a]",
       "é🧠", "9" * 40, "a: b", "- x", "|", "\x00", "../../etc/passwd", "5 parsecs", "three-factor", "*unknown", "<<: 3", "? x"]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return the scenario with a few characters, values, keys or lines changed."""
    text = FULL
    for _ in range(draw(st.integers(1, 3))):
        lines = text.splitlines()
        kind = draw(st.integers(0, 6))
        place = draw(st.integers(0, max(0, len(text) - 1)))
        row = draw(st.integers(0, max(0, len(lines) - 1)))
        if kind == 0:
            text = text[:place] + text[place + draw(st.integers(1, 12)) :]
        elif kind == 1:
            text = text[:place] + draw(st.text(string.printable + "é\x00\x85", min_size=1, max_size=4)) + text[place:]
        elif kind == 2 and lines:
            text = "\n".join(lines[:row] + lines[row + 1 :])
        elif kind == 3 and lines:
            text = "\n".join([*lines[: row + 1], *lines[row:]])
        elif kind == 4 and lines and ":" in lines[row]:
            lines[row] = lines[row].split(":")[0] + ": " + draw(st.sampled_from(ODD))
            text = "\n".join(lines)
        elif kind == 5 and lines:
            words = lines[row].replace("{", " { ").replace("}", " } ").replace(",", " , ").split(" ")
            words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(ODD))
            lines[row] = " ".join(words)
            text = "\n".join(lines)
        else:
            text = text[:place]
    return text


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(mutated())
def test_mutated_scenarios_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        read_scenario(path)
    except BiosimError as error:
        for line in str(error).splitlines():
            assert line.startswith(f"{path}:"), line


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run directory, to be copied and harmed."""
    folder = tmp_path_factory.mktemp("whole")
    path = folder / "tiny.yaml"
    path.write_text(TINY.replace("rivals: [edge-popup, random]", "rivals: [random]"))
    run(read_scenario(path), folder / "run")
    return folder


READERS = {  # which commands read a file; {run} is the folder, {to} a file that is not to be written
    "run.json": ["run {scenario} --out {run}", "report {run}", "export {run} --to npz --out {to}", "analyse survivors {run}"],
    "metrics.jsonl": ["run {scenario} --out {run}", "export {run} --to nwb --out {to}"],
    "circuit.safetensors": ["run {scenario} --out {run}", "report {run}", "export {run} --to npz --out {to}", "analyse survivors {run}"],
    "rivals/random.safetensors": ["run {scenario} --out {run}", "export {run} --to npz --circuit random --out {to}"],
    "results.nc": ["run {scenario} --out {run}"],
}


def harm(folder: Path, name: str, dice: random.Random) -> None:
    """Do one thing to one file of a run: delete it, cut it, flip a bit, write something else."""
    path = folder / name
    content = path.read_bytes()
    kind = dice.randrange(5)
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.write_bytes(content[: dice.randrange(len(content))])
    elif kind == 2:
        place = dice.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << dice.randrange(8))]) + content[place + 1 :])
    elif kind == 3:
        path.write_bytes(dice.choice([b"", b"[]", b"{}", b"null", b'{"status": "done"}', b"\x00" * 64, content[::-1]]))
    else:
        shutil.copy(folder / dice.choice([n for n in READERS if n != name]), path)


def test_a_hundred_damaged_runs_are_each_named(whole: Path, tmp_path: Path, cli: Cli) -> None:
    dice = random.Random(0)
    folder, target = tmp_path / "run", tmp_path / "out"
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole / "run", folder)
        name = dice.choice(list(READERS))
        harm(folder, name, dice)
        before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        command = dice.choice(READERS[name]).format(run=folder, scenario=whole / "tiny.yaml", to=target)
        code, out, err = cli(*command.split())
        assert code == 2, (command, name, out, err)
        lost = str(folder) if name == "run.json" and not (folder / name).exists() else str(folder / name)
        assert lost in err and "Traceback" not in err + out and len(err.strip().splitlines()) == 1, (command, name, err)
        assert before == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} and not target.exists()


def test_reports_comparisons_and_analyses_name_the_damaged_file(whole: Path, tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole / "run", folder)
    content = bytearray((folder / "circuit.safetensors").read_bytes())
    content[-1] ^= 1  # one bit of one weight
    (folder / "circuit.safetensors").write_bytes(bytes(content))
    for command in (("report", str(folder)), ("compare", str(whole / "run"), str(folder)), ("analyse", "survivors", str(folder))):
        code, _, err = cli(*command)
        assert code == 2 and f"{folder / 'circuit.safetensors'} is damaged" in err and "--force" in err, (command, err)
    assert cli("run", str(whole / "tiny.yaml"), "--out", str(folder), "--force")[0] == 0
    assert (folder / "circuit.safetensors").read_bytes() == (whole / "run" / "circuit.safetensors").read_bytes()


def test_a_changed_result_is_noticed(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole / "run", folder)
    text = (folder / "run.json").read_text()
    about = json.loads(text)
    about["results"]["table"][0]["accuracy"][0] += 0.1
    (folder / "run.json").write_text(json.dumps(about))
    with pytest.raises(BiosimError, match="its checksum is wrong"):
        open_run(folder)
    for key in ("sha256", "files"):  # a run from before there were checksums has neither
        about = json.loads(text)
        del about[key]
        (folder / "run.json").write_text(json.dumps(about))
        with pytest.raises(BiosimError, match="its checksum is wrong"):
            open_run(folder)
    about = json.loads(text)
    del about["sha256"], about["files"]
    (folder / "run.json").write_text(json.dumps(about))
    assert open_run(folder).circuit.replicates == 2


def test_a_stranger_cannot_lead_out_of_the_folder(whole: Path, tmp_path: Path) -> None:
    from biosim.rundir.seal import sealed

    folder = tmp_path / "run"
    shutil.copytree(whole / "run", folder)
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(sealed({k: v for k, v in about.items() if k != "sha256"} | {"conditions": {"../..": "x"}})))
    with pytest.raises(BiosimError, match="outside its folder"):
        open_run(folder).rows("../../secret")
    with pytest.raises(BiosimError, match="outside its folder"):
        _ = open_run(folder).conditions


def test_aliases_that_multiply_are_refused(tmp_path: Path, cli: Cli) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 10)]
    (tmp_path / "bomb.yaml").write_text("\n".join([*lines, "name: bomb"]))
    code, _, err = cli("validate", str(tmp_path / "bomb.yaml"))
    assert code == 2 and "bomb.yaml: not valid YAML: its aliases stand for more than" in err
