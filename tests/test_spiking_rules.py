"""Shipped spike-timing rules, decisions on the slow clock, and rate rules on spiking activity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from biosim.catalogue import entries
from biosim.equations import Clock, Competition, Rule, parse_rule
from biosim.errors import InputError
from biosim.rules import load_rule, rule_paths
from biosim.schedule import Schedule
from biosim.spiking import LIF, Births, GivenSpikes, Network, PoissonDrive, PoissonPopulation, Population, Projection
from biosim.spiking.simulation import Simulation
from biosim.spiking.windows import ActivityFilter
from biosim.spiking_develop import SpikingRecorder, develop_spiking

NAMES = sorted(rule_paths(spiking=True))
DEFERRED = {"additive-stdp", "multiplicative-stdp", "triplet-stdp", "symmetric-stdp"}  # only growth must be free of the weight


def uniform(random: np.random.Generator, n: int) -> Any:
    return random.uniform(0.2, 1.0, n)


def network(replicates: int = 2, n: int = 12) -> Network:
    births = Births.random(40, n, 0.8, range(replicates), uniform, component="in")
    loops = Births.random(n, n, 0.5, range(replicates), uniform, component="ee", loops=False)
    inputs = PoissonPopulation("input", 40, 25.0, groups=(10,), correlation=0.4)
    projections = [
        Projection("in", "input", "e", births, delay=0.0, scale=2.0),
        Projection("ee", "e", "e", loops, delay=1.5e-3, scale=0.5),
    ]
    return Network([inputs, Population("e", n, LIF(bias=5.0), start=(0.0, 15.0))], projections, [PoissonDrive("e", 400.0, 0.5)])


def quick(name: str) -> Rule:
    rule = load_rule(name)
    return rule.with_parameters({"grace": "100 ms", "w_dead": 0.4}) if "grace" in rule.parameters else rule


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_rule_has_what_a_reader_needs(name: str) -> None:
    rule = load_rule(name)
    assert rule.event_driven and rule.plastic and rule.eliminate is not None
    assert rule.about and rule.source and rule.bibtex.startswith("@") and rule.bibtex.count("{") == rule.bibtex.count("}")
    assert set(rule.parameters) <= rule.names
    assert entries("rules")[name].startswith("[synapse] spiking:")


def test_they_are_listed_and_shown_and_not_among_the_rate_rules(cli: Callable[..., Any]) -> None:
    assert set(NAMES) == {"additive-stdp", "multiplicative-stdp", "soft-bound-stdp", "symmetric-stdp", "triplet-stdp"}
    assert not set(NAMES) & set(rule_paths())
    listed, shown = cli("list", "rules"), cli("show", "triplet-stdp")
    assert listed.code == shown.code == 0
    assert all(name in listed.out for name in NAMES)
    assert "weight = clip(weight + x_pre*(a2_plus + a3_plus*v_post), 0, w_max)" in shown.out


@pytest.mark.parametrize("name", NAMES)
def test_shipped_rules_give_the_same_weights_on_both_paths(name: str) -> None:
    made = []
    for path in [None, False] if name in DEFERRED else [None]:
        rules = dict.fromkeys(("in", "ee"), load_rule(name))
        defer = {} if path is None else dict.fromkeys(rules, path)
        simulation = Simulation(network(), rules, precision="float64", defer=defer)
        simulation.run(1.0)
        assert simulation.plans["in"].path == ("deferred" if path is None and name in DEFERRED else "general")
        born = simulation.network.projection("in").births.weights[0]
        assert np.abs(simulation.weights("in") - born).max() > 0.01
        assert simulation.weights("in").min() >= 0 and simulation.weights("in").max() <= 1.0 + 1e-12
        made.append(simulation)
    for other in made[1:]:
        for r in range(2):
            np.testing.assert_allclose(other.weights("ee", r), made[0].weights("ee", r), rtol=1e-11, atol=1e-13)


def test_a_pair_of_spikes_changes_a_weight_as_the_window_of_song_2000_says() -> None:
    rule = load_rule("additive-stdp")
    for gap in (-0.03, -0.01, 0.005, 0.02):
        times = (np.array([0.05, 0.05 + max(gap, 0), 0.05 - max(-gap, 0)])[[0, 1 if gap > 0 else 2]],)
        inputs = GivenSpikes("input", 1, (times[0][:1],), (np.array([0]),))
        kick = GivenSpikes("kick", 1, (times[0][1:],), (np.array([0]),))
        born = [Births.from_edges(1, 1, [([0], [0], [w])]) for w in (0.5, 1.0)]
        net = Network(
            [inputs, kick, Population("n", 1)],
            [Projection("s", "input", "n", born[0], delay=0.0, scale=1e-3), Projection("k", "kick", "n", born[1], delay=0.0, scale=30.0)],
        )
        simulation = Simulation(net, {"s": rule}, precision="float64")
        simulation.run(0.2)
        late = 1e-4  # the kick arrives, and the neuron crosses its threshold, one step later
        wanted = 0.005 * np.exp(-(gap + late) / 0.02) if gap > 0 else -0.00525 * np.exp((gap + late) / 0.02)
        assert simulation.weights("s")[0] - 0.5 == pytest.approx(wanted, rel=1e-9)


# -- the slow clock -----------------------------------------------------------------------------
def test_synapses_weak_for_their_grace_die_and_only_those() -> None:
    recorder = SpikingRecorder(moments=20)
    rule = quick("additive-stdp").with_parameters({"a_minus": 0.03, "a_plus": 0.001})
    made = develop_spiking(network(), {"in": rule}, 1.0, decide_every=0.05, recorder=recorder)
    density = np.array([r["density"] for r in recorder.records])
    assert (np.diff(density, axis=0) <= 0).all() and (density[-1] < 0.9).all()
    assert (density[recorder.records.index(next(r for r in recorder.records if r["time"] >= 0.1))] == 1).all()
    for r in range(2):
        deaths = made.death_times["in"][r]
        assert np.isnan(deaths).sum() == made.simulation.survivors("in")[r]
        assert (np.unique(deaths[~np.isnan(deaths)] / 0.05 % 1).round(6) % 1 == 0).all()
    circuit = made.circuit()
    assert circuit.mask["in"].sum((1, 2)).tolist() == made.simulation.survivors("in").tolist()
    assert circuit.born["in"].sum((1, 2)).tolist() == made.simulation.network.projection("in").births.counts.tolist()
    edges, counts = made.histograms["in"]
    assert counts.sum(1).tolist() == made.simulation.survivors("in").tolist() and len(edges) == counts.shape[1] + 1


def test_slow_lines_are_evaluated_as_they_are_written() -> None:
    data = {
        "role": "plasticity",
        "parameters": {"tau": "300 ms", "k": 0.3},
        "state": {"tag": "weight*2", "clock": "0 s"},
        "synapse": ["dtag/dt = (weight - tag)/tau", "clock = clock + dt", "weight = min(weight + k*dt/tau*degree_post/40, 1)"],
    }
    net = network(1)
    made = develop_spiking(net, {"in": parse_rule(data, "slow")}, 0.5, decide_every=0.1, precision="float64")
    _, post, weight = net.projection("in").births.edges(0)
    weight = weight.astype(float)
    tag, degree = weight * 2, np.bincount(post, minlength=12)[post]
    for _ in range(5):
        tag = tag * np.exp(-0.1 / 0.3) + weight * (1 - np.exp(-0.1 / 0.3))
        weight = np.minimum(weight + 0.3 * 0.1 / 0.3 * degree / 40, 1)
    np.testing.assert_allclose(made.simulation.weights("in"), weight, rtol=1e-12)
    np.testing.assert_allclose(made.simulation.state("in", "tag"), tag, rtol=1e-12)
    np.testing.assert_allclose(made.simulation.state("in", "clock"), 0.5, rtol=1e-12)
    with pytest.raises(InputError, match="synapses of 'in' have no state 'tags'"):
        made.simulation.state("in", "tags")
    with pytest.raises(InputError, match="have no state 'tag'"):
        Simulation(net).state("in", "tag")


def test_lines_on_a_few_synapses_at_a_time_read_what_neurons_were_before_any_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"synapse": ["weight = weight/(1 + 0.1*weight_sum_post)"], "eliminate": "weight_sum_pre*weight < 0.5"}
    found = []
    for chunk in (1 << 22, 7):
        monkeypatch.setattr("biosim.spiking.slow.CHUNK", chunk)
        made = develop_spiking(network(1), {"in": parse_rule(data, "shrinking")}, 0.1, decide_every=0.05).simulation
        found.append((made.birth_edges("in").tolist(), made.weights("in").tolist()))
    assert found[0] == found[1] and 0 < len(found[0][0]) < made.network.projection("in").births.counts[0]


@pytest.mark.parametrize("within", ["pre", "post"])
def test_competitions_leave_every_neuron_its_quota(within: str) -> None:
    rule = parse_rule({"eliminate": {"compete": {"within": within, "by": "weight"}}}, "strongest")
    made = develop_spiking(network(), {"in": rule}, 0.4, decide_every=0.1, schedule=Schedule(density=0.3))
    births = made.simulation.network.projection("in").births
    for r in range(2):
        pre, post, weight = births.edges(r)
        assert made.simulation.survivors("in")[r] == np.floor(0.3 * len(pre) + 0.5)
        neuron = post if within == "post" else pre
        kept = np.zeros(len(pre), bool)
        kept[made.simulation.birth_edges("in", r)] = True
        for k in np.unique(neuron):
            own = neuron == k
            if kept[own].any() and not kept[own].all():
                assert weight[own & kept].min() >= weight[own & ~kept].max()
    with pytest.raises(InputError, match="a schedule says how many stay"):
        develop_spiking(network(), {"in": rule}, 0.1, decide_every=0.1)


def test_a_condition_never_undercuts_a_schedule() -> None:
    rule = parse_rule({"eliminate": "weight < 0.9"}, "weak")
    made = develop_spiking(network(1), {"in": rule}, 0.4, decide_every=0.1, schedule=Schedule(density=0.5))
    assert made.simulation.survivors("in")[0] == np.floor(0.5 * made.simulation.network.projection("in").births.counts[0] + 0.5)


@pytest.mark.parametrize("also", ["", " and mean_post > -1"])  # the second is decided by the sites of the rate substrate
def test_age_is_zero_at_the_first_decision_on_either_road(also: str) -> None:
    rule = parse_rule({"parameters": {"when": "250 ms"}, "eliminate": f"age > when{also}"}, "mortal")
    made = develop_spiking(network(1), {"in": rule}, 0.5, decide_every=0.1)
    np.testing.assert_allclose(made.death_times["in"][0], 0.4)  # decided at the ages of 0, 0.1, 0.2 and 0.3 s


# -- rate rules ---------------------------------------------------------------------------------
def test_activity_is_an_exponentially_filtered_rate_taken_on_arrival() -> None:
    spikes = GivenSpikes("g", 2, (np.array([0.01, 0.0493, 0.02]),), (np.array([0, 0, 1]),))
    births = Births.random(2, 1, 1.0, [0], 0.0)
    net = Network([spikes, Population("n", 1)], [Projection("s", "g", "n", births, delay=np.array([0.002, 0.0]))])
    simulation = Simulation(net, {}, [0])
    activity = ActivityFilter(simulation, ["s"], 0.02, 0.005)
    found = []
    for _ in range(2):
        simulation.run(0.05)
        found.append(activity.take())
    at = np.arange(1, 21) * 0.005
    for delay, which in ((0.0, "post"), (0.002, "pre")):
        got = np.concatenate([(w.post["g"] if which == "post" else w.pre["s"])[0] for w in found])
        own = [0.01, 0.0493]
        wanted = sum(np.where(at > t + delay + 1e-9, np.exp(-(at - t - delay) / 0.02), 0) for t in own) / 0.02
        np.testing.assert_allclose(got[:, 0], wanted, rtol=1e-5, atol=1e-6)
        wanted = np.where(at > 0.02 + 1e-9, np.exp(-(at - 0.02) / 0.02), 0) / 0.02
        np.testing.assert_allclose(got[:, 1], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["hebbian-trace", "covariance", "oja", "noise-covariance", "survival-counter", "bcm", "minimal-value"])
def test_rules_written_for_rates_run_unchanged_on_spikes(name: str) -> None:
    rule = load_rule(name)
    competes = any(isinstance(d, Competition) for d in rule.decisions.values())
    if name == "hebbian-trace":
        rule = rule.with_parameters({"theta": 600})  # Hz squared
    schedule = Schedule("decreasing-rate", 0.4) if competes else None
    made = develop_spiking(network(), {"in": rule}, 4.0, decide_every=0.2, schedule=schedule)
    born, left = made.simulation.network.projection("in").births.counts, made.simulation.survivors("in")
    assert (left < born).all() and (left > 0).all()
    if competes:
        assert (left == np.floor(0.4 * born + 0.5)).all()
    assert made.simulation.survivors("ee").tolist() == made.simulation.network.projection("ee").births.counts.tolist()


def test_covariance_of_filtered_rates_finds_the_correlated_inputs_for_any_sampling() -> None:
    """The neurons fire with the ten inputs that come together; those win, however often activity is sampled."""
    for every in (0.002, 0.01):
        made = develop_spiking(
            network(2), {"in": load_rule("covariance").with_parameters({"memory": "50 % dev"})}, 10.0, decide_every=1.0,
            schedule=Schedule("end-only", 0.3), sample_every=every,
        )  # fmt: skip
        for r in range(2):
            pre = made.simulation.edges("in", r)[0]
            assert (pre < 10).mean() > 0.6  # a quarter of the inputs


def test_two_rules_on_one_network_and_a_drive_that_changes() -> None:
    rules = {"in": load_rule("covariance"), "ee": quick("additive-stdp")}
    seen: list[int] = []

    def drive(simulation: Simulation, step: int) -> None:
        simulation.set_rate("input", 0.0 if step % 2 else 40.0)
        seen.append(step)

    made = develop_spiking(network(), rules, 1.0, decide_every=0.1, schedule=Schedule(density=0.5), drive=drive)
    assert seen == list(range(10))
    assert made.level.name == "neuron" and Clock(0.1, 1, 10).duration == 1.0
    with pytest.raises(InputError, match="reward"):
        develop_spiking(network(), {"in": load_rule("reward-three-factor")}, 1.0)
