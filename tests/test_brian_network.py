"""Networks generated for Brian2: what is refused, what is random, one replicate of several, standalone, and the documented example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brian2 as b2
import numpy as np
import pytest
from brian_setup import quick_brian
from spiking_reference import Reference
from spiking_worlds import COMMON, DT, RISES, TRACES, births, rule, world

from biosim.equations import parse_rule
from biosim.errors import InputError
from biosim.spiking import LIF, Births, Conductance, Current, Delta, Network, PoissonDrive, PoissonPopulation, Population, Projection
from biosim.substrates.brian import brian_network

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with quick_brian():
        yield


def test_the_documented_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "brian2.md").read_text(), re.DOTALL)
    exec(compile(script, "docs/brian2.md", "exec"), {})
    assert re.search(r"\d+ of 200 synapses removed, \d\d+ spikes", capsys.readouterr().out)


BASE = {"parameters": COMMON, "traces": TRACES, "on_spike": RISES, "on_pre": ["weight = weight - a_minus*y_post"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eliminate": {"compete": {"within": "post", "by": "weight"}}}, "compete"),
        ({"silence": "weight < w_dead"}, "silences"),
        ({"eliminate": "mean_post < 1"}, "mean_post cannot be read on Brian2"),
        ({"coincidences": ["c = pre*post"], "state": {"tag": 0}, "synapse": ["tag = c"], "eliminate": "tag < 1"}, "coincidences"),
        ({"state": {"tag": 0}, "synapse": ["dtag/dt = (pre*post - tag)/tau_plus"], "eliminate": "tag < 1"}, "post, pre cannot be read"),
    ],
)
def test_what_brian2_cannot_decide_is_refused_with_the_reason(change: dict[str, Any], message: str) -> None:
    simulation = brian_network(world("delta"), {"feed": parse_rule({**BASE, **change})})
    before = len(simulation.synapses["feed"])
    with pytest.raises(InputError, match=message):
        simulation.decide("feed", 0.01)
    assert len(simulation.synapses["feed"]) == before


def test_bad_input() -> None:
    description = world("delta")
    with pytest.raises(InputError, match="no projection 'fed'"):
        brian_network(description, {"fed": rule("additive")})
    with pytest.raises(InputError, match="replicates"):
        brian_network(description, replicate=1)
    relative = parse_rule({**BASE, "parameters": {**COMMON, "tau_plus": "2 % dev"}, "eliminate": "weight < 0"})
    with pytest.raises(InputError, match="duration"):
        brian_network(description, {"feed": relative})
    assert brian_network(description, {"feed": relative}, duration=2.0).rules["feed"].parameters["tau_plus"] == pytest.approx(0.04)
    with pytest.raises(InputError, match="no rule"):
        brian_network(description).decide("feed", 0.1)


def test_a_projection_without_synapses_and_one_replicate_of_two() -> None:
    none = Births.from_edges(6, 6, [([], [], []), ([0], [1], [0.5])])
    first = births(8, 6, 1)
    both = Births(8, 6, first.starts * 2, first.targets * 2, (first.weights[0], first.weights[0] * 2))
    old = world("delta")
    description = Network(
        old.populations, [Projection("feed", "input", "excitatory", both, scale=5.0), Projection("loop", "excitatory", "excitatory", none)],
        dt=DT,
    )  # fmt: skip
    lives = [brian_network(description, {"loop": rule("additive")}, replicate=r) for r in (0, 1)]
    references = [Reference(description, {"loop": rule("additive")}, replicate=r) for r in (0, 1)]
    for one, reference in zip(lives, references, strict=True):
        one.run(0.02)
        reference.run(0.02)
        assert one.decide("loop", 0.02) == 0
        assert all(np.array_equal(a, b) for a, b in zip(one.trains("excitatory"), reference.trains("excitatory"), strict=True))
    assert [len(one.edges("loop")[0]) for one in lives] == [0, 1]
    assert len(lives[1].trains("excitatory")[0]) > len(lives[0].trains("excitatory")[0]) > 0


def test_poisson_inputs_have_their_rates_and_correlations() -> None:
    rate = np.concatenate([np.full(30, 100.0), np.full(30, 60.0), np.full(40, 150.0)])
    inputs = PoissonPopulation("input", 100, rate, groups=(30, 30), correlation=0.4)
    plain = PoissonPopulation("plain", 200, 80.0)
    simulation = brian_network(Network([inputs, plain], [], dt=1e-3), seed=1)
    simulation.run(2.0)
    train = np.zeros((2000, 100))
    step, neuron = simulation.trains("input")
    train[step, neuron] = 1
    for part, expected in ((slice(0, 30), 100), (slice(30, 60), 60), (slice(60, 100), 150)):
        assert train[:, part].mean() * 1000 == pytest.approx(expected, rel=0.15)
    correlation = np.corrcoef(train.T)
    of = [correlation[a, b][~np.eye(len(correlation[a, b]), dtype=bool)].mean() for a, b in ((slice(0, 30),) * 2, (slice(60, 100),) * 2)]
    across = correlation[:30, 30:60].mean()
    chance, common = 0.1, 0.1 / 0.4  # of a neuron, of the common train, at a step
    share = chance / common
    assert of[0] == pytest.approx((share**2 * common - chance**2) / (chance * (1 - chance)), abs=0.05)
    assert abs(of[1]) < 0.02 and abs(across) < 0.03
    assert len(simulation.trains("plain")[0]) / 400 == pytest.approx(80, rel=0.05)


@pytest.mark.parametrize(
    ("receptor", "expected"),
    [(Delta(), 4.0), (Current(5e-3), 1.0), (Conductance(5e-3, 30.0), None)],
)
def test_a_poisson_drive_moves_the_mean_potential(receptor: Any, expected: float | None) -> None:
    cells = Population("cells", 300, LIF(tau_m=20e-3, v_threshold=1000.0))
    drive = PoissonDrive("cells", 1000.0, 0.2, receptor)
    simulation = brian_network(Network([cells], [], [drive], dt=1e-3), seed=2)
    simulation.run(0.2)
    g = 1000 * 0.2 * 5e-3
    mean = 30.0 * g / (1 + g) if expected is None else expected  # noise in g makes the mean a little lower
    assert np.mean(simulation.groups["cells"].v) == pytest.approx(mean, rel=0.1)


@pytest.mark.slow
def test_cpp_standalone_runs_and_learns_and_refuses_to_decide(tmp_path: Path) -> None:
    description, rules = world("filtered", seed=3), {"feed": rule("state and changing bounds"), "loop": rule("additive")}
    b2.set_device("cpp_standalone", directory=str(tmp_path / "program"), build_on_run=False)
    try:
        simulation, reference = brian_network(description, rules, seed=5), Reference(description, rules, seed=5)
        with pytest.raises(InputError, match="carries its dead"):
            simulation.decide("feed", 0.1)
        simulation.run(0.09)
        b2.device.build(directory=str(tmp_path / "program"), compile=True, run=True)
        reference.run(0.09)
        for name in ("feed", "loop"):
            for mine, theirs in zip(simulation.edges(name), reference.edges(name), strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=1e-9)
        for population in ("excitatory", "inhibitory"):
            assert all(np.array_equal(a, b) for a, b in zip(simulation.trains(population), reference.trains(population), strict=True))
        assert len(reference.trains("excitatory")[0]) > 20
    finally:
        b2.device.reinit()
        b2.set_device("runtime")
