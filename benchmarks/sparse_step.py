"""How the cost of a development step falls with the synapses that are left.

    python benchmarks/sparse_step.py [--size 4096] [--rules NAME,NAME]

One projection of 4096 x 4096 births, batch 128, one replicate, CPU, with the clock of scenarios/fashion.yaml (14,040
steps). For each density the synapses that a development to that density would have lost are eliminated at random, and
whole steps are timed: forward, teaching signal, coincidences, states, competition, elimination, homeostasis. Blocks
of dense and sparse steps alternate and ratios are taken pair by pair.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import biosim  # noqa: F401 (first: it asks MKL for reproducible results)

import numpy as np  # isort: skip
import torch

from biosim.drives import ImageDrive, Images
from biosim.homeostasis import InDegree
from biosim.nursery.nursery import Nursery
from biosim.recorder import Recorder
from biosim.rules import load_rule, rule_paths
from biosim.schedule import Schedule
from biosim.synapses import Network
from biosim.teaching import Feedback

BATCH, DENSITIES = 128, (0.5, 0.3, 0.1, 0.05, 0.02)
ROUNDS, BLOCK = 3, 7  # synapses compete every 7 steps at this length of development


def images(size: int) -> Images:
    """Return made-up images: a step costs the same whatever is on them."""
    random = np.random.default_rng(0)
    pixels = random.standard_normal((2 * BATCH, size)).astype(np.float32)
    labels = np.append(random.integers(0, size, len(pixels) - 1), size - 1)  # as many classes as neurons
    return Images(pixels, labels, pixels, labels, (1, size), "made up", "made up")


def development(rule_name: str, size: int, density: float) -> Callable[[], None]:
    """Return one step of a development that has come down to ``density``."""
    drive = ImageDrive(images(size), BATCH, epochs=14_040 // 2)
    network, seeds = Network.layered([size, size], [0], weights="signed-constant"), (0,)
    feedback, schedule = Feedback(network, "random", seeds), Schedule(density=density, opens=0.0, closes=1e-4)
    if density < 1:
        (projection,) = network.projections.values()
        lost = torch.rand(projection.shape, generator=torch.Generator().manual_seed(0)) >= density
        projection.eliminate(lost, 0)
    with torch.inference_mode():
        nursery = Nursery(network, drive, load_rule(rule_name), schedule, [InDegree()], feedback, seeds, Recorder())
    shown, numbers = next(iter(drive.presentations(seeds, network.device))), iter(range(drive.clock.steps))

    def step() -> None:
        with torch.inference_mode():
            nursery.step(next(numbers), shown)

    return step


def seconds(step: Callable[[], None]) -> float:
    """Return the mean time of a step over one block."""
    began = time.perf_counter()
    for _ in range(BLOCK):
        step()
    return (time.perf_counter() - began) / BLOCK


def main() -> None:
    """Print a row for each rule."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", type=int, default=4096)
    options.add_argument("--rules", default=",".join(rule_paths()))
    asked = options.parse_args()
    print(f"{asked.size} x {asked.size}, batch {BATCH}, {torch.get_num_threads()} threads, {ROUNDS} alternating blocks of {BLOCK} steps")
    print(f"{'rule':<26}{'dense, ms':>12}" + "".join(f"{'at ' + str(d):>16}" for d in DENSITIES) + "   (ms, ratio to the dense step)")
    for name in asked.rules.split(","):
        dense, row, whole = development(name, asked.size, 1.0), "", []
        for density in DENSITIES:
            sparse = development(name, asked.size, density)
            seconds(dense), seconds(sparse)
            pairs = [(seconds(dense), seconds(sparse)) for _ in range(ROUNDS)]
            whole += [a for a, _ in pairs]
            ratio = statistics.median(b / a for a, b in pairs)
            row += f"{1e3 * statistics.median(b for _, b in pairs):>9.1f} {ratio:>6.3f}"
        print(f"{name:<26}{1e3 * statistics.median(whole):>12.1f}{row}", flush=True)


if __name__ == "__main__":
    main()
