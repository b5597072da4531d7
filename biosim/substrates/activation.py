"""What one step of rate neurons is made of: transmission, activation, and the slope that a neuron knows from its own activity."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from biosim.synapses import Activation
from biosim.tiles import matmul

Transmission = Tensor | Callable[[Tensor], Tensor]


def deliver(sent: Tensor, wires: Transmission) -> Tensor:
    """Return what arrives, (R, S, n_post), when (R, S, n_pre) is sent: through weights, or by a function."""
    return matmul(sent, wires) if isinstance(wires, Tensor) else wires(sent)


def summed(arriving: Iterable[Tensor], population: str) -> Tensor:
    """Return the sum of what arrives at a population through its projections, added up in their order."""
    total: Tensor | None = None
    for part in arriving:
        total = part if total is None else total + part
    if total is None:
        raise ValueError(f"population '{population}' has no incoming projection")
    return total


def activate(values: Tensor, activation: Activation) -> Tensor:
    """Apply an activation function."""
    if activation == "relu":
        return torch.relu(values)
    return torch.tanh(values) if activation == "tanh" else values  # of a spiking neuron: what it does to the potential


def slope(activity: Tensor, activation: Activation) -> Tensor | None:
    """Return the slope of the activation where the neuron now is, or None where it is 1.

    A neuron knows it from its own activity: 1 where a ReLU is active or a spiking neuron fires, ``1 - y**2`` for tanh.
    """
    if activation in ("relu", "lif"):
        return activity > 0
    return 1 - activity**2 if activation == "tanh" else None
