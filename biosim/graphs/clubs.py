"""The rich club: are nodes of high degree joined to each other more than their degrees ask for?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biosim.errors import UndefinedError
from biosim.graphs.basic import Way, degrees
from biosim.graphs.graph import Graph, Numbers
from biosim.graphs.nulls.swaps import SWAPS, degree_preserving_many

CLUB = 0.1  # share of the nodes that `rich_club_at` calls rich


@dataclass(frozen=True)
class RichClub:
    """Rich-club coefficients by degree; all arrays are (largest k + 1,).

    Attributes
    ----------
    coefficient : ndarray
        phi(k), k = 0, 1, ... while two nodes have a degree larger than k.
    members : ndarray
        N(k): nodes with a degree larger than k.
    null, deviation : ndarray
        Mean and deviation of phi(k) over the nulls; NaN without nulls.
    """

    coefficient: Numbers
    members: npt.NDArray[np.int64]
    null: Numbers
    deviation: Numbers

    @property
    def normalised(self) -> Numbers:
        """phi(k) over the null's mean; NaN where that is 0."""
        return np.asarray(np.divide(self.coefficient, self.null, out=np.full(self.null.size, np.nan), where=self.null > 0))

    def at(self, share: float = CLUB) -> int:
        """Return the least k whose club has at most this share of the nodes, but two at least."""
        small = np.flatnonzero(self.members <= max(2.0, share * float(self.members.max(initial=0))))
        return int(small[0]) if small.size else self.members.size - 1


def rich_club(graph: Graph, weighted: bool = False, way: Way = "total", nulls: int = 0, seed: int = 0, swaps: float = SWAPS) -> RichClub:
    """Return the rich-club coefficients of a directed graph, and of its degree-preserving nulls.

    Binary: ``phi(k) = E(k) / (N(k) (N(k) - 1))`` with E(k) the edges among the N(k) nodes whose degree is larger than k
    (Colizza et al. 2006, https://doi.org/10.1038/nphys209). Weighted: the magnitude of weight among them over that of the E(k)
    strongest edges of the graph (Opsahl et al. 2008, https://doi.org/10.1103/PhysRevLett.101.168702). Self-loops are left out.

    Raises
    ------
    UndefinedError
        When there are fewer than two nodes.
    """
    own = graph.without_loops()
    if own.nodes < 2:
        raise UndefinedError(f"a rich club is not defined for {own.nodes} node(s)")
    coefficient, members = _coefficients(own, weighted, way)
    drawn = [_coefficients(g, weighted, way)[0] for g in degree_preserving_many(own, nulls, seed, swaps=swaps)]
    empty = np.full(coefficient.size, np.nan)
    null = np.mean(drawn, 0) if drawn else empty
    deviation = np.std(drawn, 0, ddof=1) if len(drawn) > 1 else empty
    return RichClub(coefficient, members, null, deviation)


def _coefficients(graph: Graph, weighted: bool, way: Way) -> tuple[Numbers, npt.NDArray[np.int64]]:
    degree = degrees(graph, way)
    top = int(np.sort(degree)[-2])  # beyond it, fewer than two nodes are richer
    size = max(top, 1)
    members = _beyond(degree, np.ones(degree.size), size).astype(np.int64)
    poorer = np.minimum(degree[graph.source], degree[graph.target])
    edges = _beyond(poorer, np.ones(graph.edges), size)
    if not weighted:
        pairs = members * (members - 1)
        return np.divide(edges, pairs, out=np.zeros(size), where=pairs > 0), members
    weight = np.abs(graph.weight)
    strongest = np.concatenate([[0.0], np.cumsum(np.sort(weight)[::-1])])[edges.astype(np.int64)]
    return np.divide(_beyond(poorer, weight, size), strongest, out=np.zeros(size), where=strongest > 0), members


def _beyond(values: npt.NDArray[np.int64], amount: Numbers, size: int) -> Numbers:
    """Return the summed amount of the entries whose value is larger than 0, 1, ..., size - 1."""
    by_value = np.bincount(values, amount, size + 1)
    return np.asarray(np.cumsum(by_value[::-1])[::-1][1 : size + 1], np.float64)
