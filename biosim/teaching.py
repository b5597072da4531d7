"""Where ``teach_post`` and ``reward`` come from: the readout's error and the wiring that carries it.

The readout is a softmax over the output population; its error ``target - softmax(output)`` reaches
each output neuron as its own teaching signal. Hidden neurons get theirs through feedback
projections, each neuron gating what arrives by its own slope:

    teach_i = slope_i * sum_j B_ji teach_j

What fills B decides the locality level, and only that: ``random`` draws it independently of the
forward weights (Lillicrap et al. 2016, https://doi.org/10.1038/ncomms13276), ``direct`` does so from
the readout straight to every hidden population (Nokland 2016, https://arxiv.org/abs/1609.01596),
``reciprocal`` copies the forward weights at birth.

Recurrent projections have no feedback of their own: a recurrent population is taught by what comes back
along its forward projections (or straight from the readout), and nothing is carried back through the
steps in which it settled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from biosim.births import draw_weights
from biosim.equations.products import matmul
from biosim.equations.vocabulary import Level
from biosim.errors import InputError
from biosim.substrates.activation import slope
from biosim.synapses import Network

FeedbackKind = Literal["random", "direct", "reciprocal"]
LEVELS: dict[str, Level] = {"random": Level.broadcast, "direct": Level.broadcast, "reciprocal": Level.transport}


def feedback_level(kind: str | None) -> Level:
    """Return the locality level of a teaching signal carried by this wiring."""
    if kind is None:
        return Level.broadcast
    if kind not in LEVELS:
        raise InputError(f"unknown feedback '{kind}'; there are: {', '.join(LEVELS)}", ("feedback",))
    return LEVELS[kind]


class Feedback:
    """Feedback projections of one network, fixed from birth.

    Parameters
    ----------
    network : Network
        Only its diagram is read, and its birth weights when ``kind`` is ``reciprocal``.
    kind : {"random", "direct", "reciprocal"}
    seeds : tuple of int
        One a replicate; the wiring draws from streams of its own.
    """

    def __init__(self, network: Network, kind: FeedbackKind, seeds: tuple[int, ...]) -> None:
        self.level = feedback_level(kind)
        self.kind, self.network = kind, network
        names = list(network.populations)
        self.hidden, self.readout = names[1:-1], names[-1]
        self.wiring = self._wire(seeds)

    def _wire(self, seeds: tuple[int, ...]) -> dict[tuple[str, str], Tensor]:
        """Return (R, n_source, n_target) matrices by (source, target) population."""
        wiring = {}
        device = self.network.device
        for name in self.hidden:
            population = self.network.populations[name]
            if self.kind == "direct":
                size = self.network.populations[self.readout].size
                drawn, _ = draw_weights(seeds, f"feedback/{self.readout}-{name}", size, population.size, scale=(size / 2) ** 0.5)
                wiring[self.readout, name] = torch.from_numpy(drawn).to(device)
                continue
            forward = [p for p in self.network.outgoing(name) if not p.recurrent]
            if not forward:
                raise InputError(
                    f"population '{name}' has no forward projection for feedback to come back along; use direct", ("feedback",)
                )
            for projection in forward:
                source = projection.post.name
                if self.kind == "reciprocal":
                    wiring[source, name] = projection.weight.transpose(1, 2).clone()
                else:
                    size = projection.post.size
                    scale = (size / population.size) ** 0.5  # the size a copy of the forward weights would have
                    drawn, _ = draw_weights(seeds, f"feedback/{source}-{name}", size, population.size, scale=scale)
                    wiring[source, name] = torch.from_numpy(drawn).to(device)
        return wiring

    def carry(self, error: Tensor, activity: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the teaching signal of every population but the input, (R, S, size) each."""
        arrived = {self.readout: error}
        for name in reversed(self.hidden):
            total: Tensor | None = None
            for (source, target), matrix in self.wiring.items():
                if target == name:
                    part = matmul(arrived[source], matrix)
                    total = part if total is None else total + part
            assert total is not None
            gate = slope(activity[name], self.network.populations[name].activation)
            arrived[name] = total if gate is None else total * gate
        return arrived


def readout_error(output: Tensor, labels: Tensor) -> Tensor:
    """Return ``onehot(labels) - softmax(output)``, (R, S, classes)."""
    error = -torch.softmax(output, -1)
    error.scatter_add_(2, labels.unsqueeze(-1), torch.ones_like(error[..., :1]))
    return error


def reward(output: Tensor, labels: Tensor) -> Tensor:
    """Return 1 for a sample that the readout classifies correctly, else 0, (R, S)."""
    return (output.argmax(-1) == labels).to(output.dtype)
