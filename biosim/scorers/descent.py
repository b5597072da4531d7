"""What methods that learn from labelled samples share: numbers that make sense, samples, losses and their gradients, a falling rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import InputError
from biosim.scorers.surrogate import smooth_spikes, surrogate_spikes
from biosim.substrates.rate import propagate
from biosim.synapses import Network


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
    return mean_cross_entropy(activity[network.readout.name], labels)


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
