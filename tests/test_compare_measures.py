"""Every measure of a comparison against brute force or a reference implementation."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from compared import Births, random_circuit
from scipy import stats
from sklearn.metrics import cohen_kappa_score, jaccard_score

from biosim.circuit import Circuit
from biosim.compare import agreement, overlap
from biosim.compare.causal import compare_causal, measured_accuracy
from biosim.compare.characters import characters
from biosim.compare.flow import compare_flow, path_mass, two_paths
from biosim.compare.function import (
    cka_matrix,
    compare_function,
    debiased_cka,
    error_consistency,
    independent_errors,
    matched,
    same_selectivity,
)
from biosim.compare.group import Group, beside, correlation, same_births, take
from biosim.compare.overlap import compare_overlap
from biosim.compare.profiles import compare_profiles, profiles
from biosim.errors import InputError
from biosim.synapses import Network, Population, Projection


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
        by_class = [
            np.mean(labels == c) * sum(np.mean(said[a][labels == c] == k) * np.mean(said[b][labels == c] == k) for k in range(4))
            for c in range(4)
        ]
        assert drawn[:, k].mean() == pytest.approx(sum(by_class), abs=4 * drawn[:, k].std() / np.sqrt(300))
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
