"""Communities by modularity: directed, weighted, signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from biosim.errors import InputError, UndefinedError
from biosim.graphs.graph import Graph, Numbers
from biosim.graphs.kernels import move_nodes
from biosim.streams import generator

STARTS = 10


@dataclass(frozen=True)
class Communities:
    """A partition and its modularity.

    Attributes
    ----------
    labels : ndarray
        (nodes,) 0, 1, ... from the largest community down.
    modularity : float
    """

    labels: npt.NDArray[np.int64]
    modularity: float


def modularity(graph: Graph, labels: npt.ArrayLike, weighted: bool = False, resolution: float = 1.0) -> float:
    r"""Return the modularity of a partition.

        Q = sum_ij [ (w+_ij - g s+out_i s+in_j / W+) - (w-_ij - g s-out_i s-in_j / W-) ] delta(c_i, c_j) / (W+ + W-)

    w+ and w- are positive weights and magnitudes of negative ones, s their sums by node, W by graph, g the resolution
    (Leicht & Newman 2008, https://doi.org/10.1103/PhysRevLett.100.118703, for directed graphs; Gomez, Jensen & Arenas 2009,
    https://doi.org/10.1103/PhysRevE.80.016114, for signs). Without ``weighted`` every weight is 1. Self-loops count.

    Raises
    ------
    UndefinedError
        When there is no weight.
    InputError
        When there is not one label a node.
    """
    community = np.unique(np.asarray(labels), return_inverse=True)[1].ravel()
    if community.size != graph.nodes:
        raise InputError(f"{community.size} labels for {graph.nodes} nodes")
    weight, strength, totals = _strengths(graph, weighted)
    inside = weight[community[graph.source] == community[graph.target]].sum()
    sums = np.zeros((community.max() + 1, 4))
    np.add.at(sums, community, strength)
    by_chance = sum(sign * (sums[:, k] * sums[:, k + 1]).sum() / t for sign, k, t in ((1, 0, totals[0]), (-1, 2, totals[1])) if t > 0)
    return float((inside - resolution * by_chance) / totals.sum())


def communities(graph: Graph, weighted: bool = False, resolution: float = 1.0, seed: int = 0, starts: int = STARTS) -> Communities:
    """Return the best partition that Louvain finds in several starts (Blondel et al. 2008).

    Nodes move one at a time to the community that raises :func:`modularity` most; communities then move as nodes, until
    neither gains; what is found is polished by single nodes again. Nodes are visited in random order, a new one each start.
    Finding the best partition is NP-hard: compare only values found with the same ``starts``.

    Raises
    ------
    UndefinedError
        When there is no weight.
    """
    weight, strength, totals = _strengths(graph, weighted)
    whole = scipy.sparse.csr_array((weight, graph.target, graph.start), shape=(graph.nodes, graph.nodes))
    best: Communities | None = None
    for start in range(starts):
        labels = _louvain(whole, strength, totals, resolution, generator(seed, f"graphs/louvain/{start}"))
        score = modularity(graph, labels, weighted, resolution)
        if best is None or score > best.modularity + 1e-12:
            best = Communities(labels, score)
    if best is None:
        raise InputError("communities need at least one start")
    sizes = np.bincount(best.labels)
    rank = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    return Communities(rank[best.labels], best.modularity)


def _louvain(whole: Any, strength: Numbers, totals: Numbers, resolution: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
    labels = np.arange(whole.shape[0])
    while True:
        moved, labels = _move(whole, strength, totals, resolution, labels, random)  # single nodes
        if not moved:
            return labels
        while True:  # communities as nodes
            count = int(labels.max()) + 1
            member = scipy.sparse.csr_array((np.ones(labels.size), (np.arange(labels.size), labels)), shape=(labels.size, count))
            small, sums = (member.T @ whole @ member).tocsr(), member.T @ strength
            joined, of_community = _move(small, sums, totals, resolution, np.arange(count), random)
            labels = of_community[labels]
            if not joined:
                break


def _move(
    matrix: Any, strength: Numbers, totals: Numbers, resolution: float, labels: npt.NDArray[np.int64], random: np.random.Generator
) -> tuple[bool, npt.NDArray[np.int64]]:
    """Let nodes move from a partition; return whether any did, and the partition numbered 0, 1, ..."""
    n = matrix.shape[0]
    both = (matrix + matrix.T).tocoo()
    other = both.row != both.col
    both = scipy.sparse.csr_array((both.data[other], (both.row[other], both.col[other])), shape=(n, n))
    community, sums = labels.copy(), np.zeros((n, 4))
    np.add.at(sums, community, strength)
    sizes = np.bincount(community, minlength=n)
    order = random.permutation(n)
    start, target = both.indptr.astype(np.int64), both.indices.astype(np.int64)
    moved = move_nodes(order, start, target, both.data, strength, totals, resolution, community, sums, sizes)
    return bool(moved), np.unique(community, return_inverse=True)[1].ravel()


def _strengths(graph: Graph, weighted: bool) -> tuple[Numbers, Numbers, Numbers]:
    """Return (edges,) weights, (nodes, 4) strengths out+, in+, out-, in-, and the total positive and negative weight."""
    weight = graph.weight if weighted else np.ones(graph.edges)
    parts = [np.maximum(weight, 0), np.maximum(-weight, 0)]
    totals = np.array([p.sum() for p in parts])
    if totals.sum() == 0:
        raise UndefinedError("modularity is not defined without edges of some weight")
    columns = [np.bincount(ends, p, graph.nodes) for p in parts for ends in (graph.source, graph.target)]
    return np.asarray(weight), np.stack(columns, 1).astype(np.float64), totals
