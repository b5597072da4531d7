"""Every measure of a comparison against brute force or a reference implementation."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import cohen_kappa_score, jaccard_score

from biosim.circuit import Circuit
from biosim.compare import agreement, overlap
from biosim.compare.causal import compare_causal, interventions, measured_accuracy, random_synapses
from biosim.compare.characters import characters
from biosim.compare.flow import compare_flow, path_mass, two_paths
from biosim.compare.function import (
    cka_matrix,
    compare_function,
    debiased_cka,
    error_consistency,
    expected_agreement,
    independent_errors,
    matched,
    same_selectivity,
)
from biosim.compare.group import Group, beside, correlation, same_births, take
from biosim.compare.nulls import draw_null
from biosim.compare.overlap import compare_overlap
from biosim.compare.planted import found
from biosim.compare.profiles import compare_profiles, profiles
from biosim.compare.surgery import (
    flip_signs,
    intersection,
    layer_shuffle,
    random_intersection,
    random_union,
    redraw_weights,
    transplant,
    union,
)
from biosim.errors import InputError
from biosim.scorers import load_scorer, prune
from biosim.synapses import Network, Population, Projection

Births = Callable[..., Network]


def random_circuit(network: Network, density: float, seed: int) -> Circuit:
    random = np.random.default_rng(seed)
    masks = {n: torch.from_numpy(random.random(p.born.shape) < density) & p.born for n, p in network.projections.items()}
    gain = {n: torch.from_numpy(random.uniform(0.5, 2, p.gain.shape).astype(np.float32)) for n, p in network.populations.items()}
    return Circuit.of(network, {"scorer": "test", "locality": "none"}, masks, gain)


@pytest.fixture
def circuits(births: Births) -> list[Circuit]:
    network = births((0, 1), hidden=(7, 6), weights="kaiming-normal")
    return [random_circuit(network, 0.4, k) for k in range(3)]


@pytest.fixture
def group(circuits: list[Circuit]) -> Group:
    random = np.random.default_rng(5)
    inputs = random.standard_normal((60, 36)).astype(np.float32)
    return Group.of(beside(circuits, 0), inputs, random.integers(0, 4, 60))


PAIRS = [(0, 1), (0, 2), (1, 2)]


def loops(network_steps: int = 3) -> Circuit:
    """A circuit with a loop and a shortcut: input -> a, a -> a, a -> b, input -> b, b -> a."""
    random = np.random.default_rng(3)
    pops = [Population("in", 3, "linear"), Population("a", 4, "relu"), Population("b", 2, "linear")]
    names = (("in", "a"), ("a", "a"), ("a", "b"), ("in", "b"), ("b", "a"))
    by = {p.name: p for p in pops}
    projections = []
    for pre, post in names:
        weight = torch.from_numpy(random.standard_normal((2, by[pre].size, by[post].size)).astype(np.float32))
        projections.append(Projection(f"{pre}-{post}", by[pre], by[post], weight, torch.ones(weight.shape, dtype=torch.bool)))
    return random_circuit(Network(pops, projections, network_steps), 0.6, 1)


def test_kappa_and_jaccard_are_scikit_learns(group: Group) -> None:
    values = compare_overlap(group, PAIRS)
    masks = group.circuit.mask
    for name, mask in [*masks.items(), ("", np.concatenate([m.reshape(3, -1) for m in masks.values()], 1))]:
        for k, (a, b) in enumerate(PAIRS):
            first, second = mask[a].ravel(), mask[b].ravel()
            assert values[f"kappa.{name}".rstrip(".")][k] == pytest.approx(cohen_kappa_score(first, second))
            assert values[f"jaccard.{name}".rstrip(".")][k] == pytest.approx(jaccard_score(first, second))
    reached = group.effective
    assert all((reached[n] <= masks[n]).all() for n in masks)
    expected = jaccard_score(reached["input-hidden1"][0].ravel(), reached["input-hidden1"][1].ravel())
    assert values["effective_jaccard.input-hidden1"][0] == pytest.approx(expected)
    first, second = (take(group.circuit, [k]) for k in (0, 1))
    assert overlap(first, second)["input-hidden1"].jaccard[0] == pytest.approx(values["jaccard.input-hidden1"][0])


def test_layer_shuffles_share_a_hypergeometric_number(births: Births) -> None:
    circuit = random_circuit(births((0,), hidden=(9,)), 0.4, 0)
    random = np.random.default_rng(0)
    name, n = "input-hidden1", 36 * 9
    kept = int(circuit.mask[name].sum())
    shared = []
    for _ in range(1500):
        a, b = (layer_shuffle(circuit, random).mask[name] for _ in range(2))
        assert a.sum() == kept
        shared.append(int((a & b).sum()))
    law = stats.hypergeom(n, kept, kept)
    assert np.mean(shared) == pytest.approx(law.mean(), abs=4 * law.std() / np.sqrt(1500))
    assert np.std(shared) == pytest.approx(law.std(), rel=0.1)


def test_structural_nulls_keep_what_they_promise(circuits: list[Circuit]) -> None:
    one = beside(circuits, 0)
    for kind in ("layer-shuffle", "degree-preserving"):
        drawn = draw_null(kind, one, 7, 0)
        again, other = draw_null(kind, one, 7, 0), draw_null(kind, one, 7, 1)
        for name, mask in one.mask.items():
            assert (drawn.mask[name].sum((1, 2)) == mask.sum((1, 2))).all() and (drawn.mask[name] <= one.born[name]).all()
            assert (drawn.mask[name] == again.mask[name]).all()
            if kind == "degree-preserving":
                assert (drawn.mask[name].sum(1) == mask.sum(1)).all() and (drawn.mask[name].sum(2) == mask.sum(2)).all()
        assert any((drawn.mask[n] != other.mask[n]).any() and (drawn.mask[n] != one.mask[n]).any() for n in one.mask)


def test_degree_preserving_nulls_respect_births(births: Births) -> None:
    circuit = random_circuit(births((0,), hidden=(20, 16), probability=0.5), 0.5, 0)
    drawn = draw_null("degree-preserving", circuit, 0, 0)
    for name, mask in drawn.mask.items():
        assert (mask <= circuit.born[name]).all() and (mask.sum(1) == circuit.mask[name].sum(1)).all()
        assert (mask.sum(2) == circuit.mask[name].sum(2)).all()
    assert (drawn.mask["input-hidden1"] != circuit.mask["input-hidden1"]).any()


def test_path_mass_is_the_sum_over_listed_paths(group: Group) -> None:
    circuit = group.circuit
    for signed in (False, True):
        total = path_mass(circuit, signed)
        expected = np.zeros_like(total)
        kept = [(circuit.weight[n] * circuit.mask[n]).astype(float) for n, _, _ in circuit.projections]
        kept = kept if signed else [np.abs(k) for k in kept]
        gains = [circuit.gain[p].astype(float) for _, _, p in circuit.projections]
        for k, i, a, b, c in itertools.product(range(3), range(36), range(7), range(6), range(4)):
            expected[k, i, c] += kept[0][k, i, a] * gains[0][k, a] * kept[1][k, a, b] * gains[1][k, b] * kept[2][k, b, c] * gains[2][k, c]
        np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-9)
    assert compare_flow(group, [(0, 0)])["path_mass"][0] == pytest.approx(1)


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_path_mass_of_a_circuit_with_loops(steps: int) -> None:
    circuit = loops(steps)
    order, sizes = ["in", "a", "b"], {"in": 3, "a": 4, "b": 2}
    edges = {(pre, post): (np.abs(circuit.weight[n][0]) * circuit.mask[n][0]).astype(float) for n, pre, post in circuit.projections}

    def walk(population: str, neuron: int, carried: float, crossed: int, into: np.ndarray) -> None:
        if population == "b":
            into[neuron] += carried
        for (pre, post), weight in edges.items():
            if pre == population:
                now = crossed + (order.index(pre) >= order.index(post))
                for j in range(sizes[post]) if now < steps else ():
                    if weight[neuron, j]:
                        walk(post, j, carried * weight[neuron, j] * float(circuit.gain[post][0, j]), now, into)

    expected = np.zeros((3, 2))
    for i in range(3):
        walk("in", i, 1.0, 0, expected[i])
    np.testing.assert_allclose(path_mass(circuit)[0], expected, rtol=1e-5)


def test_two_paths_are_counted(group: Group) -> None:
    circuit = group.circuit
    counts = two_paths(circuit)
    assert list(counts) == ["hidden1", "hidden2"]
    for mid, enters, leaves in (("hidden1", "input-hidden1", "hidden1-hidden2"), ("hidden2", "hidden1-hidden2", "hidden2-output")):
        expected = np.zeros_like(counts[mid])
        for k in range(3):
            for i, j in np.argwhere(circuit.mask[enters][k]):
                for h in np.flatnonzero(circuit.mask[leaves][k][j]):
                    first, second = circuit.weight[enters][k, i, j] < 0, circuit.weight[leaves][k, j, h] < 0
                    expected[k, 2 * int(first) + int(second), j] += 1
        np.testing.assert_array_equal(counts[mid], expected)
    traits = characters(group)
    assert sum(traits[f"two_paths_{s}.hidden1"] for s in ("plus-plus", "plus-minus", "minus-plus", "minus-minus")) == pytest.approx([1] * 3)


def test_profiles(group: Group) -> None:
    circuit, found_ = group.circuit, profiles(group)
    mask, weight = circuit.mask["input-hidden1"], circuit.weight["input-hidden1"]
    np.testing.assert_array_equal(found_["out_degree.input"], mask.sum(2))
    np.testing.assert_allclose(found_["in_strength.hidden1"], (mask * weight).sum(1), rtol=1e-4, atol=1e-5)
    for k in range(3):
        ranks = stats.rankdata(np.abs(weight[k])).reshape(weight[k].shape) / weight[k].size
        own = [ranks[:, j][mask[k][:, j]].mean() if mask[k][:, j].any() else np.nan for j in range(7)]
        np.testing.assert_allclose(found_["percentile.hidden1"][k], own, rtol=1e-5)
    layers = compare_profiles(group, PAIRS)
    expected = np.corrcoef(mask[0].sum(0), mask[1].sum(0))[0, 1]
    assert layers["in_degree.hidden1"][0] == pytest.approx(expected)
    names = [n for n in layers if n.startswith("in_degree.")]
    assert layers["in_degree"][0] == pytest.approx(np.mean([layers[n][0] for n in names]))


def test_profiles_that_do_not_vary_have_no_correlation(births: Births) -> None:
    assert np.isnan(correlation(np.ones(5), np.arange(5.0))) and np.isnan(correlation(np.ones(1), np.ones(1)))
    network = births((0,), hidden=(1,))  # one hidden neuron; all weights of one size
    group = Group.of(beside([random_circuit(network, 0.5, k) for k in (0, 1)], 0), np.ones((8, 36), np.float32), np.arange(8) % 4)
    layers = compare_profiles(group, [(0, 1)])
    assert np.isnan(layers["in_degree.hidden1"]).all() and np.isnan(layers["percentile.hidden1"]).all()
    assert np.isfinite(layers["out_degree.input"]).all()


def test_cka_is_the_unbiased_hsic() -> None:
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((25, 6)).astype(np.float32) for _ in range(2))
    n = len(x)

    def hsic(a: Any, b: Any) -> float:  # Song et al. 2012, equation 5
        k, m = (a @ a.T).astype(float), (b @ b.T).astype(float)
        np.fill_diagonal(k, 0)
        np.fill_diagonal(m, 0)
        one = np.ones(n)
        total = np.trace(k @ m) + one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * one @ k @ m @ one
        return float(total / (n * (n - 3)))

    value = debiased_cka(np.stack([x, y]))
    assert value[0, 1] == pytest.approx(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)), abs=1e-5)
    assert value[0, 0] == pytest.approx(1)
    turned = x @ np.linalg.qr(random.standard_normal((6, 6)))[0].astype(np.float32)
    assert debiased_cka(np.stack([x, 3 * turned]))[0, 1] == pytest.approx(1, abs=1e-4)  # rotations and scale do not matter
    many = random.standard_normal((40, 30, 50)).astype(np.float32)  # more neurons than samples: the biased form would be near 1
    assert abs(debiased_cka(many)[np.triu_indices(40, 1)].mean()) < 0.02
    assert np.isnan(debiased_cka(np.stack([x, np.zeros_like(x)]))[0, 1]) and np.isnan(debiased_cka(np.ones((2, 3, 2), np.float32))).all()


def test_units_are_matched_as_well_as_can_be() -> None:
    random = np.random.default_rng(1)
    tunings = random.standard_normal((2, 5, 4))
    tunings -= tunings.mean(-1, keepdims=True)
    tunings /= np.linalg.norm(tunings, axis=-1, keepdims=True)
    best = max(np.mean([(tunings[0, i] * tunings[1, p[i]]).sum() for i in range(5)]) for p in itertools.permutations(range(5)))
    assert matched(*tunings) == pytest.approx(best)
    assert matched(tunings[0], tunings[0][::-1]) == pytest.approx(1) and np.isnan(matched(tunings[0], np.zeros((5, 4))))
    silent = tunings.copy()
    silent[0, 2] = 0  # has no tuning to match
    best = max(
        np.mean([(silent[0, i] * silent[1, j]).sum() for i, j in zip((0, 1, 3, 4), p, strict=True)])
        for p in itertools.permutations(range(5), 4)
    )
    assert matched(*silent) == pytest.approx(best)
    assert same_selectivity(*silent) == pytest.approx(np.mean([(tunings[0, i] * tunings[1, i]).sum() for i in (0, 1, 3, 4)]))


def test_agreement_by_chance_keeps_confusions(group: Group) -> None:
    labels, said = group.labels, group.predictions
    drawn = np.array([independent_errors(group, PAIRS, np.random.default_rng(k))["agreement"] for k in range(300)])
    for k, (a, b) in enumerate(PAIRS):
        expected = expected_agreement(said[a], said[b], labels, 4)
        by_class = [
            np.mean(labels == c) * sum(np.mean(said[a][labels == c] == k) * np.mean(said[b][labels == c] == k) for k in range(4))
            for c in range(4)
        ]
        assert expected == pytest.approx(sum(by_class))
        assert drawn[:, k].mean() == pytest.approx(expected, abs=4 * drawn[:, k].std() / np.sqrt(300))
    right = said == labels
    assert error_consistency(right[0], right[1]) == pytest.approx(cohen_kappa_score(right[0], right[1]))
    assert np.isnan(error_consistency(np.ones(4, bool), np.ones(4, bool)))
    np.testing.assert_allclose(agreement(said[:1], said[1:2]), [(said[0] == said[1]).mean()])


def test_a_circuit_is_itself(group: Group) -> None:
    layers = (
        compare_overlap(group, [(0, 0)])
        | compare_profiles(group, [(0, 0)])
        | compare_flow(group, [(0, 0)])
        | compare_function(group, [(0, 0)])
    )
    assert all(v[0] == pytest.approx(1) for v in layers.values() if np.isfinite(v[0]))
    assert np.isfinite(layers["selectivity"][0]) and np.isfinite(layers["selectivity_same"][0])
    causal = compare_causal(group, [(0, 0)])
    intact = measured_accuracy(group.circuit, group)[0]
    assert all(v[0] == pytest.approx(intact) for v in causal.values())
    np.testing.assert_allclose(cka_matrix(group, 0, 0).diagonal(), 1)


def test_surgery(circuits: list[Circuit]) -> None:
    a, b = circuits[:2]
    random = np.random.default_rng(0)
    moved = transplant(a, b, "hidden2")
    assert (moved.mask["hidden1-hidden2"] == b.mask["hidden1-hidden2"]).all() and (moved.gain["hidden2"] == b.gain["hidden2"]).all()
    assert (moved.mask["input-hidden1"] == a.mask["input-hidden1"]).all() and (moved.gain["output"] == a.gain["output"]).all()
    either, both = union(a, b), intersection(a, b)
    some, few = random_union(a, b, random), random_intersection(a, b, random)
    for n in a.mask:
        assert (either.mask[n] == (a.mask[n] | b.mask[n])).all() and (both.mask[n] == (a.mask[n] & b.mask[n])).all()
        assert (some.mask[n].sum((1, 2)) == either.mask[n].sum((1, 2))).all() and (some.mask[n] >= a.mask[n]).all()
        assert (few.mask[n].sum((1, 2)) == both.mask[n].sum((1, 2))).all() and (few.mask[n] <= a.mask[n]).all()
        new = redraw_weights(a, random).weight[n]
        assert (new != a.weight[n]).any() and (np.sort(new, None) == np.sort(a.weight[n], None)).all()
        flipped = flip_signs(a, random).weight[n]
        assert (np.abs(flipped) == np.abs(a.weight[n])).all() and 0.3 < (flipped == a.weight[n]).mean() < 0.7
    for one in (either, both):  # as loud as before
        for name, _, post in a.projections:
            loud = [np.einsum("rij,rij,rj->r", c.weight[name] ** 2, c.mask[name], c.gain[post] ** 2) for c in (a, one)]
            np.testing.assert_allclose(loud[1], loud[0], rtol=1e-4)


def test_interventions_break_a_frozen_circuit(births: Births, drive: Any) -> None:
    network = births((0, 1), hidden=(40,))
    circuit = prune("edge-popup", load_scorer("edge-popup"), network, drive, 0.3, (0, 1))
    group = Group.of(circuit, drive.images.test, drive.images.test_labels)
    values = interventions(group, 0, 3)
    assert (values["intact"] > 0.6).all() and values["layer-shuffle"].mean() < 0.5 and values["degree-preserving"].mean() < 0.5
    assert values["redrawn-weights"].shape == (3, 2) and values["redrawn-weights"].mean() < 0.5
    assert values["flipped-signs"].shape == (3, 2) and values["flipped-signs"].mean() < 0.5
    pairs = [(0, 1)]
    null = random_synapses(group, pairs, 0, 0)
    assert set(null) == set(compare_causal(group, pairs)) and (random_synapses(group, pairs, 0, 0)["union"] == null["union"]).all()


def test_finding_what_was_planted(circuits: list[Circuit]) -> None:
    circuit = circuits[0]
    planted = {n: np.random.default_rng(9).random(m.shape) < 0.3 for n, m in circuit.mask.items()}
    values = found(circuit, planted)
    f, p = (np.concatenate([m[n].reshape(2, -1) for n in circuit.mask], 1) for m in (circuit.mask, planted))
    np.testing.assert_allclose(values["precision"], (f & p).sum(1) / f.sum(1))
    np.testing.assert_allclose(values["recall"], (f & p).sum(1) / p.sum(1))
    random = np.random.default_rng(0)
    shuffled = np.array([found(layer_shuffle(circuit, random), planted)["precision"] for _ in range(300)])
    np.testing.assert_allclose(shuffled.mean(0), values["chance_precision"], atol=4 * shuffled.std() / np.sqrt(300))
    itself = found(circuit, dict(circuit.mask))
    np.testing.assert_allclose([itself["precision"], itself["recall"]], 1)
    empty = replace(circuit, mask={n: np.zeros_like(m) for n, m in circuit.mask.items()})
    assert np.isnan(found(empty, planted)["precision"]).all() and (found(empty, planted)["recall"] == 0).all()


def test_circuits_must_share_their_births(births: Births) -> None:
    one, other = (random_circuit(births((k, k + 1), weights="kaiming-normal"), 0.4, 0) for k in (0, 5))
    with pytest.raises(InputError, match="a and b do not share their births: birth weights of input-hidden1 differ"):
        same_births([one, other], ["a", "b"])
    same_births([one, replace(other, provenance={"regime": "retrained"})])  # training moves weights
    with pytest.raises(InputError, match="birth edges of input-hidden1 differ"):
        same_births([one, random_circuit(births((0, 1), weights="kaiming-normal", probability=0.5), 0.4, 0)])
    with pytest.raises(InputError, match="populations or projections differ"):
        same_births([one, random_circuit(births((0, 1), hidden=(20,)), 0.4, 0)])
    with pytest.raises(InputError, match="2 replicates and circuit 1 has 1"):
        same_births([one, random_circuit(births((0,), weights="kaiming-normal"), 0.4, 0)])
    weight = {n: w.copy() for n, w in one.weight.items()}
    weight["hidden1-hidden2"][1, 2, 3] = np.nan
    with pytest.raises(InputError, match=r"weights of hidden1-hidden2 are not numbers \(replicate 1\)"):
        same_births([one, replace(one, weight=weight)])
