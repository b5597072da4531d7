"""Leaky integrate-and-fire neurons shown one image at a time: their parameters, and how images become spikes.

Plain data: :mod:`biosim.drives.encoding` makes the spikes and :mod:`biosim.substrates.time_stepped` runs the neurons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from biosim.errors import InputError, did_you_mean

EncodingKind = Literal["poisson", "regular", "latency", "current"]
ENCODINGS: tuple[EncodingKind, ...] = get_args(EncodingKind)
SynapseKind = Literal["delta", "exponential"]


@dataclass(frozen=True)
class Encoding:
    """How input neurons turn pixels into spikes; a pixel's brightness x in [0, 1] is ``(pixel - low)/(high - low)``.

    Attributes
    ----------
    kind : {"poisson", "regular", "latency", "current"}
        ``poisson``: rate x*peak, each time step a draw; ``regular``: the same rate, evenly spaced from a phase of each
        neuron's own; ``latency``: one spike, ``(1 - x)`` of the window late, none at x = 0; ``current``: no spikes, the
        expected number of them in every time step.
    window : float
        Seconds an image is shown; neurons start at rest.
    dt : float
        Seconds of a time step.
    peak : float
        Hz; rate of a neuron whose pixel is brightest.
    low, high : float
        Darkest and brightest pixel value.
    baseline : float
        Tonic inhibition: at every time step each input synapse also takes away its weight times this, what it brings
        for a pixel of average brightness. Without it the mean brightness, common to all images, drives each neuron
        to or from its threshold by the chance sum of its weights.
    """

    kind: EncodingKind = "poisson"
    window: float = 0.05
    dt: float = 0.001
    peak: float = 400.0
    low: float = 0.0
    high: float = 1.0
    baseline: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ENCODINGS:
            raise InputError(
                f"unknown encoding '{self.kind}'{did_you_mean(str(self.kind), list(ENCODINGS))}; there are: {', '.join(ENCODINGS)}",
                ("encoding",),
            )
        _positive("window", self.window, "s")
        _positive("dt", self.dt, "s")
        _positive("peak_rate", self.peak, "Hz")
        if self.dt > self.window * (1 + 1e-9):
            raise InputError(f"a time step of {self.dt} s is longer than the {self.window} s an image is shown", ("dt",))
        if abs(self.window / self.dt - self.steps) > 1e-6 * self.steps:
            raise InputError(f"an image is shown for {self.window} s, which is no whole number of time steps of {self.dt} s", ("dt",))
        if self.kind in ("poisson", "regular") and self.peak * self.dt > 1 + 1e-9:
            raise InputError(
                f"{self.peak} Hz is more than one spike in a time step of {self.dt} s; at most {1 / self.dt:g} Hz", ("peak_rate",)
            )
        if not (math.isfinite(self.baseline) and self.baseline >= 0):
            raise InputError(f"tonic inhibition cancels 0 spikes or more in a time step, not {self.baseline}", ("baseline",))
        if not self.low < self.high:
            raise InputError(f"the brightest pixel ({self.high}) must exceed the darkest ({self.low})", ("encoding",))

    @property
    def steps(self) -> int:
        """Time steps of a window."""
        return round(self.window / self.dt)


@dataclass(frozen=True)
class SpikingDynamics:
    """Leaky integrate-and-fire neurons; potentials in mV above rest, times in seconds.

    Attributes
    ----------
    tau : float
        Membrane time constant.
    threshold, reset : float
        A neuron that reaches ``threshold`` spikes and goes to ``reset``.
    refractory : float
        How long a neuron stays there after a spike.
    delay : float
        Axonal delay of every projection.
    synapse : {"delta", "exponential"}
        A spike moves the potential at once, or by a current that decays with ``tau_synapse``.
    tau_synapse : float
    psp : float
        mV; what one spike adds to the potential through a synapse of weight 1 onto a neuron of gain 1 (with
        exponential synapses: what it would add in the end if the membrane did not leak).
    readout_unit : float
        mV; the readout says its mean potential in this unit, and a softmax reads it.
    encoding : Encoding
        How images reach the network.
    """

    tau: float = 0.02
    threshold: float = 20.0
    reset: float = 0.0
    refractory: float = 0.002
    delay: float = 0.001
    synapse: SynapseKind = "delta"
    tau_synapse: float = 0.005
    psp: float = 20.0
    readout_unit: float = 10.0
    encoding: Encoding = field(default_factory=Encoding)

    def __post_init__(self) -> None:
        for name, value, unit in (
            ("tau", self.tau, "s"),
            ("tau_synapse", self.tau_synapse, "s"),
            ("psp", self.psp, "mV"),
            ("readout_unit", self.readout_unit, "mV"),
        ):
            _positive(name, value, unit)
        for name in ("refractory", "delay"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"must be a time of 0 s or more, not {value} s", (name,))
            if abs(value / self.encoding.dt - round(value / self.encoding.dt)) > 1e-6 * max(1.0, value / self.encoding.dt):
                raise InputError(f"{value} s is no whole number of time steps of {self.encoding.dt} s", (name,))
        if not (math.isfinite(self.threshold) and math.isfinite(self.reset) and self.threshold > self.reset):
            raise InputError(f"the threshold ({self.threshold} mV) must lie above the reset ({self.reset} mV)", ("threshold",))
        if self.threshold <= 0:
            raise InputError(f"the threshold must lie above rest (0 mV), not at {self.threshold} mV", ("threshold",))
        if self.synapse not in get_args(SynapseKind):
            raise InputError(f"unknown synapse '{self.synapse}'; there are: {', '.join(get_args(SynapseKind))}", ("synapse",))
        if self.delay < self.encoding.dt * (1 - 1e-6):
            raise InputError(f"a spike takes at least one time step ({self.encoding.dt} s), not {self.delay} s", ("delay",))

    @property
    def psp_scale(self) -> float:
        """What a spike adds through a weight of 1, mV: to the potential, or to the current of exponential synapses."""
        return self.psp if self.synapse == "delta" else self.psp * self.tau / self.tau_synapse

    def shown(self, encoding: Encoding) -> SpikingDynamics:
        """Return the same neurons under another encoding."""
        return replace(self, encoding=encoding)

    def data(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> SpikingDynamics:
        """Rebuild from :meth:`data`.

        Raises
        ------
        InputError
            When a value is missing, unknown or impossible.
        """
        try:
            return cls(**{**data, "encoding": Encoding(**data["encoding"])})
        except (TypeError, KeyError) as error:
            raise InputError(f"not the dynamics of spiking neurons: {error}", ("spiking",)) from None


def _positive(name: str, value: float, unit: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"must be more than 0 {unit}, not {value} {unit}", (name,))
