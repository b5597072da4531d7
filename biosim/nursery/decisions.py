"""Which synapses fall silent, die or come back: the decisions of a rule on all replicates of a projection, or on one alone."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.equations import Clock, Competition
from biosim.equations.compiled import CompiledRule
from biosim.equations.sensed import Known
from biosim.nursery.quotas import Quotas
from biosim.schedule import Schedule
from biosim.state import State, part
from biosim.synapses import Projection
from biosim.wiring.packed import Packed

SILENCES, ELIMINATIONS = 20_000, 500  # each is decided at most this many times over development


def due(clock: Clock, step: int, times: int) -> bool:
    """Whether a decision taken ``times`` times over development falls on this step; the last step always does."""
    return (step + 1) % max(1, round(clock.steps / times)) == 0 or step + 1 == clock.steps


class Decisions:
    """A rule at work on the synapses of a projection.

    Parameters
    ----------
    living : Projection
        With all replicates, or one alone.
    compiled : CompiledRule
        Of as many replicates.
    schedule : Schedule
    quotas : Quotas
    ties : (R,) uint32
        Keys of the draws that decide between equals.
    ageless : bool
        Whether every synapse is as old as the network.

    Attributes
    ----------
    living : Projection or Packed
        The synapses the rule works on: all those ever born, or the live ones of a replicate once they are few.
    """

    def __init__(
        self, living: Projection, compiled: CompiledRule, schedule: Schedule, quotas: Quotas, ties: npt.NDArray[np.uint32], ageless: bool
    ) -> None:
        self.living: Projection | Packed = living
        self.compiled, self.rule, self.schedule, self.quotas = compiled, compiled.rule, schedule, quotas
        self.ties, self.ageless = ties, ageless

    @property
    def synapses(self) -> dict[str, Tensor]:
        """Per-synapse values that the projection itself keeps, by the names that compiled rules read."""
        p = self.living
        own = {"weight": p.weight, "_since": p.silent_since}
        return own if self.ageless or isinstance(p, Packed) else own | {"_born": p.birth_step}

    def silence(self, known: Known, u: float) -> None:
        """Let synapses fall silent, and others be heard again."""
        decision, p = self.rule.silence, self.living
        if isinstance(decision, Competition):
            quota = self.quotas.at(self.schedule.active_target(u), decision.within)
            active = p.compete(self.compiled.scores("silence", known), p.alive, quota, self.ties, decision.within, known.step)
        else:
            active = ~self.compiled.holds("silence", known)
        p.silence(active, known.step)

    def eliminate(self, known: Known, u: float) -> bool:
        """Let synapses die, and those that live through it take it in; return whether any died."""
        decision, p = self.rule.eliminate, self.living
        if decision is None or not self.schedule.may_die(u):
            return False
        if isinstance(decision, Competition):
            quota = self.quotas.at(self.schedule.target(u), decision.within)
            victims = ~p.compete(self.compiled.scores("eliminate", known), p.alive, quota, self.ties, decision.within, known.step)
        else:
            victims = self._at_most(self.compiled.holds("eliminate", known) & p.alive, u, known)
        died = bool(p.eliminate(victims, known.step).any())
        if self.rule.survivors:
            self._survive(known)
        return died

    def _at_most(self, victims: Tensor, u: float, known: Known) -> Tensor:
        """Let no neuron fall below its quota: of too many candidates, only some die now.

        Those that rank lowest in the neuron's competition for activity, where the rule has one; else a
        random few.
        """
        p, step = self.living, known.step
        allowed = (p.count(p.alive) - self.quotas.at(self.schedule.target(u))).clamp(min=0)
        if bool((p.count(victims) <= allowed).all()):
            return victims
        if isinstance(self.rule.silence, Competition):
            scores = self.compiled.scores("silence", known)
            lowest = p.compete(scores.neg_(), victims, allowed, self.ties, "post", step)
            scores.neg_()  # turned back, to the bit, where they lie: a copy would be the size of all the weights
            return lowest
        return p.compete(p.uniform(self.ties, step), victims, allowed, self.ties, "post", step)

    def _survive(self, known: Known) -> None:
        """Run the survivors' lines for every synapse that lived through the decision, whether or not others died."""
        held, p = self.compiled.held, self.living
        arrays = [held.array(target, known.synapses) for target in {line.target for line in self.rule.survivors}]
        before = [array.clone() for array in arrays]
        self.compiled.survive(known)
        for array, old in zip(arrays, before, strict=True):
            array.copy_(torch.where(p.alive, array, old))
        p.refresh()

    def regrow(self, known: Known, u: float) -> Tensor | None:
        """Bring dead birth edges back; return which, (R, n_pre, n_post) bool, or None when none came back in any process."""
        decision, p = self.rule.regrow, self.living
        assert isinstance(p, Projection)  # what may regrow is never packed
        dead = p.vacant
        if isinstance(decision, Competition):
            living = p.count(p.alive, decision.within)
            missing = (self.quotas.at(self.schedule.target(u), decision.within) - living).clamp(min=0)
            newborn = p.compete(self.compiled.scores("regrow", known), dead, missing, self.ties, decision.within, known.step)
        else:
            newborn = dead & self.compiled.holds("regrow", known)
        return newborn if p.post.team.any(p.regrow(newborn, known.step) > 0) else None

    # -- packing --------------------------------------------------------------------------------
    def replicate(self, r: int) -> Decisions:
        """Return the decisions on replicate ``r`` alone."""
        assert isinstance(self.living, Projection)
        alone = copy.copy(self)
        alone.living, alone.compiled = self.living.replicate(r), self.compiled.replicate(r)
        alone.ties, alone.quotas = self.ties[r : r + 1], self.quotas.replicate(r)
        return alone

    def pack(self, projection: Projection, r: int) -> None:
        """Keep only the live synapses of replicate ``r``, which these are, once they are few."""
        if isinstance(self.living, Packed):
            stay = self.living.compress()
            if stay is not None:
                self.compiled.held.take(stay)
        elif self.living.sparse()[0]:
            self.living = projection.pack(r)
            self.compiled.held.pack(self.living)

    def state(self) -> State:
        """Return the state of the rule; structure is the projection's."""
        return {"packed": isinstance(self.living, Packed), "rule": self.compiled.held.state(self.rule.state)}

    def restore(self, state: State, projection: Projection, r: int) -> None:
        """Take a state over, that of replicate ``r`` where it is packed; the projection has taken over its own."""
        if state["packed"]:
            self.living = self.compiled.held.places = projection.packed[r]
        self.compiled.held.restore(part(state, "rule"), self.rule.state)
