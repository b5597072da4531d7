"""The recurrent rate substrate: leaky rate neurons that settle for a few steps on every presentation.

For population j with leak a_j, gain g_j and activation phi, at settling step t = 1 ... T,

    v_j(t) = (1 - a_j) v_j(t-1) + a_j g_j (sum_forward W_ij y_i(t) + sum_recurrent W_ij y_i(t-1)),    y_j(t) = phi(v_j(t))

from v(0) = y(0) = 0, the input held constant: the discrete-time leaky network of Song, Yang & Wang 2016
(https://doi.org/10.1371/journal.pcbi.1004792), with ``dt/tau = a``, without noise. A forward projection leads
to a later population and crosses within a step; a recurrent one (to the same or an earlier population) takes
a step. Without recurrent projections and with every leak 1 this is :mod:`biosim.substrates.rate`.

A rule sees the last step: ``post`` is y(T); ``pre`` is y(T) for a forward synapse and y(T-1) for a recurrent
one, the rate that actually arrived, so that no synapse sees an effect before its cause. Mean, variance and
the neurons' slope come from y(T). Teaching signals travel back along forward projections only: nothing
is carried back through the settling steps (no backpropagation through time).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from biosim.errors import NumericalError
from biosim.substrates.activation import Transmission, activate, deliver, summed
from biosim.synapses import Network, Population, Projection

Activity = dict[str, Tensor]


def settle(
    network: Network,
    effective: Mapping[str, Transmission],
    gains: Mapping[str, Tensor],
    inputs: Tensor,
    push: Mapping[str, Tensor] | None = None,
) -> tuple[Activity, Activity]:
    """Return the rates of every population at the last settling step and at the one before it.

    Pure and differentiable in ``effective`` when the caller has gradients switched on. Parameters are those
    of :func:`biosim.substrates.rate.propagate`; rates are (R, S, size).
    """
    first = network.input.name
    held = inputs.expand(network.replicates, -1, -1)
    rest = {n: held.new_zeros(()).expand(*held.shape[:2], p.size) for n, p in network.populations.items() if n != first}
    incoming = {n: network.incoming(n) for n in rest}
    constant = {
        n: summed((deliver(held, effective[p.name]) for p in projections if p.pre.name == first), n)
        for n, projections in incoming.items()
        if any(p.pre.name == first for p in projections)
    }
    now: Activity = {first: held, **rest}
    before, potential = now, dict(rest)
    for step in range(network.steps):
        before, now = now, {first: held}
        for name, population in network.populations.items():
            if name != first:
                moving = [p for p in incoming[name] if p.pre.name != first and not (p.recurrent and step == 0)]
                arriving = [deliver((before if p.recurrent else now)[p.pre.name], effective[p.name]) for p in moving]
                parts = [constant[name], *arriving] if name in constant else arriving
                total = summed(parts, name) if parts else None
                potential[name] = _leak(population, potential[name], total, gains.get(name), (push or {}).get(name))
                now[name] = activate(potential[name], population.activation)
    return now, before


def _leak(population: Population, potential: Tensor, total: Tensor | None, gain: Tensor | None, push: Tensor | None) -> Tensor:
    """Return the potential after one step with this summed input (None while nothing arrives) and push."""
    kept = potential * (1 - population.leak)
    if total is None and push is None:
        return kept
    driven = torch.zeros_like(kept) if total is None else total if gain is None else total * gain.unsqueeze(1)
    driven = driven if push is None else driven + push
    return driven if population.leak == 1 else torch.add(kept, driven, alpha=population.leak)


def guard(network: Network, activity: Mapping[str, Tensor], peak: float = math.inf, where: str = "") -> None:
    """Raise NumericalError, naming the first population that ran away, when a rate is not finite or beyond ``peak``."""
    for name, values in activity.items():
        largest = float(values.detach().abs().amax())
        if not (math.isfinite(largest) and largest <= peak):
            raise NumericalError(
                f"activity of population '{name}' ran away{where} within {network.steps} settling steps: its largest value is "
                f"{largest:g}. Smaller recurrent weights, activation tanh or fewer steps keep it bounded"
            )


class RecurrentSubstrate:
    """Runs a network of rate neurons that settle.

    Parameters
    ----------
    network : Network
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._before: Activity = {}

    def respond(self, inputs: Tensor, push: Mapping[str, Tensor] | None = None) -> Activity:
        """Return the rate of every population at the last settling step for (R, S, n_input) inputs.

        ``push``, (R, S, size) by population, is added to the summed input in every settling step.
        """
        effective = {name: p.transmit for name, p in self.network.projections.items()}
        gains = {name: p.gain for name, p in self.network.populations.items()}
        activity, before = settle(self.network, effective, gains, inputs, push)
        if push is None:
            self._before = before
        return activity

    def arriving(self, projection: Projection, activity: Mapping[str, Tensor]) -> Tensor:
        """Return what the synapses of a projection sense as ``pre``, (R, S, n_pre)."""
        return (self._before if projection.recurrent else activity)[projection.pre.name]
