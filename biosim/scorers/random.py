"""Random pruning: a uniform score for every birth edge. The control that every claim needs.

How many a projection keeps: the same share of each (``uniform``); more where a layer is small (``erk``,
Erdos-Renyi: a share proportional to ``(n_pre + n_post)/(n_pre n_post)``, Evci et al. 2020,
https://arxiv.org/abs/1911.11134); or as many as another method left there (``layer-matched``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import InputError
from biosim.scorers.base import Made, Progress, Task
from biosim.scorers.keep import Scope, keep, keep_counts, whole_counts
from biosim.streams import generator
from biosim.synapses import Network

Distribution = Literal["uniform", "erk", "layer-matched"]


@dataclass(frozen=True)
class Scorer:
    """Uniform scores in [0, 1).

    Attributes
    ----------
    scope : {"layer", "neuron", "network"}
        For the ``uniform`` distribution.
    distribution : {"uniform", "erk", "layer-matched"}
    like : str
        For ``layer-matched``: whose counts to copy, ``circuit`` (the local rule's) or the label of a rival.
    """

    scope: Scope = "layer"
    distribution: Distribution = "uniform"
    like: str = "circuit"
    level: ClassVar[str] = "none"
    frozen_note: ClassVar[str] = "made to be retrained, or to be beaten: the edges are drawn by lot"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "random": {},
        "random-erk": {"distribution": "erk"},
        "random-layer-matched": {"distribution": "layer-matched"},
    }

    def __post_init__(self) -> None:
        if self.distribution not in get_args(Distribution):
            known = ", ".join(get_args(Distribution))
            raise InputError(f"unknown distribution '{self.distribution}'; there are: {known}", ("distribution",))
        if self.distribution != "uniform" and self.scope != "layer":
            raise InputError(f"the {self.distribution} distribution sets a count a layer; leave scope out", ("scope",))
        if self.distribution != "layer-matched" and self.like != "circuit":
            raise InputError("only the layer-matched distribution copies the counts of another method", ("like",))

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return one draw a birth edge; the drive is not looked at."""
        scores = {}
        for name, p in network.projections.items():
            draws = [generator(seed, f"random/{name}").random(p.shape[1:]) for seed in seeds]
            scores[name] = torch.stack([torch.from_numpy(d) for d in draws]).to(network.device, torch.float32)
        return scores

    def make(self, task: Task) -> Iterator[Made]:
        """Yield a random circuit at each density."""
        network = task.network
        for density in task.densities:
            scores = self.score(network, task.drive, density, task.seeds)
            if self.distribution == "uniform":
                masks = keep(scores, network, density, self.scope, task.seeds)
            elif self.distribution == "erk":
                masks = keep_counts(scores, network, erk_counts(network, density), task.seeds)
            else:
                model = None if task.like is None else task.like(self.like, density)
                if model is None:
                    yield Made(density, undefined=f"'{self.like}' left no circuit at this density before it, whose counts could be copied")
                    continue
                masks = keep_counts(scores, network, {n: m.sum((1, 2)) for n, m in model.items()}, task.seeds)
            yield Made(density, (masks,), note=self.frozen_note)


def erk_counts(network: Network, density: float) -> dict[str, Tensor]:
    """Return (R,) synapses to keep by projection; they sum to ``round(density * born)`` exactly.

    Shares are proportional to ``(n_pre + n_post)/(n_pre n_post)``; a projection that would keep more than
    it has keeps all, and the others share what is left.
    """
    projections = network.projections.values()
    born = torch.stack([p.fan_in.sum(1) for p in projections]).double()  # (projection, R)
    wanted = torch.floor(born.sum(0) * density + 0.5)
    raw = torch.tensor([(p.pre.size + p.post.size) / (p.pre.size * p.post.size) for p in projections], device=born.device).double()
    ideal, full = torch.zeros_like(born), torch.zeros_like(born, dtype=torch.bool)
    for _ in range(len(born)):
        room = torch.where(full, 0.0, raw.unsqueeze(1) * born)
        ideal = torch.where(full, born, room / room.sum(0).clamp(min=1e-300) * (wanted - (born * full).sum(0)))
        if not bool((more := (ideal >= born) & ~full).any()):
            break
        full |= more
    return whole_counts(dict(zip(network.projections, ideal, strict=True)), network, wanted)
