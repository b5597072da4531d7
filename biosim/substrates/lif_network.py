"""The integrate-and-fire substrate: one recurrent network of spiking neurons that runs on from step to step.

In a time step of ``dt``, for neuron j with potential v (mV above rest), I its input and g its gain,

    v_j <- v_j k + I_j (1 - k) + g_j sum_i w_ij s_i     unless refractory          k = exp(-dt/tau)
    s_j = 1 and v_j <- 0  where v_j >= threshold

s_i on the right are the spikes of the time step before: a spike takes ``dt`` to arrive, and the weight of an active synapse is the
jump it makes, in mV. A sample is a window of ``window``: the drive shows each neuron's input for it, I in mV, the potential that it
alone would hold; activity is the neuron's spikes in it over its length, in Hz. Windows, and steps, follow each other without a break.
A rule senses ``pre`` and ``post`` in the same window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from biosim.errors import InputError
from biosim.state import State, array
from biosim.substrates.lif_network_kernels import advance
from biosim.synapses import Network, Projection

LONGEST = 10**9  # time steps of a window, or of a refractory time
Positive = Annotated[float, Field(gt=0)]


class LifNetworkSubstrate:
    """Runs one population of integrate-and-fire neurons with one projection onto itself.

    Parameters
    ----------
    network : Network
    tau, refractory, dt, window : float
        Seconds.
    threshold : float
        mV above rest, where a neuron is put back to.
    """

    def __init__(self, network: Network, tau: float, threshold: float, refractory: float, dt: float, window: float) -> None:
        if len(network.populations) != 1 or len(network.projections) != 1:
            raise InputError("this substrate runs one population with one projection onto itself")
        for name, lasts in (("window", window), ("refractory", refractory)):
            if lasts > LONGEST * dt:
                raise InputError(f"must last at most {LONGEST:.0e} time steps of {dt:g} s, not {lasts:g} s", (name,))
        self.per_window = round(window / dt)
        if self.per_window < 1 or abs(self.per_window * dt - window) > 1e-9 * window:
            raise InputError(f"a window must last a whole number of time steps of {dt:g} s, not {window:g} s", ("window",))
        if refractory < dt:
            raise InputError(f"a neuron is refractory for at least the time step of {dt:g} s, not {refractory:g} s", ("refractory",))
        self.network, self.window, self.threshold = network, window, threshold
        self.keep, self.hold = math.exp(-dt / tau), round(refractory / dt)
        (self.population,), (self.projection,) = network.populations, network.projections.values()
        shape = (network.replicates, network.populations[self.population].size)
        self._potential = np.zeros(shape, np.float32)
        self._arriving = np.zeros(shape, np.float32)
        self._free_in = np.zeros(shape, np.int32)

    def respond(self, inputs: Tensor, push: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Run on for as many windows as there are inputs, (R, S, N) mV; return rates in Hz, (R, S, N).

        ``push``, of the same shape by population, is added to the input.
        """
        shown = inputs if push is None or self.population not in push else inputs + push[self.population]
        held = np.ascontiguousarray(shown.expand(self.network.replicates, -1, -1).cpu().numpy(), np.float32)
        weight = np.ascontiguousarray(self.projection.effective.cpu().numpy())
        gain = self.network.populations[self.population].gain.cpu().numpy()
        count = np.zeros(held.shape, np.float32)
        numbers = np.float32(self.keep), np.float32(1 - self.keep), np.float32(self.threshold)
        state = self._potential, self._arriving, self._free_in
        advance(held, weight, gain, numbers, self.per_window, self.hold, *state, count)
        return {self.population: torch.from_numpy(count / np.float32(self.window)).to(inputs.device)}

    def state(self) -> State:
        """Return what runs on from step to step: potentials, what arrives next, and how long each neuron is refractory yet."""
        return {"potential": self._potential, "arriving": self._arriving, "free_in": self._free_in}

    def restore(self, state: State) -> None:
        """Take it over."""
        shape = self._potential.shape
        self._potential, self._arriving = (array(state.get(n), np.float32, shape, n).copy() for n in ("potential", "arriving"))
        self._free_in = array(state.get("free_in"), np.int32, shape, "free_in", low=0).copy()

    def arriving(self, projection: Projection, activity: Mapping[str, Tensor]) -> Tensor:
        """Return what the synapses sense as ``pre``: the rate of their other neuron in the same window."""
        return activity[self.population]


def substrate(
    network: Network,
    *,
    tau: Positive = 0.02,
    threshold: Positive = 15.0,
    refractory: Positive = 0.002,
    dt: Positive = 0.001,
    window: Positive = 0.005,
) -> LifNetworkSubstrate:
    """Return the substrate.

    Parameters
    ----------
    network : Network
        One population, one projection; weights in mV.
    tau : float
        Membrane time constant, s.
    threshold : float
        mV above rest.
    refractory, dt : float
        Refractory time and time step, s.
    window : float
        Length of a sample, s.
    """
    return LifNetworkSubstrate(network, tau, threshold, refractory, dt, window)
