"""Learned supermask (Zhou et al. 2019, https://arxiv.org/abs/1905.01067): a probability for every edge.

    mask ~ Bernoulli(sigmoid(M)),      dL/dM = dL/dW_eff * W * rescale * sigmoid'(M),      M starts at 0

SGD on M with rate 100 and momentum .9; weights stay as born. With dynamic rescaling a population's summed
input is multiplied by births in / edges drawn, as published for Glorot-normal weights, or by the square root of it
on births, whose variance of 2/fan_in it keeps; gradients take it as a constant. How many edges are left
emerges: a density cannot be asked for. Accuracy is the mean over 10 masks drawn after training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.scorers.base import Made, Task
from biosim.scorers.descent import at_least_one, check_sgd, for_epochs, gradients, labelled, weights_of
from biosim.streams import generator
from biosim.synapses import Network


@dataclass(frozen=True)
class Scorer:
    """Learned supermask.

    Attributes
    ----------
    weights : {"births", "glorot"}
        ``glorot`` draws N(0, 2/(n_pre + n_post)) on the same birth edges, as published; then the circuit's
        weights are not those of the other methods.
    rescale : bool
        Dynamic rescaling. The whole ratio on births doubles their variance from layer to layer: at the published rate
        that cost nearly 3 points on a validation split of digits, and with the square root it costs none.
    epochs : int, optional
        As long as the drive when left out.
    rate, momentum : float
        Of SGD on M, at a constant rate.
    draws : int
        Masks drawn after training.
    """

    weights: Literal["births", "glorot"] = "births"
    rescale: bool = False
    epochs: int | None = None
    rate: float = 100.0
    momentum: float = 0.9
    draws: int = 10
    level: ClassVar[str] = "gradient"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"supermask": {}, "supermask-rescaled": {"rescale": True}}

    def __post_init__(self) -> None:
        if self.weights not in ("births", "glorot"):
            raise InputError(f"unknown weights '{self.weights}'; there are: births, glorot", ("weights",))
        at_least_one("supermask", epochs=self.epochs)
        check_sgd(self.rate, self.momentum)
        if self.draws < 1:
            raise InputError("needs at least one mask drawn after training", ("draws",))

    @property
    def power(self) -> float:
        """The exponent of births in / edges drawn."""
        if not self.rescale:
            return 0.0
        return 0.5 if self.weights == "births" else 1.0

    def make(self, task: Task) -> Iterator[Made]:
        """Yield one circuit, at the density that emerged."""
        network, drive = task.network, for_epochs(task.drive, self.epochs)
        weights = weights_of(network)
        if self.weights == "glorot":
            weights = {n: glorot(network, n, task.seeds) for n in weights}
        logits = {n: torch.zeros_like(w) for n, w in weights.items()}
        speed = {n: torch.zeros_like(w) for n, w in weights.items()}
        lots = {n: [generator(seed, f"supermask/{n}") for seed in task.seeds] for n in weights}
        steps = drive.clock.steps
        for step, (inputs, labels) in enumerate(labelled(drive, task.seeds, network.device, "supermask")):
            masks = {n: draw(logits[n], network.projections[n].born, lots[n]) for n in logits}
            slopes, loss = mask_gradients(network, weights, logits, masks, inputs, labels, self.power)
            for name, logit in logits.items():
                speed[name].mul_(self.momentum).add_(slopes[name])
                logit.sub_(speed[name], alpha=self.rate)
            if task.progress is not None and (step + 1) % max(1, steps // 20) == 0:
                task.progress(step + 1, steps, {"loss": float(loss.mean())})
        lots = {n: [generator(seed, f"supermask/test/{n}") for seed in task.seeds] for n in weights}
        found = tuple({n: draw(logits[n], network.projections[n].born, lots[n]) for n in logits} for _ in range(self.draws))
        yield Made(
            None,
            found,
            gains=tuple(rescaling(network, masks, self.power) for masks in found),
            start=None if self.weights == "births" else weights,
            note=f"density emerges; mean of {self.draws} masks drawn",
        )
        for density in task.densities:
            yield Made(density, undefined="the density of a supermask emerges from training; it cannot be asked for")


def draw(logits: Tensor, born: Tensor, lots: list[np.random.Generator]) -> Tensor:
    """Return a mask, Bernoulli(sigmoid(logits)) on birth edges; one generator a replicate."""
    chance = torch.stack([torch.from_numpy(lot.random(logits.shape[1:], np.float32)) for lot in lots])
    return (chance.to(logits.device) < torch.sigmoid(logits)) & born


def rescaling(network: Network, masks: Mapping[str, Tensor], power: float) -> dict[str, Tensor]:
    """Return the gains of dynamic rescaling, (births in / edges drawn)**power of each population."""
    gains = {n: torch.ones_like(p.gain) for n, p in network.populations.items()}
    for name in network.populations:
        if power and (incoming := network.incoming(name)):
            born = torch.stack([p.fan_in.sum(1) for p in incoming]).sum(0).double()
            left = torch.stack([masks[p.name].sum((1, 2)) for p in incoming]).sum(0).double()
            gains[name] *= (born / left.clamp(min=1)).pow(power).to(gains[name].dtype).unsqueeze(1)
    return gains


def mask_gradients(
    network: Network,
    weights: Mapping[str, Tensor],
    logits: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    inputs: Tensor,
    labels: Tensor,
    power: float,
) -> tuple[dict[str, Tensor], Tensor]:
    """Return dL/dM of every projection, the draw passed straight through, and the (R,) losses."""
    effective = {n: w * masks[n] for n, w in weights.items()}
    slopes, loss = gradients(network, effective, rescaling(network, masks, power), inputs, labels)
    for name, slope in slopes.items():
        chance = torch.sigmoid(logits[name])
        slope.mul_(weights[name]).mul_(chance).mul_(1 - chance)
    return slopes, loss


def glorot(network: Network, name: str, seeds: tuple[int, ...]) -> Tensor:
    """Return Glorot-normal weights on a projection's birth edges, (R, n_pre, n_post)."""
    p = network.projections[name]
    deviation = math.sqrt(2 / (p.pre.size + p.post.size))
    draws = [generator(seed, f"supermask/glorot/{name}").standard_normal(p.shape[1:]) * deviation for seed in seeds]
    return torch.stack([torch.from_numpy(d) for d in draws]).to(network.device, torch.float32) * p.born
