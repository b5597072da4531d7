"""Three independent roads to one life: Brian2, the event-driven engine on each of its paths, and plain NumPy.

The same input spikes, double precision: spike trains must be identical step for step and weights within 1e-9, before and
after eliminations, with delays, excitation and inhibition, several plastic projections, refractoriness, and every kind of receptor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from brian_setup import quick_brian
from spiking_reference import Reference
from spiking_worlds import DT, RULES, rule, shipped, world

from biosim.spiking.decisions import SpikingSite
from biosim.spiking.simulation import Simulation
from biosim.substrates.brian import brian_network

PLASTIC = ("feed", "loop")
WINDOW = 0.04


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with quick_brian():
        yield


class Engine:
    """The event-driven engine with the face of the other two."""

    def __init__(self, network: Any, rules: Any, **options: Any) -> None:
        self.simulation = Simulation(network, rules, [5], precision="float64", rate_cap=5000.0, **options)
        self.sites = {name: SpikingSite(self.simulation, name, WINDOW) for name in rules}

    def run(self, duration: float) -> None:
        self.simulation.run(duration)

    def trains(self, population: str) -> Any:
        spikes = self.simulation.spikes(population)
        step = np.rint(spikes.times / DT).astype(int)
        order = np.lexsort((spikes.neurons, step))
        return step[order], spikes.neurons[order]

    def edges(self, projection: str) -> Any:
        return self.simulation.edges(projection)

    def decide(self, name: str, window: float) -> int:
        assert window == WINDOW
        return int(self.sites[name].decide(0.0)[0])


def differences(one: Any, other: Any) -> list[str]:
    """Return what two lives differ in."""
    found = []
    for name in ("excitatory", "inhibitory", "input"):
        if not all(np.array_equal(a, b) for a, b in zip(one.trains(name), other.trains(name), strict=True)):
            found.append(f"spikes of {name}")
    for name in ("feed", "loop", "up", "down"):
        (i, j, w), (k, m, x) = one.edges(name), other.edges(name)
        if not (np.array_equal(i, k) and np.array_equal(j, m)):
            found.append(f"synapses of {name}")
        elif not np.allclose(w, x, rtol=1e-9, atol=1e-12):
            found.append(f"weights of {name}, by up to {np.abs(w - x).max():.2g}")
    return found


def live(lives: dict[str, Any], rules: Any) -> int:
    """Run all lives through two windows with decisions after each, and a last one; raise where they part."""
    names, died = list(lives), 0
    first = lives[names[0]]
    for moment in range(2):
        for one in lives.values():
            one.run(WINDOW)
        for name in names[1:]:
            assert not (found := differences(lives[name], first)), f"{name}, window {moment}: {found}"
        for projection in rules:
            deaths = {name: one.decide(projection, WINDOW) for name, one in lives.items()}
            assert len(set(deaths.values())) == 1, (projection, deaths)
            died += deaths[names[0]]
        for name in names[1:]:
            assert not (found := differences(lives[name], first)), f"{name}, after decision {moment}: {found}"
    for one in lives.values():
        one.run(WINDOW / 4)
    for name in names[1:]:
        assert not (found := differences(lives[name], first)), f"{name}, at the end: {found}"
    return died


KINDS = ("delta", "filtered")
QUICK = [*shipped(), "state and changing bounds"]
CASES = [  # biosim's own rules and the most involved of the others, each on one kind of network; the rest when there is time
    pytest.param(name, kind, marks=[] if k % 2 == here and name in QUICK else pytest.mark.slow, id=f"{name}-{kind}")
    for k, name in enumerate([*shipped(), *RULES])
    for here, kind in enumerate(KINDS)
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_three_roads_agree_before_and_after_eliminations(name: str, kind: str) -> None:
    description = world(kind, seed=3)
    rules = {"feed": rule(name), "loop": rule("additive")}
    general = dict.fromkeys(rules, False)
    lives = {
        "numpy": Reference(description, rules, seed=5),
        "brian2": brian_network(description, rules, seed=5),
        "engine": Engine(description, rules),
        "engine, general path": Engine(description, rules, defer=general),
        "engine, 2 threads": Engine(description, rules, threads=2),
    }
    assert live(lives, rules) > 2
    assert len(lives["numpy"].trains("excitatory")[0]) > 15 and len(lives["numpy"].trains("inhibitory")[0]) > 10
    for state in rules["feed"].state:
        expected = lives["numpy"].synapses["feed"].values[state]
        np.testing.assert_allclose(np.array(getattr(lives["brian2"].synapses["feed"], f"{state}_state")), expected, rtol=1e-9)
        np.testing.assert_allclose(lives["engine"].simulation.state("feed", state), expected, rtol=1e-9)


def test_deferral_was_put_to_the_test() -> None:
    plans = Simulation(world("delta", seed=3), {"loop": rule("additive")}, [0], precision="float64").plans
    assert plans["loop"].path == "deferred"
