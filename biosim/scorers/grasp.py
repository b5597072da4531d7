"""GraSP (Wang, Zhang & Grosse 2020, https://arxiv.org/abs/2002.07376): keep what carries gradient flow.

    g = dL/dw,      score = w (H g),      H the Hessian of L,      L on ~10 samples a class, logits / 200

Removing an edge changes ``g^T g`` by about ``-2 w (H g)`` to first order, so the edges with the largest
score are kept; all edges of the network compete.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import InputError
from biosim.scorers.base import Progress
from biosim.scorers.descent import losses
from biosim.scorers.snip import SlopeScorer, samples_of_each_class
from biosim.synapses import Network


@dataclass(frozen=True)
class Scorer(SlopeScorer):
    """Gradient-flow preservation.

    Attributes
    ----------
    scope : {"network", "layer", "neuron"}
        ``network`` is the published method.
    samples : int
        Samples a class.
    temperature : float
        Logits are divided by it.
    """

    temperature: float = 200.0
    frozen_note: ClassVar[str] = "made to be retrained: it keeps the edges through which training would be fast"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0:
            raise InputError("the temperature must be positive", ("temperature",))

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return w (H g) at birth, by differentiating ``g . stop(g)``."""
        inputs, labels = samples_of_each_class(drive, self.samples, seeds, network.device)
        births = {n: p.weight.detach().requires_grad_() for n, p in network.projections.items()}
        readout = network.readout.name
        cool = {readout: network.populations[readout].gain.new_full((1, 1), 1 / self.temperature)}
        with torch.enable_grad():
            loss = losses(network, births, cool, inputs, labels, twice=True).sum()
            slopes = torch.autograd.grad(loss, list(births.values()), create_graph=True, materialize_grads=True)
            flow = torch.stack([(g * g.detach()).sum() for g in slopes]).sum()
            curved = torch.autograd.grad(flow, list(births.values()), materialize_grads=True)
        return {n: hg.mul_(births[n].detach()) for n, hg in zip(births, curved, strict=True)}
