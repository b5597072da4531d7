"""Search without gradients, against full evaluation and against all masks there are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from biosim.drives import ImageDrive, Images
from biosim.errors import InputError
from biosim.scorers import SCOPES, keep, load_scorer
from biosim.scorers.fixed_batch import FixedBatch, first_samples
from biosim.scorers.keep import gains_after
from biosim.scorers.mask_search import MaskSearch
from biosim.substrates.rate import propagate
from biosim.synapses import Network, Population, Projection

Births = Callable[..., Network]
SEARCHES = {
    "greedy-flips": {"evaluations": 600, "samples": 64},
    "annealing": {"evaluations": 600, "samples": 64},
    "genetic": {"evaluations": 200, "samples": 64, "population": 8},
}


def loss_of(
    network: Network, masks: dict[str, torch.Tensor], density: float, drive: ImageDrive, seeds: tuple[int, ...], samples: int
) -> np.ndarray:
    """The loss on the fixed batch, by the substrate and torch's cross-entropy."""
    inputs, labels = first_samples(drive, seeds, network.device, samples)
    effective = {n: p.weight * masks[n] for n, p in network.projections.items()}
    output = list(propagate(network, effective, gains_after(network, density, "layer"), inputs).values())[-1]
    return np.array([float(torch.nn.functional.cross_entropy(o, y)) for o, y in zip(output, labels, strict=True)])


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_swap_costs_what_a_full_evaluation_says(scope: str, activation: str, drive: ImageDrive) -> None:
    network = Network.layered([36, 9, 7, 4], [0, 1], activation=activation, probability=0.8)  # type: ignore[arg-type]
    search = MaskSearch(network, drive, 0.3, scope, (0, 1), 40, "test")  # type: ignore[arg-type]
    counts = {n: m.sum((1, 2)) for n, m in search.masks.items()}
    by_neuron = {n: m.sum(1) for n, m in search.masks.items()}
    for _ in range(25):
        swaps = search.draw(4)
        losses, before = search.judge(swaps), search.loss.copy()
        for c in range(4):
            chosen = [[c] if ok else [] for ok in swaps.valid[:, c]]
            search.take(swaps, chosen)
            expected = loss_of(network, search.masks, 0.3, drive, (0, 1), 40)
            ok = swaps.valid[:, c]
            np.testing.assert_allclose(losses[ok, c], expected[ok], rtol=1e-5)
            assert np.isinf(losses[~ok, c]).all()
            search.take(swaps, chosen)
            assert np.array_equal(search.loss, before)
        search.take(swaps, [[0] if ok else [] for ok in swaps.valid[:, 0]])
        assert all(not (m & ~network.projections[n].born).any() for n, m in search.masks.items())
        if scope == "neuron":
            assert all(torch.equal(m.sum(1), by_neuron[n]) for n, m in search.masks.items())
        elif scope == "layer":
            assert all(torch.equal(m.sum((1, 2)), counts[n]) for n, m in search.masks.items())
        assert torch.equal(sum(m.sum((1, 2)) for m in search.masks.values()), sum(counts.values()))


def test_changes_are_followed_through_projections_that_skip_a_population() -> None:
    sizes = {"input": 5, "a": 4, "b": 6, "output": 3}
    populations = [Population(n, s, "tanh" if n in "ab" else "linear") for n, s in sizes.items()]
    by_name = {p.name: p for p in populations}
    draw = torch.Generator().manual_seed(0)
    pairs = [("input", "a"), ("input", "b"), ("a", "b"), ("a", "output"), ("b", "output")]
    projections = [
        Projection(
            f"{x}-{y}", by_name[x], by_name[y], torch.randn(2, sizes[x], sizes[y], generator=draw), torch.ones(2, sizes[x], sizes[y]).bool()
        )
        for x, y in pairs
    ]
    network = Network(populations, projections)
    inputs, labels = torch.randn(2, 11, 5, generator=draw), torch.randint(0, 3, (2, 11), generator=draw)
    gains = {p.name: torch.full((2, p.size), 0.7) for p in populations}
    batch = FixedBatch(network, gains, inputs, labels)
    effective = {p.name: p.effective for p in projections}
    batch.load(effective)
    from biosim.scorers.fixed_batch import Edit

    for one, other in itertools.product(projections, projections):
        edits, changed = [], {n: w.clone() for n, w in effective.items()}
        for p in (one, other):
            i, j = torch.randint(0, p.shape[1], (2, 1), generator=draw), torch.randint(0, p.shape[2], (2, 1), generator=draw)
            change = torch.randn(2, 1, generator=draw)
            edits.append(Edit(p.name, i, j, change))
            for r in range(2):
                changed[p.name][r, i[r], j[r]] += change[r]
        found = batch.after(edits)[:, 0]
        output = list(propagate(network, changed, gains, inputs).values())[-1]
        expected = [torch.nn.functional.cross_entropy(o, y) for o, y in zip(output, labels, strict=True)]
        torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("scope", SCOPES)
def test_a_search_improves_on_its_start_and_every_replicate_is_its_own(name: str, scope: str, births: Births, drive: ImageDrive) -> None:
    def found(seeds: tuple[int, ...], evaluations: int) -> dict[str, torch.Tensor]:
        network = births(seeds)
        options = SEARCHES[name] | {"evaluations": evaluations, "scope": scope}
        return keep(load_scorer(name, options).score(network, drive, 0.3, seeds), network, 0.3, scope, seeds)  # type: ignore[arg-type]

    both, alone = found((3, 4), SEARCHES[name]["evaluations"]), found((4,), SEARCHES[name]["evaluations"])
    assert all(torch.equal(both[n][1], alone[n][0]) for n in both)
    before, after = (loss_of(births((3, 4)), m, 0.3, drive, (3, 4), 64) for m in (found((3, 4), 1), both))
    assert (after < before - 0.05).all()


def tiny(seed: int) -> tuple[Network, ImageDrive]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, 40)
    pixels = random.standard_normal((40, 3)).astype(np.float32)
    pixels[:, 0] += labels
    images = Images(pixels, labels, pixels, labels, (1, 3), "made up", "made up")
    return Network.layered([3, 3, 2], [seed]), ImageDrive(images, batch=40, epochs=1)


def all_losses(network: Network, drive: ImageDrive, seed: int, density: float) -> dict[tuple[int, ...], float]:
    """The loss of every mask with the exact count in each of the two projections."""
    inputs, labels = first_samples(drive, (seed,), network.device, 40)
    choices = []
    for p in network.projections.values():
        size = p.weight[0].numel()
        chosen = itertools.combinations(range(size), math.floor(density * size + 0.5))
        choices.append([[int(i in kept) for i in range(size)] for kept in chosen])
    masks = list(itertools.product(*choices))
    first, second = (
        torch.tensor([m[k] for m in masks]).view(-1, *p.shape[1:]) * p.weight for k, p in enumerate(network.projections.values())
    )
    output = torch.relu(inputs @ first / math.sqrt(density)) @ second / math.sqrt(density)
    losses = [float(torch.nn.functional.cross_entropy(o, labels[0])) for o in output]
    return {tuple(a + b): loss for (a, b), loss in zip(masks, losses, strict=True)}


@pytest.mark.parametrize("seed", [0, 1])
def test_search_equals_brute_force_where_every_mask_can_be_tried(seed: int) -> None:
    network, drive = tiny(seed)
    everything = all_losses(network, drive, seed, 0.4)
    assert len(everything) == 126 * 15
    best = min(everything.values())
    for name, options in {
        "annealing": {"evaluations": 2000, "hot": 2.0},
        "genetic": {"evaluations": 2000, "mutation": 0.15},
        "greedy-flips": {"evaluations": 1500, "candidates": 100},
    }.items():
        scores = load_scorer(name, {**options, "samples": 40}).score(network, drive, 0.4, (seed,))
        key = tuple(itertools.chain(*([int(b) for b in s.view(-1)] for s in scores.values())))
        if name == "greedy-flips":  # a local optimum: no swap within a projection is better
            neighbours = [v for k, v in everything.items() if _one_swap_apart(k, key, 9)]
            assert len(neighbours) == 4 * 5 + 2 * 4
            assert everything[key] <= min(neighbours) + 1e-6
        else:
            assert everything[key] == pytest.approx(best, abs=1e-6), name


def _one_swap_apart(a: tuple[int, ...], b: tuple[int, ...], cut: int) -> bool:
    changed = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    return len(changed) == 2 and (max(changed) < cut or min(changed) >= cut)


def test_options_that_make_no_sense_are_refused() -> None:
    for name, options, key in [
        ("greedy-flips", {"evaluations": 0}, "evaluations"), ("greedy-flips", {"candidates": 0}, "candidates"),
        ("annealing", {"cold": 0}, "hot"), ("annealing", {"samples": 0}, "samples"),
        ("genetic", {"population": 1}, "population"), ("genetic", {"mutation": 2}, "mutation"),
        ("neuron-greedy", {"candidates": 0}, "candidates"), ("neuron-popup", {"epochs": 0}, "epochs"),
    ]:  # fmt: skip
        with pytest.raises(InputError) as error:
            load_scorer(name, options)
        assert error.value.key == (key,)
