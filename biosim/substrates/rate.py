"""The rate substrate: activity flows through active synapses, one matrix product a projection.

For population j with gain g_j and activation phi,

    y_j = phi(g_j * sum_i w_ij a_ij y_i),      a_ij = 1 for an active synapse, else 0

with no bias, so that everything a circuit knows lies in which synapses are left. A network with loops or
leaky neurons settles instead: :mod:`biosim.substrates.recurrent`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from biosim.substrates.activation import Transmission, activate, deliver, summed
from biosim.substrates.recurrent import guard, settle
from biosim.substrates.time_stepped import Membrane, unfold
from biosim.synapses import Network, Projection


def propagate(
    network: Network,
    effective: Mapping[str, Transmission],
    gains: Mapping[str, Tensor],
    inputs: Tensor,
    push: Mapping[str, Tensor] | None = None,
    membrane: Membrane | None = None,
) -> dict[str, Tensor]:
    """Return the activity of every population, (R, S, size) each, of rate neurons or spiking ones.

    Pure and differentiable in ``effective`` when the caller has gradients switched on (scorers do;
    ``develop`` never does).

    Parameters
    ----------
    network : Network
        Only its wiring diagram is read.
    effective : mapping
        (R, n_pre, n_post) weights that transmit, by projection; or a function that gives what arrives,
        (R, S, n_pre) -> (R, S, n_post).
    gains : mapping
        (R, size) by population; a missing one is 1.
    inputs : Tensor
        (R, S, n_input), or (1, S, n_input) shared by all replicates.
    push : mapping, optional
        (R, S, size) by population, added to the summed input: a neuron's own noise.
    membrane : callable, optional
        What turns input into spikes, in a spiking network (:func:`biosim.substrates.time_stepped.unfold`); its ``inputs`` are spikes.

    Raises
    ------
    NumericalError
        When a network that settles runs away, naming the population.
    """
    if network.spiking is not None:
        return unfold(network, effective, gains, inputs, push, membrane)[0]
    if network.settles:
        settled, _ = settle(network, effective, gains, inputs, push)
        guard(network, settled)
        return settled
    first = network.input.name
    activity = {first: inputs.expand(network.replicates, -1, -1)}
    for name, population in network.populations.items():
        if name == first:
            continue
        total = summed((deliver(activity[p.pre.name], effective[p.name]) for p in network.incoming(name)), name)
        if name in gains:
            total = total * gains[name].unsqueeze(1)
        if push is not None and name in push:
            total = total + push[name]
        activity[name] = activate(total, population.activation)
    return activity


class ForwardSubstrate:
    """Runs a network, of rate neurons or spiking ones, in one pass from input to readout.

    Parameters
    ----------
    network : Network
    """

    def __init__(self, network: Network) -> None:
        self.network = network

    def respond(self, inputs: Tensor, push: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the activity of every population for ``inputs`` and ``push`` as in :func:`propagate`."""
        effective = {name: p.transmit for name, p in self.network.projections.items()}
        gains = {name: p.gain for name, p in self.network.populations.items()}
        return propagate(self.network, effective, gains, inputs, push)

    def arriving(self, projection: Projection, activity: Mapping[str, Tensor]) -> Tensor:
        """Return what the synapses of a projection sense as ``pre``, (R, S, n_pre); of spiking ones rates in Hz, taken on arrival."""
        return activity[projection.pre.name]
