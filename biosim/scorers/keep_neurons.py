"""Thresholding by whole neurons, at the synapse budget of a density.

A hidden neuron is kept with all its synapses to kept neurons, or goes with all of them. Density means
synapses kept over synapses born, as everywhere: the number of neurons follows from it, as nearly as whole
neurons allow. With k_p of n_p neurons kept, a projection keeps born * (k_pre/n_pre) * (k_post/n_post).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from biosim.errors import UndefinedError
from biosim.streams import edge_streams
from biosim.synapses import Network
from biosim.wiring.select import keep_largest


@dataclass(frozen=True)
class NeuronBudget:
    """How many neurons a synapse budget buys.

    Attributes
    ----------
    counts : mapping
        Neurons kept, by hidden population.
    target, actual : float
        Synapses asked for and synapses these neurons have, were every edge born; where births are sparse, counts
        follow from these, lest they depend on who else is in the batch.
    """

    counts: Mapping[str, int]
    target: float
    actual: float

    @classmethod
    def of(cls, network: Network, density: float) -> NeuronBudget:
        """Return the counts whose synapses come nearest to ``density`` of all, about one share for all populations.

        Raises
        ------
        UndefinedError
            When there is no population between drive and readout.
        """
        hidden = {n: p.size for n, p in list(network.populations.items())[1:-1]}
        if not hidden:
            raise UndefinedError("neuron selection needs a model with a hidden population")
        pairs = {name: p.weight[0].numel() for name, p in network.projections.items()}
        target = density * sum(pairs.values())

        def synapses(counts: Mapping[str, int]) -> float:
            total = 0.0
            for name, p in network.projections.items():
                shares = [counts[q.name] / q.size for q in (p.pre, p.post) if q.name in counts]
                total += pairs[name] * math.prod(shares)
            return total

        def scaled(share: float) -> dict[str, int]:
            return {n: min(size, max(1, math.floor(share * size + 0.5))) for n, size in hidden.items()}

        shares = sorted({(k + 0.5) / size for size in hidden.values() for k in range(size)} | {1.0})
        start = min((scaled(s) for s in shares), key=lambda counts: abs(synapses(counts) - target))
        near = [[k for k in range(c - 2, c + 3) if 1 <= k <= hidden[n]] for n, c in list(start.items())[:4]]
        options = [start | dict(zip(start, chosen, strict=False)) for chosen in itertools.product(*near)]
        best = min(options, key=lambda counts: (abs(synapses(counts) - target), sum(abs(counts[n] - start[n]) for n in counts)))
        return cls(best, target, synapses(best))

    def gains(self, network: Network) -> dict[str, Tensor]:
        """Return gains that hold summed inputs at their size at birth: 1/sqrt(share of a neuron's inputs kept)."""
        gains = {}
        for name, population in network.populations.items():
            sources = network.incoming(name)
            full = sum(p.pre.size for p in sources)
            left = sum(self.counts.get(p.pre.name, p.pre.size) for p in sources)
            gains[name] = torch.full_like(population.gain, math.sqrt(full / left) if left else 1.0)
        return gains


def spread(network: Network, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return (R, n_pre, n_post) scores: each synapse carries its postsynaptic neuron's, a readout's synapses 0."""
    found = {}
    for name, p in network.projections.items():
        own = scores[p.post.name] if p.post.name in scores else torch.zeros_like(p.weight[:, 0])
        found[name] = own.unsqueeze(1).expand_as(p.weight)
    return found


def keep_neurons(scores: Mapping[str, Tensor], network: Network, density: float, seeds: tuple[int, ...]) -> dict[str, Tensor]:
    """Keep the hidden neurons with the largest scores, each with all its synapses to kept neurons.

    Arguments and masks are those of :func:`~biosim.scorers.keep.keep`; a neuron's score is the largest among its incoming synapses,
    and ``density`` is aimed at as :class:`NeuronBudget` says.
    """
    budget = NeuronBudget.of(network, density)
    kept = {n: torch.ones_like(p.gain, dtype=torch.bool) for n, p in network.populations.items()}
    for name, count in budget.counts.items():
        own = torch.stack([scores[p.name].masked_fill(~p.born, -math.inf).amax(1) for p in network.incoming(name)]).amax(0)
        wanted = torch.full((network.replicates,), count, dtype=torch.int64, device=network.device)
        kept[name] = keep_largest(own, kept[name], wanted, edge_streams(seeds, f"keep/{name}"))
    return {n: p.born & kept[p.pre.name].unsqueeze(2) & kept[p.post.name].unsqueeze(1) for n, p in network.projections.items()}
