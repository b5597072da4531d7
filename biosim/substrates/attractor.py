"""The attractor substrate: binary neurons that start from a cue and settle.

For population k and retrieval step t = 1 ... T, all neurons together,

    f_j(t) = g_j sum_i w_ij a_ij x_i(t-1) - h sum_i x_i(t-1) + push_j,    x_j(t) = 1 if f_j(t) > theta_j else 0

from x(0), the cue. g is the neuron's gain, a 1 for an active synapse and h inhibition that answers the population's whole
activity. The threshold is either the same for all, or inhibition sets it so that exactly ``active`` neurons of a population fire,
those with the largest fields. Retrieval as in Tsodyks & Feigel'man 1988 (https://doi.org/10.1209/0295-5075/6/2/002) and Chechik,
Meilijson & Ruppin 1998 (https://doi.org/10.1162/089976698300017124); synchronous, without noise of its own.

A rule sees the last step: ``post`` is x(T), and ``pre`` is x(T-1), what arrived.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from biosim.errors import InputError
from biosim.substrates.activation import Transmission, deliver, summed
from biosim.synapses import Network, Projection

Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]


def fire(field: Tensor, active: int | None, threshold: float) -> Tensor:
    """Return who fires, (R, S, N) zeros and ones: the ``active`` neurons with the largest field, or all above the threshold."""
    if active is None:
        return (field > threshold).to(field.dtype)
    winners = field.topk(active, -1, sorted=False).indices
    return torch.zeros_like(field).scatter_(-1, winners, 1.0)


class AttractorSubstrate:
    """Runs a network of binary neurons; every population starts from the same cue.

    Parameters
    ----------
    network : Network
    active : int or None
        Neurons of a population that fire; a threshold decides when left out.
    threshold : float
    inhibition : float
        h above.
    steps : int
        Retrieval steps at most; a population that has settled stays as it is.
    """

    def __init__(self, network: Network, active: int | None, threshold: float, inhibition: float, steps: int) -> None:
        sizes = {p.size for p in network.populations.values()}
        if len(sizes) > 1:
            raise InputError(f"every population starts from the same cue: they need one size, not {', '.join(map(str, sorted(sizes)))}")
        if active is not None and active >= min(sizes):
            raise InputError(f"of {min(sizes)} neurons fewer than that fire, not {active}", ("active",))
        self.network, self.active, self.threshold, self.inhibition, self.steps = network, active, threshold, inhibition, steps
        self._before: dict[str, Tensor] = {}

    def respond(self, inputs: Tensor, push: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the state of every population after retrieval from (R, S, N) cues."""
        wires = {name: p.transmit for name, p in self.network.projections.items()}
        now, before = self.retrieve(inputs, wires, push)
        if push is None:
            self._before = before
        return now

    def retrieve(
        self, cues: Tensor, wires: Mapping[str, Transmission], push: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the states at the last retrieval step and at the one before, through these synapses.

        Parameters
        ----------
        cues : Tensor
            (R, S, N).
        wires : mapping
            By projection: (R, N, N) weights that transmit, or a function. Populations without any are left out.
        push : mapping, optional
            (R, S, N) by population, added to the field at every step.
        """
        incoming = {n: [p for p in self.network.incoming(n) if p.name in wires] for n in self.network.populations}
        start = cues.expand(self.network.replicates, -1, -1)
        now = {n: start for n, own in incoming.items() if own}
        before = now
        for _ in range(self.steps):
            before, now = now, {n: self._next(n, own, now, wires, push) for n, own in incoming.items() if own}
            if all(torch.equal(before[n], x) for n, x in now.items()):
                break
        return now, before

    def _next(
        self,
        name: str,
        own: list[Projection],
        now: Mapping[str, Tensor],
        wires: Mapping[str, Transmission],
        push: Mapping[str, Tensor] | None,
    ) -> Tensor:
        field = summed((deliver(now[p.pre.name], wires[p.name]) for p in own), name)
        field = field * self.network.populations[name].gain.unsqueeze(1)
        if self.inhibition:
            field = field - self.inhibition * now[name].sum(-1, keepdim=True)
        if push is not None and name in push:
            field = field + push[name]
        return fire(field, self.active, self.threshold)

    def arriving(self, projection: Projection, activity: Mapping[str, Tensor]) -> Tensor:
        """Return what the synapses of a projection sense as ``pre``, (R, S, N)."""
        return self._before[projection.pre.name]


def substrate(
    network: Network, *, active: Count | None = None, threshold: float | None = None, inhibition: NotNegative = 0.0, steps: Count = 15
) -> AttractorSubstrate:
    """Return the substrate; needs either ``active`` or ``threshold``.

    Parameters
    ----------
    network : Network
        Populations of one size.
    active : int, optional
        Neurons of a population that fire at every step.
    threshold : float, optional
        Field above which a neuron fires, in the unit of the weights.
    inhibition : float
        Subtracted from every field for each active neuron of the population.
    steps : int
        Retrieval steps at most.
    """
    if (active is None) == (threshold is None):
        raise InputError("who fires is set by active, the number of neurons, or by threshold: give one of them", ("active",))
    return AttractorSubstrate(network, active, 0.0 if threshold is None else threshold, inhibition, steps)
