"""A locally connected network: born from a stack of torch Conv2d layers, after which every synapse is on its own.

An example of births from a ``torch.nn.Sequential`` of your own: copy it, change the Sequential.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from biosim import Network, network_from_torch
from biosim.errors import InputError


def build(
    inputs: int,
    outputs: int,
    seeds: Sequence[int],
    *,
    channels: list[int] = [16, 32],  # noqa: B006 (never changed; a default a scenario can read)
    kernel: int = 3,
    stride: int = 2,
    weights: Literal["kaiming-normal", "signed-constant"] = "signed-constant",
    image: list[int] | None = None,
) -> Network:
    """Build the births of one network a seed.

    Parameters
    ----------
    inputs, outputs : int
        Given by the drive.
    seeds : sequence of int
        Births seed of each replicate.
    channels : list of int
        Output channels of each convolution.
    kernel, stride : int
        Of every convolution; padding is ``kernel // 2``.
    weights : str
        ``signed-constant`` (every weight +-sqrt(2/fan_in) of its layer) or ``kaiming-normal``, of whose draws the
        former keeps the signs.
    image : list of int, optional
        Channels, height and width of the input; one square channel when left out.
    """
    side = math.isqrt(inputs)
    shape = [1, side, side] if image is None else list(image)
    if len(shape) != 3 or math.prod(shape) != inputs:
        raise InputError(f"{inputs} inputs are not an image of shape {shape}; say channels, height and width", ("image",))
    if not channels or min([*channels, kernel, stride]) < 1:
        raise InputError("channels, kernel and stride must be positive, and there must be a convolution", ("channels",))
    modules = [_module(shape, channels, kernel, stride, outputs, weights, seed) for seed in seeds]
    return network_from_torch(modules, shape)


def _module(shape: list[int], channels: list[int], kernel: int, stride: int, outputs: int, weights: str, seed: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    rows, columns = shape[1:]
    for before, after in zip([shape[0], *channels], channels, strict=False):
        layers += [nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False), nn.ReLU()]
        rows, columns = ((n + 2 * (kernel // 2) - kernel) // stride + 1 for n in (rows, columns))
    layers += [nn.Flatten(), nn.Linear(channels[-1] * rows * columns, outputs, bias=False)]
    generator = torch.Generator().manual_seed(seed)
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            deviation = math.sqrt(2 / layer.weight[0].numel())
            with torch.no_grad():
                layer.weight.normal_(0, deviation, generator=generator)
                if weights == "signed-constant":
                    layer.weight.copy_(torch.where(layer.weight < 0, -deviation, deviation))
    return nn.Sequential(*layers)
