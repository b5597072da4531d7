"""One projection under a rule: what its synapses sense, and which of them fall silent or die."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from biosim.equations import Clock, Competition, Expression, Rule
from biosim.equations.compiled import CompiledRule
from biosim.equations.sensed import Sensed
from biosim.nursery.plasticity import adopt
from biosim.nursery.statistics import RunningStatistics
from biosim.schedule import Schedule
from biosim.state import State, part
from biosim.streams import edge_streams
from biosim.synapses import Network, Projection
from biosim.wiring.packed import Packed

SILENCES, ELIMINATIONS = 20_000, 500  # each is decided at most this many times over development


class Site:
    """A rule bound to a projection.

    Parameters
    ----------
    projection : Projection
    network : Network
        Asked only for the degrees of the projection's own neurons.
    rule : Rule
    schedule : Schedule
    clock : Clock
    seeds : sequence of int
        One a replicate.
    names : set of str
        What other rules on the same projection read of its neurons.
    ageless : bool
        Whether every synapse is as old as the network; not where the rule regrows.
    alone : bool
        Whether nothing but this rule adds, loses or changes synapses: then the few left may be packed.

    Attributes
    ----------
    living : Projection or Packed
        The synapses the rule works on: all those ever born, or the live ones of a replicate once they are few.
    parts : list of Site
        Once one of several replicates is packed, the site of each; this one then only hands on to them.
    regrown : Tensor or None
        (R, n_pre, n_post) bool, the synapses that the last step's decision brought back.
    """

    def __init__(
        self,
        projection: Projection,
        network: Network,
        rule: Rule,
        schedule: Schedule,
        clock: Clock,
        seeds: Sequence[int],
        *,
        names: Set[str] = frozenset(),
        ageless: bool = True,
        alone: bool = True,
    ) -> None:
        self.projection, self.place, self.parts = projection, 0, list[Site]()
        self.regrown: Tensor | None = None
        self.living: Projection | Packed = projection
        self.network, self.rule = network, rule
        self.schedule, self.clock = schedule, clock
        self.names, self.ageless = rule.names | names, ageless and rule.regrow is None
        self.streams = edge_streams(tuple(seeds), f"rule/{projection.name}")
        self.ties = edge_streams(tuple(seeds), f"ties/{projection.name}")
        if not self.ageless:
            projection.birth_step = projection.birth_step.contiguous()
        self.births = {"post": projection.fan_in, "pre": projection.fan_out}
        self.final = {within: projection.quota(schedule.final, within) for within in self.births}
        span = projection.share.span
        self.compiled = CompiledRule(
            rule, projection.shape, clock, self.streams, network.device, projection.weight.dtype, self.ageless, span
        )
        self.compiled.initialise(self.synapses, self.neurons(None))
        self.fresh = torch.empty_like(projection.weight) if any(line.target == "weight" for line in rule.synapse) else None
        self.packable = alone and self.fresh is None and self.compiled.packable
        self.decisions = {name: self._compile(name, decision) for name, decision in rule.decisions.items()}
        if isinstance(rule.silence, Competition):
            self._silence(0.0, -1)
        self._pack()

    def _compile(self, name: str, decision: Any) -> Any:
        if isinstance(decision, Competition):
            return self.compiled.key(decision.by, f"_{name}")
        assert isinstance(decision, Expression)
        return self.compiled.condition(decision)

    @property
    def synapses(self) -> dict[str, Tensor]:
        """Per-synapse values the projection itself keeps."""
        if self.parts:
            return {}
        p = self.living
        own = {"weight": p.weight, "_since": p.silent_since}
        return own if self.ageless else own | {"_born": self.projection.birth_step}

    def quota(self, density: float, within: str = "post") -> Tensor:
        """Return how many synapses each neuron may keep while the target is ``density``, (R, n).

        ``max(final quota, floor(density * births))``: never below what the neuron keeps in the end, and
        never growing as the target falls, so that the final count is exact.
        """
        now = torch.floor(self.births[within].to(torch.float64) * density).to(torch.int64)
        return torch.maximum(now, self.final[within])

    def neurons(self, statistics: RunningStatistics | None) -> dict[str, Tensor]:
        """Return what the two neurons know of themselves, by name; only what rules read."""
        found: dict[str, Tensor] = {}
        for side, population in (("pre", self.projection.pre.name), ("post", self.projection.post.name)):
            if statistics is not None and population in statistics.mean:
                known = statistics.mean[population], statistics.variance[population]
                own = known if side == "pre" else [self.projection.share.own(values) for values in known]
                found |= zip((f"mean_{side}", f"var_{side}"), own, strict=True)
            ends = self.network.outgoing(population) if side == "pre" else self.network.incoming(population)
            if f"degree_{side}" in self.names:
                degrees = [p.share.total(p.degree("pre")) if side == "pre" else p.degree("post") for p in ends]
                found[f"degree_{side}"] = torch.stack(degrees).sum(0).float()
            if f"weight_sum_{side}" in self.names:
                found[f"weight_sum_{side}"] = torch.stack([p.summed(side) for p in ends]).sum(0)
        return found

    def advance(self, sensed: Sensed, u: float) -> bool:
        """Advance states by one step and take the decisions that are due; return whether structure changed."""
        if self.parts:
            changes = [part.advance(sensed.replicate(r, part.synapses), u) for r, part in enumerate(self.parts)]
            return any(changes)
        if self.fresh is None:
            self.compiled.step(sensed)
        else:
            self.fresh.copy_(self.projection.weight)
            self.compiled.step(replace(sensed, synapses={**sensed.synapses, "weight": self.fresh}))
            adopt(self.projection, self.fresh, self.rule, sensed.step)
        self.regrown, changed = None, False
        if self.rule.silence is not None and self._due(sensed.step, SILENCES):
            self._silence(u, sensed.step, sensed.neurons)
            changed = True
        if self._due(sensed.step, ELIMINATIONS):
            changed |= self._eliminate(u, sensed)
            if self.rule.regrow is not None:
                changed |= self._regrow(u, sensed)
            self._pack()
        return changed

    def _pack(self) -> None:
        """Keep only the live synapses, once they are few (the accelerator keeps them all)."""
        if isinstance(self.living, Packed):
            stay = self.living.compress()
            if stay is not None:
                self.compiled.take(stay)
        elif self.packable and any(self.living.sparse()):
            if self.projection.shape[0] > 1 and self.living is self.projection:
                self.parts = [self._replicate(r) for r in range(self.projection.shape[0])]
                self.compiled.arrays.clear()
                for part in self.parts:
                    part._pack()
            else:
                self.living = self.projection.pack(self.place)
                self.compiled.pack(self.living)

    def _replicate(self, r: int) -> Site:
        """Return the site of replicate ``r`` alone."""
        alone = copy.copy(self)
        alone.place, alone.parts, alone.living = r, [], self.projection.replicate(r)
        alone.compiled = self.compiled.replicate(r)
        alone.streams, alone.ties = self.streams[r : r + 1], self.ties[r : r + 1]
        alone.births, alone.final = ({n: v[r : r + 1] for n, v in counts.items()} for counts in (self.births, self.final))
        return alone

    def state(self) -> State:
        """Return the state of the rule, of each replicate by itself once one of them is packed; structure is the projection's."""
        if self.parts:
            return {"parts": {str(r): own.state() for r, own in enumerate(self.parts)}}
        return {"packed": isinstance(self.living, Packed), "rule": self.compiled.state()}

    def restore(self, state: State) -> None:
        """Take a state over, once the projection has taken over its own."""
        if "parts" in state:
            if not self.parts:
                self.parts = [self._replicate(r) for r in range(self.projection.shape[0])]
            for r, own in enumerate(self.parts):
                own.restore(part(part(state, "parts"), str(r)))
            self.compiled.arrays.clear()
            return
        if state["packed"]:
            self.living = self.projection.packed[self.place]
            self.compiled.layout = self.living
        self.compiled.restore(part(state, "rule"))

    def _due(self, step: int, times: int) -> bool:
        """Whether a decision taken ``times`` times over development falls on this step; the last step always does."""
        return (step + 1) % max(1, round(self.clock.steps / times)) == 0 or step + 1 == self.clock.steps

    # -- decisions ------------------------------------------------------------------------------
    def _scores(self, name: str, neurons: Mapping[str, Tensor], step: int) -> Tensor:
        key = self.decisions[name]
        if isinstance(key, str):
            return self.compiled.arrays.get(key, self.living.weight)
        self.compiled.run(key, self.synapses, neurons, step)
        return self.compiled.arrays[f"_{name}"]

    def _silence(self, u: float, step: int, neurons: Mapping[str, Tensor] | None = None) -> None:
        decision, p = self.rule.silence, self.living
        neurons = self.neurons(None) if neurons is None else neurons
        if isinstance(decision, Competition):
            quota = self.quota(self.schedule.active_target(u), decision.within)
            active = p.compete(self._scores("silence", neurons, step), p.alive, quota, self.ties, decision.within, step)
        else:
            active = ~self.compiled.decide(self.decisions["silence"], self.synapses, neurons, step)
        p.silence(active, step)

    def _eliminate(self, u: float, sensed: Sensed) -> bool:
        decision, p = self.rule.eliminate, self.living
        if decision is None or not self.schedule.may_die(u):
            return False
        if isinstance(decision, Competition):
            quota = self.quota(self.schedule.target(u), decision.within)
            scores = self._scores("eliminate", sensed.neurons, sensed.step)
            victims = ~p.compete(scores, p.alive, quota, self.ties, decision.within, sensed.step)
        else:
            victims = self.compiled.decide(self.decisions["eliminate"], self.synapses, sensed.neurons, sensed.step)
            victims = self._at_most(victims & p.alive, u, sensed)
        died = bool(p.eliminate(victims, sensed.step).any())
        if self.compiled.survivor_program is not None:
            self._survivors(sensed)
        return died

    def _at_most(self, victims: Tensor, u: float, sensed: Sensed) -> Tensor:
        """Let no neuron fall below its quota: of too many candidates, only some die now.

        Those that rank lowest in the neuron's competition for activity, where the rule has one; else a
        random few.
        """
        p = self.living
        allowed = (p.count(p.alive) - self.quota(self.schedule.target(u))).clamp(min=0)
        if bool((p.count(victims) <= allowed).all()):
            return victims
        if isinstance(self.rule.silence, Competition):
            scores = self._scores("silence", sensed.neurons, sensed.step)
            lowest = p.compete(scores.neg_(), victims, allowed, self.ties, "post", sensed.step)
            scores.neg_()  # turned back, to the bit, where they lie: a copy would be the size of all the weights
            return lowest
        return p.compete(p.uniform(self.ties, sensed.step), victims, allowed, self.ties, "post", sensed.step)

    def _survivors(self, sensed: Sensed) -> None:
        """Run the survivors' lines for every synapse that lived through the decision, whether or not others died."""
        program = self.compiled.survivor_program
        assert program is not None
        p = self.living
        targets = {line.target for line in self.rule.survivors}
        before = {t: self.compiled.array(t, self.synapses).clone() for t in targets}
        self.compiled.run(program, self.synapses, sensed.neurons, sensed.step)
        for target, old in before.items():
            array = self.compiled.array(target, self.synapses)
            array.copy_(torch.where(p.alive, array, old))
        p.refresh()

    def _regrow(self, u: float, sensed: Sensed) -> bool:
        decision, p = self.rule.regrow, self.projection
        dead = p.vacant
        if isinstance(decision, Competition):
            living = p.count(p.alive, decision.within)
            missing = (self.quota(self.schedule.target(u), decision.within) - living).clamp(min=0)
            scores = self._scores("regrow", sensed.neurons, sensed.step)
            newborn = p.compete(scores, dead, missing, self.ties, decision.within, sensed.step)
        else:
            newborn = dead & self.compiled.decide(self.decisions["regrow"], self.synapses, sensed.neurons, sensed.step)
        if not self.network.team.any(p.regrow(newborn, sensed.step) > 0):
            return False
        self.welcome(newborn, sensed.step)
        self.regrown = newborn
        return True

    def welcome(self, newborn: Tensor, step: int) -> None:
        """Give the states of newborn synapses their initial values."""
        self.compiled.reset(newborn, self.synapses, self.neurons(None), step)
