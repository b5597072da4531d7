"""A network under development: everything that changes from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.drives.base import Drive, Presentation
from biosim.equations import Rule
from biosim.equations.sensed import Sensed
from biosim.equations.vocabulary import Level
from biosim.errors import LocalityError
from biosim.homeostasis import Homeostasis, regulate
from biosim.nursery.exploration import Exploration
from biosim.nursery.fitting import check_fit, check_shapes
from biosim.nursery.growth import Growth, GrowthSite
from biosim.nursery.neurons import Mortality, NeuronDeath
from biosim.nursery.plasticity import PlasticSite
from biosim.nursery.sharing import check_shared
from biosim.nursery.signals import Heard, Signals
from biosim.nursery.site import Site
from biosim.nursery.statistics import MEMORY, RunningStatistics
from biosim.recorder import Recorder
from biosim.schedule import Schedule
from biosim.substrates import substrate_of
from biosim.substrates.recurrent import guard
from biosim.synapses import Network
from biosim.teaching import Feedback


class Nursery:
    """A network under development: everything that changes from step to step.

    The parameters are those of :func:`~biosim.develop.develop`, none of them optional. Use it to take steps one by one,
    inside ``torch.inference_mode()``.
    """

    def __init__(
        self,
        network: Network,
        drive: Drive,
        rule: Rule,
        schedule: Schedule,
        homeostasis: Sequence[Homeostasis],
        feedback: Feedback | None,
        seeds: tuple[int, ...],
        recorder: Recorder,
        plasticity: Rule | None = None,
        growth: Growth | None = None,
        neuron_death: NeuronDeath | None = None,
        readout: Rule | None = None,
        exploration: Exploration | None = None,
    ) -> None:
        self.network, self.drive, self.rule, self.schedule = network, drive, rule, schedule
        self.homeostasis, self.feedback, self.seeds, self.recorder = homeostasis, feedback, seeds, recorder
        self.plasticity, self.growth, self.neuron_death = plasticity, growth, neuron_death
        self.readout, self.last = readout, network.readout.name
        named = {"rule": rule, "plasticity": plasticity, "growth": growth.rule if growth else None, "readout": readout}
        present = {place: r for place, r in named.items() if r is not None}
        self.places, self.rules = list(present), list(present.values())
        self.substrate = substrate_of(network)
        self.level = self._check()
        self.signals = Signals(self.rules, network, self.substrate, feedback, exploration or Exploration(), drive.clock, seeds)
        names = frozenset().union(*(r.names for r in self.rules))
        reads = any(n.startswith(("mean_", "var_")) for n in names)
        asked = reads or any(getattr(m, "needs_mean", False) for m in homeostasis)
        self.statistics = RunningStatistics(MEMORY * drive.clock.duration) if asked else None
        if growth is not None:
            growth.begin(network, seeds)
        ageless = growth is None and rule.regrow is None
        alone = growth is None and plasticity is None and neuron_death is None
        own = {self.last: readout} if readout is not None else {}
        self.sites = [
            Site(p, network, own.get(p.post.name, rule), schedule, drive.clock, seeds, names=names, ageless=ageless, alone=alone)
            for p in network.projections.values()
        ]
        self.plastic, self.growing = self._others()
        self.mortality = Mortality(network, neuron_death) if neuron_death is not None else None
        regulate(network, homeostasis, {}, 0.0)

    def _others(self) -> tuple[list[PlasticSite], list[GrowthSite]]:
        """Bind plasticity and growth, where there are any, to the projection of each site."""
        plastic, growing = [], []
        clock, grower = self.drive.clock, self.growth.rule if self.growth else None
        for site in self.sites:
            p = site.projection
            if self.plasticity is not None:
                plastic.append(PlasticSite(p, self.plasticity, site.at_birth, clock, self.seeds, site.ageless))
            if self.growth is not None and grower is not None:
                growing.append(GrowthSite(p, self.growth, grower, site.at_birth, clock, self.seeds))
        return plastic, growing

    def _check(self) -> Level:
        """Return the highest level among the rules, or say what does not fit together."""
        network, drive, levels = self.network, self.drive, []
        for rule, place in zip(self.rules, self.places, strict=True):
            carried = self.feedback.level if self.feedback else Level.broadcast
            levels.append(rule.level(Level.neuron if place == "readout" else carried))
            if levels[-1] > Level.transport:
                raise LocalityError(f"rule '{rule.name}' is of level {levels[-1].name}; develop() takes rules up to transport")
            check_fit(rule, place, self.schedule, self.feedback is not None)
        check_shapes(network, self.substrate, drive, self.seeds)
        kind = self.feedback.kind if self.feedback is not None else None
        check_shared(network, self.rules, self.growth is not None, self.neuron_death is not None, kind)
        return max(levels)

    def step(self, number: int, shown: Presentation) -> dict[str, Tensor]:
        """Take step ``number`` (from 0); return the activity it began with."""
        activity = self.substrate.respond(shown.inputs)
        if self.network.settles:
            guard(self.network, activity, 1e12, f" at step {number}")
        heard = self._hear(activity, shown, number)
        if self.statistics is not None:
            self.statistics.update(activity, self.drive.clock.dt)
        u = (number + 1) / self.drive.clock.steps
        changed = False
        for k, site in enumerate(self.sites):
            pre, post = site.projection.pre.name, site.projection.post.name
            neurons = site.neurons(self.statistics)
            arriving = self.substrate.arriving(site.projection, activity)
            own = site.projection.share.own
            taught = own(heard.teach.get(post)), heard.teach.get(pre), heard.reward
            explored = own(heard.noise.get(post)), heard.advantage
            sensed = Sensed(arriving, own(activity[post]), *taught, neurons, site.synapses, number, *explored)
            if self.growing and (newborn := self.growing[k].advance(sensed, u)) is not None:
                site.welcome(newborn, number)
                if self.plastic:
                    self.plastic[k].welcome(newborn, sensed.known)
                changed = True
            changed |= site.advance(sensed, u)
            if self.plastic:
                if site.regrown is not None:
                    self.plastic[k].welcome(site.regrown, sensed.known)
                self.plastic[k].advance(sensed)
        changed |= self._neurons_die(activity, u, number)
        if self.network.team.any(changed) or self.statistics is not None:
            regulate(self.network, self.homeostasis, self._means(), self.drive.clock.dt)
        return activity

    def _neurons_die(self, activity: Mapping[str, Tensor], u: float, step: int) -> bool:
        """Let hidden neurons die, from when synapses may: a neuron that is still growing has yet to get its synapses."""
        if self.mortality is None:
            return False
        self.mortality.observe(activity, self.drive.clock.dt)
        grown = self.growth is None or self.growth.rule is None or u >= self.growth.until
        return grown and self.schedule.may_die(u) and self.mortality.strike(step)

    def _hear(self, activity: Mapping[str, Tensor], shown: Presentation, step: int) -> Heard:
        """Return the signals of a step, having recorded how many samples the readout got right."""
        output = activity[self.last]
        if shown.labels is not None:
            correct = (output.argmax(-1) == shown.labels).sum(1)
            self.recorder.saw(correct, shown.inputs.shape[1])
        return self.signals.of(activity, output, shown, step)

    def _means(self) -> Mapping[str, Tensor]:
        return self.statistics.mean if self.statistics is not None else {}

    def final_cut(self) -> npt.NDArray[np.float64]:
        """Eliminate what is alive but silent at the end; return its share of the births, (R,)."""
        cut = torch.zeros(self.network.replicates, dtype=torch.float64, device=self.network.device)
        for site in self.sites:
            if site.rule.silence is not None:
                p = site.projection
                cut += p.share.total(p.eliminate(~p.active, self.drive.clock.steps)).to(cut.device)
        if self.mortality is not None:
            self.mortality.strike(self.drive.clock.steps)
        regulate(self.network, self.homeostasis, self._means(), 0.0)
        return np.asarray((cut / self.network.born).cpu())
