"""Cells that inhibit each other: at every moment only the few with the largest input answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from biosim import Network, Projection
from biosim.errors import InputError


class Winners:
    """Runs a network of two populations; of the second the ``winners`` with the largest summed input answer, by that input."""

    def __init__(self, network: Network, winners: int) -> None:
        self.network, self.winners = network, winners
        (self.only,) = network.projections.values()

    def respond(self, inputs: Tensor, push: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the activity of both populations, (R, S, size)."""
        field = self.only.transmit(inputs)
        if push is not None and self.only.post.name in push:
            field = field + push[self.only.post.name]
        field = field * self.only.post.gain.unsqueeze(1)
        least = field.topk(self.winners, -1).values[..., -1:]
        return {self.only.pre.name: inputs, self.only.post.name: torch.where(field >= least, field, 0.0)}

    def arriving(self, projection: Projection, activity: Mapping[str, Tensor]) -> Tensor:
        """Return what the synapses of the projection sense as ``pre``, (R, S, n_pre)."""
        return activity[projection.pre.name]


def substrate(network: Network, *, winners: Annotated[int, Field(ge=1)] = 5) -> Winners:
    """Return the substrate.

    Parameters
    ----------
    network : Network
        Two populations and one projection.
    winners : int
        Cells that answer at a moment.
    """
    if len(network.projections) != 1:
        raise InputError("runs networks of one projection")
    cells = next(iter(network.projections.values())).post.size
    if winners > cells:
        raise InputError(f"there are {cells} cells, fewer than {winners} winners", ("winners",))
    return Winners(network, winners)
