"""Iterative magnitude pruning with rewinding (Frankle & Carbin 2019, https://arxiv.org/abs/1803.03635).

    train; drop the 20 % smallest of the trained weights; rewind the others to birth; again, until the density is met

A *trained* reference: the mask is read off trained weights, so there is no frozen circuit; the retrained
column trains the survivors from where they were rewound to. After r rounds the density is ``0.8**r``; the
last round drops less, to land exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.scorers.base import Made, Masks, Task
from biosim.scorers.keep import Scope, keep
from biosim.scorers.training import train


@dataclass(frozen=True)
class Scorer:
    """Lottery tickets by iterative magnitude pruning.

    Attributes
    ----------
    scope : {"layer", "network", "neuron"}
        ``layer`` is the published method.
    drop : float
        Share of the survivors that a round drops.
    rewind : int
        Epochs of the dense training to rewind to; 0 is birth (Frankle et al. 2020 rewind later in large networks).
    epochs : int, optional
        Of a round; as the retrained regime when left out.
    """

    scope: Scope = "layer"
    drop: float = 0.2
    rewind: int = 0
    epochs: int | None = None
    regimes: ClassVar[tuple[str, ...]] = ("retrained",)

    def __post_init__(self) -> None:
        if not 0 < self.drop < 1:
            raise InputError(f"the share dropped in a round must lie in (0, 1), not {self.drop}", ("drop",))
        if self.rewind < 0:
            raise InputError("cannot rewind to before birth", ("rewind",))
        if self.epochs is not None and self.epochs < 1:
            raise InputError("a round needs at least one epoch", ("epochs",))

    @property
    def level(self) -> str:
        """What it reads."""
        return "gradient"

    def make(self, task: Task) -> Iterator[Made]:
        """Yield a ticket at each density, the densest first, from one chain of rounds."""
        network = task.network
        training = replace(task.training, epochs=self.epochs or task.training.epochs)
        masks: Masks = {n: p.born.clone() for n, p in network.projections.items()}
        start = None
        if self.rewind:
            start = train(network, masks, task.drive, task.seeds, training, stop=self.rewind)
        wanted = sorted(set(task.densities), reverse=True)
        rounds = len(round_densities(wanted[-1], self.drop)) if wanted else 0
        for r in range(1, rounds + 1):
            trained = train(network, masks, task.drive, task.seeds, training, start=start)
            scores = {n: torch.where(masks[n], w.abs(), -1.0) for n, w in trained.items()}
            while wanted and wanted[0] >= _after(r, self.drop):
                yield Made(wanted[0], (keep(scores, network, wanted[0], self.scope, task.seeds),), start=_copy(start))
                del wanted[0]
            if wanted:
                masks = keep(scores, network, _after(r, self.drop), self.scope, task.seeds)
            if task.progress is not None:
                task.progress(r, rounds, {"density": _after(r, self.drop)})


def _after(r: int, drop: float) -> float:
    return float((1 - drop) ** r)


def round_densities(density: float, drop: float = 0.2) -> list[float]:
    """Return the density after each round on the way to ``density``; the last round lands on it exactly."""
    found: list[float] = []
    while not found or found[-1] > density:
        found.append(max(density, _after(len(found) + 1, drop)))
    return found


def _copy(start: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
    return None if start is None else {n: w.clone() for n, w in start.items()}
