"""Substrates turn input into activity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from biosim.synapses import Network, Projection


class Substrate(Protocol):
    """Runs one network."""

    def respond(self, inputs: Tensor, push: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the activity of every population, (R, S, size); ``push``, of these shapes, is added to the summed inputs."""

    def arriving(self, projection: Projection, activity: Mapping[str, Tensor]) -> Tensor:
        """Return what the synapses of a projection sense as ``pre``, (R, S, n_pre)."""


def substrate_of(network: Network) -> Substrate:
    """Return the substrate that runs a network."""
    from biosim.substrates.rate import ForwardSubstrate
    from biosim.substrates.recurrent import RecurrentSubstrate

    return RecurrentSubstrate(network) if network.settles else ForwardSubstrate(network)
