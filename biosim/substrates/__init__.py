"""Substrates turn input into activity.

Besides rate and spiking neurons, a file here (or a user's, by path) may hold a substrate of another kind, with a function
``substrate(network, *, ...) -> Substrate``; a network names it and gives its arguments (``Network(..., substrate=, dynamics=)``).
A substrate with an attribute ``inputs`` takes that many numbers a sample; else one for each neuron of the first population. One
that carries something from a step to the next has ``state()`` and ``restore(state)`` (:mod:`biosim.state`), for checkpoints; a
user's without them is taken to carry something nobody can see, and its development begins anew after a stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from biosim.arguments import checked_arguments
from biosim.errors import InputError
from biosim.library import find, load_module

if TYPE_CHECKING:
    from torch import Tensor

    from biosim.synapses import Network, Projection


class Substrate(Protocol):
    """Runs one network."""

    def respond(self, inputs: Tensor, push: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the activity of every population, (R, S, size); ``push``, of these shapes, is added to the summed inputs."""
        ...

    def arriving(self, projection: Projection, activity: Mapping[str, Tensor]) -> Tensor:
        """Return what the synapses of a projection sense as ``pre``, (R, S, n_pre)."""
        ...


def substrate_of(network: Network) -> Substrate:
    """Return the substrate that runs a network.

    Raises
    ------
    InputError
        When the network names one that there is not, or that does not take its dynamics.
    """
    if network.substrate is not None:
        path = find("substrates", network.substrate)
        make = getattr(load_module(path), "substrate", None)
        if make is None:
            raise InputError(f"{path} has no function substrate(network, *, ...)")
        arguments, wrong = checked_arguments(make, network.dynamics, "dynamics", network.substrate)
        if wrong:
            raise wrong[0]
        made: Substrate = make(network, **arguments)
        return made
    from biosim.substrates.rate import ForwardSubstrate
    from biosim.substrates.recurrent import RecurrentSubstrate

    return RecurrentSubstrate(network) if network.settles else ForwardSubstrate(network)
