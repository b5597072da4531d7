"""Births from modules: every weight of a Linear, and of a Conv2d at every position, becomes a synapse of its own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from biosim.errors import InputError
from biosim.synapses import Activation, Network, Population, Projection
from biosim.torch_bridge.layers import Layer, padding, read_layers


def network_from_torch(
    module: nn.Module | Sequence[nn.Module], input_shape: int | Sequence[int] | None = None, replicates: int | None = None
) -> Network:
    """Return births with the weights of a ``torch.nn.Sequential``; at birth they compute what ``module.eval()`` does.

    Weights are copied, as float32. A Conv2d becomes locally connected: every output position of every channel is a
    neuron with synapses from its receptive field only, born with the kernel's weights and from then on unshared. A
    layer pruned by ``torch.nn.utils.prune`` gives birth to what its mask has left. What each module becomes:
    :mod:`biosim.torch_bridge.layers`.

    Parameters
    ----------
    module : nn.Sequential, or sequence of them
        One for all replicates, or one a replicate (of the same layers).
    input_shape : int or sequence of int, optional
        Shape of one sample, without the batch: 784, or (1, 28, 28). A Linear that comes first says it itself.
        The input population is that shape read row by row.
    replicates : int, optional
        How many replicates are born with the weights of a single module; 1 when left out.

    Returns
    -------
    Network
        Populations input, hidden1, ..., output; projections ``input-hidden1``, ... . A projection takes about 30
        bytes for each (pre, post) pair and replicate, born or not.

    Raises
    ------
    InputError
        Naming the layer that has no counterpart, and what to use instead.

    Examples
    --------
    >>> from torch import nn
    >>> from biosim import network_from_torch
    >>> module = nn.Sequential(nn.Linear(64, 20, bias=False), nn.ReLU(), nn.Linear(20, 10, bias=False))
    >>> network = network_from_torch(module, replicates=3)
    >>> [p.shape for p in network.projections.values()]
    [(3, 64, 20), (3, 20, 10)]
    """
    modules = [module] if isinstance(module, nn.Module) else list(module)
    if not modules:
        raise InputError("there is no module to be born from")
    copies = 1 if replicates is None else replicates
    if copies < 1 or (len(modules) > 1 and replicates not in (None, len(modules))):
        raise InputError(f"there are {len(modules)} modules for {replicates} replicates: give one, or one a replicate", ("replicates",))
    read = [read_layers(m, input_shape) for m in modules]
    same_diagram(read)
    populations = populations_of(read[0])
    projections = []
    for k, (pre, post) in enumerate(itertools.pairwise(populations)):
        births = [(expand(layers[k], layers[k].parameter), _born(layers[k])) for layers in read]
        births = births * copies if len(births) == 1 else births
        weight, born = (torch.stack(parts) for parts in zip(*births, strict=True))
        projections.append(Projection(f"{pre.name}-{post.name}", pre, post, weight * born, born))
    return Network(populations, projections)


def populations_of(layers: list[Layer]) -> list[Population]:
    """Return the populations that layers connect: input, hidden1, ..., output."""
    names = ["input", *(f"hidden{i}" for i in range(1, len(layers))), "output"]
    sizes = [math.prod(layers[0].inputs), *(math.prod(layer.outputs) for layer in layers)]
    kinds: list[Activation] = ["linear", *(layer.activation for layer in layers)]
    return [Population(n, s, kind) for n, s, kind in zip(names, sizes, kinds, strict=True)]


def same_diagram(read: list[list[Layer]]) -> None:
    """Raise InputError unless the modules of all replicates have the same layers."""
    wanted = [_signature(layer) for layer in read[0]]
    for r, layers in enumerate(read):
        if [_signature(layer) for layer in layers] != wanted:
            raise InputError(f"the module of replicate {r} has other layers than that of replicate 0")


def _signature(layer: Layer) -> tuple[object, ...]:
    m = layer.module
    window = (m.kernel_size, m.stride, m.dilation, m.groups, padding(m)) if isinstance(m, nn.Conv2d) else ()
    return type(m), layer.inputs, layer.outputs, layer.activation, window


def _born(layer: Layer) -> Tensor:
    born = receptive(layer)
    return born if layer.mask is None else born & (expand(layer, layer.mask) > 0)


def receptive(layer: Layer) -> Tensor:
    """Return which (pre, post) pairs a layer joins, (n_pre, n_post) bool."""
    return expand(layer, torch.ones(layer.parameter.shape)) > 0


def expand(layer: Layer, values: Tensor) -> Tensor:
    """Return values of the shape of a layer's weights as one a synapse, (n_pre, n_post) float32; 0 where none is born."""
    if isinstance(layer.module, nn.Linear):
        return values.T.to(torch.float32).contiguous()
    pre, post, tap = _taps(layer.module, layer.inputs)
    out = torch.zeros(math.prod(layer.inputs), math.prod(layer.outputs))
    out[pre, post] = values.to(torch.float32).flatten()[tap]
    return out


def _taps(conv: nn.Conv2d, inputs: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Return input neuron, output neuron and kernel entry of every synapse of a convolution."""
    (top, bottom), (left, right) = padding(conv)
    index = torch.arange(1, math.prod(inputs) + 1, dtype=torch.float64).view(1, *inputs)  # exact; 0 marks the padding
    index = nn.functional.pad(index, (left, right, top, bottom))
    seen = nn.functional.unfold(index, conv.kernel_size, conv.dilation, 0, conv.stride)[0].long()
    positions, group = seen.shape[1], conv.in_channels // conv.groups
    seen = seen.view(conv.groups, 1, -1, positions) - 1  # (group, 1, channel and kernel entry, position)
    channels = torch.arange(conv.out_channels).view(conv.groups, -1, 1, 1)
    post = channels * positions + torch.arange(positions)
    tap = channels * (group * math.prod(conv.kernel_size)) + torch.arange(seen.shape[2]).view(-1, 1)
    pre, post, tap = torch.broadcast_tensors(seen, post, tap)  # type: ignore[no-untyped-call]
    inside = pre >= 0
    return pre[inside], post[inside], tap[inside]
