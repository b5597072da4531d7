"""Write a circuit back into the user's module: as plain layers, or as masks of ``torch.nn.utils.prune``."""

from __future__ import annotations

import copy
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from biosim.circuit import Circuit
from biosim.errors import InputError
from biosim.torch_bridge.births import populations_of
from biosim.torch_bridge.layers import Layer, read_layers

Gains = Literal["fold", "leave-out"]


def to_torch(circuit: Circuit, module: nn.Module, input_shape: int | Sequence[int] | None = None, replicate: int = 0) -> nn.Module:
    """Return the module with a circuit's weights: zero where a synapse is gone, neurons' gains multiplied in.

    It computes exactly what the circuit does (up to float32 rounding). ``module`` is left untouched and gives the
    layers; its weights are not looked at. A Conv2d, whose synapses no longer share weights, is replaced by a
    Sequential of Flatten, the equivalent Linear without bias, and Unflatten; every other module is copied.

    Parameters
    ----------
    circuit : Circuit
        Developed from births of this module, or of any network with the same populations.
    module : nn.Sequential
    input_shape : int or sequence of int, optional
        As for :func:`network_from_torch`.
    replicate : int

    Raises
    ------
    InputError
        When circuit and module do not have the same layers.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from biosim import ImageDrive, load_images, load_scorer, network_from_torch, prune, to_torch
    >>> module = nn.Sequential(nn.Linear(64, 20, bias=False), nn.ReLU(), nn.Linear(20, 10, bias=False))
    >>> drive = ImageDrive(load_images("digits", train_size=200), batch=50, epochs=1)
    >>> circuit = prune("random", load_scorer("random"), network_from_torch(module), drive, 0.5, (0,))
    >>> images = drive.images.test
    >>> bool(torch.allclose(to_torch(circuit, module)(torch.from_numpy(images)), torch.from_numpy(circuit.respond(images)[0]), atol=1e-4))
    True
    """
    return _written(circuit, module, input_shape, replicate, _plain)


def to_torch_prune(
    circuit: Circuit,
    module: nn.Module,
    input_shape: int | Sequence[int] | None = None,
    replicate: int = 0,
    *,
    gains: Gains = "fold",
) -> nn.Module:
    """Return the module with a circuit's masks applied through ``torch.nn.utils.prune.custom_from_mask``.

    Each layer gets ``weight_orig`` (all births) and ``weight_mask`` (what the circuit kept), so torch trains the
    survivors and the rest stay dead. ``module`` is left untouched; a Conv2d is replaced as :func:`to_torch` does.

    Parameters
    ----------
    circuit, module, input_shape, replicate
        As for :func:`to_torch`.
    gains : {"fold", "leave-out"}
        ``fold`` multiplies the neurons' gains into ``weight_orig``: the module computes what the circuit does.
        ``leave-out`` keeps ``weight_orig`` as born, bit for bit: a subnetwork without gains, to be trained.

    Raises
    ------
    InputError
        When circuit and module do not have the same layers.

    Examples
    --------
    >>> from torch import nn
    >>> from torch.nn.utils import prune as torch_prune
    >>> from biosim import ImageDrive, load_images, load_scorer, network_from_torch, prune, to_torch_prune
    >>> module = nn.Sequential(nn.Linear(64, 20, bias=False), nn.ReLU(), nn.Linear(20, 10, bias=False))
    >>> drive = ImageDrive(load_images("digits", train_size=200), batch=50, epochs=1)
    >>> circuit = prune("random", load_scorer("random"), network_from_torch(module), drive, 0.5, (0,))
    >>> masked = to_torch_prune(circuit, module)
    >>> torch_prune.is_pruned(masked), int(masked[0].weight_mask.sum())
    (True, 640)
    """
    if gains not in ("fold", "leave-out"):
        raise InputError(f"gains are to be 'fold' or 'leave-out', not '{gains}'", ("gains",))
    return _written(circuit, module, input_shape, replicate, _masked if gains == "fold" else _masked_as_born)


Fill = Callable[[nn.Linear, Tensor, Tensor, Tensor], None]  # layer; weight, mask (post, pre); gain (post, 1)


def _plain(linear: nn.Linear, weight: Tensor, mask: Tensor, gain: Tensor) -> None:
    linear.weight.copy_(weight * mask * gain)


def _masked(linear: nn.Linear, weight: Tensor, mask: Tensor, gain: Tensor) -> None:
    linear.weight.copy_(weight * gain)
    prune.custom_from_mask(linear, "weight", mask.to(linear.weight))  # type: ignore[no-untyped-call]


def _masked_as_born(linear: nn.Linear, weight: Tensor, mask: Tensor, gain: Tensor) -> None:
    _masked(linear, weight, mask, torch.ones_like(gain))


def _written(circuit: Circuit, module: nn.Module, input_shape: int | Sequence[int] | None, replicate: int, fill: Fill) -> nn.Module:
    layers = read_layers(module, input_shape)
    _check(circuit, layers, replicate)
    replacements: dict[str, nn.Module] = {}
    for layer, (name, _, post) in zip(layers, circuit.projections, strict=True):
        parts = (circuit.weight[name][replicate].T, circuit.mask[name][replicate].T, circuit.gain[post][replicate][:, None])
        weight, mask, gain = (torch.tensor(part, device=layer.module.weight.device) for part in parts)
        replacements[layer.place] = _replacement(layer, weight, mask, gain, fill)
    return _rebuilt(module, "", replacements)


def _replacement(layer: Layer, weight: Tensor, mask: Tensor, gain: Tensor, fill: Fill) -> nn.Module:
    old = layer.module
    pre, post = math.prod(layer.inputs), math.prod(layer.outputs)
    bias = isinstance(old, nn.Linear) and old.bias is not None
    linear = nn.Linear(pre, post, bias, device=old.weight.device, dtype=old.weight.dtype)
    with torch.no_grad():
        if bias:
            linear.bias.zero_()  # it was zero: read_layers saw to that
        fill(linear, weight, mask, gain)
    linear.train(old.training)
    if isinstance(old, nn.Linear):
        return linear
    return nn.Sequential(nn.Flatten(), linear, nn.Unflatten(1, layer.outputs))


def _rebuilt(module: nn.Module, place: str, replacements: Mapping[str, nn.Module]) -> nn.Module:
    """Return a copy with the layers replaced; a pruned layer itself cannot be deep-copied."""
    if place in replacements:
        return replacements[place]
    if type(module).forward is not nn.Sequential.forward:
        return copy.deepcopy(module)
    children = ((n, _rebuilt(m, f"{place}.{n}" if place else n, replacements)) for n, m in module._modules.items() if m is not None)
    rebuilt = nn.Sequential(OrderedDict(children))
    rebuilt.training = module.training
    return rebuilt


def _check(circuit: Circuit, layers: list[Layer], replicate: int) -> None:
    if not 0 <= replicate < circuit.replicates:
        raise InputError(f"the circuit has {circuit.replicates} replicates, counted from 0, and none is {replicate}", ("replicate",))
    if circuit.spiking is not None:
        raise InputError("the circuit's neurons spike, and those of a Sequential do not")
    if circuit.settles:
        raise InputError("the circuit settles over several steps (recurrent projections or leak), which no Sequential does")
    chain = [n for n, _, _ in circuit.populations]
    if [(a, b) for _, a, b in circuit.projections] != list(itertools.pairwise(chain)):
        raise InputError("the circuit is not a chain of populations, and a Sequential is")
    wanted = [(p.size, p.activation) for p in populations_of(layers)]
    have = [(size, activation) for _, size, activation in circuit.populations]
    if wanted != have:
        raise InputError(f"the circuit's populations are {_say(have)}, the module's {_say(wanted)}")


def _say(populations: Sequence[tuple[int, str]]) -> str:
    return " -> ".join(f"{size} {activation}" for size, activation in populations)
