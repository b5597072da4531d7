"""Neuromuscular synapse elimination: the drive, the rule against closed forms, the measure, the controls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import assert_told_of

from biosim.develop import Development, develop
from biosim.drives.motor_axons import drive
from biosim.errors import InputError
from biosim.library import find, load_module
from biosim.measures.innervation import measure, observe
from biosim.recorder import Recorder
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.synapses import Network

Cli = Callable[..., Any]
FREE = Schedule(kind="free", opens=0, closes=1)


def muscle(seeds: tuple[int, ...] = (0, 1), **options: Any) -> Network:
    network: Network = load_module(find("models", "neuromuscular")).build(seeds, **options)
    return network


def grown(network: Network, seeds: tuple[int, ...] = (0, 1), synchrony: float = 0.0, days: float = 14, **parameters: Any) -> Development:
    rule = load_rule("terminal-competition").with_parameters(parameters)
    shown = drive(network, synchrony=synchrony, days=days)
    watch = Recorder(10, watch=lambda n: {f"measure.{k}": v for k, v in observe(n, shown).items()})
    return develop(network, shown, rule, schedule=FREE, homeostasis=[], seeds=seeds, recorder=watch)


@pytest.mark.parametrize("synchrony", [0.0, 0.3, 1.0])
def test_one_axon_fires_or_all_do(synchrony: float) -> None:
    shown = drive(muscle(axons=5), synchrony=synchrony, days=1)
    fired = torch.cat([p.inputs for p in shown.presentations((0, 1), torch.device("cpu"))], 1)
    count = fired.sum(2)
    assert set(count.unique().tolist()) <= {1.0, 5.0}
    n = count.shape[1]
    np.testing.assert_allclose((count == 5).float().mean(1), synchrony, atol=4 * np.sqrt(0.25 / n))
    if synchrony < 1:
        alone = torch.stack([fired[r][count[r] == 1].mean(0) for r in range(2)])
        np.testing.assert_allclose(alone, 0.2, atol=5 * np.sqrt(0.16 / n / (1 - synchrony)))


def test_a_replicate_is_shown_its_own_seed() -> None:
    shown = drive(muscle(axons=5), synchrony=0.3, days=0.1)
    both = [p.inputs for p in shown.presentations((3, 8), torch.device("cpu"))]
    alone = [p.inputs for p in shown.presentations((8,), torch.device("cpu"))]
    assert all(torch.equal(b[1:], a) for b, a in zip(both, alone, strict=True)) and not torch.equal(both[0][0], both[0][1])


def test_a_terminal_without_competition_follows_the_logistic() -> None:
    """One axon that always fires: dw/dt = rate/span * w*(1 - w*fibres), so w(T) = K/(1 + (K/w0 - 1) exp(-rate)), K = 1/fibres."""
    network = muscle(axons=1, fibres=10)
    start = network.projections["axons-fibres"].weight.double().numpy().copy()
    development = grown(network, rate=3)
    wanted = 0.1 / (1 + (0.1 / start - 1) * np.exp(-3))
    np.testing.assert_allclose(development.circuit.weight["axons-fibres"], wanted, rtol=3e-3)
    assert (development.circuit.density() == 1).all()


def test_of_two_terminals_the_difference_grows_as_the_theory_says() -> None:
    """Linearised, two axons on a fibre: the difference grows at f*(1 + punish) while weights are far below what can be kept."""
    network = muscle(axons=2, fibres=40)
    start = network.projections["axons-fibres"].weight.double().numpy().copy()
    development = grown(network, rate=1.5, resource=1e6, punish=0.6, trifle=0)
    last = development.circuit.weight["axons-fibres"].astype(np.float64)
    ratio = (last[:, 0] - last[:, 1]) / (start[:, 0] - start[:, 1])
    total = last.sum(1) / start.sum(1)
    expected, kept = np.exp(1.5 * 0.5 * 1.6), np.exp(1.5 * 0.5 * 0.4)
    assert np.median(ratio) == pytest.approx(expected, rel=0.05)  # noise in who fires adds a little to each
    assert np.median(total) == pytest.approx(kept, rel=0.05)


def test_asynchrony_leaves_one_axon_and_none_denervated() -> None:
    network = muscle(axons=6, fibres=30)
    start = network.projections["axons-fibres"].weight.numpy().copy()
    circuit = grown(network).circuit
    count, mask = circuit.mask["axons-fibres"].sum(1), circuit.mask["axons-fibres"]
    assert (count >= 1).all() and (count == 1).mean() >= 0.9
    assert start[mask].mean() > 1.1 * start.mean()  # the heavier at birth are the likelier to stay


@pytest.mark.parametrize(("synchrony", "punish"), [(0.9, 0.6), (1.0, 0.6), (0.0, 0.0)])
def test_controls_lose_nothing(synchrony: float, punish: float) -> None:
    circuit = grown(muscle(axons=6, fibres=30), synchrony=synchrony, days=5, punish=punish).circuit
    assert (circuit.density() == 1).all()


def test_the_measure_counts() -> None:
    network = muscle(axons=4, fibres=12, probability=0.6)
    p = network.projections["axons-fibres"]
    p.eliminate(torch.from_numpy(np.random.default_rng(0).random(p.shape) < 0.5), 0)
    development = grown(network, days=0.05, rate=0.001, trifle=0)
    found = measure(development, drive(network, days=0.05)).metrics
    alive = development.circuit.mask["axons-fibres"]
    for r in range(2):
        counts = [sum(bool(alive[r, i, j]) for i in range(4)) for j in range(12)]
        units = [sum(bool(alive[r, i, j]) for j in range(12)) for i in range(4)]
        assert found["single"][r] == counts.count(1) / 12 and found["denervated"][r] == counts.count(0) / 12
        assert found["unit_size"][r] == np.mean(units)
        assert found["unit_spread"][r] == pytest.approx(np.std(units) / np.sqrt(sum(units) * 0.25 * 0.75))
    assert (p.born.sum(1) >= 1).all()  # every fibre is born with an axon


@pytest.mark.parametrize(
    ("options", "message"),
    [({"synchrony": 1.2}, "synchrony"), ({"days": -1}, "days"), ({"every": 0}, "every"), ({"batch": 0}, "batch"), ({"days": 1e-9}, "days")],
)
def test_a_drive_refuses_nonsense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        drive(muscle(), **options)
    assert error.value.key == (message,)


def test_mistakes_in_the_scenario_are_told_of_with_their_line(cli: Cli, tmp_path: Path) -> None:
    mistakes = (
        ("axons: 8", "axons: 0", "model.axons: a muscle needs at least one of its axons, not 0"),
        ("{drive.synchrony: 0.9}", "{drive.synchrony: 9}", "conditions.synchronous.drive.synchrony: synchrony is a chance"),
        ("measure: innervation", "measure: {name: innervation, x: 1}", "measure.x: measure 'innervation' has no argument 'x'"),
    )
    assert_told_of(cli, tmp_path, "neuromuscular", mistakes)
