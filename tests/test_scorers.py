"""The score-based side: thresholding, edge-popup against a plain reference, and the wall."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from biosim import backend
from biosim.compare import accuracy
from biosim.drives import ImageDrive
from biosim.errors import InputError
from biosim.scorers import SCOPES, keep, load_scorer, popup_device, prune
from biosim.scorers.backprop import Backprop
from biosim.scorers.edge_popup import Scorer, Search, _initial_scores
from biosim.substrates.rate import propagate
from biosim.synapses import Network

Births = Callable[..., Network]


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 1), st.sampled_from(SCOPES), st.booleans(), st.sampled_from([1.0, 0.4]))
def test_counts_are_exact_in_every_scope_even_when_all_scores_tie(density: float, scope: str, tie: bool, probability: float) -> None:
    network = Network.layered([30, 20, 5], [0, 1], probability=probability)
    scores = {n: torch.ones_like(p.weight) if tie else p.weight for n, p in network.projections.items()}
    masks = keep(scores, network, density, scope, (0, 1))  # type: ignore[arg-type]
    for r in range(2):
        born = {n: int(p.born[r].sum()) for n, p in network.projections.items()}
        kept = {n: int(m[r].sum()) for n, m in masks.items()}
        if scope == "network":
            assert sum(kept.values()) == math.floor(density * sum(born.values()) + 0.5)
        else:
            assert kept == {n: math.floor(density * b + 0.5) for n, b in born.items()}
    assert not any((masks[n] & ~p.born).any() for n, p in network.projections.items())


def test_what_is_kept_scores_highest() -> None:
    network = Network.layered([30, 20, 5], [0])
    scores = {n: p.weight.abs() for n, p in network.projections.items()}
    for scope in SCOPES:
        masks = keep(scores, network, 0.3, scope, (0,))
        groups = {
            "network": [(torch.cat([s.flatten() for s in scores.values()]), torch.cat([m.flatten() for m in masks.values()]))],
            "layer": [(scores[n].flatten(), masks[n].flatten()) for n in scores],
            "neuron": [(scores[n][0, :, j], masks[n][0, :, j]) for n in scores for j in range(scores[n].shape[2])],
        }[scope]
        assert all(float(s[m].min()) >= float(s[~m].max()) for s, m in groups if m.any() and not m.all())


class TopK(torch.autograd.Function):
    """The published straight-through step, written plainly: an independent reference."""

    @staticmethod
    def forward(ctx, scores, k):  # type: ignore[no-untyped-def]
        out = torch.zeros_like(scores).flatten()
        out[scores.flatten().argsort(descending=True)[:k]] = 1
        return out.view_as(scores)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return gradient, None


def test_edge_popup_equals_the_published_formulation(births: Births, drive: ImageDrive) -> None:
    density, network = 0.3, births((5,))
    ours = load_scorer("edge-popup").score(network, drive, density, (5,))
    scores = [nn.Parameter(_initial_scores(network, n, (5,))[0].T.clone()) for n in network.projections]
    weights = [p.weight[0].T.clone() for p in network.projections.values()]
    optimiser = torch.optim.SGD(scores, 0.1, momentum=0.9, weight_decay=1e-4)
    for step, shown in enumerate(drive.presentations((5,), torch.device("cpu"))):
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * step / drive.clock.steps))
        x = shown.inputs[0]
        for layer, (s, w) in enumerate(zip(scores, weights, strict=True)):
            mask = TopK.apply(s.abs(), math.floor(density * s.numel() + 0.5))
            x = nn.functional.linear(x, w * mask) / math.sqrt(density)
            x = x.relu() if layer + 1 < len(scores) else x
        assert shown.labels is not None
        optimiser.zero_grad()
        nn.functional.cross_entropy(x, shown.labels[0]).backward()
        optimiser.step()
    for (_name, score), reference in zip(ours.items(), scores, strict=True):
        torch.testing.assert_close(score[0], reference.detach().T.abs(), rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("scope", ["layer", "network"])
def test_the_accelerators_step_is_the_same_step(scope: str, births: Births, drive: ImageDrive) -> None:
    network = births((5, 6))
    fused = Search(Scorer(scope=scope), network, 0.3, (5, 6), 20)  # type: ignore[arg-type]
    backend.fused, kept = (lambda device: False), backend.fused
    try:
        other = Search(Scorer(scope=scope), network, 0.3, (5, 6), 20)  # type: ignore[arg-type]
    finally:
        backend.fused = kept
    assert other.on_device is not None and fused.on_device is None
    for step, shown in zip(range(20), drive.presentations((5, 6), torch.device("cpu")), strict=False):
        assert shown.labels is not None
        accuracies = [s.step(step, shown.inputs, shown.labels) for s in (fused, other)]
        torch.testing.assert_close(*accuracies)
    for name in fused.scores:
        torch.testing.assert_close(fused.scores[name], other.scores[name], rtol=1e-3, atol=1e-5)


def test_edge_popup_breaks_ties_as_keep_does() -> None:
    network = Network.layered([40, 30, 5], [0, 1], probability=0.7)
    search = Search(Scorer(), network, 0.35, (0, 1), 10)
    for score in search.scores.values():
        score.copy_((score * 60).round() / 60 + 0.01 * score.sign())  # a few values, so that most tie
    search.select()
    for name, mask in search.masks().items():
        assert torch.equal(search.effective[name] != 0, mask)


def test_gradients_are_those_of_autograd(births: Births, drive: ImageDrive) -> None:
    for activation in ("relu", "tanh"):
        network = births((0, 1), activation=activation)
        gains = {n: torch.full_like(p.gain, 1.3) for n, p in network.populations.items()}
        shown = next(iter(drive.presentations((0, 1), network.device)))
        assert shown.labels is not None
        with torch.inference_mode():
            found, _ = Backprop(network, gains).step({n: p.effective for n, p in network.projections.items()}, shown.inputs, shown.labels)
        leaves = {n: p.effective.clone().requires_grad_() for n, p in network.projections.items()}
        output = propagate(network, leaves, gains, shown.inputs)["output"]
        loss = sum(nn.functional.cross_entropy(o, y) for o, y in zip(output, shown.labels, strict=True))
        for name, expected in zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True):  # type: ignore[arg-type]
            torch.testing.assert_close(found[name].clone(), expected, rtol=1e-4, atol=1e-6)


def test_a_circuit_holds_the_births(births: Births, drive: ImageDrive) -> None:
    network = births((0, 1))
    for name in ("edge-popup", "random", "snip", "neuron-greedy", "genetic"):
        options = {"evaluations": 60} if name == "genetic" else {}
        circuit = prune(name, load_scorer(name, options), network, drive, 0.2, (0, 1))
        assert all(np.array_equal(circuit.weight[n], p.weight.numpy()) for n, p in network.projections.items())


def test_edge_popup_finds_a_circuit_and_random_does_not(births: Births, drive: ImageDrive) -> None:
    network = births((0, 1), hidden=(60, 50))
    found = {n: prune(n, load_scorer(n), network, drive, 0.3, (0, 1)) for n in ("edge-popup", "random")}
    scores = {n: accuracy(c.predict(drive.images.test), drive.images.test_labels).mean() for n, c in found.items()}
    assert scores["edge-popup"] > 0.9 > 0.6 > scores["random"]


def test_unknown_rivals_and_options_are_explained() -> None:
    with pytest.raises(InputError, match="did you mean 'edge-popup'"):
        load_scorer("edge-popp")
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        load_scorer("edge-popup", {"epoch": 3})
    with pytest.raises(InputError, match="density"):
        keep({}, Network.layered([3, 2], [0]), 0.0, "layer", (0,))
    with pytest.raises(InputError, match="unknown scope 'column'; there are: neuron, layer, network"):
        keep({}, Network.layered([3, 2], [0]), 0.5, "column", (0,))  # type: ignore[arg-type]


@pytest.mark.parametrize(("release", "there"), [("3.2.1", False), ("3.3.0+git1234", True), ("4.0", True)])
def test_triton_is_used_from_the_release_with_masked_histograms_on(release: str, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, kernels = ModuleType("triton"), ModuleType("biosim.scorers.popup_triton")
    fake.__version__, fake.__spec__ = release, ModuleSpec("triton", None)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "triton", fake)  # as of pytorch-triton, no package of whose is called triton
    monkeypatch.setitem(sys.modules, "biosim.scorers.popup_triton", kernels)
    assert popup_device._kernels(torch.device("cuda")) is (kernels if there else None)
    assert popup_device._kernels(torch.device("cpu")) is None
