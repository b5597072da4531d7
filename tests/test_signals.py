"""Feedback that learns and neurons that explore: what they estimate, what they may not see, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from biosim.develop import develop
from biosim.drives import ImageDrive
from biosim.equations import Clock, Level, parse_rule
from biosim.errors import BiosimError, InputError
from biosim.nursery.exploration import Exploration, Explorer
from biosim.nursery.feedback_learning import FeedbackLearner
from biosim.rules import load_rule, rule_paths
from biosim.rules.feedback_kinds import feedback_level
from biosim.schedule import Schedule
from biosim.substrates.rate import ForwardSubstrate, propagate
from biosim.synapses import Network
from biosim.teaching import Feedback, readout_error

Births = Callable[..., Network]
CLOCK = Clock(0.05, 8, 400)


def learner(network: Network, kind: str, seeds: tuple[int, ...] = (0,), clock: Clock = CLOCK) -> FeedbackLearner:
    feedback = Feedback(network, kind, seeds)
    assert feedback.rule is not None
    return FeedbackLearner(feedback, feedback.rule, clock, seeds)


def made_up(network: Network, seed: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    g = torch.Generator().manual_seed(seed)
    activity = {n: torch.randn(1, 8, p.size, generator=g).relu() for n, p in network.populations.items()}
    return activity, {n: torch.randn(1, 8, p.size, generator=g) for n, p in network.populations.items()}


def test_a_mirror_comes_to_point_where_active_synapses_do() -> None:
    network = Network.layered([20, 40, 30, 10], [0], weights="signed-constant")
    with torch.inference_mode():
        for p in network.projections.values():
            p.silence(torch.rand(p.shape, generator=torch.Generator().manual_seed(1)) < 0.3, 0)
        made = learner(network, "weight-mirror", clock=Clock(0.05, 8, 20_000))
        for step in range(600):
            made.learn({}, {}, step)
    for (source, target), learned in made.feedback.wiring.items():
        p = network.projections[f"{target}-{source}"]
        share = 0.5 if source != "output" else 1.0  # half of what noise makes a ReLU neuron do is cut off
        wanted = share * p.effective.transpose(1, 2)
        assert float(torch.cosine_similarity(learned.flatten(), wanted.flatten(), dim=0)) > 0.97
        slope = float((learned * wanted).sum() / (wanted * wanted).sum())
        assert 0.9 < slope < 1.1


@pytest.mark.parametrize("kind", sorted(rule_paths("feedback")))
def test_a_feedback_synapse_learns_from_its_two_neurons_only(kind: str, births: Births) -> None:
    edge, found = (3, 5), []  # from neuron 3 of hidden2 back to neuron 5 of hidden1
    for seed in (0, 1):
        network = births((0,))
        p = network.projections["hidden1-hidden2"]
        with torch.inference_mode():
            if seed:  # other weights, elsewhere
                other = torch.randn(p.shape, generator=torch.Generator().manual_seed(9))
                other[:, :, edge[0]] = p.weight[:, :, edge[0]]
                p.weight.copy_(other)
                p.refresh()
            made = learner(network, kind)
            for step in range(5):
                activity, teach = made_up(network, step)
                far, far_teach = made_up(network, 100 + step)
                if seed:
                    for own, noise in ((activity, far), (teach, far_teach)):
                        for name in own:
                            kept = own[name].clone()
                            own[name] = noise[name]
                            for place, k in (("hidden2", edge[0]), ("hidden1", edge[1])):
                                if name == place:
                                    own[name][..., k] = kept[..., k]
                made.learn(activity, teach, step)
        found.append(made.feedback.wiring["hidden2", "hidden1"][0, edge[0]].clone())
    assert torch.equal(found[0][edge[1]], found[1][edge[1]])
    if load_rule(kind, "feedback").during == "activity":
        assert not torch.equal(found[0], found[1])


def test_noise_times_advantage_is_the_gradient_on_average() -> None:
    network = Network.layered([6, 8, 5, 3], [4], weights="kaiming-normal", activation="tanh")
    g = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(1, 40, 6, generator=g), torch.randint(0, 3, (1, 40), generator=g)
    explorer = Explorer(Exploration(0.01, 0.3), network, ForwardSubstrate(network), [0])
    names = [p.name for p in explorer.explorers]
    total = {n: torch.zeros(1, 40, network.populations[n].size) for n in names}
    counts = dict.fromkeys(names, 0)
    with torch.inference_mode():
        activity = ForwardSubstrate(network).respond(inputs)
        for step in range(6000):
            noise, advantage = explorer.try_out(inputs, labels, activity, step)
            for n, own in zip(names, explorer.shares(40), strict=True):
                total[n][:, own] += (noise[n] * advantage.unsqueeze(-1))[:, own]
                counts[n] += 1
    push = {n: torch.zeros(1, 40, network.populations[n].size, requires_grad=True) for n in names}
    effective = {n: p.effective for n, p in network.projections.items()}
    output = propagate(network, effective, {}, inputs, push)["output"]
    score = torch.log_softmax(output, -1).gather(2, labels.unsqueeze(-1)).sum()
    gradients = dict(zip(names, torch.autograd.grad(score, list(push.values())), strict=True))
    for n, own in zip(names, explorer.shares(40), strict=True):
        estimate, exact = total[n][:, own] / counts[n], gradients[n][:, own]
        assert float((estimate - exact).norm() / exact.norm()) < 0.08, n


def test_every_sample_is_one_populations_to_explore() -> None:
    for hidden in (1, 2, 3):
        network = Network.layered([4, *[5] * hidden, 3], [0])
        explorer = Explorer(Exploration(readout_share=0.1), network, ForwardSubstrate(network), [0])
        for samples in (1, 2, 7, 32, 128):
            taken = np.concatenate([np.arange(samples)[s] for s in explorer.shares(samples)])
            assert sorted(taken) == list(range(samples))
    assert len(explorer.shares(128)) == 4
    for share, of_readout in ((0.0, 0), (0.01, 1), (1.0, 32)):
        explorer = Explorer(Exploration(readout_share=share), network, ForwardSubstrate(network), [0])
        assert [s.stop - s.start for s in explorer.shares(32)][-1] == of_readout


def test_a_silent_neuron_does_not_explore() -> None:
    network = Network.layered([4, 30, 3], [0])
    substrate = ForwardSubstrate(network)
    explorer = Explorer(Exploration(), network, substrate, [0])
    with torch.inference_mode():
        inputs = torch.randn(1, 20, 4, generator=torch.Generator().manual_seed(0))
        activity = substrate.respond(inputs)
        noise, _ = explorer.try_out(inputs, torch.zeros(1, 20, dtype=torch.int64), activity, 0)
    own = explorer.shares(20)[0]
    assert torch.equal(noise["hidden1"][:, own].abs() > 0, activity["hidden1"][:, own] > 0)


CASES = [("mirrored-three-factor", "weight-mirror"), ("three-factor", "kolen-pollack"), ("node-perturbation", None)]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_replicate_alone_is_a_replicate_of_a_batch(name: str, kind: str | None, births: Births, drive: ImageDrive) -> None:
    def grow(seeds: tuple[int, ...]) -> Network:
        network = births(seeds)
        feedback = None if kind is None else Feedback(network, kind, seeds)
        return develop(network, drive, load_rule(name), schedule=Schedule(density=0.3), feedback=feedback, seeds=seeds).network

    batch, alone = grow((0, 1, 2)), grow((2,))
    for n, p in alone.projections.items():
        assert torch.equal(p.death_step[0], batch.projections[n].death_step[2])


def test_levels() -> None:
    assert feedback_level("weight-mirror") == feedback_level("kolen-pollack") == Level.broadcast
    assert load_rule("node-perturbation").level() == Level.modulated


FEEDBACK = {"role": "feedback", "during": "noise", "synapse": ["weight = 0.9*weight + 0.1*c"], "coincidences": ["c = pre*post"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"during": "sleep"}, "noise or activity"),
        ({"during": None}, "noise or activity"),
        ({"eliminate": "weight < 0"}, "feedback changes weights"),
        ({"synapse": []}, "assigns weight"),
    ],
)
def test_feedback_rules_that_make_no_sense_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_rule({k: v for k, v in {**FEEDBACK, **change}.items() if v is not None})


def test_what_a_feedback_synapse_cannot_sense_is_refused(births: Births, tmp_path: Path) -> None:
    path = tmp_path / "greedy.yaml"
    path.write_text("role: feedback\nduring: activity\nsynapse: ['weight = weight*mean_pre']\n")
    with pytest.raises(BiosimError, match="mean_pre"):
        Feedback(births((0,)), str(path), (0,))
    with pytest.raises(InputError, match="did you mean 'weight-mirror'"):
        Feedback(births((0,)), "weight-miror", (0,))


@pytest.mark.parametrize("bad", [{"deviation": 0.0}, {"deviation": -1.0}, {"readout_share": 1.5}])
def test_exploration_out_of_range_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Exploration(**bad)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_along_copied_weights_what_arrives_is_the_gradient(activation: str) -> None:
    """Reciprocal feedback at birth: each hidden neuron hears minus the derivative of the loss by its own summed input."""
    network = Network.layered([6, 9, 7, 4], (3, 4), activation=activation)  # type: ignore[arg-type]
    random = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(2, 11, 6, generator=random), torch.randint(0, 4, (2, 11), generator=random)
    act = {"relu": torch.relu, "tanh": torch.tanh}[activation]
    sums, activity, values = {}, {"input": inputs}, inputs
    for p in network.projections.values():
        total = torch.bmm(values, p.weight).requires_grad_() if not sums else torch.bmm(values, p.weight)
        if sums:
            total.retain_grad()
        sums[p.post.name] = total
        values = total if p.post.name == "output" else act(total)
        activity[p.post.name] = values.detach()
    torch.nn.functional.cross_entropy(values.flatten(0, 1), labels.flatten(), reduction="sum").backward()
    heard = Feedback(network, "reciprocal", (3, 4)).carry(readout_error(activity["output"], labels), activity)
    for name, total in sums.items():
        assert total.grad is not None
        torch.testing.assert_close(heard[name], -total.grad, rtol=1e-4, atol=1e-5)
