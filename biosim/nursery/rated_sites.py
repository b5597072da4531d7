"""Rate rules on spiking activity: the sites of the rate substrate, on windows of exponentially filtered rates."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from biosim.equations import Clock, Rule
from biosim.equations.sensed import Sensed
from biosim.errors import InputError
from biosim.nursery.site import Site
from biosim.nursery.statistics import MEMORY, RunningStatistics
from biosim.schedule import Schedule
from biosim.spiking.simulation import Simulation
from biosim.spiking.slow import MOMENTS
from biosim.spiking.windows import ActivityFilter, Window
from biosim.state import State, part
from biosim.synapses import Population, Projection

LARGEST = 1 << 26  # pairs of neurons in all replicates, up to which rate rules run on dense arrays


class _Wiring:
    """Which of the dense projections share their neurons."""

    def __init__(self, projections: list[Projection]) -> None:
        self.projections = projections

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
        return Site(p, self.wiring, rule, plan, self.clock, self.simulation.seeds, names=names)

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

    def state(self) -> State:
        """Return the state of every site, and the rates as filtered so far; all of it empty without rules."""
        if not self.rules:
            return {}
        kept: State = {"filter": self.filter.state(), "sites": {s.projection.name: s.state() for s in self.sites}}
        kept["projections"] = {p.name: p.state() for p in self.wiring.projections}
        return kept if self.statistics is None else kept | {"statistics": self.statistics.state()}

    def restore(self, state: State) -> None:
        """Take a state over, once the simulation has taken over its own."""
        if not self.rules:
            return
        self.filter.restore(part(state, "filter"))
        with torch.inference_mode():
            for site in self.sites:
                site.projection.restore(part(part(state, "projections"), site.projection.name))
                site.restore(part(part(state, "sites"), site.projection.name))
            if self.statistics is not None:
                sizes = {n: self.simulation.network.population(n).size for n in self.filter.populations}
                like = {n: torch.zeros(len(self.simulation.seeds), size) for n, size in sizes.items()}
                self.statistics.restore(part(state, "statistics"), like)
