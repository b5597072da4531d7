"""A Boltzmann machine that learns in two phases and loses its least informative synapses, round by round."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from biosim.develop import Development, develop
from biosim.drives import Presentation
from biosim.drives.two_phases import TwoPhaseDrive, drive
from biosim.equations import Clock, Rule, parse_rule
from biosim.errors import InputError
from biosim.library import find, load_module
from biosim.measures.encoding import METRICS, check, measure, readout, respond
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.substrates import substrate_of
from biosim.synapses import Network

Cli = Callable[..., Any]
build = load_module(find("models", "rbm")).build
HERE = torch.device("cpu")
RANDOM = {"name": "random", "eliminate": {"compete": {"within": "post", "by": "random"}}}
ANTI = {
    "name": "anti-fisher", "parameters": {"memory": "5 % dev"}, "state": {"first": 0, "second": 0},
    "synapse": ["dfirst/dt = (pre*post - first)/memory", "dsecond/dt = ((pre*post)**2 - second)/memory"],
    "eliminate": {"compete": {"within": "post", "by": "(first**2 - second)*weight**2"}},
}  # fmt: skip


def rows(states: list[list[int]], ticket: int, shown: bool) -> torch.Tensor:
    return torch.tensor([[[*state, ticket, int(shown)] for state in states]], dtype=torch.float32)


def machine(weight: list[list[float]], gibbs: int = 1) -> Network:
    network = build((0,), visible=len(weight), hidden=len(weight[0]), gibbs=gibbs)
    projection = network.projections["visible-hidden"]
    projection.weight.copy_(torch.tensor([weight]))
    projection.refresh()
    return network


def test_left_to_itself_it_samples_its_own_distribution() -> None:
    """The free phase of many Gibbs steps against all 32 states of a 3-2 machine, each weighed by exp(v w h)."""
    weight = np.array([[1.5, -1.0], [-2.0, 0.5], [1.0, 2.0]])
    states = [np.array(s) for s in itertools.product((0, 1), repeat=5)]
    mass = np.array([np.exp(s[:3] @ weight @ s[3:]) for s in states])
    visible = sum(m * s[:3] for m, s in zip(mass, states, strict=True)) / mass.sum()
    pairs = sum(m * np.outer(s[:3], s[3:]) for m, s in zip(mass, states, strict=True)) / mass.sum()
    substrate = substrate_of(machine(weight.tolist(), gibbs=25))
    found = substrate.respond(rows([[0, 0, 0]] * 20_000, 77, shown=False))
    np.testing.assert_allclose(found["visible"][0].mean(0), visible, atol=0.015)
    np.testing.assert_allclose((found["visible"][0].T @ found["hidden"][0]) / 20_000, pairs, atol=0.015)


def test_what_is_shown_is_held_and_silent_synapses_say_nothing() -> None:
    network = machine([[4.0, -4.0]] * 3)
    shown = rows([[1, 0, 1]] * 4000, 5, shown=True)
    substrate = substrate_of(network)
    activity = substrate.respond(shown)
    np.testing.assert_array_equal(activity["visible"], shown[:, :, :3])
    np.testing.assert_array_equal(substrate.arriving(network.projections["visible-hidden"], activity), shown[:, :, :3])
    chance = 1 / (1 + np.exp([-8.0, 8.0]))
    np.testing.assert_allclose(activity["hidden"][0].mean(0), chance, atol=0.005)
    network.projections["visible-hidden"].silence(torch.zeros(1, 3, 2, dtype=torch.bool), 0)
    np.testing.assert_allclose(substrate.respond(shown)["hidden"][0].mean(0), [0.5, 0.5], atol=0.03)


def test_draws_hang_on_the_ticket_alone() -> None:
    substrate, states = substrate_of(machine([[0.1, -0.1]] * 3, gibbs=3)), [[1, 0, 1]] * 50
    first, again, other = (substrate.respond(rows(states, ticket, shown=False)) for ticket in (5, 5, 6))
    assert torch.equal(first["hidden"], again["hidden"]) and not torch.equal(first["hidden"], other["hidden"])


def test_a_step_is_contrastive_divergence() -> None:
    """Weights move by rate times (<vh> shown - <vh> free)/2, counted from the states themselves."""
    network = build((0,))
    shown = drive(network, batch=16, epochs=1)
    first = next(iter(shown.presentations((3,), HERE)))
    before = network.projections["visible-hidden"].weight.clone()
    activity = substrate_of(network).respond(first.inputs)
    v, h = activity["visible"][0], activity["hidden"][0]
    expected = before[0] + 0.2 * ((v[:16].T @ h[:16] - v[16:].T @ h[16:]) / 32 - 0.0002 * before[0])

    class Once:
        inputs, outputs, clock = shown.inputs, None, Clock(0.05, 32, 1)

        def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Any:
            yield first

    never = Schedule("constant-share", 1.0, 0.0, 1.0)
    plasticity = load_rule("contrastive-divergence", "plasticity").with_parameters({"rate": 0.2})
    develop(network, Once(), parse_rule(RANDOM), schedule=never, homeostasis=[], seeds=(3,), plasticity=plasticity)
    torch.testing.assert_close(network.projections["visible-hidden"].weight[0], expected, atol=1e-6, rtol=1e-5)


def test_a_reward_needs_someone_who_gives_it() -> None:
    network = build((0,))
    shown = drive(network, batch=16, epochs=1)

    class Silent:
        inputs, outputs, clock = shown.inputs, None, shown.clock

        def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Any:
            for own in shown.presentations(seeds, device):
                yield Presentation(own.inputs, None)

    with pytest.raises(InputError, match="reads reward, but the drive has no labels"):
        develop(network, Silent(), parse_rule(RANDOM), seeds=(0,), plasticity=load_rule("contrastive-divergence", "plasticity"))


def pruned(rule: Rule, seeds: tuple[int, ...] = (0,), density: float = 0.12) -> tuple[Development, TwoPhaseDrive]:
    network = build(seeds)
    shown = drive(network, epochs=12, validation=0.2)
    rounds = Schedule("constant-share", density, 0.3, 0.95, rounds=20)
    plasticity = load_rule("contrastive-divergence", "plasticity").with_parameters({"rate": 0.2})
    return develop(network, shown, rule, schedule=rounds, homeostasis=[], seeds=seeds, plasticity=plasticity), shown


def test_the_least_informative_go_first_and_the_most_informative_must_not() -> None:
    found = {}
    for name, rule in (("fisher", load_rule("fisher")), ("random", parse_rule(RANDOM)), ("anti", parse_rule(ANTI))):
        development, shown = pruned(rule)
        found[name] = {metric: value[0] for metric, value in measure(development, shown).metrics.items()}
        assert development.circuit.density() == pytest.approx([369 / 3072])
    assert found["anti"]["uninformative"] == 1 and found["anti"]["accuracy"] < 0.2  # the same answer to everything
    assert found["anti"]["accuracy_graded"] < found["random"]["accuracy_graded"] - 0.3
    assert found["anti"]["accuracy"] + 0.05 < found["random"]["accuracy"] < found["fisher"]["accuracy"] - 0.05
    assert set(found["random"]) == set(METRICS)


def test_synapses_go_in_rounds_and_the_rest_recovers_in_between() -> None:
    development, _ = pruned(parse_rule(RANDOM))
    death = development.network.projections["visible-hidden"].death_step.numpy()
    moments, died = np.unique(death[death >= 0], return_counts=True)
    assert len(moments) == 20 and (np.diff(moments) > 5).all()
    left = 3072 - np.concatenate([[0], np.cumsum(died)])
    np.testing.assert_allclose(left, 3072 * 0.12 ** (np.arange(21) / 20), atol=48)  # of each hidden neuron's, a whole number


def test_a_replicate_alone_equals_the_batch() -> None:
    batch, alone = pruned(load_rule("fisher"), (3, 4))[0].circuit, pruned(load_rule("fisher"), (4,))[0].circuit
    np.testing.assert_array_equal(batch.mask["visible-hidden"][1], alone.mask["visible-hidden"][0])
    np.testing.assert_array_equal(batch.weight["visible-hidden"][1], alone.weight["visible-hidden"][0])


def test_the_readout_knows_noise_from_news() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 800)
    noise = random.standard_normal((800, 10))
    news = noise + 6 * np.eye(4, 10)[labels]
    assert readout(noise[:600], labels[:600], noise[600:], labels[600:]) < 0.4
    assert readout(news[:600], labels[:600], news[600:], labels[600:]) > 0.97
    constant = np.ones((800, 3))
    share = max((labels[600:] == c).mean() for c in range(4))
    assert readout(constant[:600], labels[:600], constant[600:], labels[600:]) <= share + 1e-9
    np.testing.assert_allclose(respond(np.array([[1.0, 0.0]]), np.array([[2.0], [5.0]])), [[1 / (1 + np.exp(-2.0))]])


def test_both_phases_show_the_same_image() -> None:
    network = build((0,))
    shown = drive(network, batch=8, epochs=1)
    one = next(iter(shown.presentations((2,), HERE)))
    np.testing.assert_array_equal(one.inputs[0, :8, :-1], one.inputs[0, 8:, :-1])
    assert one.inputs[0, :, -1].tolist() == [1.0] * 8 + [0.0] * 8
    assert one.reward is not None and one.reward.tolist() == [[1.0] * 8 + [-1.0] * 8]
    assert set(np.unique(one.inputs[0, :, :64])) == {0.0, 1.0}
    mean = np.mean([p.inputs[0, :8, :64].numpy().mean() for p in shown.presentations((2,), HERE)])
    assert mean == pytest.approx(shown.probabilities(shown.images.train).mean(), abs=0.01)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("model.hidden=0", "model.hidden: needs at least one, not 0"),
        ("model.gibbs=0", "model.gibbs: needs at least one, not 0"),
        ("model.deviation=0", "model.deviation: the deviation of the weights must be positive"),
        ("model.visible=50", "the drive needs 66"),
        ("drive.batch=0", "drive.batch: a batch must lie between 1 and"),
        ("drive.epochs=0", "drive.epochs: needs at least 1, not 0"),
        ("drive.validation=1", "drive.validation: a share lies in [0, 1), not 1"),
        ("drive.presentation=5 V", "drive.presentation: '5 V' needs a unit of time"),
        ("schedule.rounds=0", "schedule.rounds"),
    ],
)
def test_nonsense_is_refused(cli: Cli, setting: str, expected: str) -> None:
    code, _, err = cli("validate", "fisher-pruning", "--set", setting)
    assert code == 2 and expected in err


def test_an_encoding_needs_images() -> None:
    with pytest.raises(InputError, match="images of a drive in two phases"):
        check(build((0,)), object())
