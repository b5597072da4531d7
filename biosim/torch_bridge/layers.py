"""Read a Sequential: which of its modules are layers of synapses, between which shapes, and what the rest means.

============================  ==========================================================================
module                        becomes
============================  ==========================================================================
Linear                        a projection; a bias must be zero, for biosim's neurons have none
Conv2d                        a projection of unshared synapses: each output position of each channel is a neuron of
                              its own, born with one synapse from every input it looks at
ReLU, Tanh, Identity          the activation of the population before it
Flatten, Unflatten            nothing: a population is its shape read row by row, (channel, row, column)
Dropout and its kin           nothing, as in ``module.eval()``
Softmax, LogSoftmax           nothing, and only at the very end: the readout of a circuit is what goes into it
============================  ==========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from biosim.errors import InputError
from biosim.synapses import Activation

Shape = tuple[int, ...]
ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.ReLU: "relu", nn.Tanh: "tanh"}
SILENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
KNOWN = "Linear, Conv2d, ReLU, Tanh, Identity, Flatten, Unflatten, Dropout, and Softmax at the end"
REMEDIES: dict[type[nn.Module], str] = {
    nn.AvgPool2d: "an average is a fixed sum that no synapse carries; Conv2d(C, C, k, stride=k, groups=C, bias=False) with "
    "weights 1/k**2 is the same average by synapses of its own",
    nn.MaxPool2d: "a maximum is not a sum over synapses; use a Conv2d with a stride instead",
    nn.BatchNorm1d: "leave it out (homeostasis keeps activity at its size), or fold its scale into the layer before",
    nn.BatchNorm2d: "leave it out (homeostasis keeps activity at its size), or fold its scale into the layer before",
    nn.LayerNorm: "leave it out (homeostasis keeps activity at its size)",
    nn.Conv1d: "write it as a Conv2d with kernel (1, k) on inputs of shape (channels, 1, length)",
}


@dataclass(frozen=True)
class Layer:
    """One layer of synapses.

    Attributes
    ----------
    place : str
        Its name inside the Sequential, as ``get_submodule`` takes it.
    module : nn.Linear or nn.Conv2d
    inputs, outputs : tuple of int
        Shapes of one sample before and after it.
    activation : str
        Of the population it ends in.
    """

    place: str
    module: nn.Linear | nn.Conv2d
    inputs: Shape
    outputs: Shape
    activation: Activation = "linear"

    @property
    def parameter(self) -> Tensor:
        """The weights; of a pruned layer those before masking."""
        return getattr(self.module, "weight_orig", self.module.weight).detach().cpu()

    @property
    def mask(self) -> Tensor | None:
        """What ``torch.nn.utils.prune`` has left of the weights, bool; None where nothing was pruned."""
        mask: Tensor | None = getattr(self.module, "weight_mask", None)
        if mask is None:
            return None
        if not bool(((mask == 0) | (mask == 1)).all()):
            raise InputError(f"{title(self.place, self.module)}: its weight_mask holds something other than 0 and 1")
        return mask.detach().cpu().bool()


def title(place: str, module: nn.Module) -> str:
    """Return how errors name a module."""
    return f"layer {place} ({type(module).__name__})"


def read_layers(module: nn.Module, input_shape: int | Sequence[int] | None = None) -> list[Layer]:
    """Return the layers of synapses of a Sequential, in order.

    Parameters
    ----------
    module : nn.Sequential
        May hold others; a lone Linear or Conv2d will do.
    input_shape : int or sequence of int, optional
        Shape of one sample, without the batch: 784, or (1, 28, 28). Left out, a Linear that comes first says it.

    Raises
    ------
    InputError
        Naming the layer that has no counterpart, and what to use instead.
    """
    places = list(_walk(module, ""))
    shape = _input_shape(input_shape, places)
    layers: list[Layer] = []
    activated, ended = False, ""
    for place, m in places:
        name = title(place, m)
        if ended and not isinstance(m, SILENT):
            raise InputError(f"{name} comes after {ended}: a softmax can only be the end; a circuit's readout is what goes into it")
        if type(m) in (nn.Linear, nn.Conv2d):
            assert isinstance(m, nn.Linear | nn.Conv2d)
            _check_synapses(m, name, layers)
            outputs = _linear_shape(m, shape, name) if isinstance(m, nn.Linear) else _conv_shape(m, shape, name)
            layers.append(Layer(place, m, shape, outputs))
            shape, activated = outputs, False
        elif type(m) in ACTIVATIONS:
            if not layers or activated:
                raise InputError(f"{name} must follow a Linear or Conv2d: a neuron has one activation, an input none")
            layers[-1] = replace(layers[-1], activation=ACTIVATIONS[type(m)])
            activated = True
        elif type(m) in (nn.Flatten, nn.Unflatten):
            shape = _reshaped(m, shape, name)
        elif type(m) in (nn.Softmax, nn.LogSoftmax):
            if len(shape) != 1 or m.dim not in (1, -1):
                raise InputError(f"{name} must act on the readout's neurons: dim=1, after a Flatten")
            ended = name
        elif not isinstance(m, SILENT):
            remedy = REMEDIES.get(type(m), f"there are: {KNOWN}")
            raise InputError(f"{name} has no counterpart among synapses and neurons: {remedy}")
    if not layers:
        raise InputError("the module holds no Linear and no Conv2d: there is nothing to be born")
    return layers


def _walk(module: nn.Module, place: str) -> Iterator[tuple[str, nn.Module]]:
    if type(module).forward is nn.Sequential.forward:
        for name, child in module._modules.items():  # named_children skips repeats
            if child is not None:
                yield from _walk(child, f"{place}.{name}" if place else name)
    elif not place and type(module) not in (nn.Linear, nn.Conv2d):
        kind = type(module).__name__
        raise InputError(f"expected a torch.nn.Sequential, not {kind}: what its forward does cannot be read; list its layers in one")
    else:
        yield place, module


def _input_shape(given: int | Sequence[int] | None, places: list[tuple[str, nn.Module]]) -> Shape:
    if given is None:
        first = next((m for _, m in places if isinstance(m, nn.Linear | nn.Conv2d | nn.Flatten | nn.Unflatten)), None)
        if not isinstance(first, nn.Linear):
            raise InputError("say input_shape, the shape of one sample such as (1, 28, 28): the module's first layer does not tell it")
        return (first.in_features,)
    shape = (given,) if isinstance(given, int) else tuple(int(n) for n in given)
    if not shape or min(shape) < 1:
        raise InputError(f"input_shape is the shape of one sample, such as 784 or (1, 28, 28), not {given}")
    return shape


def _check_synapses(module: nn.Linear | nn.Conv2d, name: str, before: list[Layer]) -> None:
    for earlier in before:
        if earlier.module is module:
            raise InputError(f"{name} is layer {earlier.place} again: synapses are not shared; make it a layer of its own")
    if parametrize.is_parametrized(module):
        raise InputError(f"{name} is parametrized: call torch.nn.utils.parametrize.remove_parametrizations first")
    if module.bias is not None and bool((module.bias != 0).any()):
        raise InputError(
            f"{name} has a bias, and biosim's neurons have none: what a circuit knows lies in its synapses. "
            "Build the layer with bias=False, or set the bias to zero (torch.nn.init.zeros_)"
        )
    if not bool(torch.isfinite(module.weight).all()):
        raise InputError(f"{name} has weights that are not finite")


def _linear_shape(module: nn.Linear, shape: Shape, name: str) -> Shape:
    if len(shape) != 1:
        raise InputError(f"{name} gets samples of shape {shape}: it would share its weights over rows; put a Flatten before it")
    if shape[0] != module.in_features:
        raise InputError(f"{name} has {module.in_features} inputs and gets {shape[0]}")
    return (module.out_features,)


def _conv_shape(module: nn.Conv2d, shape: Shape, name: str) -> Shape:
    if module.padding_mode != "zeros":
        raise InputError(f"{name} pads with '{module.padding_mode}': only zeros, which no synapse carries, can be read")
    if len(shape) != 3 or shape[0] != module.in_channels:
        wanted = f"({module.in_channels}, height, width)"
        raise InputError(f"{name} needs samples of shape {wanted} and gets {shape}: give input_shape, or an Unflatten")
    sides = []
    for axis, length in enumerate(shape[1:]):
        padded = length + sum(padding(module)[axis])
        span = module.dilation[axis] * (module.kernel_size[axis] - 1) + 1
        if span > padded:
            raise InputError(f"{name}: its kernel spans {span} and the padded input has {padded}")
        sides.append((padded - span) // module.stride[axis] + 1)
    return (module.out_channels, *sides)


def padding(module: nn.Conv2d) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return rows of zeros before and after, for both axes."""
    if module.padding == "valid":
        return (0, 0), (0, 0)
    if module.padding == "same":
        total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        return (total[0] // 2, total[0] - total[0] // 2), (total[1] // 2, total[1] - total[1] // 2)
    assert not isinstance(module.padding, str)
    rows, columns = module.padding
    return (int(rows), int(rows)), (int(columns), int(columns))


def _reshaped(module: nn.Module, shape: Shape, name: str) -> Shape:
    try:
        outcome = tuple(module(torch.empty((2, *shape), device="meta")).shape)
    except (RuntimeError, IndexError) as error:
        raise InputError(f"{name} cannot take samples of shape {shape}: {error}") from None
    if outcome[0] != 2 or math.prod(outcome) != 2 * math.prod(shape):
        raise InputError(f"{name} merges the samples of a batch; flatten from dimension 1 on")
    return outcome[1:]
