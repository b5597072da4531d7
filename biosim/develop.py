"""The one loop: a network develops by losing synapses, each decision taken locally.

drive -> substrate -> activity -> coincidences and state -> silence -> eliminate -> survivors ->
regrow -> homeostasis -> record. The whole of it runs in torch's inference mode: no gradient can exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim import between_steps
from biosim.between_steps import Progress
from biosim.circuit import Circuit
from biosim.decisions import Site
from biosim.drives.base import Drive, Presentation
from biosim.equations import Rule, Sensed
from biosim.equations.vocabulary import Level
from biosim.errors import InputError, LocalityError
from biosim.exploration import Exploration
from biosim.fitting import check_fit, check_shapes
from biosim.growth import Growth, GrowthSite
from biosim.homeostasis import Homeostasis, InDegree, regulate
from biosim.neurons import Mortality, NeuronDeath
from biosim.plasticity import PlasticSite
from biosim.recorder import Recorder
from biosim.schedule import Schedule
from biosim.sharing import check_shared, survivor_of
from biosim.signals import Heard, Signals
from biosim.state import Keeper
from biosim.statistics import RunningStatistics
from biosim.substrates import substrate_of
from biosim.substrates.recurrent import guard
from biosim.synapses import Network
from biosim.teaching import Feedback

MEMORY = 0.02  # the neurons' running mean and variance forget over this share of development


@dataclass
class Development:
    """What :func:`develop` returns.

    Attributes
    ----------
    survivor : Circuit or None
        The frozen survivor; where processes share the network, the first one has it.
    history : Recorder
    level : Level
        The highest locality among the rules, with the feedback they were given.
    final_cut : ndarray
        (R,) share of birth synapses that were alive but silent at the end and were eliminated then.
    network : Network
        As development left it, with ``death_step`` of every birth synapse.
    """

    survivor: Circuit | None
    history: Recorder
    level: Level
    final_cut: npt.NDArray[np.float64]
    network: Network

    @property
    def circuit(self) -> Circuit:
        """The frozen survivor; an InputError in any but the first of several processes."""
        if self.survivor is None:
            raise InputError("the circuit is with the first of the processes that share the network")
        return self.survivor

    @property
    def peak_density(self) -> npt.NDArray[np.float64]:
        """(R,) largest share of birth synapses alive at any of the moments recorded."""
        return np.asarray(np.max([record["density"] for record in self.history.records], axis=0))


def develop(
    network: Network,
    drive: Drive,
    rule: Rule,
    *,
    schedule: Schedule | None = None,
    homeostasis: Sequence[Homeostasis] | None = None,
    feedback: Feedback | None = None,
    seeds: Sequence[int] | None = None,
    recorder: Recorder | None = None,
    progress: Progress | None = None,
    plasticity: Rule | None = None,
    growth: Growth | None = None,
    neuron_death: NeuronDeath | None = None,
    readout: Rule | None = None,
    exploration: Exploration | None = None,
    keeper: Keeper | None = None,
) -> Development:
    """Develop ``network`` in place under a local rule.

    Parameters
    ----------
    network : Network
        As born. It is changed: synapses die.
    drive : Drive
        What it is shown, and for how long.
    rule : Rule
        Its equations decide; its locality must not exceed *transport*.
    schedule : Schedule, optional
        When synapses may die and how many.
    homeostasis : sequence of Homeostasis, optional
        Gain by in-degree when left out; ``[]`` for none.
    feedback : Feedback, optional
        Fills ``teach_post``; needed by rules that read it.
    seeds : sequence of int, optional
        Search seed of each replicate (data order, draws inside the rule); 0, 1, ... when left out.
    recorder, progress : optional
    plasticity : Rule, optional
        Equations that change the weights of live synapses; frozen as born when left out.
    growth : Growth, optional
        Births are candidates and form early in development; all exist from the start when left out.
    neuron_death : NeuronDeath, optional
        Hidden neurons die too; none does when left out.
    readout : Rule, optional
        Decides on the synapses that end in the readout, in place of ``rule``. Readout neurons are taught their
        own error; no feedback is needed to carry it.
    exploration : Exploration, optional
        How neurons explore under rules that read ``noise_post`` or ``advantage``.
    keeper : Keeper, optional
        Keeps checkpoints; development goes on from the one it has, and what was shown before is drawn again, unused.

    Returns
    -------
    Development

    Raises
    ------
    LocalityError
        When the rule reads more than a local rule may.
    InputError
        When rule, drive, feedback and substrate do not fit together.
    NumericalError
        On NaN or runaway activity, naming the population and the step.
    """
    seeds = tuple(seeds) if seeds is not None else tuple(range(network.replicates))
    mechanisms = [InDegree()] if homeostasis is None else list(homeostasis)
    recorder = recorder or Recorder()
    with torch.inference_mode():
        others = (plasticity, growth, neuron_death, readout, exploration)
        nursery = Nursery(network, drive, rule, schedule or Schedule(), mechanisms, feedback, seeds, recorder, *others)
        begin = nursery.resume(keeper) if keeper is not None else 0
        for step, shown in enumerate(islice(drive.presentations(seeds, network.device), begin, None), begin):
            activity = nursery.step(step, shown)
            if recorder.due(step, drive.clock.steps):
                between_steps.record(nursery, activity, step, progress)
            if keeper is not None:
                keeper.offer(lambda taken=step + 1: between_steps.state(nursery, taken))  # type: ignore[misc]
        final_cut = nursery.final_cut()
    provenance = {"rule": rule.name, "locality": nursery.level.name, "seeds": list(seeds)}
    if plasticity is not None:
        provenance["plasticity"] = plasticity.name
    if readout is not None:
        provenance["readout"] = readout.name
    return Development(survivor_of(network, provenance), recorder, nursery.level, final_cut, network)


class Nursery:
    """A network under development: everything that changes from step to step.

    The parameters are those of :func:`develop`, none of them optional. Use it to take steps one by one,
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
        self.readout, self.last = readout, next(reversed(network.populations))
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
            at_birth = Sensed(p.weight, p.weight, None, None, None, site.neurons(None), site.synapses, -1)
            if self.plasticity is not None:
                plastic.append(PlasticSite(p, self.plasticity, at_birth, clock, self.seeds, site.ageless))
            if self.growth is not None and grower is not None:
                growing.append(GrowthSite(p, self.growth, grower, at_birth, clock, self.seeds))
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

    def resume(self, keeper: Keeper) -> int:
        """Take over the state that was kept, if any; return the steps that had been taken."""
        taken: list[int] = []
        keeper.load(lambda kept: taken.append(between_steps.restore(self, kept)))
        return taken[0] if taken else 0

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
                    self.plastic[k].welcome(newborn, sensed)
                changed = True
            changed |= site.advance(sensed, u)
            if self.plastic:
                if site.regrown is not None:
                    self.plastic[k].welcome(site.regrown, sensed)
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
        output = activity[next(reversed(self.network.populations))]
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
