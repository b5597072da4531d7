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

import biosim  # noqa: F401 (first: it asks MKL for reproducible results)

import torch  # isort: skip
from common import Step, development_step, images, nursery, seconds

from biosim.drives import ImageDrive
from biosim.rules import rule_paths
from biosim.schedule import Schedule
from biosim.synapses import Network

BATCH, DENSITIES = 128, (0.5, 0.3, 0.1, 0.05, 0.02)
ROUNDS, BLOCK = 3, 7  # synapses compete every 7 steps at this length of development


def development(rule: str, size: int, density: float) -> Step:
    """Return one step of a development that has come down to ``density``."""
    drive = ImageDrive(images(2 * BATCH, size, size), BATCH, epochs=14_040 // 2)  # as many classes as neurons
    network = Network.layered([size, size], [0], weights="signed-constant")
    if density < 1:
        (projection,) = network.projections.values()
        lost = torch.rand(projection.shape, generator=torch.Generator().manual_seed(0)) >= density
        projection.eliminate(lost, 0)
    return development_step(nursery(network, drive, rule, Schedule(density=density, opens=0.0, closes=1e-4)), drive)


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
            seconds(dense, BLOCK), seconds(sparse, BLOCK)
            pairs = [(seconds(dense, BLOCK), seconds(sparse, BLOCK)) for _ in range(ROUNDS)]
            whole += [a for a, _ in pairs]
            ratio = statistics.median(b / a for a, b in pairs)
            row += f"{1e3 * statistics.median(b for _, b in pairs):>9.1f} {ratio:>6.3f}"
        print(f"{name:<26}{1e3 * statistics.median(whole):>12.1f}{row}", flush=True)


if __name__ == "__main__":
    main()
