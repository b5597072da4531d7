"""Training the weights that are left, by gradient descent: the *retrained* regime, and what IMP is made of.

Every replicate has its own mean cross-entropy L of the readout; with the mask m fixed,

    g = m dL/dw + decay w,      g <- g min(1, clip/norm(g)),      v <- momentum v + g,      w <- w - rate (1 + cos(pi t/T))/2 v

Survivors start at their birth weights, and every gain is 1, as the methods that are made to be retrained were
published. The norm is that of all of a replicate's weights together: without the clip, masks that keep few
synapses of one layer diverge at the rate that others need (seen with GraSP on a validation split of digits).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from biosim.circuit import Circuit
from biosim.drives.base import Drive
from biosim.errors import InputError, NumericalError
from biosim.progress import Progress
from biosim.scorers.descent import check_sgd, for_epochs, gradients, half_cosine, labelled, weights_of
from biosim.synapses import Network


@dataclass(frozen=True)
class Training:
    """How weights are trained; the defaults were chosen on validation splits of digits and Fashion-MNIST.

    Attributes
    ----------
    epochs : int, optional
        As long as the drive when left out.
    rate, momentum, decay : float
        Of SGD on the weights; the rate falls to zero along a half cosine.
    clip : float
        Largest norm of a gradient.
    """

    epochs: int | None = None
    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 0.0
    clip: float = 1.0

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 1:
            raise InputError(f"training needs at least one epoch, not {self.epochs}", ("epochs",))
        check_sgd(self.rate, self.momentum, self.decay)
        if not self.clip > 0:
            raise InputError(f"the largest norm of a gradient must be positive, not {self.clip}", ("clip",))


def unit_gains(network: Network) -> dict[str, Tensor]:
    """Return a gain of 1 for every neuron, (R, size) by population."""
    return {n: torch.ones_like(p.gain) for n, p in network.populations.items()}


def train(
    network: Network,
    masks: Mapping[str, Tensor],
    drive: Drive,
    seeds: tuple[int, ...],
    training: Training,
    *,
    start: Mapping[str, Tensor] | None = None,
    stop: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Return the weights of the survivors after training, zero elsewhere: (R, n_pre, n_post) by projection.

    Parameters
    ----------
    network : Network
        The births; left untouched.
    masks : mapping
        (R, n_pre, n_post) bool by projection; stay as they are.
    drive : Drive
    seeds : tuple of int
        Order of presentation of each replicate.
    training : Training
    start : mapping, optional
        Weights to start from; those at birth when left out.
    stop : int, optional
        Stop after this many epochs of the schedule.
    progress : callable, optional
    """
    drive = for_epochs(drive, training.epochs)
    start = weights_of(network) if start is None else start
    weights = {n: start[n] * m for n, m in masks.items()}
    speed = {n: torch.zeros_like(w) for n, w in weights.items()}
    gains = unit_gains(network)
    steps = drive.clock.steps
    last = steps if stop is None else stop * (steps // int(getattr(drive, "epochs", 1)))
    loss = torch.zeros(())
    for step, (inputs, labels) in enumerate(labelled(drive, seeds, network.device, "training weights")):
        if step >= last:
            break
        slopes, loss = gradients(network, weights, gains, inputs, labels)
        rate = half_cosine(training.rate, step, steps)
        for name, slope in slopes.items():
            slope.mul_(masks[name]).add_(weights[name], alpha=training.decay)
        shrink = _clip(slopes, training.clip)
        for name, weight in weights.items():
            speed[name].mul_(training.momentum).addcmul_(slopes[name], shrink)
            weight.sub_(speed[name], alpha=rate)
        if progress is not None and (step + 1) % max(1, steps // 20) == 0:
            progress(step + 1, steps, {"loss": float(loss.mean())})
    if not bool(torch.isfinite(loss).all()):
        raise NumericalError(f"training diverged at rate {training.rate}: the loss is not finite; lower retrain.rate")
    return weights


def _clip(slopes: Mapping[str, Tensor], largest: float) -> Tensor:
    """Return the factor that brings each replicate's gradient to a norm of at most ``largest``, (R, 1, 1)."""
    squares = torch.stack([torch.stack([x.square().sum() for x in s]) for s in slopes.values()])  # one by one: the same in any batch
    return (largest / squares.sum(0).sqrt().clamp(min=1e-30)).clamp(max=1.0).view(-1, 1, 1)


def retrain(
    network: Network,
    masks: Mapping[str, Tensor],
    drive: Drive,
    seeds: tuple[int, ...],
    training: Training,
    *,
    start: Mapping[str, Tensor] | None = None,
    provenance: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Circuit:
    """Train the survivors and return the circuit; eliminated synapses keep the weight they started with."""
    start = weights_of(network) if start is None else start
    trained = train(network, masks, drive, seeds, training, start=start, progress=progress)
    weights = {n: torch.where(masks[n], trained[n], start[n]) for n in trained}
    about = {**(provenance or {}), "regime": "retrained", "training": vars(training) | {"seeds": list(seeds)}}
    return Circuit.of(network, about, masks, unit_gains(network), weights)
