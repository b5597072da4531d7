"""Leaky integrate-and-fire layers, one window of time steps for every image, all images at once.

In time step t, in the order of the event-driven engine (:mod:`biosim.spiking`), with v a potential in mV above rest, a what
arrives (spikes sent ``delay`` earlier, times weight, gain and ``psp``) and I the current of exponential synapses:

    v <- v k + I (1 - k), unless refractory;  I <- I exp(-dt/tau_synapse)               k = exp(-dt/tau)
    spike where v > threshold and not refractory
    v <- v + a where neither refractory nor spiking (delta synapses)  or  I <- I + a (exponential ones)
    v <- reset where it spiked

The readout does not spike: what it says is its mean potential over the window, in units of ``readout_unit``. No projection
may be recurrent, so a population's spikes are known for the whole window before the next one's are asked for, and each
projection is one matrix product.

A sample of activity is one image. A neuron's activity is its filtered rate, averaged over the window,

    r = sum over its spikes of h(arrival) / window  [Hz],      h(t) = 1 - exp(-(window - t)/tau)

with delta synapses: a spike counts, on arrival, by the share of its effect on a membrane that falls inside the
window (with exponential synapses, of theirs). The readout is linear in it, ``y_j = gain_j A sum_i w_ij r_i / readout_unit``,
A the area under the potential that a spike leaves.

Everything is differentiable in the weights once ``membrane`` is (scorers pass theirs; development never does).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim import backend
from biosim.errors import InputError
from biosim.lif import SpikingDynamics
from biosim.substrates import lif_kernels
from biosim.substrates.activation import Transmission, deliver, summed
from biosim.substrates.lif_kernels import Constants
from biosim.synapses import Network
from biosim.tiles import matmul

Fire = Callable[[Tensor], Tensor]
Membrane = Callable[[Tensor, Tensor, SpikingDynamics, Tensor | None], Tensor]  # arguments of spikes_of


def threshold_crossed(distance: Tensor) -> Tensor:
    """Return 1 where a potential lies above its threshold (``distance`` > 0), else 0."""
    return (distance > 0).to(distance.dtype)


def unfold(
    network: Network,
    effective: Mapping[str, Transmission],
    gains: Mapping[str, Tensor],
    inputs: Tensor,
    push: Mapping[str, Tensor] | None = None,
    membrane: Membrane | None = None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the activity of every population, (R, S, size), and the spikes of all but the readout, (R, T, S, size).

    Parameters are those of :func:`biosim.substrates.rate.propagate`, except

    inputs : Tensor
        (R, S, T, n_input) spikes, or (1, S, T, n_input) shared by all replicates; T = 1 for what arrives in every step alike.
    push : mapping, optional
        (R, S, size) by population: a constant current that alone would hold the potential at push*readout_unit.
    membrane : callable, optional
        In place of :func:`spikes_of`.
    """
    dynamics, membrane = network.spiking, membrane or spikes_of
    assert dynamics is not None
    if inputs.ndim != 4 or inputs.shape[2] not in (1, dynamics.encoding.steps):
        raise InputError(
            f"a spiking network is shown spikes, (replicate, sample, {dynamics.encoding.steps} time steps, neuron), "
            f"not a tensor of shape {tuple(inputs.shape)}: encode the images"
        )
    names = list(network.populations)
    held = inputs.expand(network.replicates, -1, -1, -1).transpose(1, 2).contiguous()
    spikes, activity = {names[0]: held}, {names[0]: filtered(held, dynamics)}
    for name in names[1:]:
        gain, pushed = gains.get(name), (push or {}).get(name)
        if name == names[-1]:
            total = summed((deliver(activity[p.pre.name], effective[p.name]) for p in network.incoming(name)), name)
            total = total * gain.unsqueeze(1) if gain is not None else total
            total = total * (area(dynamics) / dynamics.readout_unit)
            activity[name] = total if pushed is None else total + pushed
            continue
        parts = []
        for p in network.incoming(name):
            sent = spikes[p.pre.name]
            arriving = deliver(sent.flatten(1, 2), effective[p.name])
            parts.append(arriving.view(*sent.shape[:3], arriving.shape[2]))
        steps = max((part.shape[1] for part in parts), default=1)
        total = summed((part.expand(-1, steps, -1, -1) for part in parts), name)
        scale = torch.full_like(total[:, 0, 0], dynamics.psp_scale) if gain is None else gain * dynamics.psp_scale
        current = None if pushed is None else pushed * dynamics.readout_unit
        spikes[name] = membrane(total, scale, dynamics, current)
        activity[name] = filtered(spikes[name], dynamics)
    return activity, spikes


def integrate(
    arriving: Tensor, scale: Tensor, dynamics: SpikingDynamics, pushed: Tensor | None = None, fire: Fire = threshold_crossed
) -> Tensor:
    """Return the spikes of neurons, (R, T, S, n): the equations above, step by step.

    Parameters
    ----------
    arriving : Tensor
        (R, T, S, n), still to be delayed; or T = 1, alike in every step.
    scale : Tensor
        (R, n) mV; ``arriving`` is multiplied by it.
    dynamics : SpikingDynamics
    pushed : Tensor, optional
        (R, S, n) mV, a constant current.
    fire : callable
        From the distance of a potential to its threshold, in units of the threshold, to 0 or 1.
    """
    c = constants_of(dynamics)
    arriving = arriving * scale.view(len(scale), 1, 1, -1)
    potential = current = torch.zeros_like(arriving[:, 0])
    last = torch.full_like(potential, -float(c.hold))
    found = []
    for t in range(c.steps):
        free = last <= t - c.hold
        moved = potential * c.keep
        for part in (None if c.delta else current, pushed):
            moved = moved if part is None else moved + part * (1 - c.keep)
        potential = torch.where(free, moved, potential)
        spike = fire((potential - c.threshold) * c.per_threshold) * free
        current = current * c.keep_current
        if t >= c.delay:
            arrived = arriving[:, 0 if arriving.shape[1] == 1 else t - c.delay]
            if c.delta:
                potential = torch.where(free, potential + arrived, potential)
            else:
                current = current + arrived
        crossed = spike.detach() > 0
        potential = torch.where(crossed, c.reset, potential)
        last = torch.where(crossed, float(t), last)
        found.append(spike)
    return torch.stack(found, 1)


def constants_of(dynamics: SpikingDynamics) -> Constants:
    """Return what the equations need in each step."""
    dt = dynamics.encoding.dt
    return Constants(
        math.exp(-dt / dynamics.tau),
        math.exp(-dt / dynamics.tau_synapse),
        dynamics.threshold,
        1 / dynamics.threshold,
        dynamics.reset,
        round(dynamics.delay / dt),
        round(dynamics.refractory / dt),
        dynamics.synapse == "delta",
        dynamics.encoding.steps,
    )


def spikes_of(arriving: Tensor, scale: Tensor, dynamics: SpikingDynamics, pushed: Tensor | None = None) -> Tensor:
    """Return the same as :func:`integrate`, compiled on the CPU, without gradients."""
    if not backend.fused(arriving.device):
        return integrate(arriving, scale, dynamics, pushed)
    given = None if pushed is None else np.ascontiguousarray(pushed.numpy())
    spikes, _ = lif_kernels.run(arriving.numpy(), scale.numpy(), given, constants_of(dynamics))
    return torch.from_numpy(spikes)


def _summed_effect(dynamics: SpikingDynamics) -> tuple[npt.NDArray[np.float64], float]:
    """Return the summed potential that a spike has left after 1, 2, ... steps, in mV steps, and its limit."""
    c, psp = constants_of(dynamics), dynamics.psp_scale
    potential, current = (psp, 0.0) if c.delta else (0.0, psp)
    left = np.empty(c.steps)
    for k in range(c.steps):
        left[k] = potential
        potential, current = potential * c.keep + current * (1 - c.keep), current * c.keep_current
    return left.cumsum(), psp / (1 - (c.keep if c.delta else c.keep_current))


def area(dynamics: SpikingDynamics) -> float:
    """Return the area under the potential that a spike leaves through a weight of 1, mV seconds."""
    return _summed_effect(dynamics)[1] * dynamics.encoding.dt


@lru_cache(maxsize=64)
def _shares(dynamics: SpikingDynamics, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return what a spike sent in each step counts for, (T,) Hz; kept, as a recorded graph of device steps may make no copies."""
    encoding = dynamics.encoding
    effect, limit = _summed_effect(dynamics)
    heard = max(0, encoding.steps - constants_of(dynamics).delay)
    share = np.zeros(encoding.steps)
    share[:heard] = effect[:heard][::-1] / limit / encoding.window
    with torch.inference_mode(False):  # gradients may run through it later
        return torch.from_numpy(share).to(device, dtype)


def filtered(spikes: Tensor, dynamics: SpikingDynamics) -> Tensor:
    """Return the filtered rate in Hz, averaged over the window: (R, T, S, n) -> (R, S, n)."""
    weights = _shares(dynamics, spikes.device, spikes.dtype)
    if spikes.shape[1] == 1:
        return spikes[:, 0] * weights.sum()
    rows = matmul(weights.expand(len(spikes), 1, -1), spikes.flatten(2))
    return rows.view(len(spikes), *spikes.shape[2:])
