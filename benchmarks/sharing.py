"""What processes that share one large network cost: memory of each, seconds a step, and whether they leave what one leaves.

    python benchmarks/sharing.py [--size 8192] [--steps 4] [--processes 1,2] [--rule three-factor] [--device cpu]

One projection of size x size births between an input and a readout of as many neurons, and batches of 128. Seconds a step are those
after the first, of the clock and of each process's CPU, which other programs disturb less. Peak memory is what the kernel counted
for each whole process, Python and torch (about 0.35 GiB) included. The hash is over the steps at which synapses died.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import biosim  # noqa: F401 (first: it asks MKL for reproducible results)

import numpy as np  # isort: skip
import torch
from common import images, nursery, peak

from biosim.drives import ImageDrive
from biosim.processes.distributed import joined
from biosim.processes.launch import MEET, asked_for
from biosim.processes.team import ALONE, Team
from biosim.schedule import Schedule
from biosim.synapses import Network

BATCH = 128


def develop(size: int, steps: int, rule: str, device: str, team: Team) -> str:
    """Develop; return what to print of this process."""
    drive = ImageDrive(images(steps * BATCH, size, size), BATCH, epochs=1)
    began = time.perf_counter()
    network = Network.layered([size, size], [0], weights="kaiming-normal", team=team).to(device)
    births = time.perf_counter() - began
    with torch.inference_mode():
        made = nursery(network, drive, rule, Schedule("constant", 0.1, 0.0, 1.0))
        times = []
        for number, shown in enumerate(drive.presentations((0,), network.device)):
            began, worked = time.perf_counter(), time.process_time()
            made.step(number, shown)
            made.network.density()
            times.append((time.perf_counter() - began, time.process_time() - worked))
        made.final_cut()
    (projection,) = network.projections.values()
    most = peak()  # before the whole is collected
    deaths = projection.share.collect(projection.death_step)
    wall, busy = np.mean(times[1:], 0)
    line = f"process {team.rank + 1}: births {births:.1f} s, a step {wall:.2f} s ({busy:.2f} s of the CPU), peak {most:.2f} GiB"
    if deaths is not None and team.rank == 0:
        line += f", deaths {hashlib.sha256(deaths.cpu().numpy().tobytes()).hexdigest()[:16]}"
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--processes", default="1,2")
    parser.add_argument("--rule", default="three-factor")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--step", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        with joined(given.device) if asked_for() else nullcontext(ALONE) as team:
            print(develop(given.size, given.steps, given.rule, given.device, team), flush=True)
        return
    for size in map(int, given.processes.split(",")):
        print(f"{size} of {given.size} x {given.size} births", flush=True)
        with tempfile.TemporaryDirectory() as place:
            usual = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
            own = {"WORLD_SIZE": str(size), MEET: str(Path(place) / "meet")}
            command = [sys.executable, *sys.argv, "--step"]
            started = [subprocess.Popen(command, env={**usual, **os.environ, **own, "RANK": str(rank)}) for rank in range(size)]
            if any(process.wait() for process in started):
                sys.exit(1)


if __name__ == "__main__":
    main()
