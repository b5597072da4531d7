"""Processes that share one network: the same bits as one process, and one clear word when one of them fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shared
import torch
from developed import ALL_RULES, rule_named

from biosim import streams
from biosim.births import DISTRIBUTIONS, draw_weights
from biosim.equations import Competition, parse_rule
from biosim.errors import BiosimError, InputError, Interrupted
from biosim.nursery.sharing import check_shared
from biosim.processes import launch
from biosim.processes.distributed import joined
from biosim.processes.team import ALONE, Alone, Share
from biosim.runner import run
from biosim.scenario import read_scenario
from biosim.synapses import Network
from biosim.tiles import TILE, matmul, outer_sum
from biosim.wiring.select import compete

ROOT = Path(__file__).parents[1]
WIDE = """\
name: wide
model: {name: mlp, hidden: [1100, 1040], weights: kaiming-normal}
drive: {kind: images, dataset: digits, batch: 64, epochs: 3, train_size: 512}
rule: {name: three-factor, feedback: random}
schedule: {kind: decreasing-rate, density: 0.2}
rivals: [random]
replicates: 1
moments: 20
"""
SUMMING: dict[str, Any] = {"state": {"tag": 0}, "synapse": ["tag = weight_sum_pre"], "eliminate": "tag < 0"}


class OneOf(Alone):
    """A process of several that never hears of the others: enough for what needs no exchange."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size  # type: ignore[misc]


def environment(place: Path, rank: int, size: int) -> dict[str, str]:
    own = {"RANK": str(rank), "WORLD_SIZE": str(size), "BIOSIM_MEET": str(place / f"meet-{size}"), "GLOO_SOCKET_IFNAME": "lo"}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**os.environ, **own, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def together(place: Path, size: int, tile: int, names: Sequence[str]) -> list[tuple[int, str, str]]:
    """Develop in so many processes; return exit status and both streams of each."""
    command = [sys.executable, str(ROOT / "tests" / "shared.py"), str(tile), *names]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=environment(place, rank, size), **pipes) for rank in range(size)]
    said = [p.communicate(timeout=300) for p in started]
    return [(p.returncode, *streams) for p, streams in zip(started, said, strict=True)]


def shareable(name: str) -> bool:
    rule = rule_named(name)
    outgoing = any(isinstance(d, Competition) and d.within == "pre" for d in rule.decisions.values())
    return not outgoing and "weight_sum_pre" not in rule.names


# -- parts are parts of the whole ---------------------------------------------------------------
@pytest.mark.parametrize("kind", sorted(DISTRIBUTIONS))
def test_births_of_a_block_are_those_of_the_whole(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biosim.births.CHUNK", 500)  # several rounds of draws
    how = {"probability": 0.8, "dale": 0.6, "scale": 1.3}
    whole = draw_weights((3, 4), "a-b", 50, 90, kind, **how)  # type: ignore[arg-type]
    for columns in (slice(0, 32), slice(32, 90), slice(89, 90)):
        part = draw_weights((3, 4), "a-b", 50, 90, kind, **how, columns=columns)  # type: ignore[arg-type]
        for own, all_of_it in zip(part, whole, strict=True):
            assert np.array_equal(own, all_of_it[..., columns])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shares_cover_a_population_once_in_whole_tiles(size: int) -> None:
    for neurons in (10, TILE, 2 * TILE, 3 * TILE + 1, 5 * TILE - 1, 11 * TILE + 7):
        shares = [Share.of(neurons, OneOf(rank, size)) for rank in range(size)]
        own = [range(neurons)[s.columns] for s in shares]
        if not shares[0].divided:
            assert size == 1 or -(-neurons // TILE) < size
            assert all(len(o) == neurons for o in own)
            continue
        assert [i for o in own for i in o] == list(range(neurons))
        assert all(o.start % TILE == 0 and len(o) > 0 for o in own)
        assert max(map(len, own)) - min(map(len, own)) <= 2 * TILE


def test_a_process_has_its_part_of_the_births_and_no_more() -> None:
    sizes, seeds = [20, 3 * TILE + 5, 2 * TILE, 4], [5, 6]
    whole = Network.layered(sizes, seeds, probability=0.7)
    for rank in range(2):
        part = Network.layered(sizes, seeds, probability=0.7, team=OneOf(rank, 2))
        for name, p in part.projections.items():
            assert p.share.divided == (p.post.size > TILE)
            for what in ("weight", "born", "alive", "fan_in"):
                assert torch.equal(getattr(p, what), getattr(whole.projections[name], what)[..., p.share.columns]), (name, what)


@pytest.mark.parametrize("samples", [1, 16, 100])
def test_products_of_a_block_are_blocks_of_the_product(samples: int) -> None:
    random = torch.Generator().manual_seed(0)
    n_pre, n_post = 70, 3 * TILE + 33
    draw = lambda *shape: torch.randn(*shape, generator=random)  # noqa: E731
    left, right, weight, state = draw(2, samples, n_pre), draw(2, samples, n_post), draw(2, n_pre, n_post), draw(2, n_pre, n_post)
    whole, sums = matmul(left, weight), state.clone()
    outer_sum(left, right, 0.3, sums, 0.9)
    assert torch.allclose(whole, torch.bmm(left, weight), rtol=1e-4, atol=1e-3)
    for own in (slice(0, 2 * TILE), slice(TILE, n_post), slice(3 * TILE, n_post)):
        assert torch.equal(matmul(left, weight[..., own].contiguous()), whole[..., own])
        part = state[..., own].contiguous()
        outer_sum(left, right[..., own], 0.3, part, 0.9)
        assert torch.equal(part, sums[..., own])


@pytest.mark.parametrize("replicates", [1, 3])
@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("width", [3, TILE, TILE + 1])
def test_products_are_those_of_torch_in_development_and_with_gradients(replicates: int, samples: int, width: int) -> None:
    draw = lambda *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))  # noqa: E731
    left, right = draw(replicates, samples, 5), draw(replicates, 5, width)
    with torch.inference_mode():
        torch.testing.assert_close(matmul(left, right), torch.bmm(left, right))
    found, wanted = (right.clone().requires_grad_() for _ in range(2))
    torch.testing.assert_close(matmul(left, found), torch.bmm(left, wanted))
    matmul(left, found).square().sum().backward()
    torch.bmm(left, wanted).square().sum().backward()
    torch.testing.assert_close(found.grad, wanted.grad)


def test_draws_and_ties_of_a_block_are_those_of_the_whole() -> None:
    keys, shape, device = streams.edge_streams((0, 1), "x"), (30, 100), torch.device("cpu")
    whole = streams.edge_uniform(keys, 7, shape, slice(None), device)
    scores, candidate = torch.zeros(2, *shape), whole < 0.9
    scores[:, :4] = whole[:, :4]
    quota = torch.full((2, 100), 9)
    kept = compete(scores, candidate, quota, keys)
    for own in (slice(0, 64), slice(64, 100)):
        width, span = own.stop - own.start, streams.Span(own.start, 100)
        assert torch.equal(streams.edge_uniform(keys, 7, (30, width), slice(5, 20), device, span), whole[:, 5:20, own])
        assert torch.equal(compete(scores[..., own], candidate[..., own], quota[:, own], keys, span=span), kept[..., own])


def test_what_cannot_be_shared_is_refused_with_the_reason() -> None:
    rule = rule_named("three-factor")
    pair = Network.layered([10, 2 * TILE, 4], [0], team=OneOf(0, 2))
    check_shared(pair, [rule], False, False, "random")
    check_shared(Network.layered([10, 20, 4], [0], team=ALONE), [rule_named("resource")], True, True, "weight-mirror")
    for bad, why in (
        (lambda: check_shared(Network.layered([10, TILE, 4], [0], team=OneOf(0, 2)), [rule], False, False, None), "blocks of 512"),
        (lambda: check_shared(pair, [rule], True, False, None), "grow"),
        (lambda: check_shared(pair, [rule], False, True, None), "neurons die"),
        (lambda: check_shared(pair, [rule], False, False, "weight-mirror"), "feedback learn"),
        (lambda: check_shared(pair, [parse_rule(SUMMING, "summing")], False, False, None), "'summing' reads weight_sum_pre"),
        (lambda: check_shared(pair, [rule_named("resource")], False, False, None), "outgoing"),
    ):
        with pytest.raises(InputError, match=why):
            bad()


# -- several processes ---------------------------------------------------------------------------
def test_two_processes_leave_what_one_leaves_and_one_that_fails_ends_both_with_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["three-factor", "noise", "fisher", "regrowth"]
    first, second = together(tmp_path, 2, 64, [*names, "failing"])
    assert first[0] and second[0]
    assert "DesertedError: process 2 of 2: this one fails" in first[2]
    for where, name, value in shared.settings(64):
        monkeypatch.setattr(where, name, value)
    assert first[1].splitlines() == [f"{name} {shared.digest(shared.lived(name, 64, ALONE))}" for name in names]
    assert not second[1]


@pytest.mark.slow
def test_two_and_three_processes_leave_what_one_leaves_under_every_rule(tmp_path: Path) -> None:
    every = [n for n in ALL_RULES if shareable(n)]
    assert len(every) > 20
    for tile, names in ((64, every), (TILE, ["three-factor", "noise", "fisher", "node-perturbation"])):
        lines = {}
        for size in (1, 2, 3):
            found = together(tmp_path, size, tile, names)
            assert all(code == 0 for code, _, _ in found), found
            lines[size] = found[0][1].splitlines()
            assert all(not out for _, out, _ in found[1:])
        assert [line.split()[0] for line in lines[1]] == names
        assert lines[1] == lines[2] == lines[3]


def test_processes_that_a_model_cannot_serve_end_with_one_message(tmp_path: Path) -> None:
    path = tmp_path / "wide.yaml"
    path.write_text(WIDE.replace("{name: mlp, hidden: [1100, 1040], weights: kaiming-normal}", "{name: recurrent}"))
    command = [sys.executable, "-m", "biosim", "run", str(path), "--out", str(tmp_path / "none"), "--processes", "2"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("builds whole networks only") == 1 and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        (("name: three-factor", "name: three-facto"), (), "wide.yaml:4: rule"),
        (("", ""), ("--device", "tpu"), "--device tpu: there are cpu and cuda"),
    ],
)
def test_a_mistake_is_told_before_any_process_is_started(
    change: tuple[str, str], more: tuple[str, ...], words: str, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise AssertionError("processes were started")

    path = tmp_path / "wide.yaml"
    path.write_text(WIDE.replace(*change))
    monkeypatch.setattr(launch, "launch", refuse)
    code, _, err = cli("run", str(path), "--processes", "1000", *more, "--out", str(tmp_path / "none"))
    assert code == 2 and words in err and len(err.splitlines()) == 1, err
    code, _, err = cli("run", "dice", "--processes", "1000")
    assert code == 2 and "--processes 1000: a scenario of the kind study runs in one process" in err
    code, _, err = cli("resume", str(tmp_path / "none"), "--processes", "1000")
    assert code == 2 and "is not a run directory" in err


@pytest.mark.parametrize(("name", "value"), [("RANK", ""), ("WORLD_SIZE", "two"), ("BIOSIM_PATIENCE", "-1")])
def test_an_environment_that_makes_no_sense_is_told_of(name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, given in (environment(tmp_path, 0, 2) | {name: value}).items():
        monkeypatch.setenv(key, given)
    with pytest.raises(BiosimError, match=f"{name}={value}, which is no whole number"), joined("cpu"):
        pass


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in place of biosim: the first process stops at once, the others would stay."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n[ $RANK = 0 ] && exit 130\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return program


def test_a_process_that_was_stopped_is_not_outlived_by_the_others(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "GRACE", 0.3)
    began = time.monotonic()
    assert launch.launch([], 3) == launch.STOPPED
    stand_in.write_text(stand_in.read_text().replace("RANK = 0", "RANK = 1"))
    with pytest.raises(Interrupted):
        launch.launch([], 3)
    assert time.monotonic() - began < 15


def test_one_that_ends_before_they_have_met_ends_all(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.write_text("#!/bin/sh\n[ $RANK = 1 ] && echo no such thing >&2 && exit 3\nexec sleep 60\n")
    monkeypatch.setattr(launch, "GRACE", 0.3)
    began = time.monotonic()
    with pytest.raises(BiosimError, match=r"process 2 of 3 ended with status 3; .*\nno such thing"):
        launch.launch([], 3)
    assert time.monotonic() - began < 10


def test_when_one_cannot_be_started_none_is_left(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.write_text("#!/bin/sh\nexec sleep 60\n")
    start, started = subprocess.Popen, list[Any]()

    def failing(*how: Any, **more: Any) -> Any:
        if started:
            raise OSError("no more processes")
        started.append(start(*how, **more))
        return started[0]

    monkeypatch.setattr(launch.subprocess, "Popen", failing)
    with pytest.raises(BiosimError, match="2 processes cannot be started: no more processes"):
        launch.launch([], 2)
    assert started[0].poll() is not None


def children_of(process: int) -> dict[str, int]:
    """Return the processes a launcher started, by their rank."""
    found = {}
    for child in map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()):
        own = dict(v.split("=", 1) for v in Path(f"/proc/{child}/environ").read_text().split("\0") if "=" in v)
        found[own.get("RANK", "")] = child
    return found


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the processes in /proc")
def test_a_killed_process_ends_the_run_which_then_goes_on_to_the_same_end(tmp_path: Path) -> None:
    path, folder = tmp_path / "wide.yaml", tmp_path / "shared"
    path.write_text(WIDE)
    command = [sys.executable, "-m", "biosim", "run", str(path), "--out", str(folder), "--processes", "2", "--checkpoint-every", "0s"]
    paths = {**os.environ, "PYTHONPATH": str(ROOT)}
    going = subprocess.Popen(command, env=paths, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until, metrics = time.monotonic() + 120, folder / "metrics.jsonl"
    while not (metrics.exists() and len(metrics.read_text().splitlines()) > 3):
        assert time.monotonic() < until and going.poll() is None, going.communicate()
        time.sleep(0.02)
    os.kill(children_of(going.pid)["1"], signal.SIGKILL)
    _, said = going.communicate(timeout=60)
    assert going.returncode == 2 and said.count("gone without a word") == 1 and "Traceback" not in said
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    alone = subprocess.run([*command[:3], "resume", str(folder)], env=paths, capture_output=True, text=True)
    assert alone.returncode == 2 and "--processes 2" in alone.stderr
    again = subprocess.run([*command[:3], "resume", str(folder), "--processes", "2"], env=paths, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    one, _ = run(read_scenario(path), tmp_path / "one", report=False)
    for name in ("circuit.safetensors", "metrics.jsonl", "rivals/random.safetensors"):
        assert (folder / name).read_bytes() == (one.folder / name).read_bytes(), name
