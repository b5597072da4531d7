"""A feedforward spiking network: input spikes -> leaky integrate-and-fire layers -> leaky readout, every edge a synapse."""

from __future__ import annotations

from collections.abc import Sequence

from biosim.births import WeightKind
from biosim.equations import parse_time
from biosim.equations.units import parse_quantity, dimension, UNITS
from biosim.errors import InputError
from biosim.lif import Encoding, SpikingDynamics, SynapseKind
from biosim.synapses import Network


def build(
    inputs: int,
    outputs: int,
    seeds: Sequence[int],
    *,
    hidden: list[int] = [300],  # noqa: B006 (never changed; a default a scenario can read)
    weights: WeightKind = "signed-constant",
    psp: float = 20.0,
    threshold: float = 20.0,
    tau: str = "20 ms",
    dt: str = "1 ms",
    refractory: str = "2 ms",
    delay: str = "1 ms",
) -> Network:
    times = {n: parse_time(v).value for n, v in (("tau", tau), ("refractory", refractory), ("delay", delay))}
    spiking = SpikingDynamics(psp=psp, threshold=threshold, encoding=Encoding(dt=parse_time(dt).value), **times)
    return Network.layered([inputs, *hidden, outputs], seeds, weights=weights, spiking=spiking)
