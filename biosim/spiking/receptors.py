"""What the arrival of a spike does to the postsynaptic neuron."""

from __future__ import annotations

import math
from dataclasses import dataclass

from biosim.errors import InputError


def positive_time(value: float, name: str, what: str) -> None:
    """Raise unless ``value`` is a finite time longer than 0 s."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{what} must be longer than 0 s, not {value:g} s", (name,))


def finite(value: float, name: str, what: str) -> None:
    """Raise unless ``value`` is finite."""
    if not math.isfinite(value):
        raise InputError(f"{what} must be a finite number, not {value}", (name,))


@dataclass(frozen=True)
class Delta:
    """The potential jumps: ``v += scale*weight`` (mV), unless the neuron is refractory."""


@dataclass(frozen=True)
class Current:
    """A current jumps and decays: ``I += scale*weight``, ``dI/dt = -I/tau`` (mV and seconds).

    ``I`` is in mV: a current held at ``I`` moves the resting potential by that much.
    """

    tau: float

    def __post_init__(self) -> None:
        positive_time(self.tau, "tau", "the time constant of a current")


@dataclass(frozen=True)
class Conductance:
    """A conductance jumps and decays: ``g += scale*weight``, ``dg/dt = -g/tau``; it drives the potential to ``reversal`` (mV).

    ``g`` is in units of the neuron's leak conductance.
    """

    tau: float
    reversal: float

    def __post_init__(self) -> None:
        positive_time(self.tau, "tau", "the time constant of a conductance")
        finite(self.reversal, "reversal", "a reversal potential")


Receptor = Delta | Current | Conductance
