"""A feedforward spiking network: input spikes -> leaky integrate-and-fire layers -> leaky readout, every edge a synapse."""

from __future__ import annotations

from collections.abc import Sequence

from biosim.births import WeightKind
from biosim.equations import parse_seconds, parse_time, parse_voltage
from biosim.errors import InputError, under
from biosim.lif import Encoding, SpikingDynamics, SynapseKind
from biosim.synapses import Network

Quantity = str | float  # a bare number is refused with a line that says which unit is missing


def build(
    inputs: int,
    outputs: int,
    seeds: Sequence[int],
    *,
    hidden: list[int] = [300],  # noqa: B006 (never changed; a default a scenario can read)
    weights: WeightKind = "signed-constant",
    psp: Quantity = "20 mV",
    threshold: Quantity = "20 mV",
    reset: Quantity = "0 mV",
    tau: Quantity = "20 ms",
    refractory: Quantity = "2 ms",
    delay: Quantity = "1 ms",
    dt: Quantity = "1 ms",
    synapse: SynapseKind = "delta",
    tau_synapse: Quantity = "5 ms",
    readout_unit: Quantity = "10 mV",
    probability: float = 1.0,
    dale: float | None = None,
    scale: float = 1.0,
) -> Network:
    """Build the births of one network a seed; how images reach it is the drive's to say.

    Parameters
    ----------
    inputs, outputs : int
        Given by the drive.
    seeds : sequence of int
        Births seed of each replicate.
    hidden : list of int
        Neurons of each hidden population.
    weights : str
        ``signed-constant`` (every weight +-sqrt(2/fan_in): only the wiring can matter), ``kaiming-normal``, ``uniform`` or
        ``log-normal``.
    psp : quantity
        What a spike adds to the potential through a synapse of weight 1 (and gain 1).
    threshold, reset : quantity
        Potentials above rest.
    tau, refractory, delay : quantity
        Membrane time constant, refractory time, axonal delay.
    dt : quantity
        Time step.
    synapse : {"delta", "exponential"}
        Whether a spike moves the potential at once or by a current that decays with ``tau_synapse``.
    tau_synapse : quantity
    readout_unit : quantity
        Unit in which the readout says its mean potential to a softmax.
    probability : float
        Chance that an edge is born.
    dale : float, optional
        Fraction of excitatory neurons; without it a neuron's synapses may differ in sign.
    scale : float
        Factor on every weight.
    """
    times = {"tau": tau, "refractory": refractory, "delay": delay, "tau_synapse": tau_synapse}
    potentials = {"psp": psp, "threshold": threshold, "reset": reset, "readout_unit": readout_unit}
    step = under("dt", parse_seconds, dt)
    spiking = SpikingDynamics(
        **{n: under(n, _seconds, text) for n, text in times.items()},
        **{n: under(n, lambda v: 1e3 * parse_voltage(v), text) for n, text in potentials.items()},
        synapse=synapse,
        encoding=Encoding(window=50 * step, dt=step, peak=min(Encoding.peak, 1 / step)),
    )
    shape = [inputs, *hidden, outputs]
    return Network.layered(shape, seeds, weights=weights, probability=probability, dale=dale, scale=scale, spiking=spiking)


def _seconds(text: Quantity) -> float:
    time = parse_time(text)
    if time.relative:
        raise InputError(f"must be a time such as 20 ms, not {text!r}")
    return time.value
