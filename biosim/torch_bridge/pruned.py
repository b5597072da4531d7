"""Read a module that was pruned with ``torch.nn.utils.prune``, by biosim or by torch's own methods, as a circuit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from biosim.circuit import Circuit
from biosim.errors import InputError
from biosim.synapses import Network
from biosim.torch_bridge.births import expand, populations_of, receptive, same_diagram
from biosim.torch_bridge.layers import Layer, read_layers


def from_torch_prune(
    module: nn.Module | Sequence[nn.Module], input_shape: int | Sequence[int] | None = None, births: Network | Circuit | None = None
) -> Circuit:
    """Return the circuit that the masks of ``torch.nn.utils.prune`` leave; it computes what ``module.eval()`` does.

    Weights are ``weight_orig``, masks ``weight_mask``, gains 1. A layer that was not pruned keeps every synapse. The mask of
    a Conv2d holds at every output position.

    Parameters
    ----------
    module : nn.Sequential, or sequence of them
        One a replicate.
    input_shape : int or sequence of int, optional
        As for :func:`network_from_torch`.
    births : Network or Circuit, optional
        Which synapses were born, where that is fewer than the layers hold (Conv2d written back as Linear, sparse
        births); names are taken from it too.

    Raises
    ------
    InputError
        When nothing in a module was pruned, when a layer has no counterpart, or when a mask keeps a synapse that
        was never born.

    Examples
    --------
    >>> from torch import nn
    >>> from torch.nn.utils import prune
    >>> from biosim import from_torch_prune
    >>> module = nn.Sequential(nn.Linear(8, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    >>> _ = prune.l1_unstructured(module[0], "weight", amount=0.5)
    >>> from_torch_prune(module).births(), from_torch_prune(module).density()
    (array([40]), array([0.6]))
    """
    modules = [module] if isinstance(module, nn.Module) else list(module)
    read = [read_layers(m, input_shape) for m in modules]
    if not read or any(all(layer.mask is None for layer in layers) for layers in read):
        raise InputError("nothing in the module was pruned with torch.nn.utils.prune; network_from_torch makes births of it")
    same_diagram(read)
    populations: tuple[tuple[str, int, str], ...] = tuple((p.name, p.size, p.activation) for p in populations_of(read[0]))
    chain = [name for name, _, _ in populations]
    projections = tuple((f"{a}-{b}", a, b) for a, b in itertools.pairwise(chain))
    known = Circuit.of(births, {}) if isinstance(births, Network) else births
    if known is not None:
        if [p[1:] for p in known.populations] != [p[1:] for p in populations] or known.replicates != len(modules):
            raise InputError("births and module do not have the same populations, or not the same replicates", ("births",))
        populations, projections = known.populations, known.projections
    mask, born, weight = {}, {}, {}
    for k, (name, _, _) in enumerate(projections):
        own = np.stack([receptive(layers[k]).numpy() for layers in read])
        born[name] = own if known is None else np.asarray(known.born[name])
        mask[name] = np.stack([_kept(layers[k]) for layers in read])
        weight[name] = np.stack([expand(layers[k], layers[k].parameter).numpy() for layers in read])
        if (mask[name] & ~born[name]).any():
            raise InputError(f"the mask of layer {read[0][k].place} keeps synapses of '{name}' that were never born", ("births",))
    gain = {n: np.ones((len(modules), size), np.float32) for n, size, _ in populations}
    return Circuit(populations, projections, mask, born, weight, gain, {"scorer": "torch.nn.utils.prune", "locality": "unknown"})


def _kept(layer: Layer) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    mask = torch.ones(layer.parameter.shape) if layer.mask is None else layer.mask
    return np.asarray(expand(layer, mask).numpy() > 0)
