"""Clustering of directed, weighted graphs; on a symmetric graph it is the undirected measure."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from biosim.errors import InputError, UndefinedError
from biosim.graphs.basic import degrees, reciprocal
from biosim.graphs.graph import Graph, Numbers
from biosim.graphs.products import adjacency, row_sums

Pattern = Literal["all", "cycle", "middleman", "in", "out"]


def clustering(graph: Graph, weighted: bool = False, signed: bool = False, pattern: Pattern = "all") -> Numbers:
    r"""Return the local clustering of every node: (nodes,).

    Directed triangles through i over those possible with its degrees (Fagiolo 2007,
    https://doi.org/10.1103/PhysRevE.76.026107), self-loops aside:

        all        [(V + V^T)^3]_ii / (2 (d_tot (d_tot - 1) - 2 d_mutual))
        cycle      [V V V]_ii       / (d_in d_out - d_mutual)
        middleman  [V V^T V]_ii     / (d_in d_out - d_mutual)
        in         [V^T V V]_ii     / (d_in (d_in - 1))
        out        [V V V^T]_ii     / (d_out (d_out - 1))

    V is the adjacency matrix, or when ``weighted`` ``(|w| / max |w|)^(1/3)`` entry by entry; ``signed`` keeps the signs
    in V (Costantini & Perugini 2014, https://doi.org/10.1371/journal.pone.0088669), so that triangles whose signs
    multiply to minus one count against. A node without a possible triangle has 0, as in networkx.

    Raises
    ------
    InputError
        When ``pattern`` is unknown, or ``signed`` is asked of a binary clustering.
    """
    if pattern not in ("all", "cycle", "middleman", "in", "out"):
        raise InputError(f"a clustering pattern is all, cycle, middleman, in or out, not {pattern!r}")
    if signed and not weighted:
        raise InputError("signed clustering reads weights: ask for weighted=True too")
    own = graph.without_loops()
    if not own.edges:
        return np.zeros(graph.nodes)
    triangles = _triangles(_roots(own, signed) if weighted else adjacency(own), pattern)
    into, out, mutual = degrees(own, "in"), degrees(own, "out"), np.bincount(own.source[reciprocal(own)], minlength=own.nodes)
    total = into + out
    possible = {
        "all": 2 * (total * (total - 1) - 2 * mutual),
        "cycle": into * out - mutual,
        "middleman": into * out - mutual,
        "in": into * (into - 1),
        "out": out * (out - 1),
    }[pattern]
    return np.asarray(np.divide(triangles, possible, out=np.zeros(graph.nodes), where=possible > 0))


def _roots(graph: Graph, signed: bool) -> Any:
    largest = np.abs(graph.weight).max()
    scaled = (graph.weight if signed else np.abs(graph.weight)) / (largest if largest > 0 else 1.0)
    return adjacency(graph.with_edges(graph.source, graph.target, np.cbrt(scaled)), weighted=True)


def _triangles(v: Any, pattern: Pattern) -> Numbers:
    """Return the diagonal of the pattern's product: ``diag(X Y Z)_i = sum_j (X Y)_ij (Z^T)_ij``."""
    if pattern == "all":
        both = v + v.T
        return row_sums(both, both, both)
    if pattern == "cycle":
        return row_sums(v, v, v.T)
    if pattern == "middleman":
        return row_sums(v, v.T, v.T)
    return row_sums(v.T, v, v.T) if pattern == "in" else row_sums(v, v, v)


def average_clustering(graph: Graph, weighted: bool = False, signed: bool = False) -> float:
    """Return the mean of :func:`clustering` over all nodes.

    Raises
    ------
    UndefinedError
        When there are no nodes.

    Examples
    --------
    >>> import networkx
    >>> from biosim.graphs import average_clustering, from_networkx
    >>> average_clustering(from_networkx(networkx.complete_graph(4, networkx.DiGraph)))
    1.0
    """
    if not graph.nodes:
        raise UndefinedError("clustering is not defined without nodes")
    return float(clustering(graph, weighted, signed).mean())


def transitivity(graph: Graph) -> float:
    """Return closed over all two-paths of the graph made undirected: ``3 triangles / connected triples``; weights are not read.

    Raises
    ------
    UndefinedError
        When no node has two neighbours.
    """
    own = graph.without_loops().symmetric()
    degree = degrees(own, "out")
    pairs = float((degree * (degree - 1)).sum())
    if pairs == 0:
        raise UndefinedError("transitivity is not defined when no node has two neighbours")
    v = adjacency(own)
    return float(row_sums(v, v, v).sum() / pairs)
