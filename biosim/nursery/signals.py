"""What reaches rules beside activity: teaching signals, the reward, and what came of the neurons' own noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from biosim.drives.base import Presentation
from biosim.equations import Clock, Rule
from biosim.equations.vocabulary import GIVEN, TAUGHT
from biosim.errors import InputError
from biosim.nursery.exploration import Exploration, Explorer
from biosim.nursery.feedback_learning import FeedbackLearner
from biosim.substrates import Substrate
from biosim.synapses import Network
from biosim.teaching import Feedback, readout_error, reward


@dataclass(frozen=True)
class Heard:
    """The signals of one step, by population where each neuron has its own; (R, S, size) and (R, S)."""

    teach: Mapping[str, Tensor] = field(default_factory=dict)
    reward: Tensor | None = None
    noise: Mapping[str, Tensor] = field(default_factory=dict)
    advantage: Tensor | None = None


def given(*rules: Rule | None) -> frozenset[str]:
    """Return which of the names that need labels any of the rules reads."""
    return frozenset().union(*(rule.names & GIVEN for rule in rules if rule is not None))


class Signals:
    """Computes, at each step, the signals that some rule reads, and only those.

    Parameters
    ----------
    rules : sequence of Rule
    network : Network
    substrate : Substrate
    feedback : Feedback or None
    exploration : Exploration
        Used when a rule reads ``noise_post`` or ``advantage``.
    clock : Clock
    seeds : sequence of int
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        network: Network,
        substrate: Substrate,
        feedback: Feedback | None,
        exploration: Exploration,
        clock: Clock,
        seeds: Sequence[int],
    ) -> None:
        self.rules, self.names, self.feedback = rules, given(*rules), feedback
        self.last = network.readout.name
        taught = bool(self.names & TAUGHT)
        learns = feedback is not None and taught and feedback.rule is not None
        self.learner = FeedbackLearner(feedback, feedback.rule, clock, seeds) if learns else None  # type: ignore[arg-type,union-attr]
        explores = bool(self.names & {"noise_post", "advantage"})
        self.explorer = Explorer(exploration, network, substrate, seeds) if explores else None

    def _teach(self, activity: Mapping[str, Tensor], error: Tensor) -> dict[str, Tensor]:
        """Return the teaching signals; without feedback the readout alone knows its error."""
        return {self.last: error} if self.feedback is None else self.feedback.carry(error, activity)

    def of(self, activity: Mapping[str, Tensor], output: Tensor, shown: Presentation, step: int) -> Heard:
        """Return the signals of a step, and let feedback learn from it."""
        if shown.labels is None:
            if self.names - ({"reward"} if shown.reward is not None else set()):
                names = ", ".join(f"'{r.name}'" for r in self.rules if r.names & self.names)
                raise InputError(f"rule {names} reads {', '.join(sorted(self.names))}, but the drive has no labels")
            return Heard(reward=shown.reward)
        teach = self._teach(activity, readout_error(output, shown.labels)) if self.names & TAUGHT else {}
        earned = shown.reward
        if earned is None and "reward" in self.names:
            earned = reward(output, shown.labels)
        if self.learner is not None:
            self.learner.learn(activity, teach, step)
        if self.explorer is None:
            return Heard(teach, earned)
        return Heard(teach, earned, *self.explorer.try_out(shown.inputs, shown.labels, activity, step))
