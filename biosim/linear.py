"""Linear networks whose synapses couple both of their neurons.

A synapse of weight w between neurons i and j pulls each towards the other (towards its opposite where w < 0), and x decays with a
leak b:

    dx_i/dt = -b x_i + sum_j |w_ij| (sgn(w_ij) x_j - x_i) + noise,      or  dx/dt = A x + noise

A is symmetric and diagonally dominant: every synapse loads the neurons that it couples, as a gap junction does. Which end of a
synapse is called presynaptic says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from biosim.synapses import Network, Projection
from biosim.wiring.populations import Population

NOISE = 2.0  # variance of the noise per second: the covariance of x is then the inverse of -A


class LinearNetwork(Network):
    """One population of linear neurons, driven by noise of its own.

    Attributes
    ----------
    leak : float
        b above, in 1/s.
    births : Tensor
        (R, N, N) float32, the weights as born, whatever became of them.
    """

    def __init__(self, population: Population, projections: Sequence[Projection], leak: float) -> None:
        super().__init__([population], projections, substrate="linear-noise", dynamics={"leak": leak})
        self.leak, self.births = leak, projections[0].weight.clone()


def rates(weight: Tensor, leak: float) -> Tensor:
    """Return A, (..., N, N) float64 in 1/s, of (..., N, N) weights with each pair of neurons in one place."""
    both = weight.double() + weight.double().transpose(-1, -2)
    return both - torch.diag_embed(both.abs().sum(-1) + leak)
