"""Kill runs at random moments, let each go on, and compare what it ends with to a run that nobody killed.

    python benchmarks/kills.py [--kills 50] [--seed 0] [--only rate,spiking] [--out kills.csv]

Every attempt is a process of its own, forked from this one once everything is imported, and killed by SIGKILL after a random time
(uniform between 0 and what the clean run took). A run is killed until it ends by itself. Its circuit, its rivals' circuits
and records must then be the clean run's, byte for byte, and its results the same but for the seconds. Checkpoints are made
every .1 s; no page is drawn. ``--out`` appends one line a kill, so that several calls add up. Exit status 1 when anything differs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import biosim  # noqa: F401 (first: it asks MKL for reproducible results)
from biosim.runner import run
from biosim.scenario import read_scenario

RATE = """\
name: rate
model: {name: mlp, hidden: [60, 40], weights: signed-constant}
drive: {kind: images, dataset: digits, batch: 32, epochs: 5}
rule: {name: mirrored-three-factor, feedback: weight-mirror}
schedule: {kind: decreasing-rate, density: 0.2}
densities: [0.1]
local_densities: true
retrain: {epochs: 2}
rivals: [edge-popup, snip, random]
replicates: 2
"""
SPIKING = """\
name: spiking
model: {name: ei-lif, neurons: 300, inhibition: 7}
simulation: {duration: 4 s, decide_every: 100 ms, window: 1 s}
rules: {exc-exc: {name: additive-stdp, a_plus: 0.3, a_minus: 0.31, grace: 300 ms}}
replicates: 2
"""
IMAGES = """\
name: images
model: {name: spiking-mlp, hidden: [30]}
drive: {kind: images, dataset: digits, batch: 32, epochs: 2, presentation: 20 ms, train_size: 640}
rule: {name: three-factor, feedback: random}
schedule: {kind: decreasing-rate, density: 0.2}
rivals: [random, edge-popup]
replicates: 2
"""
SCENARIOS = {"rate": RATE, "spiking": SPIKING, "images": IMAGES}


def attempt(scenario: Any, folder: Path, seconds: float | None) -> tuple[bool, str, int, int]:
    """Run in a process of its own; kill it after so many seconds. Return whether it ended, and where it was: stage, step, steps."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = 1
        try:

            def progress(stage: str, step: int, steps: int, numbers: Mapping[str, float]) -> None:
                os.write(writer, f"{stage}\t{step}\t{steps}\n".encode())

            run(scenario, folder, progress=progress, checkpoint_every=0.1, report=False)
            status = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    os.close(writer)
    began, text, ended = time.monotonic(), b"", None
    os.set_blocking(reader, False)
    while ended is None:
        pid, code = os.waitpid(child, os.WNOHANG)
        ended = code if pid else None
        if ended is None and seconds is not None and time.monotonic() - began > seconds:
            os.kill(child, signal.SIGKILL)
            seconds = None
        text = (text + _read(reader))[-100_000:]
        time.sleep(0.002)
    text += _read(reader)
    os.close(reader)
    if os.WIFEXITED(ended) and os.WEXITSTATUS(ended) != 0:
        raise SystemExit(f"an attempt at {folder} failed")
    last = text.decode().split("\n")[-2:-1] or ["(before the first step)\t0\t0"]
    stage, step, steps = last[0].split("\t")
    return os.WIFEXITED(ended), stage, int(step), int(steps)


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 1 << 16)
    except BlockingIOError:
        return b""


def fingerprint(folder: Path) -> dict[str, str]:
    """Return the hashes of what a run left, and of its results without times."""
    found = {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.safetensors")}
    found["metrics.jsonl"] = hashlib.sha256((folder / "metrics.jsonl").read_bytes()).hexdigest()
    results = json.loads((folder / "run.json").read_text())["results"]
    results.pop("seconds")
    for row in results.get("table", []):
        row.pop("seconds")
    found["results"] = hashlib.sha256(json.dumps(results, sort_keys=True).encode()).hexdigest()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(SCENARIOS))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    dice, wrong, fell = random.Random(given.seed), 0, Counter[tuple[str, str]]()
    chains = kills = 0
    with tempfile.TemporaryDirectory() as place:
        home, names = Path(place), given.only.split(",")
        scenarios, clean, took = {}, {}, {}
        for name in names:
            (home / f"{name}.yaml").write_text(SCENARIOS[name])
            scenarios[name] = read_scenario(home / f"{name}.yaml")
            for again in ("cold", "clean"):  # the second time what is compiled is there
                began = time.monotonic()
                attempt(scenarios[name], home / f"{name}-{again}", None)
                took[name] = time.monotonic() - began
            clean[name] = fingerprint(home / f"{name}-clean")
            print(f"{name}: {took[name]:.1f} s when nobody kills it", flush=True)
        while kills < given.kills:
            name, folder = names[chains % len(names)], home / f"run-{chains}"
            chains, done, lines = chains + 1, False, []
            while not done:
                seconds = dice.uniform(0, took[name]) if kills < given.kills else None
                done, stage, step, steps = attempt(scenarios[name], folder, seconds)
                if not done:
                    kills += 1
                    if not steps:
                        stage = f"starting, {len(list(folder.glob('checkpoints/*.done.*')))} stages finished"
                    fell[name, stage] += 1
                    lines.append([name, chains, round(seconds or 0, 3), stage, step, steps])
            same = fingerprint(folder) == clean[name]
            wrong += not same
            verdict = "the same" if same else "OTHERWISE"
            print(f"{name}, run {chains} ({kills} kills so far): killed {len(lines)} times, ends {verdict}", flush=True)
            if given.out is not None:
                with given.out.open("a", newline="") as file:
                    csv.writer(file).writerows([*line, "same" if same else "different"] for line in lines)
            shutil.rmtree(folder)
    for (name, stage), count in sorted(fell.items()):
        print(f"{name:8} {stage:40} {count}")
    print(f"{kills} kills over {chains} runs; {chains - wrong} of {chains} ended with the clean run's circuits, records and results")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
