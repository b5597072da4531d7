"""Every score-based rival against its published formulation, written plainly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from biosim.births import draw_weights
from biosim.drives import ImageDrive
from biosim.drives.base import Presentation
from biosim.errors import InputError, UndefinedError
from biosim.scorers import (
    SCOPES,
    Made,
    Scorer,
    Task,
    Training,
    keep,
    keep_counts,
    load_scorer,
    make,
    prune,
    retrain,
    scorer_names,
    variants,
)
from biosim.scorers.keep_neurons import NeuronBudget
from biosim.scorers.random import erk_counts
from biosim.scorers.snip import samples_of_each_class
from biosim.scorers.supermask import mask_gradients
from biosim.scorers.synflow import flow
from biosim.scorers.training import train
from biosim.synapses import Network, Population, Projection


class Unlabelled(ImageDrive):
    """Keeps what is shown to itself."""

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        for shown in super().presentations(seeds, device):
            yield replace(shown, labels=None)


Births = Callable[..., Network]
CPU = torch.device("cpu")
SHORT = Training(epochs=2)


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("edge-popup", "edge-popup"), ("neuron-popup", "neuron-popup"), ("supermask", "supermask"), ("imp", "training weights"),
        ("greedy-flips", "a search"), ("neuron-greedy", "a search"), ("snip", "a score of the loss"), ("grasp", "a score of the loss"),
    ],
)  # fmt: skip
def test_who_needs_labels_says_so(name: str, who: str, births: Births, drive: ImageDrive) -> None:
    task = Task(births((0,)), Unlabelled(drive.images, drive.batch, 1), (0.5,), (0,))
    with pytest.raises(InputError, match=f"^{who} needs a drive with labels$"):
        list(make(load_scorer(name), task))


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("snip", {"samples": 2.5}, "samples"),
        ("snip", {"scope": "layers"}, "scope"),
        ("annealing", {"scope": "whole-neurons"}, "scope"),
        ("synflow", {"rounds": True}, "rounds"),
        ("edge-popup", {"epochs": 1.5}, "epochs"),
        ("edge-popup", {"rate": -1.0}, "rate"),
        ("neuron-popup", {"decay": -1.0}, "decay"),
        ("supermask", {"rescale": "no"}, "rescale"),
        ("supermask", {"momentum": 1.5}, "momentum"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anything_runs(name: str, options: dict[str, object], key: str) -> None:
    with pytest.raises(InputError) as caught:
        load_scorer(name, options)
    assert caught.value.key == (key,)


@pytest.mark.parametrize("name", ["snip", "grasp", "edge-popup", "neuron-popup", "supermask"])
def test_neurons_that_lead_nowhere_have_no_gradient(name: str, drive: ImageDrive) -> None:
    ends = [Population("input", 36, "linear"), Population("a", 9), Population("b", 7), Population("output", 4, "linear")]
    pairs = [(ends[0], ends[1]), (ends[1], ends[3]), (ends[0], ends[2])]
    drawn = [draw_weights((0,), f"{a.name}-{b.name}", a.size, b.size) for a, b in pairs]
    projections = [
        Projection(f"{a.name}-{b.name}", a, b, torch.from_numpy(w), torch.from_numpy(born))
        for (a, b), (w, born) in zip(pairs, drawn, strict=True)
    ]
    network = Network(ends, projections)
    made = next(make(load_scorer(name), Task(network, drive, (0.5,), (0,))))
    assert not made.undefined and made.masks[0]["input-a"].any()
    kept = {n: p.born for n, p in network.projections.items()}
    trained = train(network, kept, drive, (0,), SHORT)
    assert torch.equal(trained["input-b"], network.projections["input-b"].weight)
    assert not torch.equal(trained["input-a"], network.projections["input-a"].weight)


def plain_logits(weights: list[Tensor], x: Tensor) -> Tensor:
    """A bias-free ReLU network, (n_pre, n_post) weights."""
    for layer, w in enumerate(weights):
        x = x @ w
        x = x.relu() if layer + 1 < len(weights) else x
    return x


def own_weights(network: Network, r: int = 0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return [p.weight[r].to(dtype).clone() for p in network.projections.values()]


def score_of(
    name: str, network: Network, drive: ImageDrive, seeds: tuple[int, ...], density: float = 0.2, **options: object
) -> dict[str, Tensor]:
    scorer = load_scorer(name, options)
    assert isinstance(scorer, Scorer)
    return scorer.score(network, drive, density, seeds)


def made(
    name: str, network: Network, drive: ImageDrive, densities: tuple[float, ...], seeds: tuple[int, ...], **options: object
) -> list[Made]:
    def like(method: str, density: float) -> dict[str, Tensor]:
        return keep({n: p.weight for n, p in network.projections.items()}, network, density, "network", seeds)

    return list(make(load_scorer(name, options), Task(network, drive, densities, seeds, SHORT, like)))


def test_snip_is_the_summed_gradient_of_single_examples(births: Births, drive: ImageDrive) -> None:
    network = births((3, 4), weights="kaiming-normal")
    ours = score_of("snip", network, drive, (3, 4), samples=3)
    inputs, labels = samples_of_each_class(drive, 3, (3, 4), CPU)
    for r in range(2):
        weights = [w.requires_grad_() for w in own_weights(network, r)]
        total = [torch.zeros_like(w) for w in weights]
        for x, y in zip(inputs[r].double(), labels[r], strict=True):  # one example at a time
            logits = plain_logits(weights, x)
            loss = logits.logsumexp(0) - logits[y]
            total = [t + g for t, g in zip(total, torch.autograd.grad(loss, weights), strict=True)]
        for score, w, g in zip(ours.values(), weights, total, strict=True):
            torch.testing.assert_close(score[r].double(), (w.detach() * g / len(labels[r])).abs(), rtol=1e-4, atol=1e-8)


def test_samples_are_the_first_shown_of_each_class(drive: ImageDrive) -> None:
    inputs, labels = samples_of_each_class(drive, 5, (0, 7), CPU)
    shown = list(drive.presentations((0, 7), CPU))
    for r in range(2):
        x, y = torch.cat([s.inputs[r] for s in shown]), torch.cat([s.labels[r] for s in shown if s.labels is not None])
        assert labels[r].bincount().tolist() == [5] * 4
        assert all(torch.equal(inputs[r][labels[r] == c], x[y == c][:5]) for c in range(4))
    with pytest.raises(InputError, match=r"samples: class \d is shown fewer"):
        samples_of_each_class(drive, 10_000, (0,), CPU)


def test_grasp_is_the_weight_times_hessian_gradient_by_finite_differences(drive: ImageDrive) -> None:
    network = Network.layered([36, 6, 4], [5], weights="kaiming-normal", activation="tanh")
    ours = score_of("grasp", network, drive, (5,), samples=4, temperature=2.0)
    inputs, labels = samples_of_each_class(drive, 4, (5,), CPU)
    weights = own_weights(network)

    def slopes(at: list[Tensor]) -> list[Tensor]:
        leaves = [w.clone().requires_grad_() for w in at]
        logits = (inputs[0].double() @ leaves[0]).tanh() @ leaves[1] / 2.0
        return list(torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels[0]), leaves))

    g, step = slopes(weights), 1e-4
    ahead = slopes([w + step * d for w, d in zip(weights, g, strict=True)])
    behind = slopes([w - step * d for w, d in zip(weights, g, strict=True)])
    for score, w, a, b in zip(ours.values(), weights, ahead, behind, strict=True):
        torch.testing.assert_close(score[0].double(), w * (a - b) / (2 * step), rtol=2e-3, atol=1e-7)


def test_synflow_is_the_sum_over_paths() -> None:
    network = Network.layered([4, 3, 3, 2], [1], weights="kaiming-normal", probability=0.7)
    strength = {n: p.weight.abs().double() for n, p in network.projections.items()}
    ours = flow(network, strength)
    expected = {n: torch.zeros_like(s) for n, s in strength.items()}
    names = list(strength)
    for path in itertools.product(range(4), range(3), range(3), range(2)):
        product = math.prod(float(strength[n][0, path[k], path[k + 1]]) for k, n in enumerate(names))
        for k, n in enumerate(names):
            expected[n][0, path[k], path[k + 1]] += product
    for n in names:
        torch.testing.assert_close(ours[n], expected[n])


def test_synflow_prunes_in_rounds_that_only_shrink_and_collapses_no_layer(drive: ImageDrive) -> None:
    network = Network.layered([36, 20, 20, 4], [0], weights="kaiming-normal")
    births = sum(p.weight[0].numel() for p in network.projections.values())
    masks = {n: p.born for n, p in network.projections.items()}
    for t in range(1, 101):  # the published loop
        scores = flow(network, {n: (p.weight.abs().double() * masks[n]) for n, p in network.projections.items()})
        flat = torch.cat([s[0][masks[n][0]] for n, s in scores.items()])
        limit = flat.sort(descending=True).values[math.floor(births * 0.05 ** (t / 100) + 0.5) - 1]
        masks = {n: masks[n] & (s >= limit) for n, s in scores.items()}
    ours = prune("synflow", load_scorer("synflow"), network, drive, 0.05, (0,))
    assert all(np.array_equal(ours.mask[n], masks[n].numpy()) for n in masks)
    assert all(m.any() for m in ours.mask.values()) and float(ours.effective_density()[0]) > 0.04


def test_supermask_gradient_is_that_of_the_expected_path(births: Births, drive: ImageDrive) -> None:
    network = births((0,), weights="kaiming-normal")
    random = torch.Generator().manual_seed(0)
    logits = {n: torch.randn(p.shape, generator=random) for n, p in network.projections.items()}
    masks = {n: torch.rand(m.shape, generator=random) < torch.sigmoid(m) for n, m in logits.items()}
    shown = next(drive.presentations((0,), CPU))
    assert shown.labels is not None
    weights = {n: p.weight for n, p in network.projections.items()}
    for power in (0.0, 0.5, 1.0):
        ours, _ = mask_gradients(network, weights, logits, masks, shown.inputs, shown.labels, power)
        leaves = {n: m[0].double().clone().requires_grad_() for n, m in logits.items()}
        effective = []
        for n, leaf in leaves.items():
            chance, drawn = torch.sigmoid(leaf), masks[n][0].double()
            through = drawn + chance - chance.detach()  # the draw forward, sigmoid(M) backward
            factor = (drawn.numel() / float(drawn.sum())) ** power
            effective.append(weights[n][0].double() * through * factor)
        loss = torch.nn.functional.cross_entropy(plain_logits(effective, shown.inputs[0].double()), shown.labels[0])
        expected = torch.autograd.grad(loss, list(leaves.values()))
        for slope, reference in zip(ours.values(), expected, strict=True):
            torch.testing.assert_close(slope[0].double(), reference, rtol=1e-3, atol=1e-7)


def test_supermask_density_emerges(births: Births, drive: ImageDrive) -> None:
    network = births((0, 1), probability=0.8)
    one, asked = made("supermask", network, drive, (0.2,), (0, 1), draws=4, rescale=True)
    assert one.target is None and len(one.masks) == 4 and "emerges" in one.note
    assert asked.target == 0.2 and "cannot be asked for" in asked.undefined and not asked.masks
    circuits = one.circuits("supermask", "gradient", network, (0, 1))
    for circuit, masks in zip(circuits, one.masks, strict=True):  # a draw is scaled by its own count
        for name, p in network.projections.items():
            share = masks[name].sum((1, 2)) / p.born.sum((1, 2))
            assert circuit.gain[p.post.name][:, 0] == pytest.approx(share.double().rsqrt().numpy())
    assert len({float(sum(g[0, 0] for g in c.gain.values())) for c in circuits}) > 1
    redrawn = made("supermask", network, drive, (), (0, 1), weights="glorot", epochs=1)[0]
    assert redrawn.start is not None and all(not bool((w != 0)[~network.projections[n].born].any()) for n, w in redrawn.start.items())


def test_retraining_is_plain_masked_sgd(births: Births, drive: ImageDrive) -> None:
    network, training = births((4,)), Training(epochs=2, rate=0.2, decay=1e-3, clip=0.5)
    masks = keep({n: torch.ones_like(p.weight) for n, p in network.projections.items()}, network, 0.4, "layer", (4,))
    ours = retrain(network, masks, drive, (4,), training)
    kept = [m[0].double() for m in masks.values()]
    weights = [(w * m).requires_grad_() for w, m in zip(own_weights(network), kept, strict=True)]
    optimiser = torch.optim.SGD(weights, 0.2, momentum=0.9)
    shown_drive = drive.with_epochs(2)
    for step, shown in enumerate(shown_drive.presentations((4,), CPU)):
        assert shown.labels is not None
        for group in optimiser.param_groups:
            group["lr"] = 0.2 * 0.5 * (1 + math.cos(math.pi * step / shown_drive.clock.steps))
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(plain_logits(weights, shown.inputs[0].double()), shown.labels[0]).backward()
        for w, m in zip(weights, kept, strict=True):
            assert w.grad is not None
            w.grad = w.grad * m + 1e-3 * w.detach()
        torch.nn.utils.clip_grad_norm_(weights, 0.5)
        optimiser.step()
    for (name, trained), w, m in zip(ours.weight.items(), weights, kept, strict=True):
        torch.testing.assert_close(torch.from_numpy(trained[0]).double() * m, w.detach(), rtol=1e-3, atol=1e-5)
        dead = ~ours.mask[name]
        assert np.array_equal(trained[dead], network.projections[name].weight.numpy()[dead])
    assert ours.provenance["regime"] == "retrained"


def test_magnitude_keeps_the_largest_and_refuses_constants(births: Births, drive: ImageDrive) -> None:
    network = births((0,), weights="log-normal", probability=0.6)
    circuit = prune("magnitude", load_scorer("magnitude"), network, drive, 0.2, (0,))
    for n, p in network.projections.items():
        size, mask = p.weight[0].abs().numpy(), circuit.mask[n][0]
        assert size[mask].min() >= size[~mask & p.born[0].numpy()].max()
    for probability in (1.0, 0.6):
        with pytest.raises(UndefinedError, match="input-hidden1 have the same size"):
            prune("magnitude", load_scorer("magnitude"), births((0,), probability=probability), drive, 0.2, (0,))


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 1), st.sampled_from([1.0, 0.5]))
def test_erk_counts_are_exact_and_shares_as_published(density: float, probability: float) -> None:
    network = Network.layered([40, 12, 9, 3], [0, 1], probability=probability)
    counts = erk_counts(network, density)
    born = {n: p.born.sum((1, 2)) for n, p in network.projections.items()}
    for r in range(2):
        assert sum(int(c[r]) for c in counts.values()) == math.floor(density * sum(int(b[r]) for b in born.values()) + 0.5)
        assert all(0 <= int(counts[n][r]) <= int(born[n][r]) for n in counts)
        free = [n for n in counts if int(counts[n][r]) < int(born[n][r])]
        shares = []
        for n in free:
            p = network.projections[n]
            shares.append(
                ((int(counts[n][r]) + np.array([-1, 1])) / int(born[n][r])) / ((p.pre.size + p.post.size) / (p.pre.size * p.post.size))
            )
        assert not shares or max(low for low, _ in shares) <= min(high for _, high in shares)  # one factor fits all, up to rounding


def test_layer_matched_copies_counts_and_says_when_it_cannot(births: Births, drive: ImageDrive) -> None:
    network = births((0, 1), weights="kaiming-normal")
    one = made("random", network, drive, (0.2,), (0, 1), distribution="layer-matched", like="snip")[0]
    model = keep({n: p.weight for n, p in network.projections.items()}, network, 0.2, "network", (0, 1))
    assert all(torch.equal(one.masks[0][n].sum((1, 2)), m.sum((1, 2))) for n, m in model.items())
    assert not all(torch.equal(one.masks[0][n], m) for n, m in model.items())
    alone = list(make(load_scorer("random", {"distribution": "layer-matched"}), Task(network, drive, (0.2,), (0, 1))))
    assert "'circuit' left no circuit" in alone[0].undefined


EVALUATIONS = {"greedy-flips": 300, "annealing": 200, "genetic": 60}  # otherwise seconds
LABELS = [(label, name, options) for name in scorer_names() for label, options in variants(name).items()]


@pytest.mark.parametrize(("label", "name", "options"), LABELS, ids=[label for label, _, _ in LABELS])
def test_a_replicate_alone_is_the_replicate_of_the_batch_and_births_stay(
    label: str, name: str, options: dict[str, object], births: Births, drive: ImageDrive
) -> None:
    build = {"weights": "kaiming-normal", "probability": 0.7}
    network, alone = births((0, 1), **build), births((1,), **build)
    before = {n: {k: v.clone() for k, v in vars(p).items() if isinstance(v, Tensor)} for n, p in network.projections.items()}
    quick = drive.with_epochs(2)
    if name in EVALUATIONS:
        options = {**options, "evaluations": EVALUATIONS[name]}
    both, single = (made(name, net, quick, (0.3, 0.1), s, **options) for net, s in ((network, (0, 1)), (alone, (1,))))
    for n, p in network.projections.items():
        assert all(torch.equal(getattr(p, k), v) for k, v in before[n].items())
    assert len(both) == len(single) >= 1 and any(m.masks for m in both)
    for a, b in zip(both, single, strict=True):
        assert (a.target, a.undefined) == (b.target, b.undefined)
        for x, y in zip(a.masks, b.masks, strict=True):
            assert all(torch.equal(x[n][1], y[n][0]) for n in x)
            assert not any(bool((x[n] & ~p.born).any()) for n, p in network.projections.items())
        if a.masks and a.target is not None:
            kept = sum(m.sum((1, 2)) for m in a.masks[0].values())
            if name.startswith("neuron"):  # whole neurons: as near as they allow, and births differ from neuron to neuron
                pairs = sum(p.weight[0].numel() for p in network.projections.values())
                assert kept / network.born == pytest.approx(NeuronBudget.of(network, a.target).actual / pairs, rel=0.25)
            elif name not in ("edge-popup", "random") or options.get("scope") == "network" or options.get("distribution"):
                assert abs(kept - network.born * a.target).max() <= len(network.projections)
    last = next(m for m in both if m.masks)
    twins = (
        retrain(network, last.masks[0], quick, (0, 1), SHORT),
        retrain(alone, {n: m[1:] for n, m in last.masks[0].items()}, quick, (1,), SHORT),
    )
    assert all(np.array_equal(twins[0].weight[n][1], twins[1].weight[n][0]) for n in twins[0].weight)


@pytest.mark.parametrize("scope", SCOPES)
def test_counts_given_and_asked_are_exact_under_ties(scope: str) -> None:
    network = Network.layered([30, 20, 5], [0, 1], probability=0.5)
    ties = {n: torch.ones_like(p.weight) for n, p in network.projections.items()}
    masks = keep(ties, network, 0.17, scope, (0, 1))  # type: ignore[arg-type]
    copied = keep_counts(ties, network, {n: m.sum((1, 2)) for n, m in masks.items()}, (0, 1))
    assert all(torch.equal(copied[n].sum((1, 2)), m.sum((1, 2))) for n, m in masks.items())


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("random", {"distribution": "er"}, "there are: uniform, erk"), ("random", {"like": "snip"}, "only the layer-matched"),
        ("random", {"distribution": "erk", "scope": "network"}, "leave scope out"), ("imp", {"drop": 1.0}, r"in \(0, 1\)"),
        ("imp", {"rewind": -1}, "before birth"), ("snip", {"samples": 0}, "samples"), ("grasp", {"temperature": 0}, "temperature"),
        ("synflow", {"rounds": 0}, "round"), ("supermask", {"weights": "he"}, "births, glorot"), ("dense", {"epochs": 3}, "it has none"),
    ],
)  # fmt: skip
def test_options_without_sense_are_refused(name: str, options: dict[str, object], match: str) -> None:
    with pytest.raises(InputError, match=match):
        load_scorer(name, options)
