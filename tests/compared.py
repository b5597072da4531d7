"""Circuits of the same births, for the tests of comparisons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from biosim.circuit import Circuit
from biosim.synapses import Network

Births = Callable[..., Network]


def random_circuit(network: Network, density: float, seed: int) -> Circuit:
    random = np.random.default_rng(seed)
    masks = {n: torch.from_numpy(random.random(p.born.shape) < density) & p.born for n, p in network.projections.items()}
    gain = {n: torch.from_numpy(random.uniform(0.5, 2, p.gain.shape).astype(np.float32)) for n, p in network.populations.items()}
    return Circuit.of(network, {"scorer": "test", "locality": "none"}, masks, gain)


@pytest.fixture
def circuits(births: Births) -> list[Circuit]:
    network = births((0, 1), hidden=(7, 6), weights="kaiming-normal")
    return [random_circuit(network, 0.4, k) for k in range(3)]
