"""Networks with loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from biosim.births import draw_weights
from biosim.library import find, load_module
from biosim.synapses import Network, Population, Projection

# every kind of projection: forward, skipping, within a population, backwards, within the readout
DIAGRAM = [("input", "a"), ("input", "b"), ("a", "b"), ("b", "output"), ("a", "output"), ("a", "a"), ("b", "b"), ("b", "a"), ("output", "a"),
           ("output", "output")]  # fmt: skip


def tangle(
    seeds: Sequence[int] = (0, 1), steps: int = 5, activation: Any = "tanh", scale: float = 0.7, probability: float = 0.8
) -> Network:
    """Return a network with every kind of projection, leaks and gains of all sizes."""
    populations = [
        Population("input", 7),
        Population("a", 6, activation, leak=0.3),
        Population("b", 5, activation),
        Population("output", 3, "linear", leak=0.8),
    ]
    named = {p.name: p for p in populations}
    projections = []
    for pre, post in DIAGRAM:
        weight, born = draw_weights(tuple(seeds), f"{pre}-{post}", named[pre].size, named[post].size, probability=probability, scale=scale)
        projections.append(Projection(f"{pre}-{post}", named[pre], named[post], torch.from_numpy(weight), torch.from_numpy(born)))
    network = Network(populations, projections, steps)
    random = np.random.default_rng(1)
    for population in populations[1:]:
        population.gain = torch.from_numpy(random.uniform(0.5, 1.5, population.gain.shape).astype(np.float32))
    return network


def recurrent(seeds: Sequence[int] = (0, 1, 2), inputs: int = 36, outputs: int = 4, **options: Any) -> Network:
    build = load_module(find("models", "recurrent")).build
    return build(inputs, outputs, list(seeds), **{"hidden": 20, "steps": 4} | options)  # type: ignore[no-any-return]
