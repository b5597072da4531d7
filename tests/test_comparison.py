"""Nulls, ceilings, effect sizes and intervals: what a comparison says of circuits that are known to be alike or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from biosim.circuit import Circuit
from biosim.compare import FAMILIES, Comparison, compare
from biosim.compare.estimate import Estimate, fieller, hedges_g, student
from biosim.compare.naming import comparison_metrics, named_values
from biosim.drives import ImageDrive
from biosim.errors import InputError
from biosim.scorers import load_scorer, prune
from biosim.synapses import Network

Births = Callable[..., Network]
SEEDS = (0, 1, 2, 3)


def estimate(observed: Any, null: Any, ceiling: Any) -> Estimate:
    values = [None if v is None else np.array(v, float) for v in (observed, null, ceiling)]
    return Estimate("overlap.jaccard", "", "layer-shuffle", values[0], values[1], np.zeros(3), values[2], None, undefined="because")  # type: ignore[arg-type]


def random_circuits(network: Network, density: float, searches: int, first: int = 0) -> list[Circuit]:
    found = []
    for search in range(searches):
        random = np.random.default_rng(first + search)
        masks = {n: torch.from_numpy(random.random(p.born.shape) < density) for n, p in network.projections.items()}
        found.append(Circuit.of(network, {"scorer": "test", "locality": "none"}, masks))
    return found


def pick(comparison: Comparison, other: str, measure: str, layer: str = "") -> dict[str, Any]:
    return next(e.data() for e in comparison.primary(other) if (e.measure, e.layer) == (measure, layer))


def test_intervals() -> None:
    values = np.array([0.2, 0.5, 0.4, 0.7])
    low, high = student(values) or (0, 0)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert student(values[:1]) is None and student(np.array([0.1, np.nan])) is None
    d = values / values.std(ddof=1)
    assert hedges_g(values) == pytest.approx(d.mean() * (1 - 3 / (4 * 3 - 1)))
    assert hedges_g(np.ones(4)) is None and hedges_g(values[:2]) is None


def test_fiellers_interval_covers() -> None:
    random, truth, hits, n = np.random.default_rng(0), 0.6, 0, 600
    for _ in range(n):
        shared = random.standard_normal(5) * 0.05
        below = 0.5 + shared + random.standard_normal(5) * 0.05
        low, high = fieller(truth * 0.5 + shared + random.standard_normal(5) * 0.05, below) or (0, 0)
        hits += low <= truth <= high
    assert hits / n == pytest.approx(0.95, abs=0.03)
    same = np.array([1.0, 1.1, 0.9])
    assert fieller(0.5 * same, same) == pytest.approx((0.5, 0.5))
    assert fieller(np.ones(3), np.array([-0.5, 0.4, 0.2])) is None


@pytest.mark.parametrize(
    ("observed", "null", "ceiling", "ratio", "reason"),
    [
        ([0.5, 0.6, 0.55], [0.2, 0.2, 0.2], [0.8, 0.9, 0.85], 0.35 / 0.65, ""),
        ([0.5, 0.6, 0.55], [0.2, 0.2, 0.2], None, None, "no ceiling: each method was searched once"),
        ([0.5, 0.6, 0.55], [0.2, 0.2, 0.2], [0.1, 0.3, 0.22], None, "the ceiling's interval holds the null"),
        ([0.5, 0.6, 0.55], [0.2, 0.2, 0.2], [0.1, 0.11, 0.12], None, "the ceiling lies below the null"),
        ([0.5, np.nan, 0.55], [0.2, 0.2, 0.2], [0.8, 0.9, 0.8], None, "because"),
        ([0.5], [0.2], [0.8], None, "one birth has no interval"),
    ],
)
def test_a_ratio_is_given_only_where_it_says_something(observed: Any, null: Any, ceiling: Any, ratio: float | None, reason: str) -> None:
    found = estimate(observed, null, ceiling)
    row = found.data()
    assert found.reason == reason and (found.ratio is None) == (ratio is None)
    assert row["ratio"] == (None if ratio is None else pytest.approx(ratio)) and (row["ratio_interval"] is None) == (ratio is None)
    if not np.isfinite(observed).all():
        assert row["observed"] is None and row["effect"] is None and row["hedges_g"] is None and row["observed_by_birth"][1] is None


def test_searches_of_one_method_reach_its_ceiling_and_chance_stays_chance(births: Births, drive: ImageDrive) -> None:
    network = births(SEEDS, hidden=(30,))
    scorer = load_scorer("edge-popup")
    found = [prune("edge-popup", scorer, network, drive, 0.3, tuple(s + 50 * k for s in SEEDS)) for k in range(4)]
    images = drive.images
    c = compare(
        {"one": found[:2], "two": found[2:], "random": random_circuits(network, 0.3, 2)},
        images.test,
        images.test_labels,
        seeds=SEEDS,
        nulls=20,
    )
    for measure in ("overlap.jaccard", "function.cka", "flow.signed_path"):
        row = pick(c, "two", measure)
        assert row["effect"] > 0 and row["effect_interval"][0] > 0, measure
        low, high = row["ratio_interval"]
        assert low <= 1 <= high and row["ratio"] == pytest.approx(1, abs=0.4), measure  # it is the same method
        chance = pick(c, "random", measure)
        low, high = chance["effect_interval"]
        assert chance["ratio"] is None and (low <= 0 <= high or abs(chance["effect"]) < 0.4 * row["effect"]), measure
    accuracy = {m: {k: v.mean() for k, v in own.items()} for m, own in c.interventions.items()}
    assert accuracy["one"]["intact"] > 0.7 > 0.5 > accuracy["one"]["layer-shuffle"]
    names = comparison_metrics(["two", "random"], tuple(FAMILIES))
    values = named_values(c)
    assert set(values) <= set(names) | {f"comparisons.one.interventions.{k}" for k in accuracy["one"]}
    assert values["comparisons.two.overlap.jaccard.first"].shape == (4,)
    assert "comparisons.two.function.cka.ratio" in values and "comparisons.random.function.cka.ratio" not in values


def test_a_circuit_compared_with_itself_and_with_an_independent_one(births: Births, drive: ImageDrive) -> None:
    network, images = births(SEEDS, hidden=(30,)), drive.images
    own, other = random_circuits(network, 0.3, 1), random_circuits(network, 0.3, 1, first=10)
    c = compare(
        {"own": own, "again": own, "other": other},
        images.test,
        images.test_labels,
        seeds=SEEDS,
        families=("overlap", "profiles", "flow"),
        nulls=30,
    )
    for measure in ("overlap.jaccard", "overlap.kappa", "profiles.out_degree", "flow.path_mass"):
        assert pick(c, "again", measure)["observed"] == pytest.approx(1)
        row = pick(c, "other", measure)
        low, high = row["effect_interval"]
        assert low - 0.02 <= 0 <= high + 0.02 and abs(row["effect"]) < 0.08 and row["reason"] == "no ceiling: each method was searched once"
    kappa = next(e for e in c.estimates["other"] if e.measure == "overlap.kappa" and e.null_kind == "layer-shuffle" and not e.layer)
    assert abs(kappa.null.mean()) < 0.005 and abs(kappa.observed.mean()) < 0.03


def test_births_do_not_depend_on_their_company(births: Births, drive: ImageDrive) -> None:
    images = drive.images

    def run(seeds: tuple[int, ...]) -> Comparison:
        network = births(seeds)
        found = {
            k: [prune("edge-popup", load_scorer("edge-popup"), network, drive.with_epochs(1), 0.3, tuple(s + o for s in seeds))]
            for k, o in (("a", 0), ("b", 9))
        }
        return compare(found, images.test, images.test_labels, seeds=seeds, nulls=5)

    both, alone = run((0, 1)), run((1,))
    for x, y in zip(both.estimates["b"], alone.estimates["b"], strict=True):
        assert (x.measure, x.layer, x.null_kind) == (y.measure, y.layer, y.null_kind)
        np.testing.assert_allclose([x.observed[1], x.null[1]], [y.observed[0], y.null[0]], rtol=1e-5, atol=1e-6)


def test_empty_circuits_and_single_neurons_have_no_silent_numbers(births: Births, drive: ImageDrive) -> None:
    images = drive.images
    for network, density in ((births((0, 1)), 0.0), (births((0, 1), hidden=(1,)), 0.5)):
        own, other = random_circuits(network, density, 2), random_circuits(network, density, 2, first=5)
        c = compare({"own": own, "other": other}, images.test, images.test_labels, seeds=(0, 1), nulls=3)
        rows = [e.data() for e in c.primary("other")]
        assert all(np.isfinite(v) for r in rows for v in (r["observed"], r["null"], r["ratio"]) if v is not None)
        assert all(r["reason"] for r in rows if r["observed"] is None)
        undefined = {(r["measure"], r["layer"]) for r in rows if r["observed"] is None}
        if density == 0:
            assert {
                ("overlap.jaccard", ""),
                ("profiles.in_degree", "hidden1"),
                ("flow.path_mass", ""),
                ("function.cka", "hidden1"),
            } <= undefined
            assert pick(c, "other", "function.agreement")["observed"] == 1  # both always answer class 0
        else:
            assert {("profiles.in_degree", "hidden1"), ("profiles.percentile", "")} <= undefined
            assert ("overlap.jaccard", "") not in undefined
        assert all(np.isfinite(v) for d in c.data()["characters"] for v in d.values() if isinstance(v, float))


def test_what_cannot_be_compared(births: Births, drive: ImageDrive) -> None:
    network, images = births((0, 1)), drive.images
    a, b = random_circuits(network, 0.3, 2)

    def run(circuits: Any, **options: Any) -> Comparison:
        return compare(circuits, images.test, images.test_labels, **({"seeds": (0, 1), "nulls": 2} | options))

    with pytest.raises(InputError, match=r"there are no measures 'overlp' \(did you mean 'overlap'\?\)"):
        run({"a": [a], "b": [b]}, families=("overlp",))
    with pytest.raises(InputError, match="name at least one of: overlap"):
        run({"a": [a], "b": [b]}, families=())
    with pytest.raises(InputError, match="there is no method 'c' to refer to; there are: a, b"):
        run({"a": [a], "b": [b]}, reference="c")
    for nothing in ({}, {"a": [a], "b": []}):
        with pytest.raises(InputError, match="every method needs at least one circuit"):
            run(nothing)
    with pytest.raises(InputError, match="at least 2 draws, not 1"):
        run({"a": [a], "b": [b]}, nulls=1)
    with pytest.raises(InputError, match="2 births need as many seeds, not 1"):
        run({"a": [a], "b": [b]}, seeds=(0,))
    other = random_circuits(births((7, 8)), 0.3, 1)[0]
    with pytest.raises(InputError, match="a and b do not share their births"):
        run({"a": [a], "b": [other]})
    weight = {n: np.full_like(w, np.nan) for n, w in b.weight.items()}
    with pytest.raises(InputError, match="b, search 1: weights of input-hidden1 are not numbers"):
        run({"a": [a], "b": [b, replace(b, weight=weight)]})
