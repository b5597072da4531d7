"""Distances: characteristic path length, efficiency, and what is connected."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse.csgraph

from biosim.errors import UndefinedError
from biosim.graphs.graph import Graph, Numbers
from biosim.graphs.kernels import count_distances, sum_lengths


def distance_counts(graph: Graph) -> npt.NDArray[np.int64]:
    """Return how many ordered pairs of nodes are 0, 1, 2, ... directed edges apart: (longest distance + 1,).

    Entry 0 is the nodes themselves; pairs without a path are in none. Weights are not read.
    """
    if not graph.nodes:
        return np.zeros(1, np.int64)
    counts = count_distances(graph.start, graph.target, graph.nodes)
    return np.asarray(counts[: np.flatnonzero(counts)[-1] + 1])


def path_length(graph: Graph, weighted: bool = False) -> float:
    """Return the characteristic path length: the mean distance from i to j over ordered pairs i != j with a path.

    ``weighted`` takes ``1 / |w|`` as the length of an edge, an edge of weight 0 being no way through. Report it with
    :func:`reachable`: a graph in pieces has short paths.

    Raises
    ------
    UndefinedError
        When no node reaches another.

    Examples
    --------
    >>> import networkx
    >>> from biosim.graphs import from_networkx, path_length
    >>> path_length(from_networkx(networkx.cycle_graph(4, networkx.DiGraph)))  # (1 + 2 + 3)/3
    2.0
    """
    length, _, pairs = _sums(graph, weighted)
    if not pairs:
        raise UndefinedError("path length is not defined when no node reaches another")
    return length / pairs


def global_efficiency(graph: Graph, weighted: bool = False) -> float:
    """Return the mean of ``1 / distance`` over all ordered pairs i != j, 0 for a pair without a path.

    Latora & Marchiori 2001, https://doi.org/10.1103/PhysRevLett.87.198701; ``weighted`` as in :func:`path_length`.

    Raises
    ------
    UndefinedError
        When there are fewer than two nodes.
    """
    _at_least_two(graph, "efficiency")
    return _sums(graph, weighted)[1] / (graph.nodes * (graph.nodes - 1))


def reachable(graph: Graph) -> float:
    """Return the share of ordered pairs i != j with a directed path from i to j.

    Raises
    ------
    UndefinedError
        When there are fewer than two nodes.
    """
    _at_least_two(graph, "reachability")
    return _sums(graph, False)[2] / (graph.nodes * (graph.nodes - 1))


def components(graph: Graph, strong: bool = True) -> npt.NDArray[np.int32]:
    """Return the number of each node's component: (nodes,). Strong: a way there and back; weak: edges run both ways."""
    kind = "strong" if strong else "weak"
    own = graph.matrix(weighted=False)
    return (
        np.asarray(scipy.sparse.csgraph.connected_components(own, directed=True, connection=kind)[1])
        if graph.nodes
        else np.zeros(0, np.int32)
    )


def largest_component(graph: Graph, strong: bool = True) -> float:
    """Return the share of nodes in the largest component.

    Raises
    ------
    UndefinedError
        When there are no nodes.
    """
    if not graph.nodes:
        raise UndefinedError("components are not defined without nodes")
    return float(np.bincount(components(graph, strong)).max() / graph.nodes)


def _sums(graph: Graph, weighted: bool) -> tuple[float, float, int]:
    """Return the sum of distances, the sum of inverse distances and the number of connected ordered pairs."""
    if weighted:
        with np.errstate(divide="ignore", over="ignore"):
            length = 1.0 / np.abs(graph.weight)
        order = np.lexsort((length, graph.source))
        sums: Numbers = sum_lengths(graph.start, graph.target[order], length[order], graph.nodes).sum(0)
        return float(sums[0]), float(sums[1]), int(sums[2])
    counts = distance_counts(graph)[1:]
    steps = np.arange(1, counts.size + 1)
    return float((steps * counts).sum()), float((counts / steps).sum()), int(counts.sum())


def _at_least_two(graph: Graph, what: str) -> None:
    if graph.nodes < 2:
        raise UndefinedError(f"{what} is not defined for {graph.nodes} node(s)")
