"""Gradients of the loss with respect to effective weights, into memory that is kept from step to step.

What autograd would give, without its allocations: at tens of millions of synapses fresh memory for every
gradient costs as much as the products themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from biosim.scorers.descent import mean_cross_entropy
from biosim.scorers.surrogate import surrogate_spikes
from biosim.substrates.activation import slope
from biosim.substrates.rate import propagate
from biosim.synapses import Network
from biosim.tiles import matmul, outer_sum


class Backprop:
    """Mean cross-entropy of the readout and its gradients, each replicate its own.

    Parameters
    ----------
    network : Network
        Its wiring diagram and activations.
    gains : mapping
        (R, size) by population.
    """

    def __init__(self, network: Network, gains: Mapping[str, Tensor]) -> None:
        self.network, self.gains = network, gains
        self.gradients = {n: torch.empty_like(p.weight) for n, p in network.projections.items()}

    def step(self, effective: Mapping[str, Tensor], inputs: Tensor, labels: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return dL/dW_eff by projection, (R, n_pre, n_post), overwritten by the next call, and the accuracy, ()."""
        if self.network.settles or self.network.spiking is not None:
            return self._through_time(effective, inputs, labels)
        names = list(self.network.populations)
        activity = propagate(self.network, effective, self.gains, inputs)
        output = activity[names[-1]]
        error = output.softmax(2)
        error.scatter_add_(2, labels.unsqueeze(2), torch.full_like(error[:, :, :1], -1.0))
        credit = {names[-1]: error.div_(output.shape[1])}
        for name in reversed(names[1:]):
            arriving = credit.pop(name, None)
            if arriving is None:  # nothing leads from it to the readout
                arriving = torch.zeros_like(activity[name])
            local = slope(activity[name], self.network.populations[name].activation)
            if local is not None:
                arriving = arriving * local
            arriving = arriving * self.gains[name].unsqueeze(1)
            for p in self.network.incoming(name):
                outer_sum(activity[p.pre.name], arriving, 1.0, self.gradients[p.name])
                if p.pre.name != names[0]:
                    back = matmul(arriving, effective[p.name].transpose(1, 2))
                    credit[p.pre.name] = credit[p.pre.name].add_(back) if p.pre.name in credit else back
        return self.gradients, (output.argmax(2) == labels).float().mean()

    def _through_time(self, effective: Mapping[str, Tensor], inputs: Tensor, labels: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the same by autograd through the steps in which a network settles or its neurons spike."""
        with torch.inference_mode(False), torch.enable_grad():
            leaves = {n: e.clone().requires_grad_() for n, e in effective.items()}
            gains = {n: g.clone() for n, g in self.gains.items()}
            activity = propagate(self.network, leaves, gains, inputs.clone(), membrane=surrogate_spikes)
            output = activity[self.network.readout.name]
            loss = mean_cross_entropy(output, labels.clone()).sum()
            found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
            output = output.detach()
        return dict(zip(leaves, found, strict=True)), (output.argmax(2) == labels).float().mean()
