"""Development of a spiking network: run -> decide on a slow clock -> record.

A rule with spike events runs inside the engine; its ``synapse:`` lines and decisions run every ``decide_every``. A rule written
for rates runs unchanged on windows of activity of the same length: exponentially filtered rates in Hz, ``pre`` taken on arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch

from biosim.circuit import Circuit
from biosim.decisions import Site
from biosim.equations import Clock, Competition, Level, Rule, Sensed
from biosim.equations.vocabulary import GIVEN, SAMPLED
from biosim.errors import InputError, LocalityError
from biosim.schedule import Schedule
from biosim.spiking.decisions import SpikingSite
from biosim.spiking.network import Network, whole_steps
from biosim.spiking.recording import SpikingRecorder, death_times, entry_of, histograms
from biosim.spiking.simulation import Simulation
from biosim.spiking.slow import MOMENTS
from biosim.spiking.windows import ActivityFilter, Window
from biosim.statistics import RunningStatistics
from biosim.synapses import Network as DenseNetwork
from biosim.synapses import Population, Projection

__all__ = ["Progress", "SpikingDevelopment", "SpikingRecorder", "develop_spiking"]

MEMORY = 0.02  # the neurons' running mean and variance forget over this share of development
LARGEST = 1 << 26  # pairs of neurons in all replicates, up to which rate rules run on dense arrays
Progress = Callable[[int, int, dict[str, float]], None]


@dataclass
class SpikingDevelopment:
    """What :func:`develop_spiking` returns.

    Attributes
    ----------
    simulation : Simulation
        As development left it, ready to run on.
    history : SpikingRecorder
    level : Level
        The highest locality among the rules.
    histograms : dict
        By projection the edges of the bins and the counts, (R, bins), of the weights at the end.
    death_times : dict
        By projection, for each replicate the time (s) at which the synapse of every birth edge died; nan while it lives.
    """

    simulation: Simulation
    history: SpikingRecorder
    level: Level
    histograms: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]
    death_times: dict[str, list[npt.NDArray[np.float64]]]
    provenance: dict[str, Any]

    def circuit(self) -> Circuit:
        """Return the survivors as a circuit of dense masks and weights (what they transmit: ``scale*weight``)."""
        network, simulation = self.simulation.network, self.simulation
        pairs = sum(p.births.n_pre * p.births.n_post for p in network.projections) * len(simulation.seeds)
        if pairs > LARGEST:
            raise InputError(f"a circuit holds a mask over all pairs of neurons: {pairs} are too many (at most {LARGEST})")
        dense = {p.name: simulation.dense(p.name) for p in network.projections}
        place = {p.name: k for k, p in enumerate(network.populations)}
        loops = any(place[p.pre] >= place[p.post] for p in network.projections)
        ones = {p.name: np.ones((len(simulation.seeds), p.size), np.float32) for p in network.populations}
        return Circuit(
            tuple((p.name, p.size, "linear") for p in network.populations),
            tuple((p.name, p.pre, p.post) for p in network.projections),
            {n: alive for n, (_, alive) in dense.items()},
            {p.name: p.births.dense()[1] for p in network.projections},
            {p.name: dense[p.name][0] * np.float32(p.scale) for p in network.projections},
            ones,
            dict(self.provenance),
            2 if loops else 1,
        )


def develop_spiking(
    network: Network,
    rules: Mapping[str, Rule],
    duration: float,
    *,
    decide_every: float = 1.0,
    schedule: Schedule | None = None,
    seeds: Sequence[int] | None = None,
    recorder: SpikingRecorder | None = None,
    progress: Progress | None = None,
    precision: Literal["float32", "float64"] = "float32",
    threads: int = 1,
    workers: int | None = None,
    record: Sequence[str] | None = (),
    rate_cap: float = 300.0,
    tau_activity: float = 20e-3,
    sample_every: float = 5e-3,
    drive: Callable[[Simulation, int], None] | None = None,
) -> SpikingDevelopment:
    """Develop a spiking network: its plastic synapses learn, and those that a rule gives up are gone.

    Parameters
    ----------
    network : Network
    rules : mapping of str to Rule
        By projection; rules with spike events and rules written for rates may stand side by side.
    duration : float
        Seconds of development, a whole number of decisions.
    decide_every : float
        Seconds between two decisions: ``dt`` of ``synapse:`` lines, and the window of rate rules.
    schedule : Schedule, optional
        Needed by competitions; sets a floor to what conditions eliminate.
    seeds : sequence of int, optional
        One a replicate.
    recorder, progress : optional
    precision, threads, workers, record, rate_cap
        As in :class:`~biosim.spiking.simulation.Simulation`; no spikes are kept for you unless ``record`` names populations.
    tau_activity, sample_every : float
        Seconds; the filter of the rates that rate rules read, and how often they are sampled.
    drive : callable, optional
        Called with the simulation and the number of the decision before each stretch, to change rates of inputs.

    Raises
    ------
    InputError, LocalityError, NumericalError
        When rules and network do not fit, a rule is not local, or activity runs away.
    """
    steps = count_decisions(network, duration, decide_every)
    for name, rule in rules.items():
        check_rule(rule, name, schedule)
    windowed = [n for n, rule in rules.items() if _reads_activity(rule)]
    events = {n: rule for n, rule in rules.items() if n not in windowed}
    needed = {end for n in windowed for end in (network.projection(n).pre, network.projection(n).post)}
    kept = None if record is None else sorted({*record, *needed})
    simulation = Simulation(
        network, events, seeds, precision=precision, threads=threads, workers=workers, record=kept, duration=duration, rate_cap=rate_cap
    )
    sites = [SpikingSite(simulation, n, rule, decide_every, schedule) for n, rule in events.items()]
    rated = RatedSites(simulation, {n: rules[n] for n in windowed}, schedule, steps, tau_activity, sample_every, decide_every)
    recorder, before = recorder or SpikingRecorder(), {p.name: simulation.counts(p.name) for p in network.populations}
    since = 0.0
    for step in range(steps):
        if drive is not None:
            drive(simulation, step)
        simulation.run(decide_every)
        u = (step + 1) / steps
        for site in sites:
            site.decide(u)
        rated.decide(step, u)
        if not record and record is not None:
            rated.forget()
        if recorder.due(step, steps):
            entry, before = entry_of(simulation, rules, before, since, u)
            since = simulation.time
            recorder.add(entry)
            if progress is not None:
                progress(step + 1, steps, {"density": float(np.mean(entry["density"]))})
    for name, rule in rules.items():
        if rule.silence is not None:  # as with rates: what is silent in the end is gone
            simulation.eliminate(name, [~simulation.active(name, r) for r in range(len(simulation.seeds))])
    level = max([rule.level() for rule in rules.values()], default=Level.synapse)
    provenance = {"rule": ", ".join(r.name for r in rules.values()), "locality": level.name, "seeds": list(simulation.seeds)}
    return SpikingDevelopment(simulation, recorder, level, histograms(simulation, rules), death_times(simulation, rules), provenance)


def _reads_activity(rule: Rule) -> bool:
    return not rule.event_driven and bool(rule.coincidences or rule.traces or rule.names & (SAMPLED | set(MOMENTS)))


def count_decisions(network: Network, duration: float, decide_every: float) -> int:
    """Return how many decisions a development has.

    Raises
    ------
    InputError
        When it does not last a whole number of them, or one does not last a whole number of the network's steps.
    """
    whole_steps(decide_every, network.dt, "the time between two decisions", "decide_every")
    steps = round(duration / decide_every)
    if steps < 1 or abs(steps * decide_every - duration) > 1e-9 * duration:
        raise InputError(f"development must last a whole number of decisions of {decide_every:g} s, not {duration:g} s", ("duration",))
    return steps


def check_rule(rule: Rule, name: str, schedule: Schedule | None) -> None:
    """Raise an InputError where a spiking network cannot run the rule of the projection ``name``."""
    if taught := sorted(rule.names & GIVEN):
        raise InputError(f"rule '{rule.name}' reads {', '.join(taught)}, which a spiking network does not provide", ("rules", name))
    if rule.level() > Level.transport:
        raise LocalityError(f"rule '{rule.name}' is of level {rule.level().name}")
    if rule.regrow is not None:
        raise InputError(f"rule '{rule.name}' regrows synapses; those of a spiking network are gone when they die", ("rules", name))
    if schedule is None and any(isinstance(d, Competition) for d in rule.decisions.values()):
        raise InputError(f"synapses compete under '{rule.name}': a schedule says how many stay", ("schedule",))


class _Wiring:
    """What a site asks of a network: which projections share its neurons."""

    def __init__(self, projections: list[Projection]) -> None:
        self.projections = projections
        self.device = torch.device("cpu")

    def incoming(self, population: str) -> list[Projection]:
        return [p for p in self.projections if p.post.name == population]

    def outgoing(self, population: str) -> list[Projection]:
        return [p for p in self.projections if p.pre.name == population]


class RatedSites:
    """Rate rules on windows of spiking activity: the sites of the rate substrate, on dense copies of the projections."""

    def __init__(
        self,
        simulation: Simulation,
        rules: Mapping[str, Rule],
        schedule: Schedule | None,
        steps: int,
        tau: float,
        every: float,
        window: float,
    ) -> None:
        self.simulation, self.rules = simulation, rules
        if not rules:
            return
        pairs = sum(p.births.n_pre * p.births.n_post for p in simulation.network.projections if p.name in rules) * len(simulation.seeds)
        if pairs > LARGEST:
            raise InputError(f"rate rules work on all pairs of neurons at once: {pairs} are too many (at most {LARGEST})")
        samples = round(window / every)
        self.filter = ActivityFilter(simulation, list(rules), tau, every)
        self.clock = Clock(window / samples, samples, steps)
        names = frozenset().union(*(r.names for r in rules.values()))
        self.statistics = RunningStatistics(MEMORY * self.clock.duration) if names & set(MOMENTS) else None
        self.wiring = _Wiring([self._dense(n) for n in rules])
        with torch.inference_mode():
            self.sites = [self._site(p, rules[p.name], schedule, names) for p in self.wiring.projections]

    def _dense(self, name: str) -> Projection:
        p = self.simulation.network.projection(name)
        weight, born = p.births.dense()
        ends = Population(p.pre, p.births.n_pre, "linear"), Population(p.post, p.births.n_post, "linear")
        return Projection(name, *ends, torch.from_numpy(weight), torch.from_numpy(born))

    def _site(self, p: Projection, rule: Rule, schedule: Schedule | None, names: frozenset[str]) -> Site:
        plan = schedule or Schedule("critical-window", 1e-9, 0.0, 1.0)  # without a floor: conditions alone decide
        return Site(p, cast(DenseNetwork, self.wiring), rule, plan, self.clock, self.simulation.seeds, names=names)

    def decide(self, step: int, u: float) -> None:
        """Let the rules sense the last window, and carry what they decide over to the simulation."""
        if not self.rules:
            return
        window = self.filter.take()
        with torch.inference_mode():
            if self.statistics is not None:
                self.statistics.update({n: torch.from_numpy(v) for n, v in window.post.items()}, self.clock.dt)
            for site in self.sites:
                self._advance(site, window, step, u)

    def _advance(self, site: Site, window: Window, step: int, u: float) -> None:
        p = site.projection
        pre, post = torch.from_numpy(window.pre[p.name]), torch.from_numpy(window.post[p.post.name])
        site.advance(Sensed(pre, post, None, None, None, site.neurons(self.statistics), site.synapses, step), u)
        alive, active, weight = p.alive.numpy(), p.active.numpy(), p.weight.numpy()
        dead = []
        for r in range(len(self.simulation.seeds)):
            i, j, _ = self.simulation.edges(p.name, r)
            if site.rule.plastic:
                self.simulation.set_weights(p.name, r, weight[r, i, j])
            if site.rule.silence is not None:
                self.simulation.set_active(p.name, r, active[r, i, j])
            dead.append(~alive[r, i, j])
        self.simulation.eliminate(p.name, dead)

    def forget(self) -> None:
        """Drop spikes that were recorded for the rules only, once they have been read."""
        self.simulation.forget()
        if self.rules:
            self.filter.seen = [0 for _ in self.simulation.seeds]
