"""Development of a spiking network: run -> decide on a slow clock -> record.

A rule with spike events runs inside the engine; its ``synapse:`` lines and decisions run every ``decide_every``. A rule written
for rates runs unchanged on windows of activity of the same length: exponentially filtered rates in Hz, ``pre`` taken on arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.equations import Level, Rule
from biosim.equations.vocabulary import GIVEN, SAMPLED
from biosim.errors import InputError, LocalityError
from biosim.nursery.rated_sites import LARGEST, RatedSites
from biosim.progress import Progress
from biosim.schedule import Schedule
from biosim.spiking.decisions import SpikingSite, check_schedule
from biosim.spiking.network import Network, whole_steps
from biosim.spiking.plan import check_regrowth
from biosim.spiking.recording import SpikingRecorder, death_times, entry_of, histograms
from biosim.spiking.simulation import Simulation
from biosim.spiking.slow import MOMENTS
from biosim.spiking.state import restore as restore_simulation
from biosim.spiking.state import state as state_of_simulation
from biosim.state import Keeper, State, array, part

__all__ = ["Progress", "SpikingDevelopment", "SpikingRecorder", "develop_spiking"]


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
    keeper: Keeper | None = None,
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
    keeper : Keeper, optional
        Keeps checkpoints between decisions; development goes on from the one it has.

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
    sites = [SpikingSite(simulation, n, decide_every, schedule) for n in events]
    rated = RatedSites(simulation, {n: rules[n] for n in windowed}, schedule, steps, tau_activity, sample_every, decide_every)
    nursery = _Nursery(simulation, sites, rated, recorder or SpikingRecorder())
    if keeper is not None:
        keeper.load(nursery.restore)
    for step in range(nursery.taken, steps):
        if drive is not None:
            drive(simulation, step)
        simulation.run(decide_every)
        u = (step + 1) / steps
        for site in sites:
            site.decide(u)
        rated.decide(step, u)
        if not record and record is not None:
            rated.forget()
        nursery.taken = step + 1
        if nursery.recorder.due(step, steps):
            density = nursery.record(rules, u)
            if progress is not None:
                progress(step + 1, steps, {"density": density})
        if keeper is not None:
            keeper.offer(nursery.state)
    for name, rule in rules.items():
        if rule.silence is not None:  # as with rates: what is silent in the end is gone
            simulation.eliminate(name, [~simulation.active(name, r) for r in range(len(simulation.seeds))])
    level = max([rule.level() for rule in rules.values()], default=Level.synapse)
    provenance = {"rule": ", ".join(r.name for r in rules.values()), "locality": level.name, "seeds": list(simulation.seeds)}
    return SpikingDevelopment(
        simulation, nursery.recorder, level, histograms(simulation, rules), death_times(simulation, rules), provenance
    )


class _Nursery:
    """A spiking network under development, and what is taken of it between two decisions."""

    def __init__(self, simulation: Simulation, sites: Sequence[SpikingSite], rated: RatedSites, recorder: SpikingRecorder) -> None:
        self.simulation, self.sites, self.rated, self.recorder = simulation, sites, rated, recorder
        self.before = {p.name: simulation.counts(p.name) for p in simulation.network.populations}
        self.since, self.taken = 0.0, 0

    def record(self, rules: Mapping[str, Rule], u: float) -> float:
        """Make a record; return the mean density."""
        entry, self.before = entry_of(self.simulation, rules, self.before, self.since, u)
        self.since = self.simulation.time
        self.recorder.add(entry)
        return float(np.mean(entry.get("density", [1.0])))

    def state(self) -> State:
        """Return all that has changed in the decisions taken."""
        return {
            "taken": self.taken,
            "since": self.since,
            "before": dict(self.before),
            "records": self.recorder.records,
            "simulation": state_of_simulation(self.simulation),
            "sites": {s.projection: s.state() for s in self.sites},
            "rated": self.rated.state(),
        }

    def restore(self, state: State) -> None:
        """Take a state over."""
        restore_simulation(self.simulation, part(state, "simulation"))
        for site in self.sites:
            site.restore(part(part(state, "sites"), site.projection))
        self.rated.restore(part(state, "rated"))
        self.before = {n: array(part(state, "before").get(n), now.dtype, now.shape, "before").copy() for n, now in self.before.items()}
        self.recorder.records[:] = list(state["records"])
        self.since, self.taken = float(state["since"]), int(state["taken"])


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
    check_regrowth(rule, name)
    check_schedule(rule, schedule)
