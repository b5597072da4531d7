"""The three-node motif census, by matrix products."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from biosim.graphs.basic import reciprocal
from biosim.graphs.graph import Graph
from biosim.graphs.nulls.contrast import Contrast, contrast
from biosim.graphs.nulls.swaps import SWAPS, degree_preserving_many
from biosim.graphs.products import adjacency, total

CONNECTED = ("021D", "021U", "021C", "111D", "111U", "201", "030T", "030C", "120D", "120U", "120C", "210", "300")
TRIADS = ("003", "012", "102", *CONNECTED)


def triad_census(graph: Graph) -> Mapping[str, int]:
    """Return how many of the ``n (n - 1) (n - 2) / 6`` triples of nodes are of each of the 16 kinds.

    Kinds are named by their mutual, asymmetric and null pairs (Holland & Leinhardt 1976; Davis & Leinhardt 1972) as networkx
    names them: 021D is a <- b -> c, 021U a -> b <- c, 021C a -> b -> c, 111D a <-> b <- c, 111U a <-> b -> c, 201 a <-> b <-> c,
    030T the feed-forward loop, 030C the cycle; 120D, 120U, 120C close 021D, 021U, 021C by a mutual pair. Self-loops,
    weights and signs are not read.

    With M the mutual and C the asymmetric pairs, the closed kinds are sums of matrix products, ``030T = sum(C C * C)``,
    ``030C = sum(C C * C^T)/3``, ``120D = sum(C^T C * M)/2``, ``120U = sum(C C^T * M)/2``, ``120C = sum(C C * M)``,
    ``210 = sum(M M * C)``, ``300 = sum(M M * M)/6``; the open ones are the two-paths that degrees give, less those in closed kinds.

    Examples
    --------
    >>> import networkx
    >>> from biosim.graphs import from_networkx, triad_census
    >>> census = triad_census(from_networkx(networkx.DiGraph([(0, 1), (1, 2), (2, 0)])))
    >>> {kind: int(count) for kind, count in census.items() if count}
    {'030C': 1}
    """
    own = graph.without_loops()
    both = reciprocal(own)
    one_way = own.with_edges(own.source[~both], own.target[~both])
    mutual = own.with_edges(own.source[both], own.target[both])
    c, m = adjacency(one_way), adjacency(mutual)
    if isinstance(c, np.ndarray) != isinstance(m, np.ndarray):  # one is much denser than the other
        c, m = (one_way.dense(False).astype(np.float32), mutual.dense(False).astype(np.float32))

    transitive, cycles, paths_closed = total(c, c, c, c.T, m)
    found = {
        "030T": transitive,
        "030C": cycles // 3,
        "120C": paths_closed,
        "120D": total(c.T, c, m)[0] // 2,
        "120U": total(c, c.T, m)[0] // 2,
    }
    asymmetric_closed, mutual_closed = total(m, m, c, m)
    found |= {"210": asymmetric_closed, "300": mutual_closed // 6}
    return _open_kinds(graph.nodes, one_way, mutual, found)


def _open_kinds(n: int, one_way: Graph, mutual: Graph, closed: Mapping[str, int]) -> Mapping[str, int]:
    out, into = one_way.out_degree, one_way.in_degree
    double = mutual.out_degree
    t, cycle, d, u, c, mutual2, full = (closed[k] for k in ("030T", "030C", "120D", "120U", "120C", "210", "300"))
    found = dict(closed)
    found["021D"] = int((out * (out - 1) // 2).sum()) - t - d
    found["021U"] = int((into * (into - 1) // 2).sum()) - t - u
    found["021C"] = int((into * out).sum()) - t - 3 * cycle - c
    found["111D"] = int((double * into).sum()) - 2 * d - c - mutual2
    found["111U"] = int((double * out).sum()) - 2 * u - c - mutual2
    found["201"] = int((double * (double - 1) // 2).sum()) - mutual2 - 3 * full
    pairs = {"asymmetric": one_way.edges * max(n - 2, 0), "mutual": mutual.edges // 2 * max(n - 2, 0)}
    found["012"] = pairs["asymmetric"] - sum(int(kind[1]) * found[kind] for kind in CONNECTED)
    found["102"] = pairs["mutual"] - sum(int(kind[0]) * found[kind] for kind in CONNECTED)
    found["003"] = n * (n - 1) * (n - 2) // 6 - sum(found.values())
    return {kind: found[kind] for kind in TRIADS}


def motifs(graph: Graph, nulls: int, seed: int, swaps: float = SWAPS) -> Mapping[str, Contrast]:
    """Return the 13 connected kinds against degree-preserving nulls (Milo et al. 2002, https://doi.org/10.1126/science.298.5594.824).

    ``z`` of each grows with the graph; ``normalised`` and ``ratio`` are the effect sizes to compare by.
    """
    observed = triad_census(graph)
    counts = [triad_census(g) for g in degree_preserving_many(graph, nulls, seed, swaps=swaps)]
    return {kind: contrast(float(observed[kind]), [float(c[kind]) for c in counts]) for kind in CONNECTED}
