"""Torch modules, circuits of them, and what it means that both compute the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from biosim import (
    Circuit,
    Network,
)


def reply(module: nn.Module, inputs: torch.Tensor, shape: tuple[int, ...]) -> np.ndarray:
    with torch.no_grad():
        return module.eval()(inputs.view(-1, *shape)).flatten(1).numpy()


def assert_same(circuit: Circuit, module: nn.Module, shape: tuple[int, ...], replicate: int = 0) -> None:
    x = torch.randn(7, int(np.prod(shape)), generator=torch.Generator().manual_seed(1))
    wanted = reply(module, x, shape)
    ours = circuit.respond(x)[replicate]
    np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(wanted).max())))


def mlp(*sizes: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b, bias=False), activation()]
    return nn.Sequential(*layers[:-1])


def conv_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, padding=1, bias=False), nn.ReLU(), nn.Dropout2d(0.3), nn.Conv2d(4, 6, (2, 3), bias=False), nn.Tanh(),
        nn.Flatten(), nn.Linear(6 * 2 * 1, 4, bias=False),
    )  # fmt: skip


def pruned_circuit(network: Network, seed: int = 0, density: float = 0.4) -> Circuit:
    """Return a circuit of random masks and random gains."""
    random = np.random.default_rng(seed)
    for p in network.projections.values():
        p.eliminate(torch.from_numpy(random.random(p.shape) > density), 0)
    for population in list(network.populations.values())[1:]:
        population.gain = torch.from_numpy(random.uniform(0.5, 2, population.gain.shape).astype(np.float32))
    return Circuit.of(network, {"rule": "made up", "locality": "synapse", "seeds": []})
