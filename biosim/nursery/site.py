"""One projection under a rule: what its synapses sense, and what the rule does to them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from biosim.equations import Clock, Competition, Rule
from biosim.equations.compiled import CompiledRule
from biosim.equations.sensed import Known, Sensed
from biosim.nursery.decisions import ELIMINATIONS, SILENCES, Decisions, due
from biosim.nursery.plasticity import adopt
from biosim.nursery.quotas import Quotas
from biosim.nursery.statistics import RunningStatistics
from biosim.schedule import Schedule
from biosim.state import State, part
from biosim.streams import edge_streams
from biosim.synapses import Projection


class Neighbours(Protocol):
    """What a site asks of its network: which projections share its neurons."""

    def incoming(self, population: str) -> list[Projection]:
        """Return the projections that end in a population."""
        ...

    def outgoing(self, population: str) -> list[Projection]:
        """Return the projections that start in a population."""
        ...


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
    decisions : list of Decisions
        On all replicates together, or on each by itself once one of them is packed.
    regrown : Tensor or None
        (R, n_pre, n_post) bool, the synapses that the last step's decision brought back.
    """

    def __init__(
        self,
        projection: Projection,
        network: Neighbours,
        rule: Rule,
        schedule: Schedule,
        clock: Clock,
        seeds: Sequence[int],
        *,
        names: Set[str] = frozenset(),
        ageless: bool = True,
        alone: bool = True,
    ) -> None:
        self.projection, self.network, self.rule, self.clock = projection, network, rule, clock
        self.regrown: Tensor | None = None
        self.names, self.ageless = rule.names | names, ageless and rule.regrow is None
        if not self.ageless:
            projection.birth_step = projection.birth_step.contiguous()
        streams, ties = (edge_streams(tuple(seeds), f"{use}/{projection.name}") for use in ("rule", "ties"))
        like = projection.weight
        compiled = CompiledRule(rule, projection.shape, clock, streams, like.device, like.dtype, self.ageless, projection.share.span)
        self.decisions = [Decisions(projection, compiled, schedule, Quotas.of(projection, schedule.final), ties, self.ageless)]
        compiled.initialise(self.at_birth)
        self.fresh = torch.empty_like(like) if any(line.target == "weight" for line in rule.synapse) else None
        self.packable = alone and self.fresh is None and compiled.packable
        if isinstance(rule.silence, Competition):
            self.decisions[0].silence(self.at_birth, 0.0)
        self._pack()

    @property
    def synapses(self) -> dict[str, Tensor]:
        """Per-synapse values the projection itself keeps; each replicate's own once they are apart."""
        return self.decisions[0].synapses if len(self.decisions) == 1 else {}

    @property
    def at_birth(self) -> Known:
        """What the synapses know before the first step."""
        return Known(self.synapses, self.neurons(None), -1)

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
        if len(self.decisions) == 1:
            changed = self._advance(self.decisions[0], sensed, u)
        else:
            changes = [self._advance(own, sensed.replicate(r, own.synapses), u) for r, own in enumerate(self.decisions)]
            changed = any(changes)
        if due(self.clock, sensed.step, ELIMINATIONS):
            self._pack()
        return changed

    def _advance(self, own: Decisions, sensed: Sensed, u: float) -> bool:
        if self.fresh is None:
            own.compiled.step(sensed)
        else:
            self.fresh.copy_(self.projection.weight)
            own.compiled.step(replace(sensed, synapses={**sensed.synapses, "weight": self.fresh}))
            adopt(self.projection, self.fresh, self.rule, sensed.step)
        self.regrown, changed, known = None, False, sensed.known
        if self.rule.silence is not None and due(self.clock, sensed.step, SILENCES):
            own.silence(known, u)
            changed = True
        if due(self.clock, sensed.step, ELIMINATIONS):
            changed |= own.eliminate(known, u)
            if self.rule.regrow is not None:
                self.regrown = own.regrow(known, u)
                if self.regrown is not None:
                    self.welcome(self.regrown, sensed.step)
                    changed = True
        return changed

    def welcome(self, newborn: Tensor, step: int) -> None:
        """Give the states of newborn synapses their initial values."""
        self.decisions[0].compiled.reset(newborn, replace(self.at_birth, step=step))

    # -- packing and checkpoints ----------------------------------------------------------------
    def _pack(self) -> None:
        """Keep only the live synapses, once they are few (the accelerator keeps them all)."""
        if not self.packable:
            return
        if len(self.decisions) < self.projection.shape[0] and any(self.projection.sparse()):
            self._divide()
        if len(self.decisions) == self.projection.shape[0]:
            for r, own in enumerate(self.decisions):
                own.pack(self.projection, r)

    def _divide(self) -> None:
        """From here on, decide on each replicate by itself."""
        whole = self.decisions[0]
        self.decisions = [whole.replicate(r) for r in range(self.projection.shape[0])]
        whole.compiled.held.arrays.clear()

    def state(self) -> State:
        """Return the state of the rule, of each replicate by itself once one of them is packed; structure is the projection's."""
        if len(self.decisions) == 1:
            return self.decisions[0].state()
        return {"parts": {str(r): own.state() for r, own in enumerate(self.decisions)}}

    def restore(self, state: State) -> None:
        """Take a state over, once the projection has taken over its own."""
        if "parts" not in state:
            self.decisions[0].restore(state, self.projection, 0)
            return
        if len(self.decisions) == 1:
            self._divide()
        for r, own in enumerate(self.decisions):
            own.restore(part(part(state, "parts"), str(r)), self.projection, r)
