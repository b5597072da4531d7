"""Every graph measure is what networkx, or counting by hand, finds: directed, weighted, signed, looped, torn, empty."""

from __future__ import annotations

import itertools
import math

import networkx as nx
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.csgraph
from drawn_graphs import defined, drawn, equal, graph_of
from hypothesis import given
from hypothesis import strategies as st

from biosim import graphs
from biosim.errors import InputError
from biosim.graphs import Graph
from biosim.graphs.convert import from_networkx, to_networkx

WAYS = ("in", "out", "total")


@graph_of
@given(drawn())
def test_networkx_and_back(graph: Graph) -> None:
    back = from_networkx(to_networkx(graph))
    assert (back.dense() == graph.dense()).all() and back.nodes == graph.nodes
    either = nx.Graph([(0, 1, {"weight": 2.0}), (1, 1), (1, 2)])
    assert from_networkx(either).dense().tolist() == [[0, 2, 0], [2, 1, 1], [0, 1, 0]]


@graph_of
@given(drawn())
def test_density_degrees_and_strengths(graph: Graph) -> None:
    matrix, peer = graph.dense(), to_networkx(graph)
    off = (matrix != 0) & ~np.eye(graph.nodes, dtype=bool)
    n = graph.nodes
    assert defined(graphs.density, graph) == (off.sum() / (n * (n - 1)) if n > 1 else None)
    assert defined(graphs.density, graph, loops=True) == ((matrix != 0).sum() / n**2 if n else None)
    assert graphs.degrees(graph, "in").tolist() == [d for _, d in peer.in_degree()]
    assert graphs.degrees(graph).tolist() == [d for _, d in peer.degree()]
    assert graphs.degree_distribution(graph, "out").tolist() == (np.bincount([d for _, d in peer.out_degree()]).tolist() if n else [])
    assert equal(graphs.strengths(graph, "in", "net"), matrix.sum(0)) and equal(graphs.strengths(graph, "out"), abs(matrix).sum(1))
    assert equal(
        graphs.strengths(graph, "total", "excitatory"), np.where(matrix > 0, matrix, 0).sum(0) + np.where(matrix > 0, matrix, 0).sum(1)
    )
    assert equal(graphs.strengths(graph, "out", "inhibitory"), -np.where(matrix < 0, matrix, 0).sum(1))


@graph_of
@given(drawn())
def test_reciprocity(graph: Graph) -> None:
    own = graph.without_loops()
    matrix = abs(own.dense())
    found = defined(graphs.reciprocity, graph)
    assert found == (nx.overall_reciprocity(to_networkx(own)) if own.edges else None)
    pairs = list(itertools.permutations(range(graph.nodes), 2))
    returned, total = sum(min(matrix[i, j], matrix[j, i]) for i, j in pairs), sum(matrix[p] for p in pairs)
    weighted = defined(graphs.weighted_reciprocity, graph)
    assert weighted == (pytest.approx(returned / total) if total else None)
    off = ~np.eye(graph.nodes, dtype=bool)
    beyond = defined(graphs.reciprocity_beyond_chance, graph)
    ones = (own.dense() != 0)[off]
    if found is None or ones.all():
        assert beyond is None
    else:  # the correlation of a_ij with a_ji
        assert beyond == pytest.approx(np.corrcoef(ones, (own.dense() != 0).T[off])[0, 1])


@graph_of
@given(drawn(positive=True))
def test_clustering_is_fagiolos_as_networkx_has_it(graph: Graph) -> None:
    peer = to_networkx(graph.without_loops())
    for weighted in (False, True):
        wanted = list(nx.clustering(peer, weight="weight" if weighted else None).values())
        assert equal(graphs.clustering(graph, weighted), wanted)
    assert defined(graphs.average_clustering, graph) == (pytest.approx(nx.average_clustering(peer)) if graph.nodes else None)


@graph_of
@given(drawn(symmetric=True, positive=True))
def test_clustering_of_a_symmetric_graph_is_the_undirected_one(graph: Graph) -> None:
    peer = to_networkx(graph.without_loops()).to_undirected()
    for weighted in (False, True):
        assert equal(graphs.clustering(graph, weighted), list(nx.clustering(peer, weight="weight" if weighted else None).values()))
    closed = nx.transitivity(peer)
    assert defined(graphs.transitivity, graph) == (pytest.approx(closed) if max(dict(peer.degree()).values(), default=0) > 1 else None)


@graph_of
@given(drawn(least=1, most=6))
def test_patterns_and_signs_of_clustering_by_hand(graph: Graph) -> None:
    own = graph.without_loops()
    matrix, n = own.dense(), graph.nodes
    present, scale = matrix != 0, abs(matrix).max() or 1.0
    root = np.cbrt(matrix / scale)
    corners = {
        "cycle": lambda i, j, k: ((i, j), (j, k), (k, i)),
        "middleman": lambda i, j, k: ((i, j), (k, j), (k, i)),
        "in": lambda i, j, k: ((j, i), (j, k), (k, i)),
        "out": lambda i, j, k: ((i, j), (j, k), (i, k)),
    }
    asked = {
        "cycle": lambda i, j, k: ((i, j), (k, i)),
        "middleman": lambda i, j, k: ((i, j), (k, i)),
        "in": lambda i, j, k: ((j, i), (k, i)),
        "out": lambda i, j, k: ((i, j), (i, k)),
    }
    sums, possible = np.zeros(n), np.zeros(n)
    for pattern in corners:
        for weighted, signed in ((False, False), (True, True)):
            wanted = np.zeros(n)
            for i in range(n):
                ways = [(j, k) for j, k in itertools.permutations(range(n), 2) if i not in (j, k)]
                open_ = sum(all(present[e] for e in asked[pattern](i, j, k)) for j, k in ways)
                values = [math.prod((root if signed else present)[e] for e in corners[pattern](i, j, k)) for j, k in ways]
                wanted[i] = sum(values) / open_ if open_ else 0.0
                if signed:
                    sums[i], possible[i] = sums[i] + sum(values), possible[i] + open_
            assert equal(graphs.clustering(graph, weighted, signed, pattern), wanted)  # type: ignore[arg-type]
    whole = np.divide(sums, possible, out=np.zeros(n), where=possible > 0)
    assert equal(graphs.clustering(graph, weighted=True, signed=True), whole)


@graph_of
@given(drawn())
def test_distances(graph: Graph) -> None:
    peer = to_networkx(graph)
    for weighted in (False, True):
        for a, b, w in peer.edges(data="weight"):
            peer.edges[a, b]["length"] = 1 / abs(w)
        every = nx.all_pairs_dijkstra_path_length(peer, weight="length" if weighted else None)
        distances = [d for i, row in every for j, d in row.items() if i != j]
        n = graph.nodes
        assert defined(graphs.path_length, graph, weighted) == (pytest.approx(np.mean(distances)) if distances else None)
        wanted = sum(1 / d for d in distances) / (n * (n - 1)) if n > 1 else None
        assert defined(graphs.global_efficiency, graph, weighted) == (pytest.approx(wanted) if n > 1 else None)
        assert defined(graphs.reachable, graph) == (len(distances) / (n * (n - 1)) if n > 1 else None)
    counts = np.bincount([nx.shortest_path_length(peer, i, j) for i in peer for j in peer if nx.has_path(peer, i, j)], minlength=1)
    assert graphs.distance_counts(graph).tolist() == counts.tolist()
    largest = max(map(len, nx.strongly_connected_components(peer)), default=0)
    assert defined(graphs.largest_component, graph) == (largest / n if n else None)
    assert defined(graphs.largest_component, graph, strong=False) == (
        max(map(len, nx.weakly_connected_components(peer))) / n if n else None
    )


def test_distances_of_larger_graphs() -> None:
    """More than one word of bits, and searches that stop early."""
    random = np.random.default_rng(0)
    for density in (0.012, 0.05, 0.5):
        graph = Graph.from_matrix((random.random((150, 150)) < density) * random.lognormal(size=(150, 150)))
        peer = to_networkx(graph)
        distances = [d for i, row in nx.all_pairs_shortest_path_length(peer) for j, d in row.items()]
        assert graphs.distance_counts(graph).tolist() == np.bincount(distances).tolist()
        near = scipy.sparse.csgraph.dijkstra(graph.matrix().power(-1))
        wanted = (1 / near[~np.eye(150, dtype=bool)]).sum() / (150 * 149)
        assert graphs.global_efficiency(graph, weighted=True) == pytest.approx(wanted)
    ring = Graph.from_edges(130, np.arange(130), (np.arange(130) + 1) % 130)
    assert graphs.path_length(ring) == 65 and graphs.distance_counts(ring).tolist() == [130] * 130


@graph_of
@given(drawn())
def test_the_triad_census(graph: Graph) -> None:
    wanted = nx.triadic_census(to_networkx(graph)) if graph.nodes > 2 else dict.fromkeys(graphs.triad_census(graph), 0)
    assert graphs.triad_census(graph) == wanted


@pytest.mark.parametrize(("nodes", "density"), [(90, 0.02), (90, 0.3), (300, 0.01)])
def test_the_triad_census_sparse_and_dense(nodes: int, density: float) -> None:
    graph = Graph.from_matrix((np.random.default_rng(0).random((nodes, nodes)) < density) * 1.0)
    assert graphs.triad_census(graph) == nx.triadic_census(to_networkx(graph))
    assert equal(graphs.clustering(graph), list(nx.clustering(to_networkx(graph.without_loops())).values()))


@graph_of
@given(drawn(least=2), st.data())
def test_assortativity(graph: Graph, data: st.DataObject) -> None:
    source, target = data.draw(st.sampled_from(["in", "out"])), data.draw(st.sampled_from(["in", "out"]))
    found = defined(graphs.assortativity, graph, source, target)
    edges, own = list(zip(graph.source, graph.target, strict=True)), {"in": graph.in_degree, "out": graph.out_degree}
    x, y = [own[source][i] for i, _ in edges], [own[target][j] for _, j in edges]
    if len(set(x)) > 1 and len(set(y)) > 1:
        assert found == pytest.approx(nx.degree_pearson_correlation_coefficient(to_networkx(graph), source, target))
        assert found == pytest.approx(np.corrcoef(x, y)[0, 1])
        positive = Graph(graph.nodes, graph.source, graph.target, abs(graph.weight))
        weighted = nx.degree_pearson_correlation_coefficient(to_networkx(positive), source, target, weight="weight")
        assert graphs.assortativity(graph, source, target, weighted=True) == pytest.approx(weighted)
    else:
        assert found is None


@graph_of
@given(drawn(least=1))
def test_eigenvalues(graph: Graph) -> None:
    found, wanted = graphs.eigenvalues(graph), scipy.linalg.eigvals(graph.dense())
    for power in range(1, 4):  # power sums are well conditioned where single eigenvalues are not
        assert np.sum(found**power) == pytest.approx(np.trace(np.linalg.matrix_power(graph.dense(), power)), abs=1e-6)
    assert equal(sorted(np.abs(found)), np.sort(np.abs(wanted))) or graphs.largest_component(graph) < 1
    modes = graphs.leading_modes(graph, gain=0.5)
    assert modes.radius == pytest.approx(0.5 * np.abs(found).max()) and modes.abscissa == pytest.approx(0.5 * found.real.max())
    assert modes.slowest[0] == (pytest.approx(1 / (1 - modes.abscissa)) if modes.abscissa < 1 else np.inf)


def test_a_graph_without_loops_has_only_zero_eigenvalues_and_a_large_one_its_leading_ones() -> None:
    random = np.random.default_rng(0)
    order = random.permutation(60)
    forward = Graph.from_matrix(np.triu(random.normal(size=(60, 60)), 1)[order][:, order])
    assert not graphs.eigenvalues(forward).any() and graphs.leading_modes(forward).radius == 0
    large = Graph.from_matrix((random.random((700, 700)) < 0.05) * random.normal(size=(700, 700)))
    values, modes = scipy.linalg.eigvals(large.dense()), graphs.leading_modes(large, gain=0.1)
    assert modes.radius == pytest.approx(0.1 * np.abs(values).max()) and modes.abscissa == pytest.approx(0.1 * values.real.max())
    assert equal(modes.slowest, 1 / (1 - 0.1 * np.sort(values.real)[::-1][:6]))


def test_dimensions() -> None:
    random = np.random.default_rng(0)
    rotation = scipy.linalg.qr(random.normal(size=(6, 6)))[0]
    flat = graphs.dimensions(rotation[:, :4])
    assert equal([flat.effective_rank, flat.participation_ratio, flat.stable_rank], [4, 4, 4])
    one = graphs.dimensions(np.outer([1, 2, 0], [3, -1, 0, 2]))
    assert equal([one.effective_rank, one.participation_ratio, one.stable_rank], [1, 1, 1])
    s = np.array([3.0, 2.0, 1.0])
    found = graphs.dimensions(rotation[:, :3] * s @ rotation[:3, :3])
    s = np.linalg.svd(rotation[:, :3] * s @ rotation[:3, :3], compute_uv=False)
    assert found.effective_rank == pytest.approx(math.exp(-sum(x * math.log(x) for x in s / s.sum())))
    assert found.participation_ratio == pytest.approx((s**2).sum() ** 2 / (s**4).sum())


@pytest.mark.parametrize("nodes", [0, 1, 2, 5])
def test_without_edges_everything_is_defined_or_says_why(nodes: int) -> None:
    rows = graphs.measures(Graph.from_edges(nodes, [], []), nulls=2)
    assert all(np.isnan(r.value) == bool(r.note) for r in rows if "variation" not in r.measure and "gini" not in r.measure)
    values = {r.measure: r.value for r in rows}
    assert values["edges"] == 0 and np.isnan(values["reciprocity"]) and np.isnan(values["modularity"]) and np.isnan(values["path length"])
    assert values["triads.300"] == 0 and (values.get("clustering") == 0 or nodes == 0)


def test_all_measures_at_once_are_the_single_ones() -> None:
    random = np.random.default_rng(0)
    graph = Graph.from_matrix((random.random((40, 40)) < 0.2) * random.normal(size=(40, 40)))
    own = graph.without_loops()
    rows = {r.measure: r for r in graphs.measures(graph, nulls=6, seed=2)}
    assert not [r for r in rows.values() if r.note] and all(np.isfinite(r.value) for r in rows.values())
    for name, value in (
        ("density", graphs.density(graph)),
        ("clustering", graphs.average_clustering(own)),
        ("weighted efficiency", graphs.global_efficiency(graph, weighted=True)),
        ("triads.030T", graphs.triad_census(graph)["030T"]),
        ("assortativity in-out", graphs.assortativity(own, "in", "out")),
        ("spectrum.radius", np.abs(graphs.eigenvalues(graph)).max()),
        ("dimensions.stable_rank", graphs.dimensions(graph.dense()).stable_rank),
        ("share excitatory", (graph.weight > 0).mean()),
        ("small-world sigma", graphs.small_world(own, nulls=6, seed=2).sigma),
        ("small-world omega", graphs.small_world(own, nulls=6, seed=2).omega),
    ):
        assert rows[name].value == pytest.approx(value), name
    null = rows["triads.030T"].null
    assert null == graphs.motifs(own.binary(), 6, 2)["030T"]
    assert rows["clustering"].flat()["null_mean"] == rows["clustering"].null.mean  # type: ignore[union-attr]
    assert str([r.flat() for r in graphs.measures(graph, nulls=6, seed=2)]) == str([r.flat() for r in rows.values()])


def test_bad_input_is_named() -> None:
    graph = Graph.from_edges(3, [0, 1], [1, 2])
    for call, words in (
        (lambda: graphs.clustering(graph, pattern="ring"), "pattern"),  # type: ignore[arg-type]
        (lambda: graphs.clustering(graph, signed=True), "weighted=True"),
        (lambda: graphs.degrees(graph, "up"), "degree is"),  # type: ignore[arg-type]
        (lambda: graphs.strengths(graph, "in", "gross"), "strengths are"),  # type: ignore[arg-type]
        (lambda: graphs.modularity(graph, [0, 1]), "2 labels for 3"),
        (lambda: graphs.communities(graph, starts=0), "one start"),
        (lambda: graphs.leading_modes(graph, gain=-1), "positive"),
        (lambda: graphs.dimensions([[np.nan]]), "finite"),
        (lambda: graphs.dimensions([[0.0]]), "without weights"),
        (lambda: graphs.spread([-1.0]), "not negative"),
        (lambda: graphs.measures(graph, nulls=-1), "not negative"),
        (lambda: graphs.small_world(graph, null="none"), "keeps"),  # type: ignore[arg-type]
        (lambda: Graph.from_matrix([[np.inf]]), "infinite"),
        (lambda: from_networkx(nx.Graph([(0, 1, {"weight": "heavy"})])), "not a number"),
    ):
        with pytest.raises(InputError, match=words):
            call()
