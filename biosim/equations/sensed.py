"""What synapses sense: the only way from a substrate to a rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Known:
    """What a synapse knows whether or not anybody is active: of itself, of its two neurons, of the time.

    Attributes
    ----------
    synapses : mapping
        ``weight``, ``_since`` (step at which it fell silent, inf while active) and, under a rule that
        regrows, ``_born`` (step of birth); (R, n_pre, n_post).
    neurons : mapping
        ``mean_pre`` and the like, (R, n).
    step : int
        -1 at birth.
    """

    synapses: Mapping[str, Tensor]
    neurons: Mapping[str, Tensor]
    step: int


@dataclass
class Sensed:
    """Everything the synapses of one projection can sense in one step, and nothing else.

    Attributes
    ----------
    pre, post : Tensor
        Activity, (R, S, n_pre) and (R, S, n_post).
    teach_post, teach_pre : Tensor or None
        Teaching signal that arrived at each neuron, (R, S, n_post) and (R, S, n_pre); inputs get none.
    reward : Tensor or None
        One scalar a sample, (R, S).
    neurons, synapses, step
        As :class:`Known`.
    noise_post : Tensor or None
        Each postsynaptic neuron's own noise, (R, S, n_post), for rules that explore.
    advantage : Tensor or None
        One scalar a sample, (R, S), for rules that explore.
    """

    pre: Tensor
    post: Tensor
    teach_post: Tensor | None
    teach_pre: Tensor | None
    reward: Tensor | None
    neurons: Mapping[str, Tensor]
    synapses: Mapping[str, Tensor]
    step: int
    noise_post: Tensor | None = None
    advantage: Tensor | None = None

    @property
    def known(self) -> Known:
        """The part of it that does not come from activity."""
        return Known(self.synapses, self.neurons, self.step)

    def replicate(self, r: int, synapses: Mapping[str, Tensor]) -> Sensed:
        """Return what the synapses of replicate ``r`` alone sense; their own values are given."""

        def own(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[r : r + 1]

        sides = self.pre[r : r + 1], self.post[r : r + 1]
        neurons = {name: value[r : r + 1] for name, value in self.neurons.items()}
        taught = own(self.teach_post), own(self.teach_pre), own(self.reward)
        return Sensed(*sides, *taught, neurons, synapses, self.step, own(self.noise_post), own(self.advantage))

    def sampled(self) -> dict[str, Tensor]:
        """Return what a sum over samples may read, by name, broadcastable to (R, S, n); neurons that nothing teaches hear 0."""
        values = {"pre": self.pre, "post": self.post}
        untaught = self.pre.new_zeros(()).expand_as(self.pre) if self.teach_pre is None else self.teach_pre
        own = {"teach_post": self.teach_post, "teach_pre": untaught, "noise_post": self.noise_post}
        whole = {"reward": self.reward, "advantage": self.advantage}
        values |= {n: v for n, v in own.items() if v is not None} | {n: v.unsqueeze(-1) for n, v in whole.items() if v is not None}
        return values | {n: v.unsqueeze(1) for n, v in self.neurons.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Return what changes from step to step, by name; the synapses' own values lie where they are."""
        named = {n: getattr(self, n) for n in ("pre", "post", "teach_post", "teach_pre", "reward", "noise_post", "advantage")}
        return {n: v for n, v in named.items() if v is not None} | {f"neurons.{n}": v for n, v in self.neurons.items()}

    def among(self, given: Mapping[str, Tensor]) -> Sensed:
        """Return the same with ``given`` in place of :meth:`tensors`."""
        own: dict[str, Any] = {n: v for n, v in given.items() if not n.startswith("neurons.")}
        return replace(self, neurons={n: given[f"neurons.{n}"] for n in self.neurons}, **own)
