"""Graph measures against networkx, and the nulls' speed.

    python benchmarks/graphs.py [--nodes 2000] [--edges 500000] [--peer-limit 60]

A random directed graph with lognormal weights. Each measure is timed here and in networkx in turn, on the same graph; where networkx
would take longer than the limit, both are timed on smaller graphs of the same density, first 60 nodes, then twice as many each time, and
the ratio is that of the largest networkx could do within the limit (it grows with size). Seconds are of the processor, one thread, so that
other work on the machine counts little; compiled code is warmed up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import biosim  # noqa: F401 (first: it asks MKL for reproducible results)

import networkx as nx  # isort: skip
import numpy as np

from biosim import graphs
from biosim.graphs import Graph
from biosim.graphs.nulls import curveball, curveball_shared, degree_preserving, permute_weights

Measure = Callable[[Any], Any]

PAIRS: dict[str, tuple[Measure, Measure]] = {
    "density": (graphs.density, nx.density),
    "reciprocity": (graphs.reciprocity, nx.overall_reciprocity),
    "degree distribution": (lambda g: graphs.degree_distribution(g, "in"), lambda g: np.bincount([d for _, d in g.in_degree()])),
    "strengths": (lambda g: graphs.strengths(g, "in"), lambda g: dict(g.in_degree(weight="weight"))),
    "clustering": (graphs.clustering, nx.clustering),
    "clustering, weighted": (lambda g: graphs.clustering(g, weighted=True), lambda g: nx.clustering(g, weight="weight")),
    "transitivity": (graphs.transitivity, lambda g: nx.transitivity(g.to_undirected(as_view=False))),
    "path length": (graphs.path_length, lambda g: _mean(nx.all_pairs_shortest_path_length(g))),
    "path length, weighted": (
        lambda g: graphs.path_length(g, weighted=True),
        lambda g: _mean(nx.all_pairs_dijkstra_path_length(g, weight=lambda a, b, d: 1 / d["weight"])),
    ),
    "strong components": (graphs.largest_component, lambda g: max(map(len, nx.strongly_connected_components(g)))),
    "modularity, one Louvain start": (
        lambda g: graphs.communities(g, starts=1),
        lambda g: nx.community.louvain_communities(g, weight=None, seed=0),
    ),
    "rich club": (lambda g: graphs.rich_club(g), lambda g: nx.rich_club_coefficient(g.to_undirected(), normalized=False)),
    "triad census": (graphs.triad_census, nx.triadic_census),
    "assortativity": (graphs.assortativity, lambda g: nx.degree_pearson_correlation_coefficient(g, "out", "in")),
    "spectrum, leading modes": (graphs.leading_modes, nx.adjacency_spectrum),
    "degree-preserving null, 10 an edge": (
        lambda g: degree_preserving(g, 0),
        lambda g: nx.directed_edge_swap(g.copy(), nswap=g.number_of_edges() // 10, max_tries=10**9, seed=0),
    ),
    "weights permuted": (lambda g: permute_weights(g, 0), lambda g: _shuffle(g)),
}
SHARES = {"degree-preserving null, 10 an edge": 100}  # networkx makes 1/10 of a swap an edge, biosim 10 proposals


def _mean(every: Any) -> float:
    return float(np.mean([d for i, row in every for j, d in row.items() if i != j]))


def _shuffle(graph: Any) -> Any:
    weights = np.random.default_rng(0).permutation([w for _, _, w in graph.edges(data="weight")])
    shuffled = nx.DiGraph()
    shuffled.add_nodes_from(graph)
    shuffled.add_weighted_edges_from((a, b, w) for (a, b), w in zip(graph.edges, weights, strict=True))
    return shuffled


def made(nodes: int, density: float) -> Graph:
    """Return a random directed graph with lognormal weights."""
    random = np.random.default_rng(0)
    places = random.choice(nodes * (nodes - 1), round(density * nodes * (nodes - 1)), replace=False)
    source, target = np.divmod(places, nodes - 1)
    return Graph.from_edges(nodes, source, target + (target >= source), random.lognormal(size=places.size))


def seconds(call: Callable[[], Any]) -> float:
    """Return the processor seconds of one call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def compare(name: str, graph: Graph, limit: float) -> str:
    """Return a line of the table: both on the largest graph that networkx does within the limit."""
    ours, theirs = PAIRS[name]
    ours(made(60, 0.2))
    whole = min(seconds(lambda: ours(graph)) for _ in range(3))
    density, nodes, peer, part = graph.edges / (graph.nodes * (graph.nodes - 1)), 60, 0.0, 0.0
    while True:
        nodes = graph.nodes if nodes * 2 > graph.nodes else nodes
        small = graph if nodes == graph.nodes else made(nodes, density)
        other = graphs.to_networkx(small)
        mine = min(seconds(lambda g=small: ours(g)) for _ in range(3))  # type: ignore[misc]
        peer, part = seconds(lambda g=other: theirs(g)) * SHARES.get(name, 1), mine  # type: ignore[misc]
        if nodes == graph.nodes or peer / SHARES.get(name, 1) * 10 > limit:  # twice the nodes: 4 to 16 times the work
            break
        nodes *= 2
    return f"{name:<36}{whole:>10.3f}{nodes:>10}{part:>12.5f}{peer:>12.3f}{peer / max(part, 1e-7):>12.0f}"


def main() -> None:
    """Print the comparison, all measures together, and the Curveball nulls."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--nodes", type=int, default=2000)
    options.add_argument("--edges", type=int, default=500_000)
    options.add_argument("--peer-limit", type=float, default=60.0, help="seconds networkx may take for a measure")
    options.add_argument("--only", default="", help="part of a measure's name")
    asked = options.parse_args()
    graph = made(asked.nodes, asked.edges / (asked.nodes * (asked.nodes - 1)))
    print(f"{graph.nodes} nodes, {graph.edges} directed edges; processor seconds, one thread")
    print(f"{'measure':<36}{'biosim':>10}{'peer at':>10}{'biosim':>12}{'networkx':>12}{'ratio':>12}")
    for name in PAIRS:
        if asked.only in name:
            print(compare(name, graph, asked.peer_limit), flush=True)
    if asked.only:
        return
    for nulls in (0, 5):
        graphs.measures(made(60, 0.2), nulls)
        print(f"all measures together, {nulls} nulls: {seconds(lambda n=nulls: graphs.measures(graph, n)):.1f} s", flush=True)  # type: ignore[misc]
    mask = np.random.default_rng(0).random((784, 500)) < 0.2
    curveball(mask, 1, 0)
    curveball_shared(mask, mask, 1, 0)
    drawn = seconds(lambda: [curveball(mask, 50, 0, first=k) for k in range(0, 1000, 50)])
    print(f"1000 Curveball nulls of a 784 x 500 mask, density .2: {drawn:.1f} s")
    print(f"the overlap of 1000 such nulls with another mask: {seconds(lambda: curveball_shared(mask, mask, 1000, 0)):.1f} s")


if __name__ == "__main__":
    main()
