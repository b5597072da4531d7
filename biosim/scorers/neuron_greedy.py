"""Neuron selection by greedy forward search: begin with none, add the neuron that lowers the loss most.

Losses are taken on one fixed batch. Hidden populations are selected in the order activity travels, those further on
being whole meanwhile. Each round judges a random sample of the neurons not yet kept ("lazier than lazy
greedy", Mirzasoleiman et al. 2015, https://arxiv.org/abs/1409.7938). The density asked for is one of synapses:
as many neurons are kept as it pays for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import InputError
from biosim.scorers.base import Progress
from biosim.scorers.descent import at_least_one
from biosim.scorers.fixed_batch import Column, FixedBatch, first_samples
from biosim.scorers.keep import Scope
from biosim.scorers.keep_neurons import NeuronBudget, spread
from biosim.streams import generator
from biosim.synapses import Network


@dataclass(frozen=True)
class Scorer:
    """Greedy forward selection of neurons.

    Attributes
    ----------
    candidates : int
        Neurons judged for each place.
    samples : int
        Size of the fixed batch.
    """

    candidates: int = 64
    samples: int = 512
    scope: ClassVar[Scope] = "whole-neurons"
    level: ClassVar[str] = "network"
    frozen_note: ClassVar[str] = "whole neurons: the density is as near to the one asked for as they allow"

    def __post_init__(self) -> None:
        at_least_one("neuron-greedy", samples=self.samples)
        if self.candidates < 1:
            raise InputError("neuron-greedy needs at least one candidate a round", ("candidates",))

    @torch.inference_mode()
    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return the rank of each synapse's postsynaptic neuron: the first one added scores highest, the others 0."""
        budget = NeuronBudget.of(network, density)
        inputs, labels = first_samples(drive, seeds, network.device, self.samples)
        effective = {n: p.effective for n, p in network.projections.items()}
        random = [generator(seed, "neuron-greedy") for seed in seeds]
        scores: dict[str, Tensor] = {}
        gates: dict[str, Tensor] = {}
        done, rounds = 0, sum(budget.counts.values())
        for name, count in budget.counts.items():
            selected = NeuronBudget({n: budget.counts[n] for n in [*gates, name]}, 0.0, 0.0)  # those further on are whole
            batch = FixedBatch(network, selected.gains(network), inputs, labels)
            gate = torch.zeros_like(network.populations[name].gain)
            loss = batch.load(effective, gates | {name: gate})
            response, scores[name] = batch.response(name), torch.zeros_like(gate)
            for place in range(count):
                neurons = _candidates(gate, random, self.candidates)
                change = response.transpose(1, 2).gather(1, neurons.unsqueeze(-1).expand(-1, -1, response.shape[1]))
                best = batch.after(switched={name: [Column(neurons, change)]}).argmin(1, keepdim=True)
                chosen = neurons.gather(1, best)
                gate.scatter_(1, chosen, 1.0)
                scores[name].scatter_(1, chosen, float(count - place))
                loss = batch.regate(name, gate)
                done += 1
                if progress is not None and done % max(1, rounds // 50) == 0:
                    progress(done, rounds, {"density": density, "loss": float(loss.mean())})
            gates[name] = gate
        return spread(network, scores)


def _candidates(gate: Tensor, random: list[np.random.Generator], count: int) -> Tensor:
    """Return neurons of each replicate that are not kept yet, (R, P)."""
    drawn = []
    for own, generator_ in zip(gate.cpu().numpy(), random, strict=True):
        free = np.flatnonzero(own == 0)
        drawn.append(generator_.permutation(free)[:count])
    return torch.from_numpy(np.stack(drawn)).to(gate.device)
