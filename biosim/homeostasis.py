"""What a neuron does to itself while its synapses are lost.

Each mechanism gives every neuron a factor computed from what that neuron alone knows; a neuron's
gain is the product of its factors. Weights are never touched, so a frozen network stays frozen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.state import State, tensor
from biosim.synapses import Network


class Homeostasis(Protocol):
    """A mechanism that returns a factor on the gain of one population, (R, size)."""

    def factor(self, network: Network, population: str, mean: Mapping[str, Tensor], dt: float) -> Tensor:
        """Return the factor after a step of ``dt`` seconds."""
        ...


@dataclass(frozen=True)
class InDegree:
    """Gain by in-degree: ``sqrt(synapses at birth / active synapses)``.

    Keeps the variance of the summed input where it was at birth when synapses are lost at random;
    a neuron with no active input gets 0.
    """

    needs_mean = False

    def factor(self, network: Network, population: str, mean: Mapping[str, Tensor], dt: float) -> Tensor:
        """Return the factor; ``mean`` and ``dt`` are not read."""
        incoming = network.incoming(population)
        born = _total([p.fan_in for p in incoming]).float()
        active = _total([p.in_degree for p in incoming]).float()
        return incoming[0].share.whole(torch.where(active > 0, (born / active.clamp(min=1)).sqrt(), 0.0))


@dataclass(frozen=True)
class IncomingResource:
    """Incoming-resource normalisation: summed ``abs(weight)`` of active synapses is held at its birth value."""

    needs_mean = False

    def factor(self, network: Network, population: str, mean: Mapping[str, Tensor], dt: float) -> Tensor:
        """Return the factor; ``mean`` and ``dt`` are not read."""
        incoming = network.incoming(population)
        born = _total([p.birth_magnitude for p in incoming])
        active = _total([p.summed_magnitude() for p in incoming])
        return incoming[0].share.whole(torch.where(active > 0, born / active.clamp(min=1e-30), 0.0))


@dataclass
class SynapticScaling:
    """Synaptic scaling towards a target rate (Turrigiano et al. 1998, https://doi.org/10.1038/36103).

    ``d log(factor) / dt = (target - mean) / (target * tau)``, one factor a neuron; the readout is left alone.

    Attributes
    ----------
    target : float
        Mean activity aimed at, in the substrate's unit.
    tau : float
        Seconds.
    limit : float
        The factor stays in [1/limit, limit].
    """

    target: float = 0.5
    tau: float = 100.0
    limit: float = 10.0
    needs_mean = True
    _state: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not (self.target > 0 and self.tau > 0 and self.limit > 1):
            raise InputError("synaptic scaling needs target > 0, tau > 0 and limit > 1")

    def factor(self, network: Network, population: str, mean: Mapping[str, Tensor], dt: float) -> Tensor:
        """Advance the factor by ``dt`` seconds and return it."""
        names = list(network.populations)
        current = self._state.get(population, torch.ones_like(network.populations[population].gain))
        if population != names[-1] and population in mean:
            drive = (self.target - mean[population]) / self.target * min(dt / self.tau, 1.0)
            current = (current * drive.clamp(-1, 1).exp()).clamp(1 / self.limit, self.limit)
        self._state[population] = current
        return current

    def state(self) -> State:
        """Return the factors."""
        return dict(self._state)

    def restore(self, state: State) -> None:
        """Take factors over."""
        self._state = {name: tensor(saved, self._state[name], f"factor of {name}") for name, saved in state.items()}


def _total(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


def regulate(network: Network, mechanisms: Sequence[Homeostasis], mean: Mapping[str, Tensor], dt: float) -> None:
    """Set the gain of every population but the input to the product of the mechanisms' factors."""
    for population in list(network.populations.values())[1:] if mechanisms else []:
        gain = torch.ones_like(population.gain)
        for mechanism in mechanisms:
            gain = gain * mechanism.factor(network, population.name, mean, dt)
        population.gain = gain
