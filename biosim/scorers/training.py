"""Training the weights that are left, by gradient descent: the *retrained* regime, and what IMP is made of.

Every replicate has its own mean cross-entropy L of the readout; with the mask m fixed,

    g = m dL/dw + decay w,      g <- g min(1, clip/norm(g)),      v <- momentum v + g,      w <- w - rate (1 + cos(pi t/T))/2 v

Survivors start at their birth weights, and every gain is 1, as the methods that are made to be retrained were
published. The norm is that of all of a replicate's weights together: without the clip, masks that keep few
synapses of one layer diverge at the rate that others need (seen with GraSP on a validation split of digits).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from biosim.circuit import Circuit
from biosim.drives.base import Drive
from biosim.errors import InputError, NumericalError
from biosim.scorers.surrogate import smooth_spikes, surrogate_spikes
from biosim.substrates.rate import propagate
from biosim.synapses import Network

Progress = Callable[[int, int, dict[str, float]], None]  # step, steps, numbers


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


def at_least_one(method: str, **counts: int | None) -> None:
    """Refuse a method that is to do with none of something; a count of None is one left out."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise InputError(f"{method} needs at least one {name.removesuffix('s')}", (name,))


def check_sgd(rate: float, momentum: float, decay: float = 0.0) -> None:
    """Refuse numbers with which gradient descent makes no sense."""
    if not rate > 0:
        raise InputError(f"the learning rate must be positive, not {rate}", ("rate",))
    if not 0 <= momentum < 1:
        raise InputError(f"momentum must lie in [0, 1), not {momentum}", ("momentum",))
    if not decay >= 0:
        raise InputError(f"decay cannot be negative: {decay}", ("decay",))


def for_epochs(drive: Drive, epochs: int | None) -> Drive:
    """Return the drive, shown for another number of epochs (None: as it is).

    Raises
    ------
    InputError
        When the drive has no epochs.
    """
    if epochs is None:
        return drive
    if not hasattr(drive, "epochs"):
        raise InputError("this drive has no epochs to set", ("epochs",))
    return replace(drive, epochs=epochs)  # type: ignore[type-var]


def labelled(drive: Drive, seeds: tuple[int, ...], device: torch.device, method: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the inputs and labels that a drive shows.

    Raises
    ------
    InputError
        When there are no labels; ``method`` needs them.
    """
    for shown in drive.presentations(seeds, device):
        if shown.labels is None:
            raise InputError(f"{method} needs a drive with labels")
        yield shown.inputs, shown.labels


def half_cosine(rate: float, step: int, steps: int) -> float:
    """Return the rate at a step of a fall to zero along half a cosine."""
    return rate * 0.5 * (1 + math.cos(math.pi * step / steps))


def weights_of(network: Network) -> dict[str, Tensor]:
    """Return the weights by projection, not a copy."""
    return {n: p.weight for n, p in network.projections.items()}


def unit_gains(network: Network) -> dict[str, Tensor]:
    """Return a gain of 1 for every neuron, (R, size) by population."""
    return {n: torch.ones_like(p.gain) for n, p in network.populations.items()}


def losses(
    network: Network,
    effective: Mapping[str, Tensor],
    gains: Mapping[str, Tensor],
    inputs: Tensor,
    labels: Tensor,
    twice: bool = False,
) -> Tensor:
    """Return each replicate's mean cross-entropy, (R,), differentiable in ``effective``.

    ``effective`` holds (R, n_pre, n_post) weights; inputs are (R, S, n_input), spikes of a spiking network
    (R, S, T, n_input), whose neurons have a surrogate slope; labels (R, S). ``twice``: gradients of gradients will be asked for.
    """
    activity = propagate(network, effective, gains, inputs, membrane=smooth_spikes if twice else surrogate_spikes)
    return mean_cross_entropy(activity[next(reversed(network.populations))], labels)


def mean_cross_entropy(output: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over samples of each replicate, (R,), of (R, S, classes) outputs against (R, S) labels."""
    return torch.nn.functional.cross_entropy(output.transpose(1, 2), labels, reduction="none").mean(1)


def gradients(
    network: Network, effective: Mapping[str, Tensor], gains: Mapping[str, Tensor], inputs: Tensor, labels: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Return dL/dw of every projection and the (R,) losses; the weights given are not written."""
    leaves = {n: w.detach().requires_grad_() for n, w in effective.items()}
    with torch.enable_grad():
        loss = losses(network, leaves, gains, inputs, labels)
        found = torch.autograd.grad(loss.sum(), list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, found, strict=True)), loss.detach()


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
