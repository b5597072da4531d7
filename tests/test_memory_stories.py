"""Memories in binary networks: births, retrieval, capacity, regulation; against closed forms and brute force."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate

from biosim.develop import develop
from biosim.drives.patterns import drive
from biosim.equations import parse_rule
from biosim.errors import InputError
from biosim.library import find, load_module
from biosim.measures import memory_capacity, retrieval
from biosim.memories import degraded, draw_memories, hebbian_weights, memories_of, overlaps
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.store import open_run
from biosim.substrates.attractor import substrate
from biosim.synapses import Network

Cli = Callable[..., Any]
hopfield = load_module(find("models", "hopfield")).build
overgrown = load_module(find("models", "overgrown-memory")).build
RANDOM = parse_rule({"eliminate": {"compete": {"within": "post", "by": "random"}}})


def test_memories_have_their_share_of_active_neurons_and_a_shorter_list_begins_a_longer_one() -> None:
    few, many = draw_memories([3, 4], 5, 40, 0.1), draw_memories([3, 4], 9, 40, 0.1)
    np.testing.assert_array_equal(many.sum(2), 4)
    np.testing.assert_array_equal(few, many[:, :5])
    np.testing.assert_array_equal(draw_memories([4], 9, 40, 0.1)[0], many[1])
    assert len({m.tobytes() for m in many.reshape(-1, 40)}) > 15


def test_cues_have_the_overlap_asked_for() -> None:
    memories = draw_memories([0], 50, 200, 0.1)[0]
    for wanted in (1.0, 0.8, 0.5, 0.0):
        cues = degraded(memories, wanted, 0.1, np.random.default_rng(1))
        np.testing.assert_array_equal(cues.sum(1), 20)
        found = overlaps(torch.from_numpy(memories), torch.from_numpy(cues), 0.1)
        assert found.numpy() == pytest.approx(wanted, abs=0.5 / (200 * 0.09) + 1e-6)


def test_births_are_hebbian() -> None:
    p, n, memories = 0.25, 8, draw_memories([5], 4, 8, 0.25)
    weight, born = hebbian_weights(memories, p, [5])
    positive, _ = hebbian_weights(memories, p, [5], kind="excitatory")
    for i, j in itertools.product(range(n), range(n)):
        covariance = sum((m[i] - p) * (m[j] - p) for m in memories[0]) / (n * p * (1 - p))
        together = sum(m[i] * m[j] for m in memories[0]) / (n * p)
        assert born[0, i, j] == (i != j)
        assert weight[0, i, j] == pytest.approx(covariance if i != j else 0, abs=1e-6)
        assert positive[0, i, j] == pytest.approx(together if i != j else 0, abs=1e-6)
    shifted, edges = hebbian_weights(memories, p, [5], kind="shifted", shift=1.0)
    assert shifted.min() == 0 and shifted[edges].mean() == pytest.approx(1, abs=1e-5)
    assert np.corrcoef(shifted[edges], weight[born])[0, 1] > 0.9
    sparse, some = hebbian_weights(draw_memories([1], 4, 100, 0.1), 0.1, [1], probability=0.3)
    assert some.mean() == pytest.approx(0.3, abs=0.02) and not sparse[~some].any()


@pytest.mark.parametrize("how", [{"active": 4}, {"threshold": 0.4, "inhibition": 0.02}])
def test_retrieval_is_what_its_equations_say(how: dict[str, Any]) -> None:
    network = hopfield([0, 1], neurons=40, memories=6, probability=0.7)
    network.populations["neurons"].gain = torch.rand(2, 40, generator=torch.Generator().manual_seed(0)) + 0.5
    cues = torch.from_numpy(np.stack([degraded(m, 0.6, 0.1, np.random.default_rng(2)) for m in network.memories["neurons"]]))
    push = 0.1 * torch.randn(2, 6, 40, generator=torch.Generator().manual_seed(1))
    found = substrate(network, steps=4, **how).respond(cues, {"neurons": push})["neurons"].numpy()
    weight, gain = network.projections["recurrent"].weight.double().numpy(), network.populations["neurons"].gain.double().numpy()
    for r, s in itertools.product(range(2), range(6)):
        x = cues[r, s].double().numpy()
        for _ in range(4):
            field = gain[r] * (x @ weight[r]) - how.get("inhibition", 0) * x.sum() + push[r, s].numpy()
            if "active" in how:
                x = np.zeros(40)
                x[np.argsort(-field)[:4]] = 1
            else:
                x = (field > 0.4).astype(float)
        np.testing.assert_array_equal(found[r, s], x)


def test_a_few_memories_are_recalled_from_cues_and_synapses_sense_what_arrived() -> None:
    network = hopfield([0], neurons=100, memories=3)
    runs = substrate(network, active=10)
    memories = torch.from_numpy(network.memories["neurons"])
    cues = torch.from_numpy(degraded(network.memories["neurons"][0], 0.5, 0.1, np.random.default_rng(0)))[None]
    states = runs.respond(cues)
    assert overlaps(memories, states["neurons"], 0.1).numpy() == pytest.approx(1)
    torch.testing.assert_close(runs.arriving(network.projections["recurrent"], states), memories)  # it had settled
    once = substrate(network, active=10, steps=1)
    once.respond(cues)
    torch.testing.assert_close(once.arriving(network.projections["recurrent"], {}), cues)


def test_the_closed_form_is_the_signal_of_the_strongest_normal_weights() -> None:
    density = lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi)  # noqa: E731
    for share in (0.1, 0.3, 0.7):
        t = next(x for x in np.linspace(0, 4, 40_001) if math.erfc(x / math.sqrt(2)) <= share)
        power = 2 * integrate.quad(lambda z: z * z * density(z), t, np.inf)[0]  # E[z w]**2 / E[w**2] with w = z where |z| > t
        assert memory_capacity.theory(share) == pytest.approx(power, abs=1e-3)
    assert memory_capacity.theory(1.0) == 1


def test_capacity_is_where_the_curve_falls_to_the_criterion() -> None:
    counts = [10, 20, 40]
    assert memory_capacity.crossing(counts, np.array([1.0, 0.9, 0.5]), 0.95) == pytest.approx(15)
    assert memory_capacity.crossing(counts, np.array([1.0, 1.0, 0.5]), 0.75) == pytest.approx(30)
    assert memory_capacity.crossing(counts, np.array([1.0, 1.0, 0.99]), 0.95) == 40
    assert memory_capacity.crossing(counts, np.array([0.475, 0.3, 0.1]), 0.95) == pytest.approx(5)


def test_signal_to_noise_of_strong_and_of_random_synapses() -> None:
    found = {}
    for name, rule in (("pruned", load_rule("minimal-value")), ("random", RANDOM)):
        network = overgrown([0, 1], synapses=40_000, kept=0.3, loads=[0.3, 0.8])
        shown = drive(network, samples=1, steps=8)
        schedule = Schedule("constant", 0.3, 0.1, 0.9)
        developed = develop(network, shown, rule, schedule=schedule, homeostasis=[], seeds=[0, 1])
        found[name] = memory_capacity.measure(developed, shown, moments=3).metrics
        assert developed.circuit.density() == pytest.approx(0.3, abs=1e-4)
    assert np.asarray(found["pruned"]["snr_error"]).max() < 0.1
    assert np.asarray(found["random"]["snr_ratio"]) == pytest.approx(
        math.sqrt(0.3), abs=0.08
    )  # a share c of the synapses, sqrt(c) of the neurons
    assert np.asarray(found["pruned"]["snr_theory"]) == pytest.approx(1.430, abs=0.002)
    assert (np.asarray(found["pruned"]["overlap"]) > np.asarray(found["random"]["overlap"]) + 0.4).all()


def test_a_network_that_loses_nothing_is_its_own_dense_network() -> None:
    network = overgrown([0], synapses=2500, kept=1.0, loads=[0.2, 0.6])
    shown = drive(network, samples=1, steps=3)
    developed = develop(network, shown, load_rule("minimal-value"), schedule=Schedule("constant", 1.0), homeostasis=[], seeds=[0])
    metrics = memory_capacity.measure(developed, shown).metrics
    assert metrics["snr_ratio"] == [1] and metrics["snr_error"] == [0] and metrics["capacity"] == metrics["capacity_at_birth"]


def regulated(alpha: float, loss: float = 3, steps: int = 20) -> Network:
    network = hopfield([0, 1], neurons=60, memories=8, weights="shifted")
    rule = load_rule("neuronal-regulation").with_parameters({"alpha": alpha, "loss": loss})
    schedule = Schedule("critical-window", 0.02, 0.0, 1.0)
    develop(network, drive(network, samples=1, steps=steps), rule, schedule=schedule, homeostasis=[], seeds=[0, 1])
    return network


def test_regulation_holds_each_neurons_summed_weight_and_the_weak_die() -> None:
    network = regulated(0.0)
    p, born = network.projections["recurrent"], torch.from_numpy(memories_of(network).births["recurrent"])
    left = (p.weight * p.alive).sum(1) / born.sum(1)
    lost = 3 / 20  # the mean of what wears off in the last step, before the next one makes it good
    assert bool((left < 1 + 1e-4).all()) and bool((left > 1 - 2 * lost).all())
    assert 0.2 < float(p.alive.double().mean()) < 0.95
    edges = p.born
    assert float(born[edges & ~p.alive].mean()) < 0.8 * float(born[edges & p.alive].mean())
    assert float(p.weight[p.alive].max()) <= 4.5


def test_wear_in_proportion_to_the_weight_or_steeper_prunes_nothing() -> None:
    for alpha, flatter in ((1.0, False), (1.5, True)):
        p = regulated(alpha, loss=4, steps=40).projections["recurrent"]
        born = torch.from_numpy(memories_of(regulated(alpha, loss=4, steps=1)).births["recurrent"])
        strong = born > 0.01
        assert bool(p.alive[strong].all())
        spread = float(p.weight[strong].std() / born[strong].std())
        assert spread < 0.6 if flatter else spread > 0.7


def test_retrieval_reads_the_history() -> None:
    network = hopfield([0, 1], neurons=100, memories=5, weights="excitatory", exuberance=1.0, threshold=0.28, inhibition=0.9)
    shown = drive(network, samples=1, steps=10)
    found = retrieval.observe(network, shown, noise=0.0, cue=1.0)
    assert set(found) == set(retrieval.TRACED)
    again = retrieval.observe(
        hopfield([1], neurons=100, memories=5, weights="excitatory", exuberance=1.0, threshold=0.28, inhibition=0.9), shown
    )
    assert retrieval.observe(network, shown)["retrieval"][1] == again["retrieval"][0]  # a replicate alone
    np.testing.assert_array_equal(found["score"], np.asarray(found["retrieval"]) * (1 - np.asarray(found["spontaneous"])))
    silent = hopfield([0], neurons=100, memories=5, threshold=5.0)
    quiet = retrieval.observe(silent, shown)
    assert quiet["spontaneous"][0] == 0 and abs(quiet["retrieval"][0]) < 1e-6
    loud = hopfield([0], neurons=100, memories=5, threshold=-5.0)
    assert retrieval.observe(loud, shown)["spontaneous"][0] == 1 and retrieval.observe(loud, shown)["score"][0] == 0


@pytest.fixture
def settings() -> list[str]:
    return ["--set", "model.neurons=200", "--set", "moments=8", "--set", "drive.steps=30", "--set", "replicates=3"]


def test_too_many_and_too_few_synapses_from_file_to_page(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("run", "over-and-under-pruning", "--out", "run", *settings, "--set", "checks=[]")
    assert code == 0, err
    scores = {}
    for name in ("under-pruned", "pruned", "over-pruned"):
        run = open_run(tmp_path / "run" / "conditions" / name)
        scores[name] = np.mean(run.results["metrics"]["measure.score"])
        assert "retrieval" in (tmp_path / "run" / "conditions" / name / "report.html").read_text()
        assert [r["measure.score"] for r in run.history][-1] == pytest.approx(run.results["metrics"]["measure.score"])
    assert scores["pruned"] > scores["under-pruned"] + 0.2 and scores["pruned"] > scores["over-pruned"] + 0.3


@pytest.mark.parametrize(
    ("scenario", "setting", "expected"),
    [
        ("over-and-under-pruning", "model.neurons=0", "model.neurons: input should be greater than or equal to 2, not 0"),
        ("over-and-under-pruning", "model.memories=0", "model.memories: input should be greater than or equal to 1, not 0"),
        ("over-and-under-pruning", "model.coding=0.0001", "model.coding: a memory needs active and inactive neurons"),
        ("over-and-under-pruning", "model.inhibition=-1", "model.inhibition: input should be greater than or equal to 0, not -1"),
        ("over-and-under-pruning", "measure.noise=-1", "measure.noise: input should be greater than or equal to 0, not -1"),
        ("over-and-under-pruning", "drive.cue=2", "drive.cue: input should be less than or equal to 1, not 2"),
        ("over-and-under-pruning", "schedule.opens=0.99", "schedule.opens: need 0 <= opens < closes <= 1"),
        ("over-and-under-pruning", "model={name: clustered-linear}", "drive: the network was born without memories"),
        ("over-and-under-pruning", "measure={name: memory-capacity}", "a capacity is found between populations"),
        ("overgrow-then-prune", "model.loads=[0.5, 0.1]", "model.loads: loads must rise"),
        ("overgrow-then-prune", "model.synapses=0", "model.synapses: input should be greater than or equal to 100, not 0"),
    ],
)
def test_bad_input_names_its_key_and_nothing_is_written(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: str, setting: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("run", scenario, "--out", "run", "--set", setting, "--set", "checks=[]")
    assert code == 2 and expected in " ".join(err.split()) and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_substrate_needs_one_way_to_say_who_fires() -> None:
    network = hopfield([0], neurons=20, memories=2)
    for wrong in ({}, {"active": 2, "threshold": 0.4}, {"active": 20}):
        with pytest.raises(InputError, match="fire"):
            substrate(network, **wrong)
