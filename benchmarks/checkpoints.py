"""What recording and checkpoints cost, and what a large circuit's checkpoint takes.

    python benchmarks/checkpoints.py [--pairs 12] [--every 1]         overhead, paired
    python benchmarks/checkpoints.py --side 10000                     one projection of side x side synapses: save, load, go on

Overhead: the same development with records (as dense as in the scenarios that ship: one in 18 steps, or one a second of
a spiking network's time) and a checkpoint every so many seconds, and with neither, one after the other in this process, in
turns which is first; the ratio of each pair, its median and range. Seconds are of the wall clock, so that waiting for the disk
counts, and of the CPU, which other programs disturb less; many short pairs, since they disturb all the same. At the default
interval of 30 s checkpoints cost a thirtieth of what they cost at 1 s; one that takes long is made more rarely, so that they never
take more than a fiftieth of the time.

The large circuit: births, one step of development, a checkpoint; then, in another process, births, the checkpoint read and taken
over, one more step. Peak memory is what the kernel counted for the whole process.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import biosim  # noqa: F401 (first: it asks MKL for reproducible results)

import torch  # isort: skip
from common import GIB, images, nursery, peak

from biosim.develop import develop
from biosim.drives import ImageDrive
from biosim.library import find, load_module
from biosim.nursery import between_steps
from biosim.recorder import Recorder
from biosim.rules import load_rule
from biosim.rundir.checkpoint import AtWork
from biosim.rundir.run_writer import RunWriter
from biosim.rundir.state_file import read_state, write_state
from biosim.schedule import Schedule
from biosim.spiking_develop import SpikingRecorder, develop_spiking
from biosim.state import Keeper
from biosim.synapses import Network
from biosim.teaching import Feedback

Sink = Callable[[dict[str, Any]], None]


def rate(moments: int, sink: Sink | None, keeper: Keeper | None) -> None:
    """784-500-500-10, one replicate, 150 steps of 128 images."""
    network = Network.layered([784, 500, 500, 10], [0], weights="signed-constant")
    drive, feedback = ImageDrive(images(6_400, 784, 10), 128, epochs=3), Feedback(network, "random", (0,))
    rule, recorder = load_rule("three-factor"), Recorder(moments, sink)
    develop(network, drive, rule, schedule=Schedule(density=0.2), feedback=feedback, seeds=(0,), recorder=recorder, keeper=keeper)


def spiking(moments: int, sink: Sink | None, keeper: Keeper | None) -> None:
    """A thousand neurons with plastic excitatory synapses, for 40 s of their time."""
    network = load_module(find("models", "ei-lif")).build((0,), neurons=1000, inhibition=7)
    rules = {"exc-exc": load_rule("additive-stdp")}
    develop_spiking(network, rules, 40.0, decide_every=1.0, seeds=(0,), recorder=SpikingRecorder(moments, sink), keeper=keeper)


def overhead(pairs: int, every: float) -> None:
    for name, (life, moments) in {"rate": (rate, 8), "spiking": (spiking, 39)}.items():
        life(1, None, None)  # compiles
        ratios, loads, kept = [], [], []
        for pair in range(pairs):
            seconds, busy = {}, {}
            for what in ("plain", "kept") if pair % 2 == 0 else ("kept", "plain"):
                with tempfile.TemporaryDirectory() as place:
                    began, worked = time.perf_counter(), time.process_time()
                    if what == "plain":
                        life(1, None, None)
                    else:
                        writer = RunWriter(Path(place) / "run", {"id": "0"}, every)
                        keeper = AtWork(writer.checkpoints, "developing")
                        life(moments, writer.record, keeper)
                        kept.append(keeper.spent)
                    seconds[what], busy[what] = time.perf_counter() - began, time.process_time() - worked
            ratios.append(seconds["kept"] / seconds["plain"])
            loads.append(busy["kept"] / busy["plain"])
            times = f"plain {seconds['plain']:.2f} s ({busy['plain']:.2f} of the CPU), kept {seconds['kept']:.2f} s ({busy['kept']:.2f})"
            print(f"  {name}: {times}; checkpoints {kept[-1]:.3f} s", flush=True)
        share = statistics.mean(kept) / seconds["kept"]
        print(f"{name}, a checkpoint every {every:g} s: {_spread(ratios)} of wall time, {_spread(loads)} of CPU time", flush=True)
        print(f"{name}: writing checkpoints took {100 * share:.1f} % of the wall time", flush=True)


def _spread(ratios: list[float]) -> str:
    low, middle, high = (100 * (f(ratios) - 1) for f in (min, statistics.median, max))
    return f"{middle:+.1f} % (median of {len(ratios)} pairs, {low:+.1f} to {high:+.1f})"


def large(side: int, step: str, path: Path) -> None:
    with torch.inference_mode():
        began = time.perf_counter()
        drive = ImageDrive(images(256, side, side), 128, epochs=1)
        made = nursery(
            Network.layered([side, side], [0], weights="signed-constant"), drive, "three-factor", Schedule("constant", 0.1, 0.0, 1.0)
        )
        shown = list(drive.presentations((0,), torch.device("cpu")))
        print(f"{step}: births and rule {time.perf_counter() - began:.1f} s, peak {peak():.2f} GiB", flush=True)
        if step == "save":
            made.step(0, shown[0])
            before, began = peak(), time.perf_counter()
            write_state(path, {}, between_steps.state(made, 1))
            size = path.stat().st_size / GIB
            print(
                f"save: {time.perf_counter() - began:.1f} s, {size:.2f} GiB on disk, peak {before:.2f} -> {peak():.2f} GiB",
                flush=True,
            )
            made.step(1, shown[1])
        else:
            began = time.perf_counter()
            _, state = read_state(path)
            print(f"load: {time.perf_counter() - began:.1f} s (its checksum found right), peak {peak():.2f} GiB", flush=True)
            between_steps.restore(made, state)
            print(f"load and take over: {time.perf_counter() - began:.1f} s, peak {peak():.2f} GiB", flush=True)
            del state
            made.step(1, shown[1])
        network = made.network
        print(f"{step}: density after two steps {float(network.density()[0]):.9f}, peak {peak():.2f} GiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--every", type=float, default=1.0)
    parser.add_argument("--side", type=int)
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side is None:
        overhead(given.pairs, given.every)
    elif given.step:
        large(given.side, given.step[0], Path(given.step[1]))
    else:
        with tempfile.TemporaryDirectory() as place:
            path = str(Path(place) / "state.safetensors")
            for step in ("save", "resume"):
                subprocess.run([sys.executable, __file__, "--side", str(given.side), "--step", step, path], check=True)


if __name__ == "__main__":
    main()
