"""The noise-driven linear substrate: ``dx/dt = A x + sqrt(2) dB/dt`` (:mod:`biosim.linear`), sampled exactly at any time step.

Over a presentation of h seconds, with standard normal numbers xi from the drive,

    x(t + h) = exp(A h) x(t) + [(1 - exp(2 A h)) / (-A)]**(1/2) xi

and the first sample is drawn from the stationary distribution, of covariance ``1/(-A)``. A sample is a moment: the samples of a step,
and of one step and the next, follow each other in time. Both neurons of a synapse are sensed at the same moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from biosim.errors import InputError
from biosim.linear import rates
from biosim.state import State, tensor
from biosim.synapses import Network, Projection


class LinearNoiseSubstrate:
    """Runs a linear network on the noise that the drive shows.

    Parameters
    ----------
    network : Network
        One population, one projection.
    leak : float
        In 1/s.
    interval : float
        Seconds from one sample to the next.
    """

    def __init__(self, network: Network, leak: float, interval: float) -> None:
        if len(network.populations) != 1 or len(network.projections) != 1:
            raise InputError("a linear network has one population and one projection")
        self.network, self.leak, self.interval = network, leak, interval
        (self.population,), (self.projection,) = network.populations, network.projections.values()
        self._weight: Tensor | None = None
        self._state: Tensor | None = None
        self._step: Tensor
        self._noise: Tensor
        self._stationary: Tensor

    def respond(self, inputs: Tensor, push: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the next S moments of x, (R, S, N), for as many standard normal numbers.

        Matrices are found in double precision and then rounded to that of the weights, so that how a processor adds up cannot matter.
        """
        self._solve()
        states, found = self._state, torch.empty(self.network.replicates, *inputs.shape[1:], dtype=inputs.dtype, device=inputs.device)
        last = []
        for r in range(self.network.replicates):  # one by one: a replicate alone is the replicate of a batch, bit for bit
            own = inputs[r if len(inputs) > 1 else 0]
            kicks, x = own @ self._noise[r], states[r] if states is not None else own[0] @ self._stationary[r]
            for s in range(len(own)):
                if states is not None or s > 0:
                    x = x @ self._step[r] + kicks[s]
                found[r, s] = x
            last.append(x)
        self._state = torch.stack(last)
        return {self.population: found}

    def state(self) -> State:
        """Return x as the last step left it, from which the next one goes on."""
        return {} if self._state is None else {"x": self._state}

    def restore(self, state: State) -> None:
        """Take x over."""
        like = self.network.populations[self.population].gain
        self._state = tensor(state["x"], like, "x") if "x" in state else None

    def _solve(self) -> None:
        """Find the matrices of a step, unless the synapses are those of the step before."""
        weight = self.projection.effective
        if self._weight is not None and torch.equal(weight, self._weight):
            return
        self._weight = weight.clone()
        value, vector = torch.linalg.eigh(rates(weight, self.leak))

        def of(values: Tensor) -> Tensor:
            made: Tensor = (vector * values.unsqueeze(-2)) @ vector.transpose(-1, -2)
            return made.to(weight.dtype)

        self._step = of((value * self.interval).exp())
        self._noise = of((torch.expm1(2 * value * self.interval) / value).sqrt())
        self._stationary = of((-value).rsqrt())

    def arriving(self, projection: Projection, activity: Mapping[str, Tensor]) -> Tensor:
        """Return what the synapses sense as ``pre``: their other neuron, at the same moment."""
        return activity[self.population]


def substrate(
    network: Network, *, leak: Annotated[float, Field(gt=0)] = 0.1, interval: Annotated[float, Field(gt=0)] = 0.5
) -> LinearNoiseSubstrate:
    """Return the substrate.

    Parameters
    ----------
    network : Network
        One population and one projection, each pair of neurons joined at most once.
    leak : float
        Decay of every neuron by itself, in 1/s.
    interval : float
        Seconds from one sample to the next.
    """
    return LinearNoiseSubstrate(network, leak, interval)
