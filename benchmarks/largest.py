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

import torch  # isort: skip
from common import GIB, images, nursery, peak

from biosim.drives import ImageDrive
from biosim.schedule import Schedule
from biosim.synapses import Network

BATCH = 128


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
    drive, synapses, before = ImageDrive(images(asked.steps * BATCH, asked.size, asked.size), BATCH, epochs=1), asked.size**2, peak()

    def report(stage: str, began: float) -> None:
        took, bytes_each = time.perf_counter() - began, (peak() - before) * GIB / synapses
        print(f"{stage:<12} {took:8.1f} s   peak {peak():6.2f} GiB, {bytes_each:5.1f} bytes a synapse", flush=True)

    began = time.perf_counter()
    network = Network.layered([asked.size, asked.size], [0], weights="signed-constant")
    report("births", began)
    with torch.inference_mode():
        began = time.perf_counter()
        made = nursery(network, drive, asked.rule, Schedule("constant", asked.density, 0.0, 1.0))
        report("rule", began)
        for number, shown in enumerate(drive.presentations((0,), network.device)):
            began = time.perf_counter()
            made.step(number, shown)
            report(f"step {number + 1}", began)
        began = time.perf_counter()
        made.final_cut()
        report("final cut", began)
    print(f"{synapses:,} synapses, {asked.rule}, {float(network.density()[0]):.4f} of them left")


if __name__ == "__main__":
    main()
