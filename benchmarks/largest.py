"""How large a projection can develop: bytes a synapse and seconds a step.

    python benchmarks/largest.py [--size 20000] [--steps 3] [--rule three-factor] [--limit GIB]

One projection of size x size births, batch 128, one replicate, CPU. Peak memory is what the kernel counted for the whole
process. The steps are a whole development: all there is happens in them, the competition and the elimination included.
"""

from __future__ import annotations

import argparse
import resource
import time

import biosim  # noqa: F401 (first: it asks MKL for reproducible results)

import numpy as np  # isort: skip
import torch

from biosim.drives import ImageDrive, Images
from biosim.homeostasis import InDegree
from biosim.nursery.nursery import Nursery
from biosim.recorder import Recorder
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.synapses import Network
from biosim.teaching import Feedback

BATCH, GIB = 128, 1 << 30


def peak() -> int:
    """Return the largest resident size of this process so far, in bytes (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def images(size: int, steps: int) -> Images:
    """Return made-up images, ``steps`` batches of them."""
    random = np.random.default_rng(0)
    pixels = random.standard_normal((steps * BATCH, size)).astype(np.float32)
    labels = np.append(random.integers(0, size, len(pixels) - 1), size - 1)  # as many classes as neurons
    return Images(pixels, labels, pixels, labels, (1, size), "made up", "made up")


def main() -> None:
    """Print where memory stands after each stage."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", type=int, default=20_000)
    options.add_argument("--steps", type=int, default=3)
    options.add_argument("--rule", default="three-factor")
    options.add_argument("--density", type=float, default=0.1)
    options.add_argument("--limit", type=float, help="GiB of address space to stay within")
    asked = options.parse_args()
    if asked.limit:
        resource.setrlimit(resource.RLIMIT_AS, (int(asked.limit * GIB),) * 2)
    drive, synapses, before = ImageDrive(images(asked.size, asked.steps), BATCH, epochs=1), asked.size**2, peak()

    def report(stage: str, began: float) -> None:
        took, bytes_each = time.perf_counter() - began, (peak() - before) / synapses
        print(f"{stage:<12} {took:8.1f} s   peak {peak() / GIB:6.2f} GiB, {bytes_each:5.1f} bytes a synapse", flush=True)

    began = time.perf_counter()
    network, seeds = Network.layered([asked.size, asked.size], [0], weights="signed-constant"), (0,)
    report("births", began)
    with torch.inference_mode():
        began = time.perf_counter()
        schedule = Schedule("constant", asked.density, 0.0, 1.0)
        feedback = Feedback(network, "random", seeds)
        nursery = Nursery(network, drive, load_rule(asked.rule), schedule, [InDegree()], feedback, seeds, Recorder())
        report("rule", began)
        for number, shown in enumerate(drive.presentations(seeds, network.device)):
            began = time.perf_counter()
            nursery.step(number, shown)
            report(f"step {number + 1}", began)
        began = time.perf_counter()
        nursery.final_cut()
        report("final cut", began)
    print(f"{synapses:,} synapses, {asked.rule}, {float(network.density()[0]):.4f} of them left")


if __name__ == "__main__":
    main()
