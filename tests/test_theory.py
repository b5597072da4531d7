"""Theory made runnable: subset sums, the depth-2L construction, exhaustive search, operation counts, and every study at a tiny size."""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from biosim.develop import develop
from biosim.drives import SampleDrive
from biosim.errors import BiosimError, InputError
from biosim.rules import load_rule
from biosim.scorers import load_scorer
from biosim.scorers.descent import losses
from biosim.scorers.training import Training, train
from biosim.synapses import Network
from biosim.teaching import Feedback
from biosim.theory.construction import build_layer, construct, construct_with
from biosim.theory.exhaustive import Problem, best_mask, loss_of
from biosim.theory.flops import Cost
from biosim.theory.random_features import covariance, error_by_width, error_of_best, least_error, least_neurons
from biosim.theory.subset_sum import best_subsets, expected_subsets, worst_error


def subsets(n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(list(itertools.product([0, 1], repeat=n)))


# -- subset sums ----------------------------------------------------------------------------------
@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_the_best_subset_is_that_of_brute_force(n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values, targets = random.normal(size=(6, n)), random.uniform(-2, 2, 6)
    found = best_subsets(values, targets)
    brute = np.abs(values @ subsets(n).T - targets[:, None]).min(1)
    np.testing.assert_allclose(found.error, brute, atol=1e-12)
    np.testing.assert_allclose(np.abs((values * found.chosen).sum(1) - targets), found.error, atol=1e-12)


def test_a_problem_alone_equals_the_same_problem_of_a_batch() -> None:
    random = np.random.default_rng(0)
    values, targets = random.uniform(-1, 1, (20, 15)), random.uniform(-0.5, 0.5, 20)
    batch, alone = best_subsets(values, targets), best_subsets(values[7:8], targets[7:8])
    assert (batch.chosen[7] == alone.chosen[0]).all() and batch.error[7] == alone.error[0]


def test_the_worst_target_is_that_of_a_fine_grid() -> None:
    values = np.random.default_rng(1).uniform(-1, 1, (8, 7))
    grid, sums = np.linspace(-0.5, 0.5, 4001), values @ subsets(7).T
    by_grid = [np.abs(own[:, None] - grid).min(0).max() for own in sums]
    exact = worst_error(values, -0.5, 0.5)
    assert (exact >= np.array(by_grid) - 1e-12).all()
    np.testing.assert_allclose(exact, by_grid, atol=1.3e-4)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_the_expected_number_of_subsets_is_the_mean_over_draws(kind: str) -> None:
    random = np.random.default_rng(2)
    values = random.uniform(-1, 1, (4000, 8)) if kind == "uniform" else random.normal(0, 3**-0.5, (4000, 8))
    targets = random.uniform(-0.5, 0.5, 4000)
    counted = (np.abs(values @ subsets(8).T - targets[:, None]) <= 0.02).sum(1)
    standard_error = counted.std() / 4000**0.5
    assert abs(counted.mean() - expected_subsets(8, 0.02, kind, 3**-0.5)) < 4 * standard_error


def test_subset_sums_refuse_what_they_cannot_do() -> None:
    for values, targets in (([[1.0, np.nan]], [0.0]), ([[1.0]], [0.0, 1.0]), ([[0.0] * 60], [0.0])):
        with pytest.raises(InputError):
            best_subsets(values, targets)


# -- the construction -----------------------------------------------------------------------------
@pytest.mark.parametrize("sizes", [(5, 4, 3), (4, 6, 5, 2), (3, 2)])
@pytest.mark.parametrize("eps", [0.1, 0.01])
def test_the_masked_random_network_computes_its_target(sizes: tuple[int, ...], eps: float) -> None:
    random = np.random.default_rng(sum(sizes))
    target = [random.normal(size=shape) for shape in itertools.pairwise(sizes)]
    made = construct(target, eps, 4.0, np.random.default_rng(1))
    assert len(made.circuit.projections) == 2 * len(target)
    inputs = random.normal(size=(500, sizes[0]))
    inputs *= 4 / np.abs(inputs).sum(1, keepdims=True)
    inputs = np.concatenate([inputs, 4 * np.eye(sizes[0]), -4 * np.eye(sizes[0]), 0.1 * inputs])
    values = inputs
    for w in target[:-1]:
        values = np.maximum(values @ w, 0)
    off = np.abs(made.circuit.respond(inputs.astype(np.float32))[0] - values @ target[-1])
    assert off.max() <= made.bound + 1e-5 <= eps + 1e-5
    mask = [made.circuit.mask[name][0] for name, _, _ in made.circuit.projections]
    assert made.born == sum(m.size for m in mask) and 0 < made.kept <= sum(int(m.sum()) for m in mask)
    for first in mask[::2]:
        assert (first.sum(0) <= 1).all()  # a gadget neuron keeps one input


def test_a_weight_that_cannot_be_reached_says_so_and_a_pool_does_its_best() -> None:
    with pytest.raises(BiosimError, match="gadget neurons"):
        build_layer([[0.3]], 1e-300, np.random.default_rng(0), signed=False)
    errors = [build_layer(np.full((4, 5), 0.3), 0.0, np.random.default_rng(0), signed=True, pool=p).error for p in (2, 18)]
    assert errors[0] > 0.1 > 0.01 > errors[1]
    assert construct_with([np.ones((3, 2)), np.ones((2, 1))], 4, np.random.default_rng(0)).layers[0].pool == 4


def test_a_construction_refuses_what_is_no_target() -> None:
    random = np.random.default_rng(0)
    for layers in ([], [np.ones(3)], [np.ones((3, 2)), np.ones((3, 1))], [np.ones((3, 2)), np.zeros((2, 1))], [np.array([[np.nan]])]):
        for build in (lambda given: construct(given, 0.1, 1.0, random), lambda given: construct_with(given, 4, random)):
            with pytest.raises(InputError, match="target"):
                build(layers)
    for wrong in (lambda: construct([np.ones((2, 1))], 0.0, 1.0, random), lambda: construct_with([np.ones((2, 1))], 0, random)):
        with pytest.raises(InputError, match="not 0"):
            wrong()


# -- exhaustive search ----------------------------------------------------------------------------
def problem(d: int, h: int, samples: int, seed: int) -> Problem:
    random = np.random.default_rng(seed)
    weights = random.normal(size=(d, h)), random.normal(size=(h, 2))
    return Problem(*weights, random.normal(size=(samples, d)), random.integers(0, 2, samples), 2**0.5)


def naive(own: Problem, within: str) -> list[float]:
    d, h = own.first.shape
    quotas = [p.quota(0.5)[0].numpy() for p in Network.layered([d, h, 2], [0]).projections.values()]
    found = []
    for bits in itertools.product([False, True], repeat=d * h + 2 * h):
        first, second = np.array(bits[: d * h]).reshape(d, h), np.array(bits[d * h :]).reshape(h, 2)
        fits = {
            "free": True,
            "network": sum(bits) == np.floor(len(bits) / 2 + 0.5),
            "layer": first.sum() == np.floor(d * h / 2 + 0.5) and second.sum() == h,
            "neuron": (first.sum(0) == quotas[0]).all() and (second.sum(0) == quotas[1]).all(),
        }
        if fits[within]:
            found.append(loss_of(own, first, second))
    return found


@pytest.mark.parametrize("within", ["free", "network", "layer", "neuron"])
@pytest.mark.parametrize(("d", "h", "samples"), [(2, 2, 5), (4, 2, 20), (1, 3, 33), (3, 2, 6)])
def test_exhaustive_search_finds_what_naive_search_finds(within: Any, d: int, h: int, samples: int) -> None:
    own = problem(d, h, samples, d + h)
    losses_ = np.array(naive(own, within))
    threshold = float(np.quantile(losses_, 0.3)) + 1e-9
    found = best_mask(own, within, 0.5, [threshold])
    assert found.masks == len(losses_) and found.better[0] == (losses_ < threshold).sum()
    assert found.loss == pytest.approx(losses_.min(), abs=1e-12) and found.mean == pytest.approx(losses_.mean(), abs=1e-12)
    assert loss_of(own, found.first, found.second) == pytest.approx(found.loss, abs=1e-12)


def test_its_loss_is_the_cross_entropy_of_the_simulator() -> None:
    network = Network.layered([3, 4, 2], [5], weights="kaiming-normal")
    first, second = (p.weight[0].double().numpy() for p in network.projections.values())
    own = Problem(first, second, np.random.default_rng(0).normal(size=(9, 3)), np.arange(9) % 2, 2**0.5)
    keep = best_mask(own, "layer")
    masks = [torch.from_numpy(keep.first), torch.from_numpy(keep.second)]
    effective = {n: p.weight * m for (n, p), m in zip(network.projections.items(), masks, strict=True)}
    gains = {"hidden1": torch.full((1, 4), 2**0.5), "output": torch.full((1, 2), 2**0.5)}
    inputs, labels = torch.from_numpy(own.samples).float()[None], torch.from_numpy(own.labels)[None]
    assert float(losses(network, effective, gains, inputs, labels)[0]) == pytest.approx(keep.loss, abs=1e-5)


def test_exhaustive_search_refuses_what_would_not_end() -> None:
    with pytest.raises(InputError, match="would not end"):
        problem(10, 10, 4, 0)
    with pytest.raises(InputError, match="unknown scope"):
        best_mask(problem(2, 2, 4, 0), "everything")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two hidden neurons"):
        problem(4, 1, 4, 0)
    with pytest.raises(InputError, match="share"):
        best_mask(problem(2, 2, 4, 0), density=1.5)


# -- random features ------------------------------------------------------------------------------
def test_the_error_of_random_features_is_that_of_least_squares_on_many_samples() -> None:
    random = np.random.default_rng(3)
    features, target, readout = random.normal(size=(40, 4)), random.normal(size=(2, 4)), np.array([1.0, -0.5])
    x = random.normal(size=(60_000, 4))
    values, wanted = np.maximum(x @ features.T, 0), np.maximum(x @ target.T, 0) @ readout
    np.testing.assert_allclose(covariance(features[:3], target), values[:, :3].T @ np.maximum(x @ target.T, 0) / len(x), atol=0.05)
    for n in (5, 40):
        left = wanted - values[:, :n] @ np.linalg.lstsq(values[:, :n], wanted, rcond=None)[0]
        assert error_by_width(features, target, readout)[n - 1] == pytest.approx((left**2).mean() / (wanted**2).mean(), rel=0.1, abs=2e-4)
    greedy = error_of_best(features, target, readout, 40)
    every = [error_by_width(features[[j]], target, readout)[0] for j in range(40)]
    assert greedy[0] == pytest.approx(min(every), abs=1e-6) and (np.diff(greedy) <= 1e-12).all()
    assert greedy[-1] == pytest.approx(error_by_width(features, target, readout)[-1], abs=1e-4)


def test_no_features_beat_the_bound_on_average() -> None:
    random = np.random.default_rng(4)
    errors = []
    for _ in range(12):
        direction = random.normal(size=(1, 6))
        errors.append(error_by_width(random.normal(size=(60, 6)), direction, np.ones(1))[[5, 20, 59]])
    bound = least_error(6, [6, 21, 60])
    assert (np.mean(errors, 0) >= bound).all() and bound[-1] > 0
    assert least_neurons(30, 0.1) > 50 * least_neurons(10, 0.1)
    assert least_error(10, [round(least_neurons(10, 0.1))])[0] == pytest.approx(0.01, rel=0.01)


# -- operations -----------------------------------------------------------------------------------
def test_operations_are_those_that_torch_counts() -> None:
    generator = torch.Generator().manual_seed(0)
    drive = SampleDrive(torch.randn(1, 7, 5, generator=generator), torch.arange(7)[None] % 3, 3, 2)

    def births() -> Network:
        return Network.layered([5, 6, 4, 3], [0], weights="kaiming-normal")

    def counted(work: Callable[[], object]) -> int:
        with FlopCounterMode(display=False) as mode:
            work()
        return int(mode.get_total_flops())

    def grown(rule: str) -> Callable[[], object]:
        network = births()
        return lambda: develop(network, drive, load_rule(rule), feedback=Feedback(network, "random", (0,)), seeds=(0,))

    cost = Cost.of(births())
    assert (cost.edges, cost.from_input) == (5 * 6 + 6 * 4 + 4 * 3, 30)
    assert cost.forward(7) == 2 * 7 * 66 and cost.search(7, 3) == 3 * cost.forward(7)
    assert counted(lambda: train(births(), births().masks(), drive, (0,), Training())) == 2 * cost.gradient_step(7)
    assert counted(lambda: load_scorer("edge-popup").score(births(), drive, 0.5, (0,))) == 2 * cost.gradient_step(7)  # type: ignore[union-attr]
    assert counted(grown("three-factor")) == 2 * cost.local_step(7, 1)
    assert counted(grown("mirrored-three-factor")) == 2 * cost.local_step(7, 1, 1)


# -- samples --------------------------------------------------------------------------------------
def test_a_sample_drive_shows_each_replicate_its_own_and_batches_alone_as_in_company() -> None:
    samples, labels = torch.arange(24.0).view(2, 6, 2), torch.arange(12).view(2, 6) % 2
    whole = next(iter(SampleDrive(samples, labels, 2, 1).presentations((0, 1), torch.device("cpu"))))
    assert torch.equal(whole.inputs, samples)
    both = list(SampleDrive(samples, labels, 2, 3, 4).presentations((8, 9), torch.device("cpu")))
    alone = list(SampleDrive(samples[1:], labels[1:], 2, 3, 4).presentations((9,), torch.device("cpu")))
    assert len(both) == SampleDrive(samples, labels, 2, 3, 4).clock.steps == 3
    for a, b in zip(both, alone, strict=True):
        assert torch.equal(a.inputs[1], b.inputs[0]) and torch.equal(a.labels[1], b.labels[0])  # type: ignore[index]
    for wrong in (
        {"classes": 1},
        {"epochs": 0},
        {"batch": 7},
        {"labels": labels[:, :3]},
        {"samples": samples[:, :0], "labels": labels[:, :0]},
    ):
        with pytest.raises(InputError):
            SampleDrive(**{"samples": samples, "labels": labels, "classes": 2} | wrong)  # type: ignore[arg-type]


# -- studies --------------------------------------------------------------------------------------
TINY: dict[str, dict[str, Any]] = {
    "dice": {"draws": 20, "most": 12, "every": 3},
    "depth_2l": {"width": 3, "widths": [2, 4], "eps": [0.5, 0.3], "epochs": 1, "depths": [2]},
    "hardness": {"small": 1, "at24": 1, "at28": 0, "samples": 8, "evaluations": 8, "steps": 4},
    "weights_vs_neurons": {"width": 40, "chosen": 6, "pools": [2, 3, 4], "samples": 50},
    "universal": {"widths": [3, 6], "pools": [2, 4], "epochs": 2, "evaluations": 20},
    "tickets": {"hidden": [6, 6], "epochs": 1, "batch": 256},
    "versus_gradient": {"widths": [3, 5], "epochs": [1], "evaluations": [10], "train_size": 200, "fashion_epochs": [1]},
}


@pytest.mark.parametrize("name", TINY)
def test_a_study_measures_what_it_says_and_a_replicate_alone_equals_it_in_a_batch(name: str) -> None:
    study = importlib.import_module(f"biosim.studies.{name}")
    told: list[tuple[str, int, int]] = []
    batch = study.run([3, 4], progress=lambda stage, step, steps, _: told.append((stage, step, steps)), **TINY[name])
    alone = study.run([4], **TINY[name])
    assert set(batch.metrics) == set(study.METRICS) and batch.figures and all(batch.tables.values())
    for metric, values in batch.metrics.items():
        assert len(values) == 2
        np.testing.assert_equal(values[1], alone.metrics[metric][0], err_msg=metric)
    assert told and told[-1][1] == told[-1][2]
    for rows in batch.tables.values():
        assert len({tuple(row) for row in rows}) == 1  # one heading


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("dice", {"draws": 1}), ("dice", {"eps": [0.1, 0.01]}), ("depth_2l", {"eps": [0.1]}), ("depth_2l", {"depths": [1]}),
        ("depth_2l", {"depths": []}), ("universal", {"pools": [4, 60]}), ("versus_gradient", {"widths": []}),
        ("hardness", {"small": 0}), ("weights_vs_neurons", {"width": 3}), ("weights_vs_neurons", {"pools": [2, 30, 40]}),
        ("universal", {"widths": [4]}), ("tickets", {"density": 1.0}), ("versus_gradient", {"widths": [4]}),
    ],
)  # fmt: skip
def test_a_study_refuses_arguments_that_make_no_sense(name: str, wrong: dict[str, Any]) -> None:
    study = importlib.import_module(f"biosim.studies.{name}")
    with pytest.raises(InputError):
        study.run([0], **TINY[name] | wrong)


def test_every_scenario_of_theory_is_in_order(cli: Callable[..., Any]) -> None:
    for name in TINY:
        scenario = name.replace("_", "-")
        assert cli("validate", scenario).code == 0, scenario
        study = importlib.import_module(f"biosim.studies.{name}")
        assert all(p.kind is p.KEYWORD_ONLY for n, p in inspect.signature(study.run).parameters.items() if n != "seeds")


def test_dice_runs_by_name(cli: Callable[..., Any], tmp_path: Path) -> None:
    arguments = ("--set", "study.draws=20", "--set", "study.every=3", "--replicates", "2", "--json", "--out", str(tmp_path / "run"))
    found = json.loads(cli("run", "dice", *arguments).out.splitlines()[-1])
    assert found["kind"] == "study" and len(found["metrics"]["slope_uniform"]) == 2 and found["checks"]
    assert (tmp_path / "run" / "report.html").exists()
