"""Noise pruning: a linear network against its closed form, the rule against NumPy, the spectrum against known ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biosim.develop import develop
from biosim.drives.white_noise import WhiteNoise, drive
from biosim.equations import Clock
from biosim.errors import InputError
from biosim.library import find, load_module
from biosim.linear import LinearNetwork, rates
from biosim.measures import slow_modes
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.store import open_run
from biosim.substrates.linear_noise import substrate
from biosim.synapses import Network, Population, Projection

Cli = Callable[..., Any]
build = load_module(find("models", "clustered-linear")).build
FLOOR = Schedule("critical-window", 0.01, 0.0, 1.0)


def linear(weight: np.ndarray, leak: float = 0.5) -> LinearNetwork:
    population, values = Population("neurons", weight.shape[-1], "linear"), torch.from_numpy(weight.astype(np.float32))[None]
    return LinearNetwork(population, [Projection("couplings", population, population, values, values != 0)], leak)


def small(seed: int = 0, neurons: int = 10) -> np.ndarray:
    random = np.random.default_rng(seed)
    weight = np.triu(random.uniform(-1, 1, (neurons, neurons)) * (random.random((neurons, neurons)) < 0.6), 1)
    return np.asarray(weight)


def test_a_synapse_couples_and_loads_both_neurons() -> None:
    weight = small()
    a, x = rates(torch.from_numpy(weight), 0.5).numpy(), np.random.default_rng(1).standard_normal(10)
    change = -0.5 * x
    for i in range(10):
        for j in range(10):
            change[i] += abs(weight[i, j]) * (np.sign(weight[i, j]) * x[j] - x[i])
            change[j] += abs(weight[i, j]) * (np.sign(weight[i, j]) * x[i] - x[j])
    np.testing.assert_allclose(a @ x, change, atol=1e-12)
    assert np.linalg.eigvalsh(a).max() < -0.49


@pytest.mark.parametrize("interval", [0.05, 1.0])
def test_simulated_covariance_is_the_closed_form_at_any_interval(interval: float) -> None:
    network = linear(small(), 1.0)
    runs, samples = substrate(network, leak=1.0, interval=interval), round(40_000 / min(1.0, 4 * interval))
    random = torch.Generator().manual_seed(0)
    x = runs.respond(torch.randn(1, samples, 10, generator=random))["neurons"][0].double().numpy()
    a = rates(torch.from_numpy(small()), 1.0).numpy()
    exact = np.linalg.inv(-a)
    np.testing.assert_allclose(x.T @ x / samples, exact, atol=0.05 * exact.max())
    values, vectors = np.linalg.eigh(a)
    later = (vectors * np.exp(values * interval)) @ vectors.T @ exact
    np.testing.assert_allclose(x[1:].T @ x[:-1] / (samples - 1), later, atol=0.05 * exact.max())


def test_time_goes_on_from_step_to_step_and_replicates_do_not_meet() -> None:
    noise = torch.randn(2, 30, 60, generator=torch.Generator().manual_seed(3))
    whole = substrate(build([0, 1], neurons=60, clusters=3), interval=4.0).respond(noise)["neurons"]
    parts = substrate(build([0, 1], neurons=60, clusters=3), interval=4.0)
    first, second = parts.respond(noise[:, :13])["neurons"], parts.respond(noise[:, 13:])["neurons"]
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-4, atol=1e-6)
    alone = substrate(build([1], neurons=60, clusters=3), interval=4.0).respond(noise[1:])["neurons"]
    torch.testing.assert_close(alone[0], whole[1], rtol=0, atol=0)


def test_births_are_clusters_joined_by_exactly_so_many_bridges() -> None:
    network = build([7, 8], neurons=62, clusters=4, bridges=3, within=1.0, strength=0.2)
    weight, cluster = network.births.numpy(), np.arange(62) * 4 // 62
    for own in weight:
        assert not ((own > 0) & (own.T > 0)).any()  # one synapse a pair
        pairs = (own > 0) | (own.T > 0)
        for a in range(4):
            for b in range(a, 4):
                block = pairs[np.ix_(cluster == a, cluster == b)]
                size = block.shape[0]
                assert block.sum() == (3 if a != b else size * (size - 1))
        outside = own[(cluster[:, None] != cluster) & (own > 0)]
        inside = own[(cluster[:, None] == cluster) & (own > 0)]
        assert 0.1 < outside.mean() / inside.mean() < 0.35
    assert (weight[0] != weight[1]).any()


def record(network: Network, seeds: list[int], clock: Clock) -> np.ndarray:
    runs = substrate(network, **network.dynamics)
    shown = WhiteNoise(network.populations["neurons"].size, clock).presentations(tuple(seeds), torch.device("cpu"))
    return torch.cat([runs.respond(p.inputs)["neurons"] for p in shown], 1).double().numpy()


def test_the_rule_is_what_numpy_makes_of_the_same_activity() -> None:
    network, seeds = build([4, 5], neurons=60, clusters=3, bridges=4), [4, 5]
    shown = drive(network, samples=20, steps=10)
    x = record(build([4, 5], neurons=60, clusters=3, bridges=4), seeds, shown.clock)[:, :180]  # the step whose age is 80 % is the ninth
    p = network.projections["couplings"]
    births, born = p.weight.double().numpy().copy(), p.born.numpy()
    develop(network, shown, load_rule("noise-pruning"), schedule=FLOOR, homeostasis=[], seeds=seeds)
    alive, after = p.alive.numpy(), p.weight.double().numpy()
    for r in range(2):
        second = x[r].T @ x[r] / x.shape[1]
        apart = np.diag(second)[:, None] + np.diag(second) - 2 * np.sign(births[r]) * second
        degree = born[r].sum(1)[:, None] + born[r].sum(0)
        chance = np.clip(0.2 * degree * np.abs(births[r]) * apart / 2, 0.001, 1)
        left = alive[r]
        np.testing.assert_allclose(after[r][left], births[r][left] / chance[left], rtol=2e-3)
        assert (born[r] & ~left)[chance >= 1].sum() == 0
        expected = chance[born[r]].sum()
        spread = np.sqrt((chance * (1 - chance))[born[r]].sum())
        assert abs(left.sum() - expected) < 4 * spread


def test_survivors_grow_so_that_the_expected_network_is_the_one_born() -> None:
    seeds = list(range(12))
    network = build([0] * 12, neurons=60, clusters=3, bridges=2)
    births = network.births.double().numpy()
    developed = develop(
        network, drive(network, samples=20, steps=10), load_rule("noise-pruning"), schedule=FLOOR, homeostasis=[], seeds=seeds
    )
    left = developed.circuit.weight["couplings"] * developed.circuit.mask["couplings"]
    assert left.sum((1, 2)).mean() == pytest.approx(births[0].sum(), rel=0.05)
    assert developed.circuit.density() == pytest.approx(0.2, abs=0.05)
    bridges = (np.arange(60)[:, None] * 3 // 60) != (np.arange(60) * 3 // 60)
    assert developed.circuit.mask["couplings"][:, bridges & (births[0] > 0)].mean() > 0.4  # they carry the slow modes


def test_the_spectrum_of_two_neurons_and_of_a_network_left_alone() -> None:
    weight = np.array([[0, 1.5], [0, 0]])
    assert slow_modes.spectrum(weight.astype(np.float32)[None], 0.25)[0] == pytest.approx([-0.25, -3.25])
    assert slow_modes.spectrum(-weight.astype(np.float32)[None], 0.25)[0] == pytest.approx([-0.25, -3.25])
    network = build([0, 1], neurons=30, clusters=3)
    shown = drive(network, samples=5, steps=4)
    kept = load_rule("noise-pruning").with_parameters({"keep": 1000})
    developed = develop(network, shown, kept, schedule=FLOOR, homeostasis=[], seeds=[0, 1])
    metrics = slow_modes.measure(developed, shown).metrics
    assert metrics["density"] == [1, 1] and np.asarray(metrics["error"]) == pytest.approx(0, abs=1e-9)


def test_from_file_to_page(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ["--set", "model.neurons=100", "--set", "model.bridges=2", "--set", "replicates=2", "--set", "checks=[]"]
    code, _, err = cli("run", "noise-pruning", "--out", "run", *settings)
    assert code == 0, err
    densities = {}
    for name in ("noise", "weight", "uniform"):
        run = open_run(tmp_path / "run" / "conditions" / name)
        densities[name] = run.results["metrics"]["measure.density"]
        assert run.about["locality"] == ("synapse" if name == "uniform" else "neuron")
        assert "decay rate" in (tmp_path / "run" / "conditions" / name / "report.html").read_text()
    assert np.asarray(list(densities.values())) == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("model.neurons=0", "model.neurons: input should be greater than or equal to 2, not 0"),
        ("model.leak=0", "model.leak: input should be greater than 0, not 0"),
        ("model.clusters=400", "model.bridges: the smallest cluster has 1 neurons"),
        ("model.interval=-1", "model.interval: input should be greater than 0, not -1"),
        ("measure.modes=501", "measure.modes: the network has 500 modes, not 501"),
        ("drive.samples=0", "drive.samples: input should be greater than or equal to 1, not 0"),
        ("model={name: hopfield, neurons: 20, memories: 2}", "modes are those of a linear network"),
    ],
)
def test_bad_input_names_its_key(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, expected: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("run", "noise-pruning", "--out", "run", "--set", setting)
    assert code == 2 and expected in " ".join(err.split()) and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_linear_network_is_one_population() -> None:
    with pytest.raises(InputError, match="one population"):
        substrate(Network.layered([3, 2], [0]))
