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
from timing import images, seconds
from torch import nn

from biosim.drives import ImageDrive
from biosim.homeostasis import InDegree
from biosim.nursery.nursery import Nursery
from biosim.recorder import Recorder
from biosim.rules import load_rule, rule_paths
from biosim.schedule import Schedule
from biosim.synapses import Network
from biosim.teaching import Feedback

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


def development_step(rule_name: str, drive: ImageDrive, plasticity: str | None = None) -> Callable[[], None]:
    """Return one whole step of development, as ``develop`` takes it."""
    network, seeds = Network.layered(SIZES, [0], weights="signed-constant"), (0,)
    feedback = Feedback(network, "random", seeds)
    with torch.inference_mode():
        plastic = load_rule(plasticity, "plasticity") if plasticity else None
        nursery = Nursery(network, drive, load_rule(rule_name), Schedule(), [InDegree()], feedback, seeds, Recorder(), plastic)
    shown, numbers = next(iter(drive.presentations(seeds, network.device))), iter(range(drive.clock.steps))

    def step() -> None:
        with torch.inference_mode():
            nursery.step(next(numbers), shown)

    return step


def main() -> None:
    """Print the ratio for every rule."""
    drive = ImageDrive(images(SIZES[0], SIZES[-1], 4 * BATCH, (28, 28)), BATCH, epochs=14_040 // 4)
    shown = next(iter(drive.presentations((0,), torch.device("cpu"))))
    assert shown.labels is not None
    sgd = sgd_step(shown.inputs[0], shown.labels[0])
    network, threads = "-".join(map(str, SIZES)), torch.get_num_threads()
    print(f"{network}, batch {BATCH}, {threads} threads, median of {ROUNDS} alternating blocks of {BLOCK} steps")
    pairs_of_rules = [(name, None) for name in rule_paths()] + [("minimal-value", name) for name in rule_paths("plasticity")]
    for name, plasticity in pairs_of_rules:
        local = development_step(name, drive, plasticity)
        seconds(sgd, BLOCK), seconds(local, BLOCK)
        pairs = [(seconds(sgd, BLOCK), seconds(local, BLOCK)) for _ in range(ROUNDS)]
        ratio = statistics.median(b / a for a, b in pairs)
        a, b = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
        label = name if plasticity is None else f"{name} + {plasticity}"
        print(f"{label:<34} development step {b:.2f} ms, SGD step {a:.2f} ms, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
