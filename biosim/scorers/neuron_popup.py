"""Neuron selection by straight-through scores: edge-popup's idea with one score a hidden neuron.

Weights stay as born. The forward pass keeps the k neurons with the largest abs(S) in each hidden population,
and the gradient of a neuron's gate passes straight through to its score, kept or not:

    dL/dS_j = dL/dm_j * sign(S_j),    y_j = m_j * phi(g_j * sum_i w_ij y_i)

SGD on the scores: momentum .9, weight decay 1e-4, cosine, cross-entropy of the readout. The density asked for is
one of synapses: as many neurons are kept as it pays for. In theory strictly weaker than selecting weights
(Malach et al. 2020, https://arxiv.org/abs/2002.00585, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import UndefinedError
from biosim.scorers.base import Progress
from biosim.scorers.descent import at_least_one, check_sgd, for_epochs, half_cosine, labelled, mean_cross_entropy
from biosim.scorers.keep import Scope
from biosim.scorers.keep_neurons import NeuronBudget, spread
from biosim.streams import edge_streams, generator
from biosim.substrates.activation import activate
from biosim.synapses import Network
from biosim.tiles import matmul
from biosim.wiring.select import keep_largest


@dataclass(frozen=True)
class Scorer:
    """Straight-through neuron selection.

    Attributes
    ----------
    epochs : int, optional
        As long as the local rule when left out.
    rate, momentum, decay : float
        Of SGD on the scores.
    """

    epochs: int | None = None
    rate: float = 0.01
    momentum: float = 0.9
    decay: float = 1e-4
    scope: ClassVar[Scope] = "whole-neurons"
    level: ClassVar[str] = "gradient"
    frozen_note: ClassVar[str] = "whole neurons: the density is as near to the one asked for as they allow"

    def __post_init__(self) -> None:
        at_least_one("neuron-popup", epochs=self.epochs)
        check_sgd(self.rate, self.momentum, self.decay)

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return abs(S) of each synapse's postsynaptic neuron after training."""
        if network.spiking is not None:
            raise UndefinedError("neuron-popup runs rate networks only, and this one spikes")
        if network.settles:
            raise UndefinedError("neuron-popup runs feedforward networks only, and this one has loops or leaky neurons")
        drive = for_epochs(drive, self.epochs)
        budget = NeuronBudget.of(network, density)
        scores = {n: _initial_scores(network, n, seeds) for n in budget.counts}
        streams = {n: edge_streams(seeds, f"keep/{n}") for n in scores}
        wanted = {n: torch.full((len(seeds),), k, dtype=torch.int64, device=network.device) for n, k in budget.counts.items()}
        everyone = {n: torch.ones_like(s, dtype=torch.bool) for n, s in scores.items()}
        speed = {n: torch.zeros_like(s) for n, s in scores.items()}
        gains, steps = budget.gains(network), drive.clock.steps
        for step, (inputs, labels) in enumerate(labelled(drive, seeds, network.device, "neuron-popup")):
            gates = {n: keep_largest(s.abs(), everyone[n], wanted[n], streams[n]).float() for n, s in scores.items()}
            gradients, loss = _gradients(network, gates, gains, inputs, labels)
            rate = half_cosine(self.rate, step, steps)
            for name, score in scores.items():
                speed[name].mul_(self.momentum).add_(gradients[name] * score.sign()).add_(score, alpha=self.decay)
                score.sub_(speed[name], alpha=rate)
            if progress is not None and (step + 1) % max(1, steps // 50) == 0:
                progress(step + 1, steps, {"density": density, "loss": float(loss.mean())})
        return spread(network, {n: s.abs() for n, s in scores.items()})


def _initial_scores(network: Network, name: str, seeds: tuple[int, ...]) -> Tensor:
    fan_in = sum(p.pre.size for p in network.incoming(name))
    bound = 1 / math.sqrt(fan_in)
    draws = [generator(seed, f"neuron-popup/{name}").uniform(-bound, bound, network.populations[name].size) for seed in seeds]
    return torch.stack([torch.from_numpy(d) for d in draws]).to(network.device, torch.float32)


def _gradients(
    network: Network, gates: Mapping[str, Tensor], gains: Mapping[str, Tensor], inputs: Tensor, labels: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Return dL/dm of every gate (each replicate's own mean cross-entropy) and the losses, (R,)."""
    leaves = {n: g.detach().requires_grad_() for n, g in gates.items()}
    with torch.enable_grad():
        names = list(network.populations)
        activity = {names[0]: inputs.expand(network.replicates, -1, -1)}
        for name in names[1:]:
            total = torch.stack([matmul(activity[p.pre.name], p.weight) for p in network.incoming(name)]).sum(0)
            activity[name] = activate(total * gains[name].unsqueeze(1), network.populations[name].activation)
            if name in leaves:
                activity[name] = activity[name] * leaves[name].unsqueeze(1)
        losses = mean_cross_entropy(activity[names[-1]], labels)
        gradients = torch.autograd.grad(losses.sum(), list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, gradients, strict=True)), losses.detach()
