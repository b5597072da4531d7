"""A small genetic algorithm over masks (Holland 1975), every child at the exact density.

A child keeps what both parents keep and fills up at random from what one of them keeps; a mutated synapse
is ranked at random among all. Parents win tournaments of two by their loss on one fixed batch; the best
mask of a generation is carried over as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import InputError
from biosim.scorers.descent import at_least_one
from biosim.scorers.fixed_batch import FixedBatch, first_samples
from biosim.scorers.keep import Scope, gains_after, keep
from biosim.scorers.mask_search import Losses, SearchScorer, Tell, random_masks, random_scores
from biosim.streams import generator
from biosim.synapses import Network

_Masks = dict[str, Tensor]


@dataclass(frozen=True)
class Scorer(SearchScorer):
    """Genetic algorithm.

    Attributes
    ----------
    scope : {"neuron", "layer", "network"}
        Where counts are exact.
    evaluations : int
        Budget: losses of a mask looked at, a replicate.
    population : int
        Masks in a generation.
    mutation : float
        Share of birth edges ranked at random in each child.
    samples : int
        Size of the fixed batch.
    """

    scope: Scope = "layer"
    evaluations: int = 2_000
    population: int = 20
    mutation: float = 0.002
    samples: int = 512

    def __post_init__(self) -> None:
        at_least_one("genetic", evaluations=self.evaluations, samples=self.samples)
        if self.population < 2:
            raise InputError("genetic needs a population of at least two", ("population",))
        if not 0 <= self.mutation <= 1:
            raise InputError(f"mutation is a share of the edges, in [0, 1], not {self.mutation}", ("mutation",))

    def search(self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], tell: Tell) -> dict[str, Tensor]:
        """Return 1 for the synapses of the best mask, else 0."""
        random = [generator(seed, "genetic") for seed in seeds]
        batch = FixedBatch(network, gains_after(network, density, self.scope), *first_samples(drive, seeds, network.device, self.samples))

        def judged(masks: _Masks) -> Losses:
            losses = batch.load({n: network.projections[n].weight * m for n, m in masks.items()})
            return np.asarray(losses.double().cpu().numpy())

        size = min(self.population, self.evaluations)
        members = [random_masks(network, density, self.scope, seeds, random) for _ in range(size)]
        losses = np.stack([judged(m) for m in members], 1)  # (R, members)
        spent = size
        while spent < self.evaluations:
            count = min(size - 1, self.evaluations - spent) or 1
            children = [keep(self._child(network, members, losses, random), network, density, self.scope, seeds) for _ in range(count)]
            found = np.stack([judged(c) for c in children], 1)
            spent += count
            best = losses.argmin(1)
            rows = np.arange(len(seeds))
            members = [_select(members, best), *children]
            losses = np.concatenate([losses[rows, best][:, None], found], 1)
            tell(spent, losses.min(1))
        return {n: m.to(torch.float32) for n, m in _select(members, losses.argmin(1)).items()}

    def _child(self, network: Network, members: list[_Masks], losses: Losses, random: list[np.random.Generator]) -> _Masks:
        """Return scores that rank the edges of a child: 2 where both parents keep, 1 where one does, plus a draw."""
        one, other = (_select(members, np.array([_tournament(losses[r], g) for r, g in enumerate(random)])) for _ in range(2))
        scores = random_scores(network, random)
        for name, noise in scores.items():
            lottery = np.stack([g.random(noise.shape[1:], np.float32) for g in random])
            mutated = torch.from_numpy(lottery).to(noise.device) < self.mutation
            scores[name] = torch.where(mutated, 3 * noise, one[name].float() + other[name].float() + noise)
        return scores


def _tournament(losses: Losses, random: np.random.Generator) -> int:
    """Return the fitter of two members drawn at random."""
    a, b = random.integers(len(losses), size=2)
    return int(a if losses[a] <= losses[b] else b)


def _select(members: list[_Masks], chosen: npt.NDArray[np.int64]) -> _Masks:
    """Return one member of each replicate as masks of a batch."""
    return {n: torch.stack([members[c][n][r] for r, c in enumerate(chosen.tolist())]) for n in members[0]}
