"""A step of development on an accelerator against plain SGD of as many networks there, in one process.

    python benchmarks/gpu_step.py [--sizes 784-500-500-10 784-4096-4096-10] [--replicates 1 5 20] [--rules three-factor ...] [--profile]

The networks of one batch of replicates are trained by SGD (momentum .9, batched products) and developed by a rule; blocks of
steps alternate, ratios are taken pair by pair. ``--profile`` lists what a step spends its time on. ``--device cpu`` runs it anywhere.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence

import biosim  # noqa: F401 (first: it asks MKL for reproducible results)

import torch  # isort: skip
from common import Step, development_step, images, nursery, seconds
from torch import nn

from biosim.drives import ImageDrive
from biosim.schedule import Schedule
from biosim.synapses import Network

BATCH, ROUNDS, CLOCK = 128, 7, 14_040


def shown_to(sizes: Sequence[int]) -> ImageDrive:
    """Return the drive of a network of these sizes."""
    side = round(sizes[0] ** 0.5)
    return ImageDrive(images(4 * BATCH, sizes[0], sizes[-1], (side, sizes[0] // side)), BATCH, epochs=CLOCK // 4)


def sgd_step(sizes: Sequence[int], inputs: torch.Tensor, labels: torch.Tensor) -> Step:
    """Return one SGD step (momentum .9) of R networks of these sizes."""
    replicates, device = len(inputs), inputs.device
    weights = [nn.Parameter(torch.randn(replicates, a, b, device=device) * (2 / a) ** 0.5) for a, b in itertools.pairwise(sizes)]
    optimiser = torch.optim.SGD(weights, 0.05, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad()
        hidden = inputs
        for k, w in enumerate(weights):
            hidden = torch.bmm(hidden, w)
            hidden = torch.relu(hidden) if k < len(weights) - 1 else hidden
        nn.functional.cross_entropy(hidden.flatten(0, 1), labels.flatten()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def half_way(rule: str, sizes: Sequence[int], replicates: int, drive: ImageDrive, device: str) -> Step:
    """Return one step of development half-way, when synapses die."""
    network = Network.layered(sizes, range(replicates), weights="signed-constant").to(device)
    return development_step(nursery(network, drive, rule, Schedule()), drive, drive.clock.steps // 2)


def measure(rule: str, sizes: Sequence[int], replicates: int, device: str) -> str:
    """Return a line of the table."""
    drive = shown_to(sizes)
    shown = next(iter(drive.presentations(tuple(range(replicates)), torch.device(device))))
    assert shown.labels is not None
    steps = sgd_step(sizes, shown.inputs, shown.labels), half_way(rule, sizes, replicates, drive, device)
    counts = []
    for step in steps:
        seconds(step, 10, device)
        counts.append(max(7, int(0.2 / seconds(step, 7, device))))
    pairs = [[seconds(step, count, device) for step, count in zip(steps, counts, strict=True)] for _ in range(ROUNDS)]
    sgd, own = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    name = "-".join(map(str, sizes))
    return f"{name:<20} R {replicates:<3} {rule:<24} development {own:9.3f} ms, SGD {sgd:9.3f} ms, ratio {ratio:.2f}"


def profile(rule: str, sizes: Sequence[int], replicates: int, device: str) -> str:
    """Return where a step's time goes."""
    drive = shown_to(sizes)
    step = half_way(rule, sizes, replicates, drive, device)
    seconds(step, 20, device)
    with torch.profiler.profile() as seen:
        seconds(step, 20, device)
    key = "self_cuda_time_total" if device == "cuda" else "self_cpu_time_total"
    return str(seen.key_averages().table(sort_by=key, row_limit=25, max_name_column_width=60))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["784-500-500-10", "784-4096-4096-10"])
    parser.add_argument("--replicates", nargs="+", type=int, default=[1, 5, 20])
    parser.add_argument("--rules", nargs="+", default=["three-factor", "mirrored-three-factor", "hebbian-trace"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    for text, replicates, rule in itertools.product(given.sizes, given.replicates, given.rules):
        sizes = [int(s) for s in text.split("-")]
        print((profile if given.profile else measure)(rule, sizes, replicates, given.device), flush=True)


if __name__ == "__main__":
    main()
