"""What several benchmarks share: made-up images, and the time of a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import biosim  # noqa: F401 (first: it asks MKL for reproducible results)

import numpy as np  # isort: skip
import torch

from biosim.drives import Images

Step = Callable[[], object]


def images(inputs: int, classes: int, count: int, side: tuple[int, int]) -> Images:
    """Return made-up images: a step costs the same whatever is on them."""
    random = np.random.default_rng(0)
    pixels = random.standard_normal((count, inputs)).astype(np.float32)
    labels = random.integers(0, classes, count)
    return Images(pixels, labels, pixels, labels, side, "made up", "made up")


def seconds(step: Step, count: int, device: str = "cpu") -> float:
    """Return the mean time of a step over a block."""
    wait: Sequence[Callable[[], None]] = (torch.cuda.synchronize,) if device == "cuda" else ()
    for done in wait:
        done()
    began = time.perf_counter()
    for _ in range(count):
        step()
    for done in wait:
        done()
    return (time.perf_counter() - began) / count
