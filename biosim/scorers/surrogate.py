"""Surrogate gradients: a spike is a step of the potential, and gradients see a slope in its place.

    forward   s = 1 where u > 0, else 0                 u: distance to the threshold, in units of the threshold
    backward  ds/du = 1 / (1 + SHARPNESS abs(u))**2     the fast sigmoid of Zenke & Ganguli 2018

(https://doi.org/10.1162/neco_a_01086). The jump at the reset carries no gradient. Forward numbers are those of
development, bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from biosim import backend
from biosim.lif import SpikingDynamics
from biosim.substrates import lif_kernels
from biosim.substrates.time_stepped import constants_of, integrate

SHARPNESS = 10.0


def smooth_spikes(arriving: Tensor, scale: Tensor, dynamics: SpikingDynamics, pushed: Tensor | None = None) -> Tensor:
    """Return the spikes of :func:`~biosim.substrates.time_stepped.integrate` with a surrogate slope; differentiable any number of times."""
    return integrate(arriving, scale, dynamics, pushed, _fire)


def _fire(distance: Tensor) -> Tensor:
    soft = distance / (1 + SHARPNESS * distance.abs())
    return (distance > 0).to(distance.dtype) + (soft - soft.detach())  # plus exactly 0


def surrogate_spikes(arriving: Tensor, scale: Tensor, dynamics: SpikingDynamics, pushed: Tensor | None = None) -> Tensor:
    """Return the same, differentiable once in ``arriving``; compiled on the CPU."""
    if not backend.fused(arriving.device):
        return smooth_spikes(arriving, scale, dynamics, pushed)
    spikes: Tensor = _Spikes.apply(arriving, scale, dynamics, pushed)  # type: ignore[no-untyped-call]
    return spikes


class _Spikes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, arriving: Tensor, scale: Tensor, dynamics: SpikingDynamics, pushed: Tensor | None) -> Tensor:
        constants, values, factor = constants_of(dynamics), arriving.detach().numpy(), scale.detach().numpy()
        given = None if pushed is None else np.ascontiguousarray(pushed.detach().numpy())
        spikes, distance = lif_kernels.run(values, factor, given, constants, want_distance=True)
        ctx.parts = spikes, distance, factor, constants, values.shape[1]
        return torch.from_numpy(spikes)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        spikes, distance, scale, constants, steps = ctx.parts
        given = np.ascontiguousarray(grad_outputs[0].numpy())
        return torch.from_numpy(lif_kernels.back(given, spikes, distance, scale, constants, SHARPNESS, steps)), None, None, None
