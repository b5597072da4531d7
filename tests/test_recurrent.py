"""Recurrent rate networks settle, sense and are pruned: against plain loops, and all that holds for layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tangles import recurrent, tangle
from torch import nn

from biosim.circuit import Circuit
from biosim.develop import develop
from biosim.drives import ImageDrive
from biosim.equations.sensed import Sensed
from biosim.errors import InputError, NumericalError
from biosim.homeostasis import InDegree
from biosim.nursery.nursery import Nursery
from biosim.nursery.site import Site
from biosim.recorder import Recorder
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.scorers import load_scorer, prune, scorer_names
from biosim.scorers.edge_popup import _initial_scores
from biosim.substrates.rate import propagate
from biosim.synapses import Network, Population, Projection
from biosim.teaching import Feedback


def plain_loop(network: Network, x: np.ndarray, replicate: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The module's equation, one neuron at a time; rates at the last step and at the one before."""
    phi = {"tanh": math.tanh, "relu": lambda v: max(v, 0.0), "linear": lambda v: v}
    order = list(network.populations)
    samples = len(x)
    v = {n: np.zeros((samples, p.size)) for n, p in network.populations.items()}
    y = {n: np.zeros((samples, p.size)) for n, p in network.populations.items()}
    y[order[0]] = x.astype(np.float64)
    for _ in range(network.steps):
        before = {n: a.copy() for n, a in y.items()}
        for name in order[1:]:
            population = network.populations[name]
            for s in range(samples):
                for j in range(population.size):
                    total = 0.0
                    for p in network.projections.values():
                        if p.post.name == name:
                            arrived = y if order.index(p.pre.name) < order.index(name) else before
                            for i in range(p.pre.size):
                                if p.active[replicate, i, j]:
                                    total += float(p.weight[replicate, i, j]) * arrived[p.pre.name][s, i]
                    new = (1 - population.leak) * v[name][s, j] + population.leak * float(population.gain[replicate, j]) * total
                    v[name][s, j], y[name][s, j] = new, phi[population.activation](new)
    return y, before


@pytest.mark.parametrize("activation", ["tanh", "relu", "linear"])
@pytest.mark.parametrize("steps", [2, 5])
def test_it_settles_as_a_plain_loop_does(activation: str, steps: int) -> None:
    network = tangle(steps=steps, activation=activation)
    network.projections["a-a"].silence(network.projections["a-a"].active & (torch.arange(6) > 1), 0)
    x = np.random.default_rng(0).standard_normal((2, 7)).astype(np.float32)
    circuit = Circuit.of(network, {}, {n: p.active for n, p in network.projections.items()})
    for r in range(2):
        y, _ = plain_loop(network, x, r)
        np.testing.assert_allclose(circuit.respond(x)[r], y["output"], rtol=1e-4, atol=1e-5)


def test_without_loops_or_leak_one_pass_says_it_all() -> None:
    """A feedforward chain, run as a network that settles, gives what the rate substrate gives, in any number of steps."""
    chain = Network.layered([7, 6, 5, 3], [0, 1], activation="tanh")
    x = torch.randn(1, 9, 7, generator=torch.Generator().manual_seed(0))
    effective, gains = {n: p.effective for n, p in chain.projections.items()}, {n: p.gain for n, p in chain.populations.items()}
    once = propagate(chain, effective, gains, x)
    from biosim.substrates.recurrent import settle

    for chain.steps in (1, 4):
        settled, _ = settle(chain, effective, gains, x)
        assert all(torch.equal(once[n], settled[n]) for n in once)


def test_synapses_sense_what_arrived_and_teaching_comes_back_along_forward_projections(
    images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = recurrent((3, 4), leak=0.4, activation="tanh")
    drive, seen = ImageDrive(images, batch=5, epochs=1), {}
    shown = next(iter(drive.presentations((3, 4), network.device)))
    monkeypatch.setattr(Site, "advance", lambda self, sensed, u: seen.__setitem__(self.projection.name, sensed) or False)
    feedback = Feedback(network, "random", (3, 4))
    assert list(feedback.wiring) == [("output", "hidden")]
    with torch.inference_mode():
        Nursery(network, drive, load_rule("hebbian-trace"), Schedule(), [InDegree()], None, (3, 4), Recorder()).step(0, shown)
    plain: dict[str, Sensed] = dict(seen)
    with torch.inference_mode():
        Nursery(network, drive, load_rule("mirrored-three-factor"), Schedule(), [], feedback, (3, 4), Recorder()).step(0, shown)
    for r in range(2):
        y, before = plain_loop(network, shown.inputs[r].numpy(), r)
        for p in network.projections.values():
            arrived = before if p.name == "hidden-hidden" else y
            np.testing.assert_allclose(seen[p.name].pre[r], arrived[p.pre.name], rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(seen[p.name].post[r], y[p.post.name], rtol=1e-3, atol=1e-5)
        error = np.eye(4)[shown.labels[r]] - np.exp(y["output"]) / np.exp(y["output"]).sum(1, keepdims=True)  # type: ignore[index]
        taught = error @ feedback.wiring["output", "hidden"][r].numpy() * (1 - y["hidden"] ** 2)
        for name in ("input-hidden", "hidden-hidden"):
            np.testing.assert_allclose(seen[name].teach_post[r], taught, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(seen["hidden-hidden"].teach_pre[r], taught, rtol=1e-3, atol=1e-5)
    assert plain["hidden-hidden"].teach_post is None


@pytest.mark.parametrize("name", ["three-factor", "mirrored-three-factor", "hebbian-trace"])
def test_rules_carve_recurrent_births_and_replicates_stand_alone(name: str, drive: ImageDrive) -> None:
    def grow(seeds: tuple[int, ...]) -> Circuit:
        network = recurrent(seeds, activation="tanh", recurrent_probability=0.7)
        return develop(
            network, drive, load_rule(name), schedule=Schedule(density=0.3), feedback=Feedback(network, "random", seeds), seeds=seeds
        ).circuit

    batch, alone, born = grow((10, 11, 12)), grow((11,)), recurrent((10, 11, 12), recurrent_probability=0.7)
    for projection, mask in batch.mask.items():
        assert np.array_equal(mask[1], alone.mask[projection][0])
        assert not (mask & ~batch.born[projection]).any() and mask.sum() < batch.born[projection].sum()
        if name != "hebbian-trace":
            assert (mask.sum((1, 2)) == np.floor(0.3 * batch.born[projection].sum((1, 2)) + 0.5)).all()
        assert batch.weight[projection].tobytes() == born.projections[projection].weight.numpy().tobytes()
    assert not batch.born["hidden-hidden"][:, np.arange(20), np.arange(20)].any()


@pytest.mark.parametrize("name", scorer_names())
def test_scorers_prune_recurrent_births_or_say_that_they_cannot(name: str, drive: ImageDrive) -> None:
    network = recurrent((0, 1))
    try:
        circuit = prune(name, load_scorer(name), network, drive, 0.25, (0, 1))
    except InputError as error:
        assert (
            name == "magnitude" if "same size" in error.message else "feedforward" in error.message and name not in ("edge-popup", "random")
        )
        return
    alone = prune(name, load_scorer(name), recurrent((1,)), drive, 0.25, (1,))
    assert all(np.array_equal(circuit.mask[n][1], alone.mask[n][0]) for n in circuit.mask)
    if name != "supermask":  # whose density emerges
        assert circuit.density() == pytest.approx([1.0 if name == "dense" else 0.25] * 2, abs=0.01)


def test_edge_popup_takes_its_gradient_through_the_settling_steps(drive: ImageDrive) -> None:
    """The published formulation, written plainly, on the unrolled network."""
    density, network = 0.3, recurrent((5,), steps=3, leak=0.6)
    scorer = load_scorer("edge-popup")
    ours = scorer.score(network, drive, density, (5,))
    weights = {n: p.weight[0] for n, p in network.projections.items()}
    born = {n: p.born[0] for n, p in network.projections.items()}
    scores = {n: nn.Parameter(_initial_scores(network, n, (5,))[0].clone()) for n in weights}
    optimiser = torch.optim.SGD(scores.values(), 0.1, momentum=0.9, weight_decay=1e-4)
    for step, shown in enumerate(drive.presentations((5,), torch.device("cpu"))):
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * step / drive.clock.steps))
        kept = {}
        for n, s in scores.items():
            bar = s.detach().abs()[born[n]].sort(descending=True).values[math.floor(density * int(born[n].sum()) + 0.5) - 1]
            mask = ((s.detach().abs() >= bar) & born[n]).float()
            kept[n] = weights[n] * (mask + s.abs() - s.abs().detach()) / math.sqrt(density)  # straight through
        v = torch.zeros(shown.inputs.shape[1], 20)
        for _ in range(3):
            v = 0.4 * v + 0.6 * (shown.inputs[0] @ kept["input-hidden"] + v.relu() @ kept["hidden-hidden"])
        assert shown.labels is not None
        optimiser.zero_grad()
        nn.functional.cross_entropy(v.relu() @ kept["hidden-output"], shown.labels[0]).backward()
        optimiser.step()
    for n, score in ours.items():
        torch.testing.assert_close(score[0][born[n]], scores[n].detach().abs()[born[n]], rtol=2e-3, atol=2e-5)


def test_runaway_names_population_step_and_remedy(drive: ImageDrive) -> None:
    network = recurrent((0,), radius=1e9, steps=9)
    with pytest.raises(NumericalError, match=r"'hidden' ran away at step 0 within 9 settling steps.*tanh"):
        develop(network, drive, load_rule("hebbian-trace"), seeds=(0,))
    with pytest.raises(NumericalError, match=r"'hidden' ran away within 9 settling steps"):
        prune("edge-popup", load_scorer("edge-popup"), network, drive, 0.5, (0,))
    with pytest.raises(NumericalError, match="'hidden' ran away"):
        Circuit.of(network, {}).respond(np.ones((2, 36), np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p, q: Network([p, q], [link(p, q), link(q, q)]), "'b-b' is recurrent: the network needs at least 2"),
        (lambda p, q: Network([p, q], [link(p, q), link(q, p)], 3), "'b-a' leads into 'a', whose activity is given by the drive"),
        (lambda p, q: Network([p], [link(p, q)]), "'a-b' ends in 'b', which is not a population"),
        (lambda p, q: Network([p, q], [link(p, q)], 0), "at least one step"),
        (lambda p, q: Population("c", 3, leak=0.0), r"leak of population 'c' must lie in \(0, 1\]"),
        (lambda p, q: recurrent(radius=0.0), "radius"),
        (lambda p, q: recurrent(hidden=1), "at least two neurons"),
        (lambda p, q: recurrent(steps=1), "at least 2 settling steps"),
    ],
)
def test_diagrams_that_cannot_be_run_are_refused(make: Callable[..., Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(Population("a", 3), Population("b", 3))


def link(pre: Population, post: Population) -> Projection:
    return Projection(
        f"{pre.name}-{post.name}", pre, post, torch.ones(1, pre.size, post.size), torch.ones(1, pre.size, post.size, dtype=torch.bool)
    )


def test_a_population_without_a_way_back_needs_direct_feedback() -> None:
    populations = [Population("input", 4), Population("aside", 3), Population("output", 2, "linear")]
    first, aside, last = populations
    network = Network(populations, [link(first, aside), link(first, last), link(aside, aside)], 2)
    with pytest.raises(InputError, match=r"'aside' has no forward projection.*direct"):
        Feedback(network, "random", (0,))
    assert list(Feedback(network, "direct", (0,)).wiring) == [("output", "aside")]
