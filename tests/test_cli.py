"""The command line, as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY

from biosim.store import open_run, read_circuit

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def done(cli: Cli, tiny: Path, tmp_path: Path) -> Path:
    """Return a finished run directory."""
    folder = tmp_path / "run"
    code, _, err = cli("run", str(tiny), "--out", str(folder))
    assert code == 0, err
    return folder


def test_run_ends_with_one_json_object(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    code, out, _ = cli("run", str(tiny), "--json", "--out", str(tmp_path / "run"))
    assert code == 0
    result = json.loads(out.splitlines()[-1])
    assert result["scenario"] == "tiny" and result["locality"] == "broadcast"
    assert set(result["rivals"]) == {"edge-popup", "random"}
    assert len(result["circuit"]["metrics"]["accuracy"]) == 2
    assert [row["method"] for row in result["table"]] == ["three-factor", "edge-popup", "random"]
    assert {"regime", "target_density", "density", "effective_density", "accuracy", "seconds"} <= set(result["table"][0])
    circuit = read_circuit(Path(result["run"]) / "circuit.safetensors")
    for name, mask in circuit.mask.items():
        assert (mask.sum((1, 2)) == np.floor(0.3 * circuit.born[name].sum((1, 2)) + 0.5)).all()


def test_the_run_directory_holds_what_it_says(done: Path) -> None:
    names = {p.relative_to(done).as_posix() for p in done.rglob("*") if p.is_file()}
    assert {"run.json", "metrics.jsonl", "circuit.safetensors", "results.nc", "report.html", "rivals/edge-popup.safetensors"} <= names
    assert {f"figures/{n}.svg" for n in ("development", "survivors", "degrees", "receptive-fields")} <= names
    assert not [n for n in names if n.endswith((".part", ".pkl"))]
    run = open_run(done)
    data = run.dataset()
    records = run.history
    for name, mask in run.circuit.mask.items():  # one death step an edge rebuilds every intermediate mask
        death = data[f"death_step.{name}"].values
        assert np.array_equal(mask, death == -1)
        for record in records:
            alive = ((death == -1) | (death >= record["step"])).mean((1, 2))
            np.testing.assert_allclose(alive, record[f"alive.{name}"], atol=1e-9)
    page = (done / "report.html").read_text()
    assert (
        page.count("<svg") == 6
        and "edge-popup" in page
        and "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace("http://creativecommons.org", "")
    )


def test_the_same_scenario_gives_the_same_bytes(cli: Cli, tiny: Path, done: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert cli("run", str(tiny), "--out", str(again))[0] == 0
    for name in ("circuit.safetensors", "rivals/edge-popup.safetensors", "rivals/random.safetensors"):
        assert (done / name).read_bytes() == (again / name).read_bytes()
    assert open_run(done).about["id"] == open_run(again).about["id"]


def test_a_replicate_alone_is_the_replicate_of_the_batch(cli: Cli, tiny: Path, done: Path, tmp_path: Path) -> None:
    assert cli("run", str(tiny), "--seed", "1", "--replicates", "1", "--out", str(tmp_path / "one"))[0] == 0
    batch, alone = open_run(done), open_run(tmp_path / "one")
    for a, b in ((batch.circuit, alone.circuit), (batch.rivals["edge-popup"], alone.rivals["edge-popup"])):
        assert all(np.array_equal(a.mask[n][1], b.mask[n][0]) for n in a.mask)


def test_finished_work_is_skipped(cli: Cli, tiny: Path, done: Path) -> None:
    stamp = (done / "circuit.safetensors").stat().st_mtime_ns
    code, out, _ = cli("run", str(tiny), "--out", str(done))
    assert code == 0 and "finished before" in out
    assert (done / "circuit.safetensors").stat().st_mtime_ns == stamp
    (done / "notes.txt").write_text("mine")
    assert cli("run", str(tiny), "--out", str(done), "--force")[0] == 0
    assert (done / "circuit.safetensors").stat().st_mtime_ns != stamp and (done / "notes.txt").read_text() == "mine"
    code, _, err = cli("run", str(tiny), "--seed", "7", "--out", str(done))
    assert code == 2 and "another run" in err


def test_a_failing_check_exits_3_and_keeps_the_run(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "checked.yaml"
    path.write_text(
        TINY + 'checks:\n  - {name: impossible, value: circuit.accuracy, needs: ">= 1.5"}\n'
        '  - {name: sure, value: circuit.density, needs: "<= rivals.random.density + 1e-9"}\n'
    )
    code, out, err = cli("run", str(path), "--json", "--out", str(tmp_path / "run"))
    assert code == 3 and "FAILED  impossible" in err
    checks = json.loads(out.splitlines()[-1])["checks"]
    assert [(c["name"], c["passed"]) for c in checks] == [("impossible", False), ("sure", True)]
    assert open_run(tmp_path / "run").about["status"] == "done"


def test_settings_override_and_own_data_works(cli: Cli, tiny: Path, idx_folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    code, _, err = cli(
        "run",
        str(tiny),
        "--set",
        f"drive.dataset={idx_folder}",
        "--set",
        "drive.train_size=null",
        "--set",
        "schedule.density=0.1",
        "--out",
        str(own),
    )
    assert code == 0, err
    run = open_run(own)
    assert run.circuit.density() == pytest.approx(0.1, abs=1e-3)
    assert run.about["image_side"] == [28, 28]
    assert len(run.images().train) == 200


def test_a_rule_written_in_the_scenario_needs_no_python(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "own-rule.yaml"
    path.write_text(
        TINY.replace(
            "rule: {name: three-factor, feedback: random}",
            "rule:\n  name: my-own\n  parameters: {tau: 5 % dev}\n  state: {tag: 0}\n"
            "  synapse: ['dtag/dt = (pre*post - tag)/tau']\n  eliminate: {compete: {within: post, by: tag}}",
        )
    )
    code, _, err = cli("run", str(path), "--out", str(tmp_path / "run"))
    assert code == 0, err
    run = open_run(tmp_path / "run")
    assert run.about["locality"] == "neuron" and run.table[0]["method"] == "my-own"


def test_transport_is_named(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    assert cli("run", str(tiny), "--set", "rule.feedback=reciprocal", "--out", str(tmp_path / "r"))[0] == 0
    run = open_run(tmp_path / "r")
    assert run.about["locality"] == "transport" == run.table[0]["locality"]


def test_show_list_schema_validate_doctor(cli: Cli, tiny: Path) -> None:
    for name in ("three-factor", "local-vs-global", "mlp", "edge-popup", "survivors"):
        code, out, _ = cli("show", name)
        assert code == 0 and len(out) > 80
    assert "dtag/dt" in cli("show", "rule", "three-factor")[1]
    assert cli("show", "rule", "three-factor", "--cite")[1].startswith("@article")
    out = cli("list")[1]
    assert all(word in out for word in ("three-factor", "mlp", "local-vs-global", "edge-popup", "survivors"))
    schema = json.loads(cli("schema")[1])
    kinds = [schema["$defs"][kind["$ref"].rsplit("/", 1)[1]]["properties"] for kind in schema["anyOf"]]
    assert any({"model", "drive", "rule", "schedule", "rivals", "checks"} <= set(kind) for kind in kinds)
    assert any({"study", "checks", "seed"} <= set(kind) for kind in kinds)
    code, out, _ = cli("validate", str(tiny))
    assert code == 0 and "valid" in out and "broadcast" in out
    assert "torch" in cli("doctor")[1]
    code, _, err = cli("show", "three-facto")
    assert code == 2 and "did you mean" in err


@pytest.mark.parametrize("name", ["survivors", "input-map"])
def test_analyses_run_from_the_command_line_and_as_scripts(name: str, cli: Cli, done: Path) -> None:
    code, out, err = cli("analyse", name, str(done))
    assert code == 0, err
    files = [Path(line) for line in out.splitlines()]
    assert {p.suffix for p in files} == {".png", ".svg", ".csv"} and all(p.stat().st_size > 100 for p in files)
    script = Path(__file__).parents[1] / "analysis" / f"{name.replace('-', '_')}.py"
    target = done.parent / "script"
    end = subprocess.run([sys.executable, str(script), str(done), "--out", str(target)], capture_output=True, text=True, check=False)
    assert end.returncode == 0, end.stderr
    tables = [p for p in files if p.suffix == ".csv"]
    assert all((target / p.name).read_text() == p.read_text() for p in tables)


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, biosim.cli as c\nfrom typer.main import get_command\nget_command(c.app)\nprint([m for m in ('torch', 'brian2', 'numba', 'matplotlib') if m in sys.modules])"
    end = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert end.stdout.strip() == "[]"


def test_too_little_memory_is_told_in_one_line(cli: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*given: object) -> None:
        raise MemoryError("Unable to allocate 23.8 GiB")

    monkeypatch.setattr("biosim.scenario.read_scenario", greedy)
    code, _, err = cli("run", str(tiny))
    assert code == 2 and err == "there is not enough memory: Unable to allocate 23.8 GiB\n"


def test_listing_and_showing_load_nothing_heavy() -> None:
    code = """if True:
        import sys
        from biosim.catalogue import KINDS, describe, entries
        for kind in KINDS:
            assert entries(kind), kind
        for name, kind in (("three-factor", "rule"), ("weight-mirror", "rule"), ("edge-popup", "scorer"), ("mlp", "model")):
            assert describe(name, kind)
        print([m for m in ("torch", "numba", "brian2", "matplotlib") if m in sys.modules])
    """
    end = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert end.stdout.strip() == "[]"


def test_an_interrupt_keeps_what_was_measured(tiny: Path, tmp_path: Path) -> None:
    import signal
    import time

    folder = tmp_path / "cut"
    command = [
        sys.executable,
        "-m",
        "biosim",
        "run",
        str(tiny),
        "--set",
        "drive.epochs=4000",
        "--set",
        "moments=2000",
        "--out",
        str(folder),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while (time.monotonic() < deadline and not (folder / "metrics.jsonl").is_file()) or not (folder / "metrics.jsonl").stat().st_size:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and f"biosim resume {folder}" in err and "Traceback" not in err
    run = open_run(folder)
    assert run.about["status"] == "interrupted" and len(run.history) >= 1
