"""Feedback that learns: the synapses of the feedback wiring follow equations of their own.

A feedback synapse leads from a later population (its ``pre``) to an earlier one (its ``post``); its rule has the
role ``feedback``, assigns ``weight``, and reads what any local rule may read. ``during`` says when it learns:

- ``activity``: from what the two neurons do, and are taught, while the drive is on;
- ``noise``: in phases without input, in which one hidden population after the other sends independent noise
  xi = +-1 forward through its active synapses; ``post`` is then xi and ``pre`` what it makes the later neurons do.

No forward weight is read: a feedback synapse sees its two neurons only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from biosim.equations import Clock, Rule
from biosim.equations.compiled import CompiledRule
from biosim.equations.sensed import Known, Sensed
from biosim.state import State, fill, part
from biosim.streams import edge_streams, edge_uniform
from biosim.substrates.activation import activate
from biosim.synapses import Network, Projection
from biosim.teaching import Feedback

SAMPLES = 128  # moments of noise in one noise phase


class FeedbackLearner:
    """The learning of all feedback projections of one network.

    Parameters
    ----------
    feedback : Feedback
        Of a kind that learns; its wiring changes in place.
    rule : Rule
        With the role ``feedback``.
    clock : Clock
    seeds : sequence of int
        One a replicate.
    """

    def __init__(self, feedback: Feedback, rule: Rule, clock: Clock, seeds: Sequence[int]) -> None:
        self.feedback, self.rule, self.network = feedback, rule, feedback.network
        phase = Clock(clock.dt / SAMPLES, SAMPLES, clock.steps) if rule.during == "noise" else clock
        self.streams = {n: edge_streams(tuple(seeds), f"feedback noise/{n}") for n in feedback.hidden}
        self.compiled = {}
        for (source, target), weight in feedback.wiring.items():
            streams = edge_streams(tuple(seeds), f"feedback/{source}-{target}")
            shape = (weight.shape[0], weight.shape[1], weight.shape[2])
            compiled = CompiledRule(rule, shape, phase, streams, weight.device, weight.dtype)
            compiled.initialise(Known({"weight": weight}, {}, -1))
            self.compiled[source, target] = compiled

    def learn(self, activity: Mapping[str, Tensor], teach: Mapping[str, Tensor], step: int) -> None:
        """Change the feedback weights by one step."""
        if self.rule.during == "noise":
            self._mirror(step)
            return
        for (source, target), compiled in self.compiled.items():
            self._advance(compiled, (source, target), activity[source], activity[target], teach, step)

    def state(self) -> State:
        """Return the wiring, and the state of its rule."""
        pairs = {f"{source}>{target}": key for key in self.compiled for source, target in [key]}
        return {
            "weight": {name: self.feedback.wiring[key] for name, key in pairs.items()},
            "rule": {name: self.compiled[key].held.state(self.rule.state) for name, key in pairs.items()},
        }

    def restore(self, state: State) -> None:
        """Take wiring and states over."""
        for (source, target), compiled in self.compiled.items():
            name = f"{source}>{target}"
            fill(self.feedback.wiring[source, target], part(state, "weight").get(name), name)
            compiled.held.restore(part(part(state, "rule"), name), self.rule.state)

    def _mirror(self, step: int) -> None:
        for target in self.feedback.hidden:
            size = self.network.populations[target].size
            uniform = edge_uniform(self.streams[target], step, (SAMPLES, size), slice(None), self.network.device)
            noise = torch.where(uniform < 0.5, -1.0, 1.0)
            for projection in self.network.outgoing(target):
                key = (projection.post.name, target)
                if key in self.compiled and not projection.recurrent:
                    self._advance(self.compiled[key], key, self._response(self.network, projection, noise), noise, {}, step)

    @staticmethod
    def _response(network: Network, projection: Projection, noise: Tensor) -> Tensor:
        """Return what the noise makes the later population do, everybody else silent."""
        later = network.populations[projection.post.name]
        return activate(projection.transmit(noise) * later.gain.unsqueeze(1), later.activation)

    def _advance(
        self, compiled: CompiledRule, key: tuple[str, str], pre: Tensor, post: Tensor, teach: Mapping[str, Tensor], step: int
    ) -> None:
        synapses = {"weight": self.feedback.wiring[key]}
        source, target = key
        compiled.step(Sensed(pre, post, teach.get(target), teach.get(source), None, {}, synapses, step))
