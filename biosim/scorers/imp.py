"""Iterative magnitude pruning with rewinding (Frankle & Carbin 2019, https://arxiv.org/abs/1803.03635).

    train; drop the 20 % smallest of a layer's trained weights; rewind the others to birth; again, until the density is met

The readout loses half as much a round, as published: at 5 % of all synapses it would otherwise be left with too
few. A *trained* reference: the mask is read off trained weights, so there is no frozen circuit; the retrained
column trains the survivors from where they were rewound to. After r rounds a hidden layer keeps ``0.8**r`` and the
readout ``0.9**r``; the last round drops less, to land exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.scorers.base import Made, Masks, Task
from biosim.scorers.descent import at_least_one
from biosim.scorers.keep import Scope, keep, keep_counts, whole_counts
from biosim.scorers.training import train
from biosim.synapses import Network


@dataclass(frozen=True)
class Scorer:
    """Lottery tickets by iterative magnitude pruning.

    Attributes
    ----------
    scope : {"layer", "network", "neuron"}
        ``layer`` is the published method.
    drop : float
        Share of the survivors that a round drops.
    readout : float
        Under layer scope, this much of ``drop`` from the readout; 1 treats it as any other layer.
    rewind : int
        Epochs of the dense training to rewind to; 0 is birth (Frankle et al. 2020 rewind later in large networks).
    epochs : int, optional
        Of a round; as the retrained regime when left out.
    """

    scope: Scope = "layer"
    drop: float = 0.2
    readout: float = 0.5
    rewind: int = 0
    epochs: int | None = None
    level: ClassVar[str] = "gradient"
    regimes: ClassVar[tuple[str, ...]] = ("retrained",)

    def __post_init__(self) -> None:
        if not 0 < self.drop < 1:
            raise InputError(f"the share dropped in a round must lie in (0, 1), not {self.drop}", ("drop",))
        if not 0 < self.readout <= 1:
            raise InputError(f"the readout is dropped at a factor in (0, 1], not {self.readout}", ("readout",))
        if self.rewind < 0:
            raise InputError("cannot rewind to before birth", ("rewind",))
        at_least_one("a round", epochs=self.epochs)

    def make(self, task: Task) -> Iterator[Made]:
        """Yield a ticket at each density, the densest first, from one chain of rounds."""
        network = task.network
        training = replace(task.training, epochs=self.epochs or task.training.epochs)
        masks: Masks = {n: p.born.clone() for n, p in network.projections.items()}
        start = None
        if self.rewind:
            start = train(network, masks, task.drive, task.seeds, training, stop=self.rewind)
        shares = self._shares(network)
        wanted = sorted(set(task.densities), reverse=True)
        rounds = [rounds_to(d, _born(network), shares) for d in wanted]
        last = max(1, math.ceil(rounds[-1])) if wanted else 0
        for r in range(1, last + 1):
            trained = train(network, masks, task.drive, task.seeds, training, start=start)
            scores = {n: torch.where(masks[n], w.abs(), -1.0) for n, w in trained.items()}
            while wanted and rounds[0] <= r:
                yield Made(wanted[0], (self._kept(scores, task, shares, wanted[0], rounds[0]),), start=start)
                del wanted[0], rounds[0]
            if wanted:
                masks = self._kept(scores, task, shares, None, r)
            if task.progress is not None:
                task.progress(r, last, {"density": density_after(r, _born(network), shares)})

    def _shares(self, network: Network) -> dict[str, float]:
        """Return the share of its synapses a projection keeps in a round."""
        projections, readout = network.projections, network.readout.name
        half = self.scope == "layer" and any(p.post.name != readout for p in projections.values())
        return {n: 1 - self.drop * (self.readout if half and p.post.name == readout else 1.0) for n, p in projections.items()}

    def _kept(self, scores: Masks, task: Task, shares: Mapping[str, float], density: float | None, rounds: float) -> dict[str, Tensor]:
        """Return the masks at a density, or after so many rounds."""
        network = task.network
        if self.scope != "layer":
            return keep(scores, network, density or (1 - self.drop) ** rounds, self.scope, task.seeds)
        born = {n: p.fan_in.sum(1).double() for n, p in network.projections.items()}
        ideal = {n: b * shares[n] ** rounds for n, b in born.items()}
        if density is None:
            return keep_counts(scores, network, {n: (c + 0.5).floor().long() for n, c in ideal.items()}, task.seeds)
        total = (network.born.double() * density + 0.5).floor()
        scale = network.born * density / torch.stack(list(ideal.values())).sum(0)  # births that are sparse differ a little
        return keep_counts(scores, network, whole_counts({n: c * scale for n, c in ideal.items()}, network, total), task.seeds)


def _born(network: Network) -> dict[str, float]:
    """Return the pairs of neurons by projection: were it births, rounds would depend on who else is in the batch."""
    return {n: float(p.weight[0].numel()) for n, p in network.projections.items()}


def density_after(rounds: float, born: Mapping[str, float], shares: Mapping[str, float]) -> float:
    """Return the density of all projections together after so many rounds, of which each keeps its share."""
    return float(sum(b * shares[n] ** rounds for n, b in born.items()) / sum(born.values()))


def rounds_to(density: float, born: Mapping[str, float], shares: Mapping[str, float]) -> float:
    """Return after how many rounds, in fractions, a density is met: a whole number where it is one but for rounding."""
    low, high = 0.0, math.log(density) / math.log(max(shares.values()))
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if density_after(middle, born, shares) > density else (low, middle)
    return float(round(high)) if abs(high - round(high)) < 1e-9 else high
