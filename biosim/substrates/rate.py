"""The rate substrate: activity flows through active synapses, one matrix product a projection.

For population j with gain g_j and activation phi,

    y_j = phi(g_j * sum_i w_ij a_ij y_i),      a_ij = 1 for an active synapse, else 0

with no bias, so that everything a circuit knows lies in which synapses are left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from biosim.equations.products import matmul
from biosim.synapses import Activation, Network

Transmission = Tensor | Callable[[Tensor], Tensor]


def activate(values: Tensor, activation: Activation) -> Tensor:
    """Apply an activation function."""
    if activation == "relu":
        return torch.relu(values)
    return torch.tanh(values) if activation == "tanh" else values


def slope(activity: Tensor, activation: Activation) -> Tensor | None:
    """Return the slope of the activation where the neuron now is, or None where it is 1.

    A neuron knows it from its own activity: 1 where a ReLU is active, ``1 - y**2`` for tanh.
    """
    if activation == "relu":
        return activity > 0
    return 1 - activity**2 if activation == "tanh" else None


def propagate(network: Network, effective: Mapping[str, Transmission], gains: Mapping[str, Tensor], inputs: Tensor) -> dict[str, Tensor]:
    """Return the activity of every population, (R, S, size) each.

    Pure and differentiable in ``effective`` when the caller has gradients switched on (scorers do;
    ``develop`` never does).

    Parameters
    ----------
    network : Network
        Only its wiring diagram is read.
    effective : mapping
        (R, n_pre, n_post) weights that transmit, by projection; or a function that gives what arrives,
        (R, S, n_pre) -> (R, S, n_post).
    gains : mapping
        (R, size) by population; a missing one is 1.
    inputs : Tensor
        (R, S, n_input), or (1, S, n_input) shared by all replicates.
    """
    first = next(iter(network.populations))
    activity = {first: inputs.expand(network.replicates, -1, -1)}
    for name, population in network.populations.items():
        if name == first:
            continue
        total: Tensor | None = None
        for projection in network.incoming(name):
            sent, wires = activity[projection.pre.name], effective[projection.name]
            arriving = matmul(sent, wires) if isinstance(wires, Tensor) else wires(sent)
            total = arriving if total is None else total + arriving
        if total is None:
            raise ValueError(f"population '{name}' has no incoming projection")
        if name in gains:
            total = total * gains[name].unsqueeze(1)
        activity[name] = activate(total, population.activation)
    return activity


class RateSubstrate:
    """Runs a network of rate neurons.

    Parameters
    ----------
    network : Network
    """

    kind = "rate"

    def __init__(self, network: Network) -> None:
        self.network = network

    def respond(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the activity of every population for (R, S, n_input) inputs."""
        effective = {name: p.transmit for name, p in self.network.projections.items()}
        gains = {name: p.gain for name, p in self.network.populations.items()}
        return propagate(self.network, effective, gains, inputs)
