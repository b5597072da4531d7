"""Exploration: neurons try things out with noise of their own, and one scalar tells them what came of it.

Every sample is shown three times: plainly, with noise, and with the opposite noise (node perturbation;
Fiete & Seung 2006, https://doi.org/10.1103/PhysRevLett.97.048104). With xi_j = +-1 the draw of neuron j, what it
adds to its summed input is +-deviation*xi_j. The whole network is told one number a sample,

    advantage = (log p+ - log p-) / (2 deviation),

p+- the probability that the readout gives the right class under either noise. ``noise_post*advantage`` then has the
expectation of the derivative of log p by the neuron's summed input, whoever else explored; nobody computes it.

A sample's noise goes to one population only: ``readout_share`` of the samples to the readout, the rest in
equal parts to the hidden populations. A ReLU neuron that is silent does not explore.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.streams import edge_streams, edge_uniform
from biosim.substrates import Substrate
from biosim.substrates.activation import slope
from biosim.synapses import Network


@dataclass(frozen=True)
class Exploration:
    """How neurons explore.

    Attributes
    ----------
    deviation : float
        Size of the noise, in units of the summed input.
    readout_share : float
        Share of the samples in which the readout explores and nobody else, in [0, 1].
    """

    deviation: float = 0.2
    readout_share: float = 0.1

    def __post_init__(self) -> None:
        if not self.deviation > 0:
            raise InputError(f"must be greater than 0, not {self.deviation}", ("deviation",))
        if not 0 <= self.readout_share <= 1:
            raise InputError(f"must lie in [0, 1], not {self.readout_share}", ("readout_share",))


class Explorer:
    """Exploration in one network.

    Parameters
    ----------
    exploration : Exploration
    network : Network
    substrate : Substrate
    seeds : sequence of int
        One a replicate.
    """

    def __init__(self, exploration: Exploration, network: Network, substrate: Substrate, seeds: Sequence[int]) -> None:
        self.exploration, self.network, self.substrate = exploration, network, substrate
        self.explorers = list(network.populations.values())[1:]
        self.streams = {p.name: edge_streams(tuple(seeds), f"exploration/{p.name}") for p in self.explorers}

    def shares(self, samples: int) -> list[slice]:
        """Return the samples in which each population but the input explores."""
        hidden = len(self.explorers) - 1
        share = self.exploration.readout_share if hidden else 1.0
        readout = min(max(round(samples * share), share > 0), samples)  # one sample at least, unless it never explores
        edges = [round((samples - readout) * k / max(hidden, 1)) for k in range(hidden + 1)] + [samples]
        return [slice(a, b) for a, b in itertools.pairwise(edges)][-len(self.explorers) :]

    def try_out(self, inputs: Tensor, labels: Tensor, activity: Mapping[str, Tensor], step: int) -> tuple[dict[str, Tensor], Tensor]:
        """Return each population's draws, (R, S, size) in {-1, 0, 1}, and the advantage, (R, S)."""
        noise, size = {}, self.exploration.deviation
        for population, own in zip(self.explorers, self.shares(inputs.shape[1]), strict=True):
            values = torch.zeros_like(activity[population.name])
            shape = (own.stop - own.start, population.size)
            if shape[0]:
                uniform = edge_uniform(self.streams[population.name], step, shape, slice(None), values.device)
                values[:, own] = torch.where(uniform < 0.5, -1.0, 1.0)
            gate = slope(activity[population.name], population.activation) if population.activation == "relu" else None
            noise[population.name] = values if gate is None else values * gate
        scores = []
        for sign in (size, -size):
            output = self.substrate.respond(inputs, {n: v * sign for n, v in noise.items()})[self.explorers[-1].name]
            scores.append(torch.log_softmax(output, -1).gather(2, labels.unsqueeze(-1)).squeeze(-1))
        return noise, (scores[0] - scores[1]) / (2 * size)
