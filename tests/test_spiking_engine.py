"""The event-driven engine against a plain step-by-step reference, and against itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from spiking_reference import Reference

from biosim.equations import Rule, parse_rule
from biosim.errors import InputError, NumericalError
from biosim.spiking import (
    LIF,
    Births,
    Conductance,
    Current,
    Delta,
    GivenSpikes,
    Network,
    PoissonDrive,
    PoissonPopulation,
    Population,
    Projection,
)
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
        Projection(
            "ie",
            "i",
            "e",
            born("ie", 5, n),
            Delta() if receptor is None else Conductance(8e-3, -10.0),
            0.8e-3,
            -2.0 if receptor is None else 0.2,
        ),
    ]
    return Network([inputs, e, i], projections, dt=DT)


def spikes_of(simulation: Simulation, population: str, r: int = 0) -> list[tuple[int, int]]:
    s = simulation.spikes(population, r)
    return list(zip(np.rint(s.times / DT).astype(int).tolist(), s.neurons.tolist(), strict=True))


def trains_of(reference: Reference, population: str) -> list[tuple[int, int]]:
    step, neuron = reference.trains(population)
    return list(zip(step.tolist(), neuron.tolist(), strict=True))


def simulate(net: Network, rules: dict[str, Rule], seconds: float, seeds: Any = None, **options: Any) -> Simulation:
    simulation = Simulation(net, rules, seeds, **{"precision": "float64", "rate_cap": 1000.0, **options})
    for part in (0.1, 0.0137, seconds - 0.1137):  # pauses change nothing
        simulation.run(round(part / DT) * DT)
    return simulation


CASES = [*((n, "one") for n in RULES), ("triplet", "many"), ("stateful", "many")]
STEPS = 2000


@pytest.mark.parametrize(("name", "delays"), CASES)
def test_the_engine_takes_the_same_steps_as_plain_numpy(name: str, delays: str) -> None:
    net, rules = network(delays=delays, receptor=Current(4e-3) if delays == "many" else None), {"ee": rule(name), "in": rule(name)}
    reference = Reference(net, rules)
    reference.run(STEPS * DT)
    for path in [None, False] if name in DEFERRABLE else [None]:
        simulation = simulate(net, rules, STEPS * DT, defer={} if path is None else dict.fromkeys(rules, False))
        assert {p.path for p in simulation.plans.values()} == {"deferred" if path is None and name in DEFERRABLE else "general"}
        for population in ("input", "e", "i"):
            assert spikes_of(simulation, population) == trains_of(reference, population)
        assert len(trains_of(reference, "e")) > 50 and len(trains_of(reference, "i")) > 5
        for projection in ("ee", "in", "ie"):
            np.testing.assert_allclose(simulation.weights(projection), reference.edges(projection)[2], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(simulation.potentials("e")[0], reference.v["e"], rtol=1e-9, atol=1e-9)
        if name == "stateful":
            np.testing.assert_allclose(simulation.state("ee", "count"), reference.synapses["ee"].values["count"], rtol=1e-11)
        born = net.projection("ee").births.weights[0]
        assert np.abs(simulation.weights("ee") - born).max() > 0.02


def test_conductances_follow_the_reference() -> None:
    net = network(receptor=Conductance(5e-3, 70.0))
    reference = Reference(net)
    reference.run(0.15)
    simulation = simulate(net, {}, 0.15)
    assert spikes_of(simulation, "e") == trains_of(reference, "e") and len(trains_of(reference, "e")) > 20
    np.testing.assert_allclose(simulation.potentials("e")[0], reference.v["e"], rtol=1e-9)


@pytest.mark.parametrize("name", DEFERRABLE)
def test_deferred_and_general_paths_agree_over_a_long_time_with_eliminations(name: str) -> None:
    """Long enough for boundaries to be forgotten and for the log of spikes to run over."""
    net, weights = network(replicates=2, seconds=3.0), []
    for path in (True, False):
        simulation = Simulation(net, {"in": rule(name)}, [0, 1], precision="float64", rate_cap=1000.0, defer={"in": path})
        for k in range(3):
            simulation.run(0.7)
            simulation.eliminate("in", [np.arange(n) % 5 == k for n in simulation.survivors("in")])
        simulation.run(0.9)
        assert simulation.plans["in"].path == ("deferred" if path else "general")
        weights.append([simulation.weights("in", r).copy() for r in range(2)])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["additive", "stateful"])
def test_threads_and_replicates_change_nothing(name: str) -> None:
    net, rules = network(replicates=3), {"ee": rule(name), "in": rule(name)}
    one = simulate(net, rules, 0.3)
    two = simulate(net, rules, 0.3, threads=2)
    in_line = simulate(net, rules, 0.3, workers=1)
    for r in range(3):
        for other in (two, in_line):
            assert spikes_of(one, "e", r) == spikes_of(other, "e", r)
            assert one.weights("ee", r).tobytes() == other.weights("ee", r).tobytes()
        births = {p.name: p.births for p in net.projections}
        alone = Network(
            [alone_population(p, r) for p in net.populations],
            [Projection(p.name, p.pre, p.post, only(births[p.name], r), p.receptor, p.delay, p.scale) for p in net.projections],
            dt=DT,
        )
        single = simulate(alone, rules, 0.3, seeds=[r])
        assert spikes_of(one, "e", r) == spikes_of(single, "e")
        assert one.weights("in", r).tobytes() == single.weights("in").tobytes()


def only(births: Births, r: int) -> Births:
    return Births(births.n_pre, births.n_post, births.starts[r : r + 1], births.targets[r : r + 1], births.weights[r : r + 1])


def alone_population(p: Any, r: int) -> Any:
    return GivenSpikes(p.name, p.size, p.times[r : r + 1], p.neurons[r : r + 1]) if isinstance(p, GivenSpikes) else p


def test_the_eliminated_are_gone_and_their_time_of_death_is_known() -> None:
    net = network()
    simulation = Simulation(net, {"ee": rule("additive")}, [0], precision="float64", rate_cap=1000.0)
    simulation.run(0.1)
    pre, post, weight = simulation.edges("ee")
    died = simulation.eliminate("ee", "weight < 0.5")
    assert died[0] == (weight < 0.5).sum() > 0
    assert [x.tolist() for x in simulation.edges("ee")] == [x[weight >= 0.5].tolist() for x in (pre, post, weight)]
    dead = simulation.death_steps("ee")
    assert ((dead == 1000) == (weight < 0.5)).all() and (dead[weight >= 0.5] == -1).all()
    assert (simulation.birth_edges("ee") == np.flatnonzero(weight >= 0.5)).all()
    assert len(simulation.worlds[0].target) == sum(simulation.survivors(p.name)[0] for p in net.projections)
    simulation.run(0.1)
    mask, alive = simulation.dense("ee")[1], np.zeros((1, 14, 14), bool)
    alive[0, pre[weight >= 0.5], post[weight >= 0.5]] = True
    assert (mask == alive).all()


def test_a_network_that_lost_synapses_runs_on_as_one_born_without_them() -> None:
    """Static weights: what is left is all that counts."""
    net = network()
    simulation = Simulation(net, {}, [0], precision="float64", rate_cap=1000.0)
    doomed = np.arange(simulation.survivors("ee")[0]) % 3 == 0
    simulation.eliminate("ee", [doomed])
    pre, post, weight = simulation.edges("ee")
    born = Births.from_edges(14, 14, [(pre, post, weight)])
    projections = [p if p.name != "ee" else Projection("ee", "e", "e", born, p.receptor, p.delay, p.scale) for p in net.projections]
    other = Simulation(Network(net.populations, projections, dt=DT), {}, [0], precision="float64", rate_cap=1000.0)
    simulation.run(0.3)
    other.run(0.3)
    assert spikes_of(simulation, "e") == spikes_of(other, "e")


def test_silent_synapses_transmit_nothing_and_may_come_back() -> None:
    net = network()
    silent = Simulation(net, {}, [0], precision="float64", rate_cap=1000.0)
    for p in net.projections:
        silent.set_active(p.name, 0, np.zeros(silent.survivors(p.name)[0], bool))
    silent.run(0.1)
    assert not spikes_of(silent, "e")
    for p in net.projections:
        silent.set_active(p.name, 0, np.ones(silent.survivors(p.name)[0], bool))
    silent.run(0.2)
    assert spikes_of(silent, "e")


# -- noise and inputs ---------------------------------------------------------------------------
def test_a_poisson_drive_has_the_mean_and_variance_of_its_rate() -> None:
    neuron = LIF(tau_m=10.0, v_threshold=1e9, refractory=0.0)
    for rate in (300.0, 40_000.0):
        simulation = Simulation(Network([Population("n", 4000, neuron)], [], [PoissonDrive("n", rate, 1.0)]), precision="float64")
        simulation.run(0.02)
        counts = simulation.potentials("n")[0]
        mean = rate * 0.02
        assert abs(counts.mean() / mean - 1) < 5 / np.sqrt(4000 * mean)
        assert abs(counts.var() / mean - 1) < 0.15


def test_poisson_neurons_keep_their_rates_and_groups_their_correlation() -> None:
    rates = np.repeat([20.0, 20.0, 60.0], 100)
    inputs = PoissonPopulation("p", 300, rates, groups=(100,), correlation=0.3)
    births = Births.random(300, 1, 1.0, [0], 0.0)
    net = Network([inputs, Population("n", 1)], [Projection("s", "p", "n", births, delay=0.0)])
    simulation = Simulation(net, {}, [0], record=["p"])
    simulation.run(20.0)
    spikes = simulation.spikes("p")
    counts = np.bincount(spikes.neurons, minlength=300) / 20
    for k in range(3):
        assert abs(counts[100 * k : 100 * k + 100].mean() / (20, 20, 60)[k] - 1) < 0.08
    binned = np.zeros((300, 2000))
    np.add.at(binned, (spikes.neurons, (spikes.times / 0.01).astype(int)), 1)
    correlation = np.corrcoef(binned)
    inside, outside = correlation[:100, :100], correlation[100:200, 100:200]
    assert abs(outside[~np.eye(100, dtype=bool)].mean()) < 0.01
    assert abs(inside[~np.eye(100, dtype=bool)].mean() - 0.3) < 0.03
    simulation.set_rate("p", 0.0)
    before = simulation.counts("p")
    simulation.run(0.1)
    assert simulation.counts("p") == before


# -- refusals -----------------------------------------------------------------------------------
def one_population(**options: Any) -> Network:
    births = Births.random(20, 20, 0.5, [0], options.pop("weight", 0.5), loops=False)
    return Network(
        [Population("e", 20, start=(0.0, 25.0))], [Projection("ee", "e", "e", births, **options)], [PoissonDrive("e", 950.0, 1.0)]
    )


def test_a_network_that_explodes_is_stopped_with_its_population_and_time() -> None:
    simulation = Simulation(one_population(scale=40.0))
    with pytest.raises(NumericalError, match=r"population 'e' fires at \d+ Hz at t = 0.05 s"):
        simulation.run(0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LIF(tau_m=0.0), "longer than 0 s"),
        (lambda: LIF(v_reset=30.0), "below v_threshold"),
        (lambda: LIF(refractory=-1e-3), "refractory time cannot be"),
        (lambda: Population("e", 0), "at least one neuron"),
        (lambda: Population("e", 1, sign="excitatry"), "did you mean 'excitatory'"),  # type: ignore[arg-type]
        (lambda: one_population(delay=-1e-3), "whole number of steps"),
        (lambda: one_population(delay=0.0), "at least one step"),
        (lambda: one_population(delay=1.23456e-3), "whole number of steps"),
        (lambda: Network([Population("e", 5, LIF(tau_m=5e-5))], []), "longer than the membrane time constant"),
        (lambda: PoissonPopulation("p", 3, -1.0), "at least 0 Hz"),
        (lambda: Network([PoissonPopulation("p", 3, 20_000.0)], []), "more than once in a step"),
        (lambda: GivenSpikes("g", 3, (np.array([0.1]),), (np.array([3]),)), "neurons 0 to 2"),
        (lambda: Births.random(3, 3, 1.5, [0]), "must lie in"),
        (lambda: Births.from_edges(2, 2, [([0, 0], [1, 1], [1.0, 1.0])]), "join the same two neurons"),
        (lambda: Births(1, 2**33, (np.array([0, 0]),), (np.zeros(0, np.uint32),), (np.zeros(0),)), "too many"),
        (lambda: one_population(receptor=Conductance(5e-3, 0.0), scale=-1.0), "cannot be negative"),
        (lambda: Simulation(one_population(), seeds=[0, 1]), "1 replicates and there are 2 seeds"),
        (lambda: Simulation(one_population(), {"xx": rule("additive")}), "no projection 'xx'"),
        (lambda: Simulation(one_population(), {"ee": rule("multiplicative")}, defer={"ee": True}), "cannot be deferred"),
        (lambda: Simulation(one_population()).eliminate("ee", "wait < 1"), "unknown name 'wait'"),
        (lambda: Simulation(one_population()).eliminate("ee", "weight"), "not a condition"),
        (lambda: Simulation(one_population()).eliminate("ee", []), "a mask over the live synapses"),
        (lambda: Simulation(one_population()).eliminate("ee", [np.arange(3)]), "a mask over the live synapses"),
    ],
)
def test_nonsense_is_refused_with_a_reason(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_dale_s_law_is_kept() -> None:
    births = Births.random(4, 4, 1.0, [0], 1.0)
    with pytest.raises(InputError, match="'e' is excitatory"):
        Network([Population("e", 4, sign="excitatory")], [Projection("ee", "e", "e", births, scale=-1.0)])


# -- the choice of path -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "changes", "path"),
    [
        ("additive", {}, "deferred"), ("triplet", {}, "deferred"), ("symmetric", {}, "deferred"),
        ("additive", {"a_plus": -0.01}, "general"), ("multiplicative", {}, "general"), ("stateful", {}, "general"),
        ("additive", {"w_max": 0.4}, "general"), ("triplet", {"a3_plus": -0.1}, "general"),
    ],
)  # fmt: skip
def test_algebra_with_bound_parameters_decides_the_path(name: str, changes: dict[str, Any], path: str) -> None:
    simulation = Simulation(one_population(), {"ee": rule(name, **changes)})
    assert simulation.plans["ee"].path == path, simulation.plans["ee"].reason
