"""A step of development against a step of plain SGD on the same network, in one process.

    python benchmarks/rate_step.py

784-500-500-10, batch 128, one replicate, CPU, with the clock of scenarios/fashion.yaml (14,040 steps). Blocks of
steps of the two are timed in alternation, whole, so that the steps at which synapses compete weigh as they do in a
run; the ratio is taken pair by pair, so that a noisy machine disturbs both alike.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable

import biosim  # noqa: F401 (first: it asks MKL for reproducible results)

import torch  # isort: skip
from common import development_step, images, nursery, seconds
from torch import nn

from biosim.drives import ImageDrive
from biosim.errors import NumericalError
from biosim.rules import rule_paths
from biosim.schedule import Schedule
from biosim.synapses import Network

SIZES, BATCH = (784, 500, 500, 10), 128
ROUNDS, BLOCK = 12, 28  # a round times 28 steps of each; synapses compete every 7 steps at this length of development


def sgd_step(inputs: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """Return one SGD step (momentum .9) of the same network with trained weights."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(SIZES):
        layers += [nn.Linear(a, b, bias=False), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def main() -> None:
    """Print the ratio for every rule."""
    drive = ImageDrive(images(4 * BATCH, SIZES[0], SIZES[-1], (28, 28)), BATCH, epochs=14_040 // 4)
    shown = next(iter(drive.presentations((0,), torch.device("cpu"))))
    assert shown.labels is not None
    sgd = sgd_step(shown.inputs[0], shown.labels[0])
    sizes, threads = "-".join(map(str, SIZES)), torch.get_num_threads()
    print(f"{sizes}, batch {BATCH}, {threads} threads, median of {ROUNDS} alternating blocks of {BLOCK} steps")
    pairs_of_rules = [(name, None) for name in rule_paths()] + [("minimal-value", name) for name in rule_paths("plasticity")]
    for name, plasticity in pairs_of_rules:
        network = Network.layered(SIZES, [0], weights="signed-constant")
        local = development_step(nursery(network, drive, name, Schedule(), plasticity), drive)
        label = name if plasticity is None else f"{name} + {plasticity}"
        try:
            seconds(sgd, BLOCK), seconds(local, BLOCK)
            pairs = [(seconds(sgd, BLOCK), seconds(local, BLOCK)) for _ in range(ROUNDS)]
        except NumericalError as error:  # a rule for another kind of drive
            print(f"{label:<34} not measured: {error}", flush=True)
            continue
        ratio = statistics.median(b / a for a, b in pairs)
        a, b = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{label:<34} development step {b:.2f} ms, SGD step {a:.2f} ms, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
