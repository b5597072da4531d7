"""Plastic development: weights change by local equations while synapses die.

The equations read what those of a pruning rule may read, and assign ``weight``. They run on a copy of
the weights, of which live synapses take theirs over: an eliminated synapse keeps the weight it died with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from biosim.equations import Clock, Rule
from biosim.equations.compiled import CompiledRule
from biosim.equations.sensed import Known, Sensed
from biosim.errors import NumericalError
from biosim.state import State
from biosim.streams import edge_streams
from biosim.synapses import Projection
from biosim.wiring import structure


class PlasticSite:
    """Plasticity bound to a projection.

    Parameters
    ----------
    projection : Projection
    rule : Rule
        With the role ``plasticity``.
    known : Known
        What the synapses know at birth.
    clock : Clock
    seeds : sequence of int
        One a replicate.
    ageless : bool
        Whether every synapse is as old as the network.
    """

    def __init__(self, projection: Projection, rule: Rule, known: Known, clock: Clock, seeds: Sequence[int], ageless: bool) -> None:
        self.projection = projection
        streams = edge_streams(tuple(seeds), f"plasticity/{projection.name}")
        device, dtype = projection.weight.device, projection.weight.dtype
        self.compiled = CompiledRule(rule, projection.shape, clock, streams, device, dtype, ageless, projection.share.span)
        self.compiled.initialise(known)
        self.fresh = torch.empty_like(projection.weight)

    def advance(self, sensed: Sensed) -> None:
        """Change the weights of live synapses by what they sensed in one step.

        Raises
        ------
        NumericalError
            When a weight runs away, naming the projection and the step.
        """
        self.fresh.copy_(self.projection.weight)
        self.compiled.step(replace(sensed, synapses={**sensed.synapses, "weight": self.fresh}))
        adopt(self.projection, self.fresh, self.compiled.rule, sensed.step)

    def state(self) -> State:
        """Return the state of the rule; weights are the projection's."""
        return self.compiled.held.state(self.compiled.rule.state)

    def restore(self, state: State) -> None:
        """Take a state over."""
        self.compiled.held.restore(state, self.compiled.rule.state)

    def welcome(self, newborn: torch.Tensor, known: Known) -> None:
        """Give the states of newborn synapses their initial values."""
        self.compiled.reset(newborn, known)


def adopt(projection: Projection, fresh: torch.Tensor, rule: Rule, step: int) -> None:
    """Give the live synapses of a projection their ``fresh`` weights, or raise when one of those ran away."""
    p = projection
    if not structure.adopt(fresh, p.alive, p.active, p.weight, p.effective):
        raise NumericalError(f"weights of '{p.name}' ran away at step {step} under '{rule.name}': lower its rate")
