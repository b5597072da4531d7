"""Circuits that were cut, mixed, shuffled or planted: nulls keep what they promise, and interventions do what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from compared import Births, random_circuit
from scipy import stats

from biosim.circuit import Circuit
from biosim.compare.causal import compare_causal, interventions, random_synapses
from biosim.compare.group import Group, beside
from biosim.compare.nulls import draw_null
from biosim.compare.planted import precision_and_recall
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
from biosim.scorers import load_scorer, prune


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
    values = precision_and_recall(circuit, planted)
    f, p = (np.concatenate([m[n].reshape(2, -1) for n in circuit.mask], 1) for m in (circuit.mask, planted))
    np.testing.assert_allclose(values["precision"], (f & p).sum(1) / f.sum(1))
    np.testing.assert_allclose(values["recall"], (f & p).sum(1) / p.sum(1))
    random = np.random.default_rng(0)
    shuffled = np.array([precision_and_recall(layer_shuffle(circuit, random), planted)["precision"] for _ in range(300)])
    np.testing.assert_allclose(shuffled.mean(0), values["chance_precision"], atol=4 * shuffled.std() / np.sqrt(300))
    itself = precision_and_recall(circuit, dict(circuit.mask))
    np.testing.assert_allclose([itself["precision"], itself["recall"]], 1)
    empty = replace(circuit, mask={n: np.zeros_like(m) for n, m in circuit.mask.items()})
    assert np.isnan(precision_and_recall(empty, planted)["precision"]).all() and (precision_and_recall(empty, planted)["recall"] == 0).all()
