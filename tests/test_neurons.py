"""Neuron selection: whole neurons, at the synapse budget of a density."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biosim.compare import accuracy
from biosim.drives import ImageDrive
from biosim.errors import InputError
from biosim.scorers import keep, load_scorer, prune
from biosim.scorers.fixed_batch import first_samples
from biosim.scorers.keep_neurons import NeuronBudget
from biosim.substrates.rate import propagate
from biosim.synapses import Network

Births = Callable[..., Network]


def kept_neurons(network: Network, masks: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {q: torch.stack([masks[p.name].any(1) for p in network.incoming(q)]).any(0) for q in list(network.populations)[1:-1]}


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 1), st.lists(st.integers(1, 12), min_size=1, max_size=2))
def test_the_number_of_neurons_follows_from_the_synapse_budget(density: float, hidden: list[int]) -> None:
    sizes = [5, *hidden, 3]
    network = Network.layered(sizes, [0])
    budget = NeuronBudget.of(network, density)

    def synapses(counts: tuple[int, ...]) -> int:
        return sum(a * b for a, b in itertools.pairwise([5, *counts, 3]))

    assert budget.actual == synapses(tuple(budget.counts.values()))
    assert budget.target == pytest.approx(density * synapses(tuple(hidden)))
    more = tuple(min(k + 1, n) for k, n in zip(budget.counts.values(), hidden, strict=True))
    fewer = tuple(max(k - 1, 1) for k in budget.counts.values())
    step = max(synapses(more) - budget.actual, budget.actual - synapses(fewer))
    least = synapses((1,) * len(hidden))
    assert abs(budget.actual - max(budget.target, least)) <= max(step, 1)
    if len(hidden) == 1:  # the nearest there is
        assert abs(budget.actual - budget.target) == min(abs(synapses((k,)) - budget.target) for k in range(1, hidden[0] + 1))


@pytest.mark.parametrize("name", ["neuron-popup", "neuron-greedy"])
def test_whole_neurons_are_kept(name: str, births: Births, drive: ImageDrive) -> None:
    network = births((0, 1))
    budget = NeuronBudget.of(network, 0.3)
    circuit = prune(name, load_scorer(name), network, drive, 0.3, (0, 1))
    masks = {n: torch.from_numpy(m) for n, m in circuit.mask.items()}
    kept = kept_neurons(network, masks)
    everyone = {n: torch.ones(2, p.size, dtype=torch.bool) for n, p in network.populations.items()}
    for n, p in network.projections.items():
        sides = [kept.get(q.name, everyone[q.name]) for q in (p.pre, p.post)]
        assert torch.equal(masks[n], p.born & sides[0].unsqueeze(2) & sides[1].unsqueeze(1))
    assert {q: k.sum(1).tolist() for q, k in kept.items()} == {q: [k, k] for q, k in budget.counts.items()}
    born = sum(int(p.born[0].sum()) for p in network.projections.values())
    np.testing.assert_allclose(circuit.density(), budget.actual / born)
    np.testing.assert_allclose(circuit.effective_density(), circuit.density())


def test_a_neuron_is_scored_by_its_synapses_and_ties_are_broken() -> None:
    network = Network.layered([4, 6, 2], [0, 1])
    scores = {n: torch.zeros_like(p.weight) for n, p in network.projections.items()}
    scores["input-hidden1"][:, 2, 3] = 1.0
    masks = keep(scores, network, 0.5, "whole-neurons", (0, 1))
    assert masks["input-hidden1"][:, :, 3].all() and (masks["input-hidden1"].any(1).sum(1) == 3).all()
    assert torch.equal(keep(scores, network, 0.5, "whole-neurons", (0, 1))["input-hidden1"], masks["input-hidden1"])


def test_greedy_adds_the_neuron_that_lowers_the_loss_most(drive: ImageDrive) -> None:
    network = Network.layered([36, 8, 4], [0])
    scores = load_scorer("neuron-greedy", {"candidates": 8, "samples": 50}).score(network, drive, 0.5, (0,))
    order = scores["input-hidden1"][0, 0]
    assert not scores["hidden1-output"].any()  # a readout does not compete
    inputs, labels = first_samples(drive, (0,), network.device, 50)
    gains = NeuronBudget.of(network, 0.5).gains(network)

    def loss(neurons: list[int]) -> float:
        gate = torch.zeros(8)
        gate[neurons] = 1
        effective = {
            "input-hidden1": network.projections["input-hidden1"].weight * gate,
            "hidden1-output": network.projections["hidden1-output"].weight,
        }
        return float(torch.nn.functional.cross_entropy(propagate(network, effective, gains, inputs)["output"][0], labels[0]))

    chosen: list[int] = []
    for _ in range(4):
        chosen.append(min((j for j in range(8) if j not in chosen), key=lambda j: loss([*chosen, j])))
    assert order.argsort(descending=True)[:4].tolist() == chosen
    assert int((order > 0).sum()) == 4


def test_many_hidden_populations_are_counted_too(births: Births) -> None:
    network = births((0,), hidden=(4, 3, 3, 3, 3, 2))
    budget = NeuronBudget.of(network, 0.4)
    masks = keep({n: p.weight.abs() for n, p in network.projections.items()}, network, 0.4, "whole-neurons", (0,))
    assert {q: int(k.sum()) for q, k in kept_neurons(network, masks).items()} == dict(budget.counts)
    assert abs(budget.actual / budget.target - 1) < 0.05 and sum(int(m.sum()) for m in masks.values()) == budget.actual


def test_selecting_neurons_beats_chance_and_selecting_synapses_beats_both(births: Births, drive: ImageDrive) -> None:
    network, test = births((0, 1, 2), hidden=(60,)), drive.images
    found = {n: prune(n, load_scorer(n), network, drive, 0.3, (0, 1, 2)) for n in ("neuron-popup", "neuron-greedy", "edge-popup", "random")}
    score = {n: accuracy(c.predict(test.test), test.test_labels).mean() for n, c in found.items()}
    assert score["edge-popup"] > max(score["neuron-popup"], score["neuron-greedy"])
    assert min(score["neuron-popup"], score["neuron-greedy"]) > 0.4  # four classes


def test_a_network_without_hidden_neurons_is_refused(drive: ImageDrive) -> None:
    with pytest.raises(InputError, match="hidden population"):
        prune("neuron-popup", load_scorer("neuron-popup"), Network.layered([36, 4], [0]), drive, 0.3, (0,))


def test_neurons_against_weights_over_widths(drive: ImageDrive, tmp_path: Path) -> None:
    from biosim.analysis import write_findings
    from biosim.library import find, load_module

    findings = load_module(find("analysis", "neurons-vs-weights")).sweep(drive, (20, 60), (0.5, 0.2), (0, 1, 2))
    rows = findings.tables["accuracy"]
    assert len(rows) == 2 * 2 * 3 * 3
    for budget, width, seed in itertools.product((0.5, 0.2), (20, 60), (0, 1, 2)):
        own = {r["method"]: r for r in rows if (r["budget"], r["width"], r["seed"]) == (budget, width, seed)}
        edges = own.pop("edge-popup")
        for neurons in own.values():  # the same count of synapses; the neurons' all lie on a path
            assert neurons["density"] == edges["density"] == neurons["effective_density"] >= edges["effective_density"]
            assert neurons["neurons_kept"] == round(budget * width)
    for gap in findings.tables["gap"]:
        assert gap["gap_least"] <= gap["gap_mean"] <= gap["gap_greatest"] and gap["gap_mean"] > 0
    assert {p.name for p in write_findings(findings, tmp_path)} == {
        "neurons_vs_weights.png", "neurons_vs_weights.svg", "accuracy.csv", "gap.csv",
    }  # fmt: skip
