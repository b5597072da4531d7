"""Simulated annealing over masks (Kirkpatrick, Gelatt & Vecchi 1983, https://doi.org/10.1126/science.220.4598.671).

One random swap at a time, at the exact density, judged by the loss on one fixed batch. A swap that changes
the loss by d is taken with probability

    min(1, exp(-d / T)),    T = unit * hot * (cold / hot)**(evaluation / evaluations)

where unit is the mean absolute change that the first swaps would make. The best mask seen is returned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import InputError
from biosim.scorers.descent import at_least_one
from biosim.scorers.keep import Scope
from biosim.scorers.mask_search import Losses, MaskSearch, SearchScorer, Swaps, Tell
from biosim.synapses import Network

_FIRST = 32  # swaps that set the unit of temperature; at most half of the budget


@dataclass(frozen=True)
class Scorer(SearchScorer):
    """Simulated annealing.

    Attributes
    ----------
    scope : {"neuron", "layer", "network"}
        Swaps stay within one neuron's synapses, one projection, or go anywhere.
    evaluations : int
        Budget: losses of a mask looked at, a replicate.
    hot, cold : float
        First and last temperature, in mean absolute changes of loss.
    samples : int
        Size of the fixed batch.
    """

    scope: Scope = "layer"
    evaluations: int = 5_000
    hot: float = 1.0
    cold: float = 0.01
    samples: int = 512

    def __post_init__(self) -> None:
        at_least_one("annealing", evaluations=self.evaluations, samples=self.samples)
        if not self.hot >= self.cold > 0:
            raise InputError(f"annealing cools: hot >= cold > 0, not {self.hot} and {self.cold}", ("hot",))

    def search(self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], tell: Tell) -> dict[str, Tensor]:
        """Return 1 for the synapses of the best mask seen, else 0."""
        search = MaskSearch(network, drive, density, self.scope, seeds, self.samples, "annealing")
        first = min(_FIRST, (self.evaluations - 1) // 2)
        unit = _unit(search, first)
        best, journal = search.loss.copy(), _Journal(len(seeds))
        for spent in range(1 + first, self.evaluations):
            swaps = search.draw(1)
            change = search.judge(swaps)[:, 0] - search.loss
            temperature = unit * self.hot * (self.cold / self.hot) ** (spent / self.evaluations)
            lottery = np.array([random.random() for random in search.random])
            taken = lottery < np.exp(np.minimum(0.0, -change / temperature))
            if taken.any():
                search.take(swaps, [[0] if yes else [] for yes in taken])
                journal.note(swaps, taken, search.loss < best)
                best = np.minimum(best, search.loss)
            tell(spent + 1, best)
        journal.back_to_best(search)
        return search.scores()


def _unit(search: MaskSearch, swaps: int) -> Losses:
    """Return the mean absolute change of loss over a few random swaps, (R,)."""
    total, found = np.zeros(len(search.loss)), np.zeros(len(search.loss))
    for _ in range(swaps):
        change = search.judge(search.draw(1))[:, 0] - search.loss
        total += np.where(np.isfinite(change), np.abs(change), 0.0)
        found += np.isfinite(change)
    return np.asarray(np.maximum(total / np.maximum(1, found), 1e-12))


class _Journal:
    """The swaps taken since the best mask of each replicate."""

    def __init__(self, replicates: int) -> None:
        self.since: list[list[tuple[str, int, str, int]]] = [[] for _ in range(replicates)]

    def note(self, swaps: Swaps, taken: npt.NDArray[np.bool_], best: npt.NDArray[np.bool_]) -> None:
        for r in np.flatnonzero(taken):
            self.since[r].append((swaps.source, int(swaps.out[r, 0]), swaps.target, int(swaps.into[r, 0])))
            if best[r]:
                self.since[r].clear()

    def back_to_best(self, search: MaskSearch) -> None:
        for r, own in enumerate(self.since):
            for source, out, target, into in reversed(own):
                search.toggle(target, r, into)
                search.toggle(source, r, out)
