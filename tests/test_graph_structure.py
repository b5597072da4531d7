"""Communities, rich clubs, small worlds and motifs: as networkx and brute force have them, and found where they are planted."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from drawn_graphs import defined, drawn, equal, graph_of
from hypothesis import given, settings
from hypothesis import strategies as st

from biosim import graphs
from biosim.errors import UndefinedError
from biosim.graphs import Graph
from biosim.graphs.convert import from_networkx, to_networkx


@graph_of
@given(drawn(least=2, symmetric=True))
def test_the_rich_club_of_a_symmetric_graph_is_networkx(graph: Graph) -> None:
    peer = to_networkx(graph.without_loops()).to_undirected()
    wanted = nx.rich_club_coefficient(peer, normalized=False) if peer.number_of_edges() else {}
    club = graphs.rich_club(graph, way="out")
    assert equal(club.coefficient[: len(wanted)], list(wanted.values())) and not club.coefficient[len(wanted) :].any()


@graph_of
@given(drawn(least=2))
def test_the_rich_club_by_hand(graph: Graph) -> None:
    matrix = abs(graph.without_loops().dense())
    degree = (matrix > 0).sum(0) + (matrix > 0).sum(1)
    for weighted in (False, True):
        club = graphs.rich_club(graph, weighted)
        for k, value in enumerate(club.coefficient):
            rich = np.flatnonzero(degree > k)
            inside = matrix[np.ix_(rich, rich)]
            count = int((inside > 0).sum())
            assert club.members[k] == rich.size
            if weighted:
                strongest = np.sort(matrix[matrix > 0])[::-1][:count].sum()
                assert value == pytest.approx(inside.sum() / strongest if count else 0.0)
            else:
                assert value == pytest.approx(count / (rich.size * (rich.size - 1)) if rich.size > 1 else 0.0)


def test_a_planted_rich_club_stands_out_from_its_nulls() -> None:
    random = np.random.default_rng(0)
    p = np.full((80, 80), 0.08)
    p[:8, :8] = 0.95
    p[:8, 8:] = 0.3
    graph = Graph.from_matrix((random.random((80, 80)) < p) * 1.0)
    club = graphs.rich_club(graph, nulls=20)
    k = club.at(0.1)
    assert club.members[k] <= 8 and club.normalised[k] > 1.2
    assert club.coefficient[k] > club.null[k] + 3 * club.deviation[k]
    assert np.isnan(graphs.rich_club(graph).null).all()


@graph_of
@given(drawn(least=1), st.data())
def test_modularity(graph: Graph, data: st.DataObject) -> None:
    labels = np.array(data.draw(st.lists(st.integers(0, 3), min_size=graph.nodes, max_size=graph.nodes)))
    groups = [set(np.flatnonzero(labels == c).tolist()) for c in set(labels.tolist())]
    positive = Graph(graph.nodes, graph.source, graph.target, abs(graph.weight))
    for weight in (None, "weight"):
        found = defined(graphs.modularity, positive, labels, weight is not None, 0.7)
        peer = nx.community.modularity(to_networkx(positive), groups, weight=weight, resolution=0.7) if graph.edges else None
        assert found == (pytest.approx(peer) if graph.edges else None)
    matrix = graph.dense()
    same = labels[:, None] == labels[None]
    total, wanted = abs(matrix).sum(), 0.0
    for sign in (1, -1):
        part = np.maximum(sign * matrix, 0)
        if part.sum():
            wanted += sign * ((part - np.outer(part.sum(1), part.sum(0)) / part.sum())[same]).sum() / total
    assert defined(graphs.modularity, graph, labels, True) == (pytest.approx(wanted) if total else None)


def partitions(n: int) -> list[list[int]]:
    found = [[0]]
    for _ in range(n - 1):
        found = [[*p, c] for p in found for c in range(max(p) + 2)]
    return found


@settings(max_examples=25)
@given(drawn(least=2, most=6, symmetric=None))
def test_communities_are_the_best_of_all_partitions_of_small_graphs(graph: Graph) -> None:
    for weighted in (False, True):
        found = defined(graphs.communities, graph, weighted, starts=20)
        if found is not None:
            best = max(graphs.modularity(graph, p, weighted) for p in partitions(graph.nodes))
            assert found.modularity == pytest.approx(graphs.modularity(graph, found.labels, weighted))
            assert found.modularity == pytest.approx(best, abs=1e-9)


def test_planted_communities_are_found_directed_and_signed() -> None:
    random = np.random.default_rng(0)
    planted = np.repeat(np.arange(4), 25)
    same = planted[:, None] == planted[None]
    graph = Graph.from_matrix((random.random((100, 100)) < np.where(same, 0.3, 0.03)) * 1.0)
    found = graphs.communities(graph)
    assert len({(a, b) for a, b in zip(found.labels, planted, strict=True)}) == 4 == len(set(found.labels.tolist()))
    peer = max(nx.community.modularity(to_networkx(graph), nx.community.louvain_communities(to_networkx(graph), seed=s)) for s in range(5))
    assert found.modularity >= peer - 1e-9
    signed = Graph.from_matrix((random.random((100, 100)) < 0.2) * np.where(same, 1.0, -1.0))  # all that tells is the sign
    assert len(set(zip(graphs.communities(signed, weighted=True).labels, planted, strict=True))) == 4
    assert (graphs.communities(graph, seed=3).labels == graphs.communities(graph, seed=3).labels).all()


def test_small_worlds() -> None:
    ring = nx.watts_strogatz_graph(120, 8, 0.1, seed=1)
    small = graphs.small_world(from_networkx(ring), nulls=5)
    assert small.sigma > 2 and abs(small.omega) < 0.6
    assert small.clustering == pytest.approx(nx.average_clustering(ring)) and small.path_length == pytest.approx(
        nx.average_shortest_path_length(ring)
    )
    regular = graphs.small_world(from_networkx(nx.watts_strogatz_graph(120, 8, 0, seed=1)), nulls=5)
    chance = graphs.small_world(from_networkx(nx.gnm_random_graph(120, 1500, seed=1, directed=True)), nulls=5, null="edges")
    assert regular.omega < small.omega < chance.omega and abs(chance.sigma - 1) < 0.2 and chance.omega > 0.4
    with pytest.raises(UndefinedError, match="triangles"):
        graphs.small_world(from_networkx(nx.path_graph(4)))


def test_motifs_against_nulls_find_what_is_planted() -> None:
    random = np.random.default_rng(0)
    matrix = random.random((90, 90)) < 0.03
    for _ in range(60):  # feed-forward loops
        i, j, k = random.permutation(90)[:3]
        matrix[i, j] = matrix[j, k] = matrix[i, k] = True
    found = graphs.motifs(Graph.from_matrix(matrix * 1.0), nulls=20, seed=0)
    assert found["030T"].z > 5 and found["030T"].ratio > 1.5 and abs(found["030C"].z) < 4
