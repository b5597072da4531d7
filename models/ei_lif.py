"""A recurrent network of excitatory and inhibitory integrate-and-fire neurons, driven by noise: balanced and irregular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from biosim.equations import parse_rate, parse_seconds
from biosim.errors import InputError, under
from biosim.spiking import LIF, Births, Delta, Network, PoissonDrive, Population, Projection


def build(
    seeds: Sequence[int],
    *,
    neurons: int = 1000,
    inhibitory: float = 0.2,
    probability: float = 0.2,
    jump: float = 0.4,
    inhibition: float = 5.0,
    weights: tuple[float, float] = (0.3, 0.7),
    drive_rate: str = "9000 Hz",
    drive_jump: float = 0.12,
    delay: str = "1.5 ms",
    dt: str = "0.1 ms",
) -> Network:
    """Build the births of one network a seed.

    Populations ``exc`` and ``inh``, every pair of them joined at random (Brunel 2000, doi 10.1023/A:1008925309027); the
    excitatory synapses among excitatory neurons, ``exc-exc``, are those that plasticity is meant for.

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    neurons : int
        Of both kinds together.
    inhibitory : float
        Share of them that inhibits, in (0, 1).
    probability : float
        Chance that an edge is born.
    jump : float
        What an excitatory spike does through a synapse of weight 1, mV.
    inhibition : float
        How many times stronger an inhibitory synapse is than an excitatory one of weight 0.5.
    weights : (float, float)
        Excitatory weights at birth are uniform between these two, in [0, 1].
    drive_rate : quantity
        Noise: rate of the spikes that each neuron gets from outside.
    drive_jump : float
        What each of them does, mV.
    delay, dt : quantity
        Axonal delay; time step.
    """
    if not 0 < inhibitory < 1:
        raise InputError(f"the inhibitory share must lie between 0 and 1, not {inhibitory:g}", ("inhibitory",))
    if not 0 <= weights[0] <= weights[1] <= 1:
        raise InputError(f"weights at birth lie between two values in [0, 1], the lower one first, not {list(weights)}", ("weights",))
    rate, wait, step = (
        under(key, reader, text)
        for key, reader, text in (("drive_rate", parse_rate, drive_rate), ("delay", parse_seconds, delay), ("dt", parse_seconds, dt))
    )
    silent = max(1, round(inhibitory * neurons))
    sizes = {"exc": neurons - silent, "inh": silent}
    if sizes["exc"] < 1:
        raise InputError(f"{neurons} neurons leave none that excites", ("neurons",))
    neuron = LIF(tau_m=20e-3, v_threshold=20.0, v_reset=10.0, refractory=2e-3)
    populations = [
        Population("exc", sizes["exc"], neuron, "excitatory", start=(0.0, 20.0)),
        Population("inh", sizes["inh"], neuron, "inhibitory", start=(0.0, 20.0)),
    ]

    def uniform(random: np.random.Generator, n: int) -> Any:
        return random.uniform(*weights, n)

    projections = []
    for pre, post in (("exc", "exc"), ("exc", "inh"), ("inh", "exc"), ("inh", "inh")):
        name = f"{pre}-{post}"
        excites = pre == "exc"
        births = Births.random(sizes[pre], sizes[post], probability, seeds, uniform if excites else 1.0, component=name, loops=pre != post)
        scale = jump if excites else -inhibition * jump / 2
        projections.append(Projection(name, pre, post, births, Delta(), wait, scale))
    drives = [PoissonDrive(name, rate, drive_jump) for name in sizes]
    return Network(populations, projections, drives, step)
