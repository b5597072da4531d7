"""Edge-popup (Ramanujan et al. 2020, https://arxiv.org/abs/1911.13299): learn a score, never a weight.

Weights stay as born. Scores start uniform in +-1/sqrt(fan_in) (Kaiming uniform, a = sqrt 5); the forward
pass keeps the top k of abs(S), and gradients pass straight through to every edge:

    dL/dS = dL/dW_eff * W * sign(S)

SGD on the scores: lr .1, momentum .9, weight decay 1e-4, cosine, cross-entropy of the readout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import InputError
from biosim.scorers.base import Progress
from biosim.scorers.keep import Scope, keep
from biosim.streams import generator
from biosim.substrates.rate import propagate
from biosim.synapses import Network


@dataclass(frozen=True)
class Scorer:
    """Edge-popup.

    Attributes
    ----------
    scope : {"neuron", "layer", "network"}
        ``layer`` is the published method.
    epochs : int, optional
        As long as the local rule when left out.
    rate, momentum, decay : float
        Of SGD on the scores.
    """

    scope: Scope = "layer"
    epochs: int | None = None
    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 1e-4
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "edge-popup": {},
        "edge-popup-neuron": {"scope": "neuron"},
        "edge-popup-network": {"scope": "network"},
    }

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 1:
            raise InputError("edge-popup needs at least one epoch", ("epochs",))

    @property
    def level(self) -> str:
        """What the score reads."""
        return "gradient"

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return abs(S) after training; the births are read, never written."""
        if self.epochs is not None:
            drive = _for_epochs(drive, self.epochs)
        scores = {n: _initial_scores(network, n, seeds) for n in network.projections}
        speed = {n: torch.zeros_like(s) for n, s in scores.items()}
        gains = {n: torch.full_like(p.gain, 1 / math.sqrt(density)) for n, p in network.populations.items()}
        steps = drive.clock.steps
        for step, shown in enumerate(drive.presentations(seeds, network.device)):
            if shown.labels is None:
                raise InputError("edge-popup needs a drive with labels")
            masks = keep({n: s.abs() for n, s in scores.items()}, network, density, self.scope, seeds)
            gradients, accuracy = _gradients(network, masks, gains, shown.inputs, shown.labels)
            rate = self.rate * 0.5 * (1 + math.cos(math.pi * step / steps))
            for name, score in scores.items():
                through = gradients[name].mul_(network.projections[name].weight).mul_(score.sign())
                speed[name].mul_(self.momentum).add_(through).add_(score, alpha=self.decay)
                score.sub_(speed[name], alpha=rate)
            if progress is not None and (step + 1) % max(1, steps // 50) == 0:
                progress(step + 1, steps, {"density": density, "accuracy": accuracy})
        return {n: s.abs() for n, s in scores.items()}


def _for_epochs(drive: Drive, epochs: int) -> Drive:
    if not hasattr(drive, "epochs"):
        raise InputError("this drive has no epochs to set", ("epochs",))
    return replace(drive, epochs=epochs)  # type: ignore[type-var]


def _initial_scores(network: Network, name: str, seeds: tuple[int, ...]) -> Tensor:
    p = network.projections[name]
    bound = 1 / math.sqrt(p.shape[1])
    draws = [generator(seed, f"edge-popup/{name}").uniform(-bound, bound, p.shape[1:]) for seed in seeds]
    return torch.stack([torch.from_numpy(d) for d in draws]).to(network.device, torch.float32)


def _gradients(
    network: Network, masks: dict[str, Tensor], gains: dict[str, Tensor], inputs: Tensor, labels: Tensor
) -> tuple[dict[str, Tensor], float]:
    """Return dL/dW_eff of every projection (each replicate's own mean cross-entropy) and the accuracy."""
    effective = {n: (network.projections[n].weight * m).requires_grad_() for n, m in masks.items()}
    with torch.enable_grad():
        output = propagate(network, effective, gains, inputs)[next(reversed(network.populations))]
        losses = torch.nn.functional.cross_entropy(output.transpose(1, 2), labels, reduction="none")
        gradients = torch.autograd.grad(losses.mean(1).sum(), list(effective.values()))
    accuracy = float((output.argmax(-1) == labels).float().mean())
    return dict(zip(effective, gradients, strict=True)), accuracy
