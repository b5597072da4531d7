"""Synaptogenesis: an early phase in which synapses form, before or while others are lost.

Births are candidates, the synapses that could exist. A share of them exists at first; local equations
decide where the others form. A candidate that has not formed yet has ``death_step`` -3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biosim.equations import Clock, Competition, Rule
from biosim.equations.compiled import CompiledRule
from biosim.equations.sensed import Known, Sensed
from biosim.errors import InputError
from biosim.state import State, part
from biosim.streams import edge_streams, edge_uniform
from biosim.synapses import Network, Projection
from biosim.wiring.select import compete

UNFORMED = -3  # death_step of a candidate that has never existed
GROWTHS = 500  # synapses form at most this many times over development


@dataclass(frozen=True)
class Growth:
    """How many candidates exist at first, and how the others form.

    Under a competition neuron j has formed ``floor(g(u)*births_j)`` synapses at u,
    ``g(u) = start + (peak - start)*min(u/until, 1)``, and its exact share of ``round(peak*births)`` at the
    end; under a condition, every candidate for which it holds forms, as long as u <= until.

    Attributes
    ----------
    rule : Rule or None
        With the role ``growth``; None when the pruning rule regrows: what it does to lost births it does
        to candidates.
    start : float
        Share of the candidates that exists at first, drawn at random within each neuron, in (0, 1].
    until : float
        Share of development in which synapses form, in (0, 1].
    peak : float
        Share of the candidates that has formed by then, in [start, 1]; for competitions.
    """

    rule: Rule | None = None
    start: float = 0.2
    until: float = 0.2
    peak: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.start <= 1:
            raise InputError(f"the share that exists at first must lie in (0, 1], not {self.start}", ("start",))
        if not 0 < self.until <= 1:
            raise InputError(f"the share of development in which synapses form must lie in (0, 1], not {self.until}", ("until",))
        if not self.start <= self.peak <= 1:
            raise InputError(f"must lie between start ({self.start}) and 1, not {self.peak}", ("peak",))
        if self.rule is not None and self.rule.role != "growth":
            raise InputError(f"'{self.rule.name}' is a rule for {self.rule.role}, not for growth", ("rule",))

    def target(self, u: float) -> float:
        """Return the share of candidates that has formed when a fraction ``u`` of development has passed."""
        return self.start + (self.peak - self.start) * min(u / self.until, 1.0)

    def begin(self, network: Network, seeds: Sequence[int]) -> None:
        """Take back all but the share of the births that exists at first: those are exact in number."""
        for p in network.projections.values():
            streams = edge_streams(tuple(seeds), f"growth/first/{p.name}")
            lottery = edge_uniform(streams, 0, p.shape[1:], slice(None), p.weight.device)
            exist = compete(lottery, p.born, p.quota(self.start), streams, "post", p.name)
            p.alive.copy_(exist)
            p.active.copy_(exist)
            p.death_step.masked_fill_(p.born & ~exist, UNFORMED)
            p.birth_step = p.birth_step.contiguous()
            p.refresh()


class GrowthSite:
    """Growth bound to a projection."""

    def __init__(self, projection: Projection, growth: Growth, rule: Rule, known: Known, clock: Clock, seeds: Sequence[int]) -> None:
        self.projection, self.growth, self.clock = projection, growth, clock
        decision = rule.regrow
        assert decision is not None
        self.decision = decision
        self.within = decision.within if isinstance(decision, Competition) else "post"
        streams = edge_streams(tuple(seeds), f"growth/{projection.name}")
        self.ties = edge_streams(tuple(seeds), f"growth/ties/{projection.name}")
        self.compiled = CompiledRule(rule, projection.shape, clock, streams, projection.weight.device, projection.weight.dtype, False)
        self.compiled.initialise(known)
        self.births = projection.fan_in if self.within == "post" else projection.fan_out
        first, last = (projection.quota(share, self.within) for share in (growth.start, growth.peak))
        self.done = False
        self.final = torch.maximum(first, last)

    def advance(self, sensed: Sensed, u: float) -> Tensor | None:
        """Advance by one step; return the synapses that formed, (R, n_pre, n_post) bool, or None."""
        if self.done:
            return None
        self.compiled.step(sensed)
        self.done = u >= self.growth.until
        if not self.done and (sensed.step + 1) % max(1, round(self.clock.steps / GROWTHS)):
            return None
        p = self.projection
        unformed = p.death_step == UNFORMED
        candidate = unformed & p.vacant
        if isinstance(self.decision, Competition):
            scores = self.compiled.scores("regrow", sensed.known)
            newborn = compete(scores, candidate, self._missing(unformed, u), self.ties, self.within, p.name, sensed.step)
        else:
            newborn = candidate & self.compiled.holds("regrow", sensed.known)
        return newborn if p.regrow(newborn, sensed.step) else None

    def state(self) -> State:
        """Return the state of the rule, and whether growth is over."""
        return {"rule": self.compiled.held.state(self.compiled.rule.state), "done": self.done}

    def restore(self, state: State) -> None:
        """Take a state over."""
        self.compiled.held.restore(part(state, "rule"), self.compiled.rule.state)
        self.done = bool(state["done"])

    def _missing(self, unformed: Tensor, u: float) -> Tensor:
        """Return how many more synapses each neuron is to have formed by now."""
        formed = self.births - unformed.sum(1 if self.within == "post" else 2)
        now = torch.floor(self.births.to(torch.float64) * self.growth.target(u)).to(torch.int64)
        wanted = self.final if u >= self.growth.until else torch.minimum(now, self.final)
        return (wanted - formed).clamp(min=0)
