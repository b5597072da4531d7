"""What several benchmarks share: made-up images, a step of development, its time, the memory of this process."""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Callable

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

GIB = 1 << 30
Step = Callable[[], object]


def images(count: int, inputs: int, classes: int, side: tuple[int, int] | None = None) -> Images:
    """Return made-up images of so many classes: a step costs the same whatever is on them."""
    random = np.random.default_rng(0)
    pixels = random.standard_normal((count, inputs)).astype(np.float32)
    labels = random.integers(0, classes, count)
    labels[-1] = classes - 1
    return Images(pixels, labels, pixels, labels, side or (1, inputs), "made up", "made up")


def nursery(network: Network, drive: ImageDrive, rule: str, schedule: Schedule, plasticity: str | None = None) -> Nursery:
    """Return a network about to develop under a rule, taught by random feedback."""
    seeds = tuple(range(network.replicates))
    plastic = load_rule(plasticity, "plasticity") if plasticity else None
    with torch.inference_mode():
        feedback = Feedback(network, "random", seeds)
        return Nursery(network, drive, load_rule(rule), schedule, [InDegree()], feedback, seeds, Recorder(), plastic)


def development_step(made: Nursery, drive: ImageDrive, first: int = 0) -> Step:
    """Return one whole step of development, as ``develop`` takes it, from the ``first`` on."""
    network = made.network
    shown, numbers = next(iter(drive.presentations(tuple(range(network.replicates)), network.device))), itertools.count(first)

    def step() -> None:
        with torch.inference_mode():
            made.step(next(numbers), shown)

    return step


def seconds(step: Step, count: int, device: str = "cpu") -> float:
    """Return the mean time of a step over a block."""
    wait: Callable[[], None] = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    wait()
    began = time.perf_counter()
    for _ in range(count):
        step()
    wait()
    return (time.perf_counter() - began) / count


def peak() -> float:
    """Return the largest resident size of this process so far, in GiB (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
