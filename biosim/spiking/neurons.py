"""Neurons of one kind: integrate-and-fire neurons, Poisson inputs, and neurons whose spikes are given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError, did_you_mean
from biosim.spiking.receptors import finite, positive_time
from biosim.streams import generator

Sign = Literal["excitatory", "inhibitory", "mixed"]
SIGNS = ("excitatory", "inhibitory", "mixed")


@dataclass(frozen=True)
class LIF:
    """Leaky integrate-and-fire: ``tau_m dv/dt = v_rest + bias + input - v``; at ``v > v_threshold`` a spike and ``v = v_reset``.

    Attributes
    ----------
    tau_m : float
        Membrane time constant, seconds.
    v_rest, v_reset, v_threshold : float
        mV.
    refractory : float
        Seconds after a spike in which the potential stands still.
    bias : float
        Constant current, in mV of resting potential.
    """

    tau_m: float = 20e-3
    v_rest: float = 0.0
    v_reset: float = 0.0
    v_threshold: float = 20.0
    refractory: float = 2e-3
    bias: float = 0.0

    def __post_init__(self) -> None:
        positive_time(self.tau_m, "tau_m", "the membrane time constant")
        for name in ("v_rest", "v_reset", "v_threshold", "bias"):
            finite(getattr(self, name), name, f"{name} (mV)")
        if not (math.isfinite(self.refractory) and self.refractory >= 0):
            raise InputError(f"the refractory time cannot be {self.refractory:g} s", ("refractory",))
        if self.v_reset >= self.v_threshold:
            raise InputError(f"v_reset must lie below v_threshold ({self.v_threshold:g} mV), not at {self.v_reset:g} mV", ("v_reset",))

    def check(self, dt: float) -> None:
        """Raise where a step of ``dt`` seconds cannot follow the neuron."""
        if dt > self.tau_m:
            raise InputError(f"a step of {dt:g} s is longer than the membrane time constant, {self.tau_m:g} s: take a shorter dt", ("dt",))


def _check(name: str, size: int, sign: str) -> None:
    if not name:
        raise InputError("a population needs a name", ("name",))
    if size < 1:
        raise InputError(f"population '{name}' needs at least one neuron, not {size}", ("size",))
    if sign not in SIGNS:
        raise InputError(
            f"population '{name}': unknown sign '{sign}'{did_you_mean(sign, list(SIGNS))}; there are: {', '.join(SIGNS)}", ("sign",)
        )


@dataclass(frozen=True)
class Population:
    """Integrate-and-fire neurons of one kind.

    Attributes
    ----------
    name : str
    size : int
    neuron : LIF
    sign : {"excitatory", "inhibitory", "mixed"}
        What its synapses may do to others (Dale's law); ``mixed`` leaves them free.
    start : float or (float, float), optional
        Potential at birth, mV, the same for all or drawn uniformly between two; ``v_rest`` when left out.
    """

    name: str
    size: int
    neuron: LIF = LIF()
    sign: Sign = "mixed"
    start: float | tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _check(self.name, self.size, self.sign)
        for value in self.start if isinstance(self.start, tuple) else () if self.start is None else (self.start,):
            finite(value, "start", f"the start of population '{self.name}' (mV)")

    def potentials(self, seeds: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the potentials at birth, (R, size) mV, one replicate a seed."""
        if not isinstance(self.start, tuple):
            return np.full((len(seeds), self.size), self.neuron.v_rest if self.start is None else self.start)
        low, high = self.start
        return np.stack([generator(seed, f"potential/{self.name}").uniform(low, high, self.size) for seed in seeds])


@dataclass(frozen=True)
class PoissonPopulation:
    """Input neurons, each a Poisson train: at every step it spikes with probability ``rate*dt``.

    Attributes
    ----------
    name : str
    size : int
    rate : float or (size,) or (R, size) array
        Hz; :meth:`~biosim.spiking.simulation.Simulation.set_rate` changes it between runs.
    sign : {"excitatory", "inhibitory", "mixed"}
    groups : tuple of int, optional
        Sizes of groups of consecutive neurons, from the first, whose trains are correlated; the rest are independent.
    correlation : float
        Correlation of the spike counts of two neurons of a group. Every group has a train of its own with rate ``max(rate)/correlation``
        (the highest rate of any neuron in a group), of which each neuron takes every spike with probability
        ``correlation*rate/max(rate)`` (multiple interaction process, Kuhn, Aertsen & Rotter 2003, doi 10.1162/089976603321043702).
    """

    name: str
    size: int
    rate: float | npt.NDArray[np.float64] = 10.0
    sign: Sign = "excitatory"
    groups: tuple[int, ...] = ()
    correlation: float = 0.0

    def __post_init__(self) -> None:
        _check(self.name, self.size, self.sign)
        check_rate(self.rate, self.name, self.size)
        if not 0 <= self.correlation <= 1:
            raise InputError(f"the correlation within a group must lie in [0, 1], not {self.correlation:g}", ("correlation",))
        if any(g < 1 for g in self.groups) or sum(self.groups) > self.size:
            raise InputError(f"groups of {list(self.groups)} neurons do not fit into the {self.size} of '{self.name}'", ("groups",))
        if bool(self.groups) != (self.correlation > 0):
            raise InputError(
                f"'{self.name}': groups and a correlation above 0 go together", ("groups" if self.correlation else "correlation",)
            )


def check_rate(rate: float | npt.NDArray[np.float64], name: str, size: int) -> None:
    """Raise unless ``rate`` is one or ``size`` finite rates of at least 0 Hz (or such rows, one a replicate)."""
    values = np.asarray(rate, np.float64)
    if values.ndim > 2 or (values.ndim and values.shape[-1] != size):
        raise InputError(f"rate of '{name}' has shape {values.shape}; one number, ({size},) or (replicates, {size}) is needed", ("rate",))
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise InputError(f"rates of '{name}' must be finite and at least 0 Hz", ("rate",))


@dataclass(frozen=True)
class GivenSpikes:
    """Neurons whose spikes are given.

    Attributes
    ----------
    name : str
    size : int
    times, neurons : tuple of arrays
        Of each replicate: times in seconds from the beginning of the simulation, and who spikes then. A spike at
        ``t`` falls on the step ``round(t/dt)``; one pair of arrays serves all replicates.
    sign : {"excitatory", "inhibitory", "mixed"}
    """

    name: str
    size: int
    times: tuple[npt.NDArray[np.float64], ...] = field(repr=False)
    neurons: tuple[npt.NDArray[np.int64], ...] = field(repr=False)
    sign: Sign = "excitatory"

    def __post_init__(self) -> None:
        _check(self.name, self.size, self.sign)
        if len(self.times) != len(self.neurons) or not self.times:
            raise InputError(f"'{self.name}' needs an array of times and one of neurons for each replicate", ("times",))
        for t, i in zip(self.times, self.neurons, strict=True):
            if t.ndim != 1 or t.shape != i.shape:
                raise InputError(f"'{self.name}': times {t.shape} and neurons {i.shape} must be lists of the same length", ("times",))
            if len(t) and not (np.isfinite(t).all() and t.min() >= 0):
                raise InputError(f"'{self.name}': times of spikes must be finite and at least 0 s", ("times",))
            if len(i) and not (i.min() >= 0 and i.max() < self.size):
                raise InputError(
                    f"'{self.name}' has neurons 0 to {self.size - 1}; spikes are given for {i.min()} to {i.max()}", ("neurons",)
                )

    def steps(self, replicate: int, dt: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the steps of one replicate's spikes and their neurons, ordered by step, then neuron.

        Raises
        ------
        InputError
            When a neuron would spike twice at one step.
        """
        which = replicate if len(self.times) > 1 else 0
        step, neuron = np.rint(self.times[which] / dt).astype(np.int64), self.neurons[which].astype(np.int64)
        order = np.lexsort((neuron, step))
        step, neuron = step[order], neuron[order]
        twice = np.flatnonzero((np.diff(step) == 0) & (np.diff(neuron) == 0))
        if len(twice):
            k = int(twice[0])
            raise InputError(
                f"'{self.name}': neuron {neuron[k]} is given two spikes at the step {step[k]} (t = {step[k] * dt:g} s)", ("times",)
            )
        return step, neuron


AnyPopulation = Population | PoissonPopulation | GivenSpikes
