"""Nulls of directed graphs: the same degrees (Maslov-Sneppen), or only the same number of edges (Erdos-Renyi)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from biosim.errors import InputError
from biosim.graphs.graph import Graph
from biosim.graphs.nulls.kernels import swap_targets, swap_to_lattice, swap_undirected
from biosim.graphs.nulls.states import null_generator, states

SWAPS = 10.0
MOST_NODES = 100_000  # the edges are looked up in a table of one bit for each pair of nodes: 1.25 GB


def degree_preserving(graph: Graph, seed: int, null: int = 0, loops: bool = False, swaps: float = SWAPS) -> Graph:
    """Return a randomised copy that keeps every in-degree and every out-degree.

    Two edges a -> b, c -> d drawn at random become a -> d, c -> b unless that repeats an edge (Maslov & Sneppen 2002,
    https://doi.org/10.1126/science.1065103). A refused proposal counts, which makes the limit uniform over all such
    graphs. Without loops, swaps alone cannot turn a directed triangle round, so that is a move too (Rao, Jana &
    Bandyopadhyay 1996): with it every graph is reached. An edge keeps its presynaptic neuron and its weight, so
    out-strengths and each neuron's signs are kept as well; in-strengths are not.

    Parameters
    ----------
    graph : Graph
    seed, null : int
        The null's own random stream.
    loops : bool
        Whether self-loops may come and go. If not, those there stay where they are and no new one arises.
    swaps : float
        Proposals an edge.

    Raises
    ------
    InputError
        When the graph is too large for the table of its pairs.

    Examples
    --------
    >>> import networkx
    >>> import numpy as np
    >>> from biosim.graphs import degrees, from_networkx
    >>> from biosim.graphs.nulls import degree_preserving
    >>> graph = from_networkx(networkx.gnp_random_graph(30, 0.2, seed=1, directed=True))
    >>> null = degree_preserving(graph, seed=0)
    >>> bool(np.array_equal(degrees(null, "in"), degrees(graph, "in")))
    True
    """
    _check_size(graph)
    target = graph.target.copy()
    if graph.edges > 1:
        state = states(seed, "graphs/swaps", range(null, null + 1))
        swap_targets(graph.start, graph.source, target, graph.nodes, loops, int(np.ceil(swaps * graph.edges)), state)
    return graph.with_edges(graph.source, target, graph.weight)


def degree_preserving_many(graph: Graph, nulls: int, seed: int, loops: bool = False, swaps: float = SWAPS) -> Iterator[Graph]:
    """Yield nulls 0, 1, ... of :func:`degree_preserving`."""
    return (degree_preserving(graph, seed, k, loops, swaps) for k in range(nulls))


def random_graph(graph: Graph, seed: int, null: int = 0, loops: bool = False) -> Graph:
    """Return a graph with the same nodes and number of edges, all such graphs equally likely (Erdos-Renyi G(n, m)).

    Weights are dealt out at random. Self-loops of the original are left out unless ``loops``.
    """
    own = graph if loops else graph.without_loops()
    n, m = own.nodes, own.edges
    random = null_generator(seed, "graphs/random-graph", null)
    places = random.choice(n * (n if loops else n - 1), m, replace=False) if m else np.empty(0, np.int64)
    source, target = np.divmod(places, max(n if loops else n - 1, 1))
    if not loops:
        target = target + (target >= source)  # step over the diagonal
    return own.with_edges(source, target, random.permutation(own.weight))


def degree_preserving_undirected(graph: Graph, seed: int, null: int = 0, swaps: float = SWAPS) -> Graph:
    """Return a randomised copy of an undirected graph that keeps every degree and stays undirected.

    Edges a - b, c - d drawn at random become a - d, c - b (or, the other way round, a - c, d - b) unless that repeats an
    edge or makes a loop; uniform over all simple graphs with these degrees. Self-loops stay; weights go with the edges.

    Raises
    ------
    InputError
        When the graph is not symmetric, weights included, or too large.
    """
    _check_size(graph)
    reverse = np.lexsort((graph.source, graph.target))
    if any((a[reverse] != b).any() for a, b in ((graph.source, graph.target), (graph.target, graph.source), (graph.weight, graph.weight))):
        raise InputError("the graph is not symmetric: take graph.symmetric(), or a null of directed graphs")
    once, loop = graph.source < graph.target, graph.source == graph.target
    source, target, weight = graph.source[once].copy(), graph.target[once].copy(), graph.weight[once]
    if source.size > 1:
        state = states(seed, "graphs/swaps-undirected", range(null, null + 1))
        swap_undirected(source, target, graph.nodes, int(np.ceil(swaps * source.size)), state)
    ends = (np.concatenate([source, target, graph.source[loop]]), np.concatenate([target, source, graph.target[loop]]))
    return graph.with_edges(*ends, np.concatenate([weight, weight, graph.weight[loop]]))


def latticised(graph: Graph, seed: int, null: int = 0, swaps: float = SWAPS) -> Graph:
    """Return a copy with the same in- and out-degrees whose edges are drawn to the diagonal: the regular end of small worlds.

    As :func:`degree_preserving`, but a swap is made only when it shortens the two edges on a ring of the nodes in their
    order (Sporns & Zwi 2004, https://doi.org/10.1385/NI:2:2:145). Self-loops stay where they are.
    """
    _check_size(graph)
    target = graph.target.copy()
    if graph.edges > 1:
        state = states(seed, "graphs/lattice", range(null, null + 1))
        swap_to_lattice(graph.source, target, graph.nodes, int(np.ceil(swaps * graph.edges)), state)
    return graph.with_edges(graph.source, target, graph.weight)


def _check_size(graph: Graph) -> None:
    if graph.nodes > MOST_NODES:
        raise InputError(
            f"degree-preserving nulls are for up to {MOST_NODES} nodes, not {graph.nodes}: take a projection of it (curveball)"
        )
