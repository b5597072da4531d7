"""Nulls keep exactly what they promise, and reach everything else with equal probability."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from biosim.errors import InputError
from biosim.graphs import Graph
from biosim.graphs.nulls import (
    contrast,
    curveball,
    curveball_shared,
    degree_preserving,
    degree_preserving_many,
    degree_preserving_undirected,
    hypergeometric,
    latticised,
    permute_weights,
    random_graph,
    shared_by_chance,
    strength_preserving,
)
from biosim.graphs.nulls.kernels import _uniform

Cells = Sequence[tuple[int, int]]


def random_mask(shape: tuple[int, int], density: float, seed: int = 0) -> npt.NDArray[np.bool_]:
    return np.random.default_rng(seed).random(shape) < density


def every_mask(shape: tuple[int, int], rows: npt.NDArray[np.int_], columns: npt.NDArray[np.int_], cells: Cells) -> list[bytes]:
    """All masks with these sums and nothing outside ``cells``, by trying every one."""
    found = []
    for chosen in itertools.combinations(cells, int(rows.sum())):
        mask = np.zeros(shape, bool)
        for cell in chosen:
            mask[cell] = True
        if (mask.sum(1) == rows).all() and (mask.sum(0) == columns).all():
            found.append(mask.tobytes())
    return found


def assert_uniform(drawn: Counter[bytes], possible: list[bytes]) -> None:
    assert set(drawn) == set(possible)
    assert chisquare([drawn[m] for m in possible]).pvalue > 0.01


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.booleans(), st.integers(0, 999))
def test_curveball_keeps_degrees_and_births(n: int, k: int, density: float, restricted: bool, seed: int) -> None:
    born = random_mask((n, k), 0.6, seed)
    mask = random_mask((n, k), density, seed + 1) & (born | (not restricted))
    nulls = curveball(mask, 5, seed, born if restricted else None)
    assert (nulls.sum(1) == mask.sum(0)).all() and (nulls.sum(2) == mask.sum(1)).all()
    assert not restricted or not (nulls & ~born).any()


def test_curveball_is_uniform() -> None:
    mask = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0]], bool)
    cells = list(itertools.product(range(4), range(4)))
    assert_uniform(Counter(m.tobytes() for m in curveball(mask, 6000, 1)), every_mask((4, 4), mask.sum(1), mask.sum(0), cells))


def test_curveball_within_births_is_uniform() -> None:
    born = np.ones((4, 5), bool)
    born[[0, 1, 3, 2], [0, 2, 4, 3]] = False
    mask = np.array([[0, 1, 1, 0, 0], [1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [1, 0, 1, 0, 0]], bool)
    cells = [(int(i), int(j)) for i, j in np.argwhere(born)]
    assert_uniform(Counter(m.tobytes() for m in curveball(mask, 8000, 1, born)), every_mask((4, 5), mask.sum(1), mask.sum(0), cells))


def test_a_null_is_the_same_alone_in_a_batch_and_in_parts() -> None:
    mask, other = random_mask((30, 20), 0.3), random_mask((30, 20), 0.4, 5)
    nulls = curveball(mask, 6, 3)
    assert (nulls[2:] == curveball(mask, 4, 3, first=2)).all()
    assert len({m.tobytes() for m in nulls}) == 6 and (nulls != curveball(mask, 6, 4)).any()
    assert (curveball_shared(mask, other, 6, 3) == (nulls & other).sum((1, 2))).all()
    graph = Graph.from_matrix(random_mask((20, 20), 0.2).astype(float))
    assert (list(degree_preserving_many(graph, 4, 3))[3].dense() == degree_preserving(graph, 3, 3).dense()).all()


def test_the_overlap_of_a_mask_with_its_nulls_falls_to_its_expectation() -> None:
    """Rows of one class of degrees: any two nulls of the same start overlap as much as a null with the start."""
    mask = np.zeros((60, 50), bool)
    for i in range(60):
        mask[i, (np.arange(10) + i) % 50] = True  # a band: as far from random as it gets, all degrees known
    mask = mask[:50]  # every row 10, every column 10: each cell is filled with probability 1/5
    few, many = curveball_shared(mask, mask, 40, 0, rounds=1), curveball_shared(mask, mask, 400, 0)
    assert few.mean() > 2 * 100
    assert abs(many.mean() - 100) < 4 * many.std() / 20
    graph = Graph.from_matrix(mask.astype(float))
    kept = [(degree_preserving(graph, 0, k, loops=True).dense(False) * mask).sum() for k in range(200)]
    assert abs(np.mean(kept) - 100) < 4 * np.std(kept) / np.sqrt(200)


@settings(max_examples=30)
@given(st.integers(0, 10), st.floats(0, 1), st.booleans(), st.integers(0, 999))
def test_swaps_keep_degrees_strengths_and_loops(n: int, density: float, loops: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    graph = Graph.from_matrix((random.random((n, n)) < density) * random.normal(size=(n, n)))
    null = degree_preserving(graph, seed, loops=loops)
    assert (null.in_degree == graph.in_degree).all() and (null.out_degree == graph.out_degree).all()
    assert sorted(null.weight) == sorted(graph.weight)
    assert np.allclose(null.dense().sum(1), graph.dense().sum(1), atol=1e-12)
    assert loops or (np.diag(null.dense()) == np.diag(graph.dense())).all()


@pytest.mark.parametrize(
    ("nodes", "edges", "loops"),
    [
        (3, [(0, 1), (1, 2), (2, 0)], False),  # only by turning the triangle round
        (4, [(0, 1), (1, 2), (2, 0), (0, 3), (3, 1)], False),
        (4, [(0, 1), (1, 2), (2, 0), (0, 0), (3, 1)], True),
    ],
)
def test_swaps_are_uniform(nodes: int, edges: Cells, loops: bool) -> None:
    graph = Graph.from_edges(nodes, *zip(*edges, strict=True))
    cells = [(i, j) for i in range(nodes) for j in range(nodes) if loops or i != j]
    possible = every_mask((nodes, nodes), graph.out_degree, graph.in_degree, cells)
    drawn = Counter((g.dense() != 0).tobytes() for g in degree_preserving_many(graph, 3000, 1, loops, swaps=40))
    assert_uniform(drawn, possible)


@settings(max_examples=20)
@given(st.integers(0, 10), st.floats(0, 1), st.integers(0, 999))
def test_undirected_swaps_keep_degrees_weights_and_loops(n: int, density: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    graph = Graph.from_matrix((random.random((n, n)) < density) * random.normal(size=(n, n))).symmetric()
    null = degree_preserving_undirected(graph, seed)
    assert (null.dense() == null.dense().T).all() and (null.out_degree == graph.out_degree).all()
    assert sorted(null.weight) == sorted(graph.weight) and (np.diag(null.dense()) == np.diag(graph.dense())).all()


def test_undirected_swaps_are_uniform() -> None:
    graph = Graph.from_edges(5, [0, 1, 2, 3, 0], [1, 2, 3, 4, 2]).symmetric()
    pairs, possible = list(itertools.combinations(range(5), 2)), []
    for chosen in itertools.combinations(pairs, 5):
        mask = np.zeros((5, 5), bool)
        mask[tuple(zip(*chosen, strict=True))] = True
        mask |= mask.T
        if (mask.sum(1) == graph.out_degree).all():
            possible.append(mask.tobytes())
    assert len(possible) > 3
    drawn = Counter((degree_preserving_undirected(graph, 1, k, swaps=40).dense() != 0).tobytes() for k in range(3000))
    assert_uniform(drawn, possible)


def test_a_lattice_keeps_degrees_and_loops_and_lies_along_the_ring() -> None:
    random = np.random.default_rng(0)
    graph = Graph.from_matrix((random.random((60, 60)) < 0.1) * random.normal(size=(60, 60)))
    lattice = latticised(graph, 0, swaps=100)
    assert (lattice.in_degree == graph.in_degree).all() and (lattice.out_degree == graph.out_degree).all()
    assert (np.diag(lattice.dense()) == np.diag(graph.dense())).all() and graph.loops > 0

    def reach(own: Graph) -> float:
        gap = np.abs(own.source - own.target)
        return float(np.minimum(gap, 60 - gap).mean())

    assert reach(lattice) < 0.5 * reach(graph) and abs(reach(graph) - 15) < 2


@pytest.mark.parametrize("loops", [False, True])
def test_random_graphs_keep_the_count_of_edges_and_are_uniform(loops: bool) -> None:
    graph = Graph.from_edges(3, [0, 1, 1], [1, 2, 1], [2.0, -3.0, 5.0])
    kept = graph if loops else graph.without_loops()
    drawn = [random_graph(graph, 0, k, loops) for k in range(3000)]
    assert all(g.edges == kept.edges and sorted(g.weight) == sorted(kept.weight) for g in drawn)
    possible = []
    for chosen in itertools.combinations([(i, j) for i in range(3) for j in range(3) if loops or i != j], kept.edges):
        mask = np.zeros((3, 3), bool)
        mask[tuple(zip(*chosen, strict=True))] = True
        possible.append(mask.tobytes())
    assert_uniform(Counter((g.dense(False) != 0).tobytes() for g in drawn), possible)


@settings(max_examples=20)
@given(st.integers(1, 12), st.sampled_from(["graph", "source", "target"]), st.integers(0, 999))
def test_permuted_weights_keep_the_wiring_and_the_weights(n: int, within: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    graph = Graph.from_matrix((random.random((n, n)) < 0.5) * random.normal(size=(n, n)))
    null = permute_weights(graph, seed, within=within)  # type: ignore[arg-type]
    assert ((null.dense() != 0) == (graph.dense() != 0)).all()
    assert sorted(null.weight) == sorted(graph.weight)
    if within != "graph":
        ends = (null.source, graph.source) if within == "source" else (null.target, graph.target)
        for i in range(n):
            assert sorted(null.weight[ends[0] == i]) == sorted(graph.weight[ends[1] == i])


def test_permuted_weights_are_uniform() -> None:
    graph = Graph.from_edges(2, [0, 0, 1], [0, 1, 0], [1.0, 2.0, 3.0])
    drawn = Counter(permute_weights(graph, 0, k).weight.tobytes() for k in range(3000))
    assert_uniform(drawn, [np.array(p).tobytes() for p in itertools.permutations([1.0, 2.0, 3.0])])


def test_strengths_are_nearly_kept_and_the_weights_move() -> None:
    random = np.random.default_rng(0)
    graph = Graph.from_matrix((random.random((60, 60)) < 0.3) * random.lognormal(size=(60, 60)))
    null, error = strength_preserving(graph, 0)
    gaps = np.concatenate([(null.dense() - graph.dense()).sum(axis) for axis in (0, 1)])
    plain = np.concatenate([(permute_weights(graph, 0).dense() - graph.dense()).sum(axis) for axis in (0, 1)])
    assert error == pytest.approx(np.sqrt((gaps**2).sum() / (plain**2).sum())) and error < 0.1
    assert sorted(null.weight) == sorted(graph.weight) and ((null.dense() != 0) == (graph.dense() != 0)).all()
    assert np.corrcoef(null.weight, graph.weight)[0, 1] < 0.5


def test_the_unit_of_the_weights_does_not_matter() -> None:
    random = np.random.default_rng(0)
    graph = Graph.from_matrix((random.random((30, 30)) < 0.3) * random.lognormal(size=(30, 30)))
    small = graph.with_edges(graph.source, graph.target, graph.weight * 2.0**-20)
    (null, error), (other, other_error) = strength_preserving(graph, 0), strength_preserving(small, 0)
    assert (other.weight == null.weight * 2.0**-20).all() and other_error == pytest.approx(error)


def test_the_generator_is_splitmix64() -> None:
    """Steele, Lea & Flood 2014, in Python's whole numbers; the first draw is the reference's for this seed."""
    state, word, drawn = np.array([1234567], np.uint64), 1234567, []
    for _ in range(100):
        word = (word + 0x9E3779B97F4A7C15) % 2**64
        z = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        drawn.append(z ^ (z >> 31))
        assert _uniform(state) == (drawn[-1] >> 11) / 2**53
    assert drawn[0] == 6457827717110365317


@settings(max_examples=40)
@given(st.integers(1, 60), st.data())
def test_the_hypergeometric_null_is_that_of_counted_overlaps(born: int, data: st.DataObject) -> None:
    first, second = data.draw(st.integers(0, born)), data.draw(st.integers(0, born))
    null = hypergeometric(born, first, second)
    chance = [math.comb(first, k) * math.comb(born - first, second - k) / math.comb(born, second) for k in range(min(first, second) + 1)]
    mean = sum(k * p for k, p in enumerate(chance))
    assert null.mean == pytest.approx(mean)
    assert null.deviation == pytest.approx(math.sqrt(sum((k - mean) ** 2 * p for k, p in enumerate(chance))), abs=1e-6)
    middle = min(first, second) // 2
    assert null.at_least(middle) == pytest.approx(sum(chance[middle:])) and null.at_most(middle) == pytest.approx(sum(chance[: middle + 1]))
    random = np.random.default_rng(born)
    shared = np.array([np.intersect1d(random.permutation(born)[:first], np.arange(second)).size for _ in range(200)])
    assert abs(shared.mean() - null.mean) <= 5 * null.deviation / np.sqrt(200) + 1e-9
    if first + second:
        values = shared / (first + second - shared)
        assert abs(values.mean() - null.jaccard) <= 5 * null.jaccard_deviation / np.sqrt(200) + 1e-9
    else:
        assert np.isnan(null.jaccard)


def test_the_curveball_null_of_equal_degrees_has_the_hypergeometric_mean() -> None:
    mask = np.tile(np.eye(10, dtype=bool) | np.roll(np.eye(10, dtype=bool), 1, 1), (1, 2))
    other = random_mask(mask.shape, 0.3)
    shared = curveball_shared(mask, other, 2000, 0)
    null = hypergeometric(mask.size, int(mask.sum()), int(other.sum()))
    assert abs(shared.mean() - null.mean) < 4 * shared.std() / np.sqrt(2000)


def test_contrast_says_how_far_and_never_invents_a_number() -> None:
    found = contrast(3.0, [1.0, 2.0, 3.0])
    assert (found.mean, found.deviation, found.difference, found.z, found.ratio) == (2.0, 1.0, 1.0, 1.0, 1.5)
    assert found.normalised == pytest.approx(0.2) and found.p == 1.0
    assert contrast(9.0, range(99)).p == pytest.approx(0.22) and contrast(1000.0, range(99)).p == pytest.approx(0.02)
    flat = contrast(1.0, [0.0, 0.0])
    assert np.isnan(flat.z) and np.isnan(flat.ratio) and flat.difference == flat.normalised == 1.0
    assert contrast(0.0, [0.0, 0.0]).normalised == 0
    assert np.isnan(contrast(float("nan"), [1.0, float("nan")]).difference)
    for null in ([], [1.0, float("nan")]):
        with pytest.raises(InputError, match="null"):
            contrast(1.0, null)


def test_bad_input_is_named() -> None:
    mask = random_mask((4, 5), 0.5)
    for call, words in (
        (lambda: curveball(mask.astype(float), 1, 0), "truth values"),  # type: ignore[arg-type]
        (lambda: curveball(mask, 1, 0, born=mask.T), "births"),
        (lambda: curveball(mask, 1, 0, born=np.zeros_like(mask)), "not born"),
        (lambda: curveball_shared(mask, mask.T, 1, 0), "one projection"),
        (lambda: hypergeometric(5, 6, 1), "cannot keep"),
        (lambda: permute_weights(Graph.from_edges(1, [], []), 0, within="neuron"), "permuted within"),  # type: ignore[arg-type]
        (lambda: degree_preserving(Graph.from_edges(10**6, [0], [1]), 0), "up to 100000 nodes"),
        (lambda: latticised(Graph.from_edges(10**6, [0], [1]), 0), "up to 100000 nodes"),
        (lambda: degree_preserving_undirected(Graph.from_edges(2, [0], [1]), 0), "not symmetric"),
        (lambda: Graph.from_edges(2, [0], [2]), "not among the 2 nodes"),
        (lambda: Graph.from_edges(2, [0, 0], [1, 1]), "repeat"),
        (lambda: Graph.from_edges(2, [0], [1], [np.nan]), "NaN"),
        (lambda: Graph.from_edges(2, [0, 1], [1]), "needs one of each"),
        (lambda: Graph.from_matrix(np.ones((2, 3))), "square"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    mean, variance = shared_by_chance([0, 1, 4], [0, 1, 2], [0, 1, 2])
    assert mean.tolist() == [0, 1, 1] and variance.tolist() == [0, 0, 1 / 3] and hypergeometric(0, 0, 0).deviation == 0
    empty = Graph.from_edges(0, [], [])
    assert degree_preserving(empty, 0).edges == random_graph(empty, 0).edges == permute_weights(empty, 0).edges == 0
    assert strength_preserving(empty, 0).error == 0.0
    assert curveball(np.zeros((0, 3), bool), 2, 0).shape == (2, 0, 3)
    assert Graph.from_edges(3, [0, 0], [1, 1], [1.0, 2.0], parallel="sum").weight.tolist() == [3.0]
