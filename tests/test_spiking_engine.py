"""The event-driven engine against a plain step-by-step reference, and against itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from spiking_reference import Reference

from biosim.equations import Rule, parse_rule
from biosim.errors import InputError, NumericalError
from biosim.spiking import LIF, Births, Conductance, Current, Delta, GivenSpikes, Network, PoissonDrive, PoissonPopulation, Population, Projection
from biosim.spiking.simulation import Simulation

DT = 1e-4
PAIR: dict[str, Any] = {
    "role": "plasticity",
    "parameters": {"tau_plus": "20 ms", "tau_minus": "10 ms", "a_plus": 0.02, "a_minus": 0.021, "w_max": 1},
    "traces": ["dx_pre/dt = -x_pre/tau_plus", "dy_post/dt = -y_post/tau_minus"],
    "on_spike": {"x_pre": "x_pre + 1", "y_post": "y_post + 1"},
}
ADDITIVE = PAIR | {
    "on_pre": ["weight = clip(weight - a_minus*y_post, 0, w_max)"],
    "on_post": ["weight = clip(weight + a_plus*x_pre, 0, w_max)"],
}
MULTIPLICATIVE = PAIR | {
    "on_pre": ["weight = weight - a_minus*weight*y_post"],
    "on_post": ["weight = weight + a_plus*(w_max - weight)*x_pre"],
}
TRIPLET = PAIR | {
    "parameters": PAIR["parameters"] | {"tau_x": "100 ms", "tau_y": "110 ms", "a3_plus": 0.05, "a3_minus": 0.004},
    "traces": [*PAIR["traces"], "ds_pre/dt = -s_pre/tau_x", "dt_post/dt = -t_post/tau_y"],
    "on_spike": PAIR["on_spike"] | {"s_pre": "s_pre + 1", "t_post": "t_post + 1"},
    "on_pre": ["weight = clip(weight - y_post*(a_minus + a3_minus*s_pre), 0, w_max)"],
    "on_post": ["weight = clip(weight + x_pre*(a_plus + a3_plus*t_post), 0, w_max)"],
}
SYMMETRIC = PAIR | {
    "on_pre": ["weight = clip(weight + a_plus*y_post - a_minus/4, 0, w_max)"],
    "on_post": ["weight = clip(weight + a_plus*x_pre, 0, w_max)"],
}
STATEFUL = PAIR | {
    "state": {"count": 0, "seen": 1},
    "on_spike": {"x_pre": "1", "y_post": "min(y_post + 1, 2)"},
    "on_pre": ["count = count + 1", "weight = clip(weight - a_minus*y_post*seen, 0, w_max)", "seen = exp(-count/20)"],
    "on_post": ["weight = clip(weight + a_plus*x_pre*(1 + count/50), 0, w_max)", "count = count + y_post"],
}
RULES = {"additive": ADDITIVE, "multiplicative": MULTIPLICATIVE, "triplet": TRIPLET, "symmetric": SYMMETRIC, "stateful": STATEFUL}
DEFERRABLE = ["additive", "triplet", "symmetric"]


def rule(name: str, **changes: Any) -> Rule:
    made = parse_rule(RULES[name], name)
    return made.with_parameters(changes) if changes else made


def network(replicates: int = 1, delays: str = "one", n: int = 14, receptor: Any = None, seconds: float = 1.0) -> Network:
    """Excitatory and inhibitory neurons, given input spikes, four projections."""
    random = np.random.default_rng(5)
    times, neurons = [], []
    for r in range(replicates):
        own = np.random.default_rng(100 + r)
        steps = np.flatnonzero(own.random((int(seconds / DT), 10)).ravel() < 40 * DT)
        times.append((steps // 10) * DT)
        neurons.append(steps % 10)
    inputs = GivenSpikes("input", 10, tuple(times), tuple(neurons))
    e = Population("e", n, LIF(tau_m=15e-3, refractory=1.5e-3, bias=2.0), "excitatory", start=(0.0, 15.0))
    i = Population("i", 5, LIF(refractory=0.0, v_rest=1.0), "inhibitory", start=3.0)
    delay: Any = 1.2e-3 if delays == "one" else random.integers(3, 40, n) * DT
    excite = receptor or Delta()
    scale = 5.0 if isinstance(excite, Delta) else 25.0 if isinstance(excite, Current) else 0.4
    seeds = range(replicates)

    def uniform(random: np.random.Generator, count: int) -> Any:
        return random.uniform(0.1, 0.9, count)

    def born(name: str, n_pre: int, n_post: int, **options: Any) -> Births:
        return Births.random(n_pre, n_post, 0.6, seeds, uniform, component=name, **options)

    projections = [
        Projection("in", "input", "e", born("in", 10, n), excite, 0.0, scale * 1.6),
        Projection("ee", "e", "e", born("ee", n, n, loops=False), excite, delay, scale),
        Projection("ei", "e", "i", born("ei", n, 5), Current(5e-3), 1e-3, 9.0),
        Projection("ie", "i", "e", born("ie", 5, n), Delta() if receptor is None else Conductance(8e-3, -10.0), 0.8e-3, -2.0 if receptor is None else 0.2),
    ]
    return Network([inputs, e, i], projections, dt=DT)


def spikes_of(simulation: Simulation, population: str, r: int = 0) -> list[tuple[int, int]]:
    s = simulation.spikes(population, r)
    return list(zip(np.rint(s.times / DT).astype(int).tolist(), s.neurons.tolist(), strict=True))


def simulate(net: Network, rules: dict[str, Rule], seconds: float, **options: Any) -> Simulation:
    simulation = Simulation(net, rules, list(range(net.replicates)), **{"precision": "float64", "rate_cap": 1000.0, **options})
    for part in (0.1, 0.0137, seconds - 0.1137):  # pauses change nothing
        simulation.run(round(part / DT) * DT)
    return simulation


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("delays", ["one", "many"])
def test_the_engine_takes_the_same_steps_as_plain_python(name: str, delays: str) -> None:
    net, rules = network(delays=delays, receptor=Current(4e-3) if delays == "many" else None), {"ee": rule(name), "in": rule(name)}
    reference = Reference(net, rules)
    reference.run(6000)
    for path in [None, False] if name in DEFERRABLE else [None]:
        simulation = simulate(net, rules, 0.6, defer={} if path is None else dict.fromkeys(rules, False))
        assert {p.path for p in simulation.plans.values()} == {"deferred" if path is None and name in DEFERRABLE else "general"}
        for population in ("input", "e", "i"):
            assert spikes_of(simulation, population) == sorted(reference.spikes[population])
        assert len(reference.spikes["e"]) > 50 and len(reference.spikes["i"]) > 20
        for projection in ("ee", "in", "ie"):
            np.testing.assert_allclose(simulation.weights(projection), reference.weights(projection), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(simulation.potentials("e")[0], reference.v["e"], rtol=1e-9, atol=1e-9)
        if name == "stateful":
            counts = [s["count"] for _, s in sorted(reference.synapses["ee"].items())]
            np.testing.assert_allclose(simulation.state("ee", "count"), counts, rtol=1e-11)
        born = net.projection("ee").births.weights[0]
        assert np.abs(simulation.weights("ee") - born).max() > 0.05
