"""Does Brian2 come to the same spikes, weights and survivors as biosim's own engine, on the network of a finished run?

biosim analyse on-brian2 RUN          or          python analysis/on_brian2.py RUN

The births of the run's first replicate are built anew and live for a first short stretch twice, in double precision: on biosim's
event-driven engine and on Brian2. Both are given the same input spikes: those that the run's own inputs had; noise that arrives straight
at neurons is drawn once, as spikes of several sources a neuron. The rule of each projection decides four times; a rule's `grace`, where
it is longer, is cut to a quarter of the stretch, so that synapses die in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from biosim.analysis import Findings, main
from biosim.equations import Rule
from biosim.errors import BiosimError
from biosim.runner import scenario_of
from biosim.scenario import SpikingScenario
from biosim.spiking import Births, GivenSpikes, Network, PoissonPopulation, Population, Projection
from biosim.spiking.decisions import SpikingSite
from biosim.spiking.simulation import Simulation
from biosim.store import Run

STEPS = 4000  # of the stretch: 2 s at a time step of 0.5 ms
DECISIONS = 4
SHOWN = 40  # neurons of a population in the raster
Array = npt.NDArray[Any]


@dataclass
class Life:
    """What an engine made of the stretch: spikes (steps, neurons) by population, survivors (pre, post, weight) and deaths by projection."""

    spikes: dict[str, tuple[Array, Array]]
    edges: dict[str, tuple[Array, Array, Array]]
    died: dict[str, int]


def analyse(run: Run, steps: int = STEPS) -> Findings:
    """Let the first replicate of a run, or of each of its conditions, live on both engines and compare."""
    runs = run.of_kind("spiking")
    if not runs:
        raise BiosimError(f"{run.folder} is of the kind {run.kind}: it has no spiking network that Brian2 could run")
    rows, pairs = [], {}
    for name, own in runs.items():
        scenario = scenario_of(own.folder / "run.json", own.about)
        assert isinstance(scenario, SpikingScenario)
        network, rules, seed = stretch(scenario, steps)
        other = on_brian(network, rules, seed, steps)  # first: it says what Brian2 cannot run
        one = on_biosim(network, rules, seed, steps)
        pairs[name] = one, other
        rows += [_row(name, network, p, one, other, steps) for p in rules]
    return Findings({"on-brian2": _figure(run, pairs)}, {"on-brian2": rows})


def stretch(scenario: SpikingScenario, steps: int) -> tuple[Network, dict[str, Rule], int]:
    """Return the network of the first replicate with its inputs given as spikes, its rules, and its seed."""
    seed = scenario.seeds[0]
    network: Network = scenario.model(scenario.birth_seeds[:1])
    steps -= steps % DECISIONS
    patience, whole = steps // DECISIONS * network.dt, scenario.times["duration"]
    rules = {}
    for name, rule in scenario.rules.items():
        times = {n: q.resolve(whole) for n, q in rule.parameters.items() if q.relative or n == "grace"}  # shares of the whole run
        if "grace" in times:
            times["grace"] = min(times["grace"], patience)
        rules[name] = rule.with_parameters({n: f"{t!r} s" for n, t in times.items()})
    return given(network, seed, steps, scenario.spec.simulation.rate_cap), rules, seed


def given(network: Network, seed: int, steps: int, rate_cap: float) -> Network:
    """Return the network with Poisson inputs replaced by the spikes they have under a seed, and noise by sources that spike."""
    inputs = [p.name for p in network.populations if isinstance(p, PoissonPopulation)]
    listener = Simulation(network, None, (seed,), record=inputs, rate_cap=rate_cap)
    if inputs:
        listener.run(steps * network.dt)
    populations: list[Any] = []
    for p in network.populations:
        if isinstance(p, PoissonPopulation):
            spikes = listener.spikes(p.name)
            p = GivenSpikes(p.name, p.size, (spikes.times,), (spikes.neurons,), p.sign)
        populations.append(p)
    projections = list(network.projections)
    for k, drive in enumerate(network.drives):
        size, chance, name = network.population(drive.population).size, drive.rate * network.dt, f"noise {k}"
        sources = max(1, math.ceil(5 * chance))  # a neuron; each spikes at a step with a chance of at most a fifth
        random, times, neurons = np.random.default_rng((seed, k)), [], []
        for step in range(steps):
            own = np.flatnonzero(random.random(size * sources) < chance / sources)
            times.append(np.full(len(own), step * network.dt))
            neurons.append(own)
        populations.append(GivenSpikes(name, size * sources, (np.concatenate(times),), (np.concatenate(neurons),), "mixed"))
        everyone = np.arange(size * sources)
        births = Births.from_edges(size * sources, size, [(everyone, everyone % size, np.ones(len(everyone)))])
        projections.append(Projection(name, name, drive.population, births, drive.receptor, 0.0, drive.weight))
    return Network(populations, projections, (), network.dt)


def on_biosim(network: Network, rules: Mapping[str, Rule], seed: int, steps: int) -> Life:
    """Let the network live on biosim's engine."""
    simulation = Simulation(network, rules, (seed,), precision="float64", rate_cap=1 / network.dt)
    window = steps // DECISIONS * network.dt
    sites = {name: SpikingSite(simulation, name, window) for name in rules}
    died = dict.fromkeys(rules, 0)
    for _ in range(DECISIONS):
        simulation.run(window)
        for name, site in sites.items():
            died[name] += int(site.decide(0.0)[0])
    spikes = {}
    for p in network.populations:
        if isinstance(p, Population):
            found = simulation.spikes(p.name)
            step = np.rint(found.times / network.dt).astype(np.int64)
            order = np.lexsort((found.neurons, step))
            spikes[p.name] = step[order], found.neurons[order]
    return Life(spikes, {name: simulation.edges(name) for name in rules}, died)


def on_brian(network: Network, rules: Mapping[str, Rule], seed: int, steps: int) -> Life:
    """Let the network live on Brian2."""
    import brian2  # takes seconds, and not every analysis needs it

    from biosim.substrates.brian import brian_network

    window, died, target = steps // DECISIONS * network.dt, dict.fromkeys(rules, 0), brian2.prefs.codegen.target
    brian2.prefs.codegen.target = "numpy"  # so short a stretch does not repay compiling
    try:
        simulation = brian_network(network, rules, seed)
        for _ in range(DECISIONS):
            simulation.run(window)
            for name in rules:
                died[name] += simulation.decide(name, window)
    finally:
        brian2.prefs.codegen.target = target
    spikes = {p.name: simulation.trains(p.name) for p in network.populations if isinstance(p, Population)}
    return Life(spikes, {name: simulation.edges(name) for name in rules}, died)


def parted(one: Life, other: Life) -> int | None:
    """Return the first step at which the spikes of any population differ; None where they are the same to the end."""
    first = []
    for name, (step, neuron) in one.spikes.items():
        mine, theirs = ({*zip(s.tolist(), n.tolist(), strict=True)} for s, n in ((step, neuron), other.spikes[name]))
        first += [s for s, _ in mine ^ theirs]
    return min(first, default=None)


def _row(condition: str, network: Network, projection: str, one: Life, other: Life, steps: int) -> dict[str, Any]:
    (i, j, w), (k, m, x) = one.edges[projection], other.edges[projection]
    same = np.array_equal(i, k) and np.array_equal(j, m)
    apart = parted(one, other)
    return {
        "condition": condition, "projection": projection, "seconds": steps // DECISIONS * DECISIONS * network.dt,
        "spikes": sum(len(s) for s, _ in one.spikes.values()), "spikes_brian2": sum(len(s) for s, _ in other.spikes.values()),
        "same_spikes_until": "the end" if apart is None else f"{apart * network.dt:g} s",
        "synapses": len(network.projection(projection).births.targets[0]),
        "died": one.died[projection], "died_brian2": other.died[projection], "same_survivors": same,
        "largest_difference": float(np.abs(w - x).max(initial=0.0)) if same else float("nan"),
    }  # fmt: skip


def _figure(run: Run, pairs: Mapping[str, tuple[Life, Life]]) -> Figure:
    figure = Figure(figsize=(6.6, 2.7 * len(pairs)), layout="constrained")
    panels = figure.subplots(len(pairs), 2, squeeze=False)
    for (left, right), (condition, (one, other)) in zip(panels, pairs.items(), strict=True):
        for k, name in enumerate(one.edges):
            if len(one.edges[name][2]) == len(other.edges[name][2]):
                left.plot(one.edges[name][2], other.edges[name][2], ".", ms=2, color=f"C{k}", label=name)
        left.axline((0, 0), slope=1, color="0.6", lw=0.7)
        left.set(xlabel="weight on biosim", ylabel="weight on Brian2", title=condition)
        left.legend(frameon=False, fontsize=7)
        name = next(iter(one.spikes))
        for life, engine, style in (
            (one, "biosim", {"marker": "o", "ms": 5, "mfc": "none"}),
            (other, "Brian2", {"marker": ".", "ms": 2.5}),
        ):
            step, neuron = life.spikes[name]
            shown = neuron < SHOWN
            right.plot(step[shown], neuron[shown], ls="", label=engine, **style)
        right.set(xlabel="time step", ylabel=f"{name}, neuron", title="spikes", ylim=(-1, min(SHOWN, neuron.max(initial=0) + 1)))
        right.legend(frameon=False, fontsize=7, loc="upper left")
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{run.name}: one replicate on two engines, the same input spikes", fontsize=9)
    return figure


if __name__ == "__main__":
    main(analyse, __file__)
