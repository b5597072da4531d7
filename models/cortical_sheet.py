"""A sheet of spiking neurons that can join those around them: every place of a synapse is vacant at first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from biosim.equations import parse_seconds
from biosim.errors import InputError, at_least, under
from biosim.sheet import distances
from biosim.streams import generator
from biosim.synapses import Network, Population, Projection


def build(
    seeds: Sequence[int],
    *,
    side: int = 14,
    reach: float = 3.0,
    contact: float = 1.0,
    jump: float = 1.0,
    tau: str = "20 ms",
    threshold: float = 15.0,
    refractory: str = "2 ms",
    dt: str = "1 ms",
    window: str = "5 ms",
) -> Network:
    """Build the births of one sheet a seed: places where a synapse could be, none of them onto the neuron itself.

    A neuron's axon comes close to a dendrite at distance d with chance ``contact*exp(-d**2/(2*reach**2))``; distances are in
    neurons, the sheet is joined at its edges. All neurons are excitatory.

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    side : int
        The sheet has ``side**2`` neurons.
    reach : float
        Of an axon, in neurons.
    contact : float
        The chance at no distance, in (0, 1].
    jump : float
        What a spike does through a synapse, mV.
    tau : quantity
        Membrane time constant.
    threshold : float
        mV above rest, where a neuron is put back to when it fires.
    refractory, dt : quantity
        Refractory time, and time step, which is also the delay of a spike.
    window : quantity
        Length of a sample.
    """
    at_least(3, side=side)
    for name, value in (("reach", reach), ("jump", jump), ("threshold", threshold)):
        if not value > 0:
            raise InputError(f"must be positive, not {value}", (name,))
    if not 0 < contact <= 1:
        raise InputError(f"a chance lies in (0, 1], not {contact}", ("contact",))
    texts = {"tau": tau, "refractory": refractory, "dt": dt, "window": window}
    seconds = {name: under(name, parse_seconds, text) for name, text in texts.items()}
    apart = distances(side) / max(reach, 1e-9)  # neurons are 1 apart: what is less reaches none
    chance = contact * np.exp(-(apart**2) / 2)
    np.fill_diagonal(chance, 0)
    born = np.stack([generator(seed, "births/horizontal").random(chance.shape) < chance for seed in seeds])
    if not born.any((1, 2)).all():
        raise InputError(f"no axon that reaches {reach:g} neurons far comes close to a dendrite", ("reach",))
    weight = torch.from_numpy(np.where(born, jump, 0).astype(np.float32))
    cortex = Population("cortex", side * side, "linear")
    horizontal = Projection("horizontal", cortex, cortex, weight, torch.from_numpy(born))
    return Network([cortex], [horizontal], substrate="lif-network", dynamics={**seconds, "threshold": threshold})
