"""SynFlow (Tanaka et al. 2020, https://arxiv.org/abs/2006.05467): synaptic flow, without data.

    R = 1^T (prod over layers of abs(W)^T) 1,      score = abs(w dR/dw) = abs(w_ij) into_i out_of_j

``into_i`` is the flow that reaches neuron i from an all-ones input, ``out_of_j`` what leads from neuron j to
the readout. Pruned in 100 rounds to ``density**(t/100)``: in one round whole layers would collapse. In
float64; all edges of the network compete; activation functions are left out, as flow is never negative. Scores
compete as they are to seven digits (:func:`keep`): edges whose flow differs by rounding alone tie, and a seeded hash decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import InputError, UndefinedError
from biosim.scorers.base import Progress
from biosim.scorers.keep import Scope, keep
from biosim.synapses import Network


@dataclass(frozen=True)
class Scorer:
    """Synaptic flow.

    Attributes
    ----------
    scope : {"network", "layer", "neuron"}
        ``network`` is the published method.
    rounds : int
    """

    scope: Scope = "network"
    rounds: int = 100
    level: ClassVar[str] = "network"
    frozen_note: ClassVar[str] = "made to be retrained: it sees no data, and keeps the edges on strong paths"

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InputError("needs at least one round", ("rounds",))

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return the last round's scores, scaled to a largest one of 1; below zero where a round before it pruned.

        Raises
        ------
        UndefinedError
            On a network that settles over several steps.
        """
        if network.settles:
            raise UndefinedError("synaptic flow is defined for feedforward networks; this one settles over several steps", ("name",))
        masks = {n: p.born for n, p in network.projections.items()}
        strength = {n: p.weight.abs().double() for n, p in network.projections.items()}
        scores: dict[str, Tensor] = {}
        for t in range(1, self.rounds + 1):
            scores = flow(network, {n: s * masks[n] for n, s in strength.items()})
            scores = _ranked(scores, masks)
            if t < self.rounds:
                masks = keep(scores, network, density ** (t / self.rounds), self.scope, seeds)
            if progress is not None:
                progress(t, self.rounds, {"density": density ** (t / self.rounds)})
        return scores


def flow(network: Network, strength: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``s dR/ds`` of (R, n_pre, n_post) strengths s >= 0, by projection: flow in times s times flow out."""
    names = list(network.populations)
    like = next(iter(strength.values()))
    into = {n: like.new_zeros(like.shape[0], p.size) for n, p in network.populations.items()}
    out = {n: torch.zeros_like(x) for n, x in into.items()}
    into[names[0]] += 1
    out[names[-1]] += 1
    for name in names:
        for p in network.outgoing(name):
            into[p.post.name] += (strength[p.name] * into[name].unsqueeze(2)).sum(1)
    for name in reversed(names):
        for p in network.incoming(name):
            out[p.pre.name] += (strength[p.name] * out[name].unsqueeze(1)).sum(2)
    return {n: strength[n] * into[p.pre.name].unsqueeze(2) * out[p.post.name].unsqueeze(1) for n, p in network.projections.items()}


def _ranked(scores: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scale each replicate to a largest score of 1, so that nothing overflows, and set what is pruned below all others."""
    top = torch.stack([s.flatten(1).amax(1) for s in scores.values()]).amax(0).clamp(min=1e-300).view(-1, 1, 1)
    return {n: torch.where(masks[n], s / top, -1.0) for n, s in scores.items()}
