"""Greedy flips: swap a kept synapse for a pruned one wherever that lowers the loss of a fixed batch.

No gradient. From a random mask at the exact density, each round judges a handful of random swaps by the
loss on one fixed batch (common random numbers). All that help are tried together, best first, each edge
once; where the whole is no better than its best member, that one alone is taken. The loss never rises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import InputError
from biosim.scorers.descent import at_least_one
from biosim.scorers.keep import Scope
from biosim.scorers.mask_search import Losses, MaskSearch, SearchScorer, Swaps, Tell
from biosim.synapses import Network


@dataclass(frozen=True)
class Scorer(SearchScorer):
    """Greedy flips.

    Attributes
    ----------
    scope : {"neuron", "layer", "network"}
        Swaps stay within one neuron's synapses, one projection, or go anywhere.
    evaluations : int
        Budget: losses of a mask looked at, a replicate.
    candidates : int
        Swaps judged in a round.
    samples : int
        Size of the fixed batch.
    """

    scope: Scope = "layer"
    evaluations: int = 10_000
    candidates: int = 32
    samples: int = 512

    def __post_init__(self) -> None:
        at_least_one("greedy-flips", evaluations=self.evaluations, samples=self.samples)
        if self.candidates < 1:
            raise InputError("greedy-flips needs at least one candidate a round", ("candidates",))

    def search(self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], tell: Tell) -> dict[str, Tensor]:
        """Return 1 for the synapses of the mask found, else 0."""
        search = MaskSearch(network, drive, density, self.scope, seeds, self.samples, "greedy-flips")
        spent = 1
        while spent < self.evaluations:
            swaps = search.draw(min(self.candidates, self.evaluations - spent))
            losses = search.judge(swaps)
            spent += losses.shape[1] + 1  # and all that help, together
            together = [_compatible(swaps, losses[r], search.loss[r], r) for r in range(len(seeds))]
            if any(together):
                _improve(search, swaps, losses, together)
            tell(spent, search.loss)
        return search.scores()


def _compatible(swaps: Swaps, losses: Losses, loss: float, r: int) -> list[int]:
    """Return the swaps that help one replicate, best first, no edge twice."""
    used: set[tuple[str, int]] = set()
    chosen = []
    for c in np.argsort(losses, kind="stable").tolist():
        if not losses[c] < loss:
            break
        edges = {(swaps.source, int(swaps.out[r, c])), (swaps.target, int(swaps.into[r, c]))}
        if not used & edges:
            used |= edges
            chosen.append(c)
    return chosen


def _improve(search: MaskSearch, swaps: Swaps, losses: Losses, together: list[list[int]]) -> None:
    """Take all of ``together`` where that beats its best member, else the best member; never let the loss rise."""
    before, best = search.loss.copy(), losses.min(1)
    search.take(swaps, together)
    search.take(swaps, [own[1:] if search.loss[r] > best[r] else [] for r, own in enumerate(together)])
    search.take(swaps, [own[:1] if search.loss[r] >= before[r] else [] for r, own in enumerate(together)])  # rounding
