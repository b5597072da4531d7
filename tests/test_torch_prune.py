"""Masks to and from torch.nn.utils.prune: exact both ways, and the dead stay dead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch_modules import assert_same, conv_net, mlp, pruned_circuit

from biosim import (
    Circuit,
    from_torch_prune,
    network_from_torch,
    to_torch_prune,
)
from biosim.errors import InputError


def test_masks_go_through_torch_prune_and_back_exactly() -> None:
    modules = [mlp(9, 8, 7, 3, activation=nn.Tanh) for _ in range(2)]
    circuit = pruned_circuit(network_from_torch(modules))
    written = [to_torch_prune(circuit, m, replicate=r) for r, m in enumerate(modules)]
    assert all(prune.is_pruned(m) for m in written)
    back = from_torch_prune(written)
    assert back.populations == circuit.populations and back.projections == circuit.projections
    for name, _, post in circuit.projections:
        assert np.array_equal(back.mask[name], circuit.mask[name]) and np.array_equal(back.born[name], circuit.born[name])
        assert np.array_equal(back.weight[name], circuit.weight[name] * circuit.gain[post][:, None, :])
    for r, m in enumerate(written):
        assert_same(back, m, (9,), r)
    again = from_torch_prune([to_torch_prune(circuit, m, replicate=r, gains="leave-out") for r, m in enumerate(modules)])
    for name in circuit.weight:  # births bit for bit
        assert np.array_equal(again.weight[name], circuit.weight[name]) and np.array_equal(again.mask[name], circuit.mask[name])


def test_masks_of_unshared_convolutions_come_back_with_their_births() -> None:
    module, shape = conv_net(), (1, 6, 6)
    network = network_from_torch(module, shape)
    births = Circuit.of(network, {})
    circuit = pruned_circuit(network)
    written = to_torch_prune(circuit, module, shape)
    back = from_torch_prune(written, shape, births)
    for name in circuit.mask:
        assert np.array_equal(back.mask[name], circuit.mask[name]) and np.array_equal(back.born[name], circuit.born[name])
    assert back.density() == circuit.density()
    assert_same(back, written, shape)
    fewer = replace(
        births, born={n: b & circuit.mask[n] for n, b in births.born.items()}, mask={n: circuit.mask[n] & False for n in circuit.mask}
    )
    with pytest.raises(InputError, match="never born"):
        from_torch_prune(to_torch_prune(births, module, shape), shape, fewer)


def test_what_torch_itself_pruned_is_read_as_a_circuit() -> None:
    module, shape = conv_net(), (1, 6, 6)
    prune.global_unstructured([(module[0], "weight"), (module[3], "weight"), (module[6], "weight")], prune.L1Unstructured, amount=0.6)
    circuit = from_torch_prune(module, shape)
    assert_same(circuit, module, shape)
    kernel = module[0].weight_mask.sum((1, 2, 3))  # a shared mask holds wherever the kernel fits inside the padding
    inner = circuit.mask["input-hidden1"][0].reshape(36, 4, 3, 3)[:, :, 1, 1].sum(0)
    assert np.array_equal(inner, kernel.numpy())
    born = network_from_torch(module, shape)  # births of a pruned module are what its masks have left
    assert np.array_equal(born.projections["input-hidden1"].born.numpy(), circuit.mask["input-hidden1"])
    assert_same(Circuit.of(born, {}), module, shape)


def test_survivors_can_be_trained_and_the_dead_stay_dead() -> None:
    circuit = pruned_circuit(network_from_torch(mlp(6, 5, 3)))
    module = to_torch_prune(circuit, mlp(6, 5, 3))
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    before = from_torch_prune(module)
    nn.functional.cross_entropy(module(torch.randn(20, 6)), torch.arange(20) % 3).backward()
    optimiser.step()
    after = from_torch_prune(module)
    for name, mask in before.mask.items():
        assert np.array_equal(after.mask[name], mask)
        assert (after.weight[name] != before.weight[name])[mask].any()
    assert_same(after, module, (6,))


def test_an_unpruned_module_or_other_births_are_refused() -> None:
    with pytest.raises(InputError, match="nothing in the module was pruned"):
        from_torch_prune(mlp(6, 5, 3))
    module = mlp(6, 5, 3)
    prune.random_unstructured(module[0], "weight", 0.5)
    with pytest.raises(InputError, match="births and module"):
        from_torch_prune(module, births=network_from_torch(mlp(6, 4, 3)))
    module[0].weight_mask.fill_(0.5)
    with pytest.raises(InputError, match="other than 0 and 1"):
        from_torch_prune(module)
