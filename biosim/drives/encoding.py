"""Images as spike trains of the input neurons, one a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.lif import Encoding

GOLDEN = 0.6180339887498949  # steps of the golden ratio spread phases evenly for any number of neurons
PART = 1 << 22  # random numbers drawn at a time


def brightness(pixels: Tensor, encoding: Encoding) -> Tensor:
    """Return pixels as brightness in [0, 1]; what lies outside the training images' range is cut off."""
    return ((pixels - encoding.low) / (encoding.high - encoding.low)).clamp_(0.0, 1.0)


def encode(pixels: Tensor, encoding: Encoding, random: Sequence[np.random.Generator] = ()) -> Tensor:
    """Return the input of every time step.

    Parameters
    ----------
    pixels : Tensor
        (R, S, n).
    encoding : Encoding
    random : sequence of Generator
        One a replicate; drawn from for ``poisson`` alone, sample after sample.

    Returns
    -------
    Tensor
        (R, S, T, n) float32, 1 where a neuron spikes in a step and 0 elsewhere, less the baseline. For ``current``:
        (R, S, 1, n), what arrives in every step alike.
    """
    sent = _sent(pixels, encoding, random)
    return sent.sub_(encoding.baseline) if encoding.baseline else sent


def expected(pixels: npt.NDArray[np.float32], encoding: Encoding) -> float:
    """Return the spikes that an input neuron sends in a time step, averaged over images: the baseline that cancels them."""
    x = brightness(torch.from_numpy(pixels).double(), encoding)
    per_step = (x > 0).double() / encoding.steps if encoding.kind == "latency" else x * (encoding.peak * encoding.dt)
    return float(per_step.mean())


def _sent(pixels: Tensor, encoding: Encoding, random: Sequence[np.random.Generator]) -> Tensor:
    x = brightness(pixels, encoding)
    if encoding.kind == "current":
        return (x * (encoding.peak * encoding.dt)).unsqueeze(2)
    steps = encoding.steps
    if encoding.kind == "poisson":
        return _poisson(x * (encoding.peak * encoding.dt), steps, random)
    time = torch.arange(steps, dtype=torch.float32, device=pixels.device).view(1, 1, -1, 1)
    if encoding.kind == "latency":
        late = torch.where(x > 0, ((1 - x) * (steps - 1)).round(), -1.0)
        return (late.unsqueeze(2) == time).float()
    phase = torch.remainder(torch.arange(1, x.shape[2] + 1, dtype=torch.float64) * GOLDEN, 1.0).to(pixels.device)
    sent = torch.floor(x.unsqueeze(2).double() * (encoding.peak * encoding.dt) * (time.double() + 1) + phase)
    first = torch.floor(phase).expand(*x.shape[:2], 1, -1)
    return torch.diff(sent, dim=2, prepend=first).float()


def _poisson(chance: Tensor, steps: int, random: Sequence[np.random.Generator]) -> Tensor:
    """Return Bernoulli draws of (R, S, n) chances in every step; a replicate's draws depend on its generator alone."""
    rows, samples, size = chance.shape
    out = torch.empty(rows, samples, steps, size)
    at_once = max(1, PART // (steps * size))
    for found, chances, own in zip(out, chance, random, strict=True):
        for start in range(0, samples, at_once):
            part = chances[start : start + at_once].cpu()
            draws = torch.from_numpy(own.random((len(part), steps, size), np.float32))
            torch.lt(draws, part.unsqueeze(1), out=found[start : start + at_once])
    return out.to(chance.device)
