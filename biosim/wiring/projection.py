"""Projections: all synapses from one population to another, and what becomes of them."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.wiring import structure
from biosim.wiring.arrays import SynapseArrays
from biosim.wiring.populations import Population


class Projection(SynapseArrays):
    """All synapses from one population to another.

    Once few are left, a replicate's live synapses may be packed (:meth:`pack`); every attribute then still reads
    as described here, those marked * as a copy made for the reader, which it is no use to write to.

    Where processes share the network (:mod:`biosim.processes.team`) n_post is how many postsynaptic neurons this one has;
    what arrives (:meth:`transmit`) and births are of all of them.

    Attributes
    ----------
    weight : Tensor
        (R, n_pre, n_post) float32, as born unless a rule is plastic.
    born, alive : Tensor
        (R, n_pre, n_post) bool. ``active`` implies ``alive`` implies ``born`` (or regrown).
    active* : Tensor
        (R, n_pre, n_post) bool.
    death_step : Tensor
        (R, n_pre, n_post) int32, step at which a synapse was eliminated; -1 while it lives, -2 where
        none was born, -3 where one could form and has not yet.
    silent_since* : Tensor
        (R, n_pre, n_post) float32, step at which a live synapse fell silent; inf while it is active.
    effective* : Tensor
        (R, n_pre, n_post) float32, what transmits: the weight of an active synapse, else 0.
    in_degree : Tensor
        (R, n_post) int64, active synapses of each postsynaptic neuron.
    recurrent : bool
        Whether it leads to its own or an earlier population of its network, and so carries the rates of the
        settling step before.
    packed : dict
        :class:`~biosim.wiring.packed.Packed` synapses by replicate.

    Examples
    --------
    >>> import torch
    >>> from biosim import Population, Projection
    >>> inputs, cells = Population("inputs", 3), Population("cells", 2)
    >>> born = torch.tensor([[[True, True], [False, True], [True, False]]])
    >>> projection = Projection("inputs-cells", inputs, cells, 0.5 * born, born)
    >>> projection.fan_in.tolist()  # synapses at birth of each cell
    [[2, 2]]
    """

    def __init__(self, name: str, pre: Population, post: Population, weight: Tensor, born: Tensor) -> None:
        super().__init__(name, weight, born, post.share)
        self.pre, self.post, self.recurrent = pre, post, False
        self.fan_in = self.in_degree.clone()  # (R, n_post) synapses at birth
        self.fan_out = structure.count_rows(born)

    def transmit(self, values: Tensor) -> Tensor:
        """Return what arrives at each postsynaptic neuron: (R, S, pre.size) -> (R, S, post.size)."""
        return self.share.whole(self.arriving(values))

    @cached_property
    def birth_magnitude(self) -> Tensor:
        """Summed magnitude of each postsynaptic neuron's weights when first asked for, (R, n_post)."""
        return self.weight.abs().sum(1)

    @property
    def vacant(self) -> Tensor:
        """Birth edges without a live synapse, between neurons that live: (R, n_pre, n_post) bool."""
        vacant = self.born & ~self.alive
        for population, axis in ((self.pre, 2), (self.post, 1)):
            if population.alive.numel():  # a population of a network
                vacant &= (self.share.own(population.alive) if axis == 1 else population.alive).unsqueeze(axis)
        return vacant

    def refresh(self) -> None:
        """Bring ``effective`` and ``in_degree`` in step after ``weight`` or ``active`` was changed from outside."""
        if self.packed:
            for part in self.parts():
                part.refresh()
            return
        torch.where(self._active, self._weight, self._weight.new_zeros(()), out=self._effective)
        self.in_degree.copy_(structure.count_columns(self._active))

    def silence(self, active: Tensor, step: int) -> None:
        """Make exactly the live synapses in ``active`` active and the other live ones silent; the dead stay dead."""
        if self.packed:
            for r, part in enumerate(self.parts()):
                part.silence(part.pick(active[r]), step)
            return
        structure.set_active(active, self.alive, self._active, self._silent_since, self._weight, self._effective, self.in_degree, step)

    def eliminate(self, victims: Tensor, step: int) -> Tensor:
        """Eliminate the live synapses in ``victims`` for good; return how many died in each replicate, (R,)."""
        if self.packed:
            return torch.cat([part.eliminate(part.pick(victims[r]), step) for r, part in enumerate(self.parts())])
        return structure.kill(victims, self.alive, self._active, self.death_step, self._effective, self.in_degree, step)

    def regrow(self, newborn: Tensor, step: int) -> int:
        """Bring dead birth edges back, active and of age zero; return how many."""
        if self.packed:
            raise InputError(f"projection '{self.name}' is packed: its dead synapses are gone for good")
        newborn = newborn & self.vacant
        count = int(newborn.sum())
        if count:
            self.alive |= newborn
            self._active |= newborn
            self.death_step.masked_fill_(newborn, -1)
            self._silent_since.masked_fill_(newborn, math.inf)
            if self.birth_step.stride()[-1] == 0:
                self.birth_step = self.birth_step.clone()
            self.birth_step.masked_fill_(newborn, float(step))
            self.refresh()
        return count

    def quota(self, density: float, within: str = "post") -> Tensor:
        """Return how many synapses each neuron keeps at ``density``; sums to ``round(density * born)``.

        Neuron j keeps ``round(d*C_j) - round(d*C_(j-1))`` of its birth synapses, C the running total of
        births up to j: a constant fixed at birth, so the target is exact and no neuron looks at another.
        """
        births = self.share.whole(self.fan_in) if within == "post" else self.fan_out
        total = torch.floor(births.cumsum(1).to(torch.float64) * density + 0.5).to(torch.int64)
        before = torch.nn.functional.pad(total, (1, 0))[:, :-1]
        return self.share.own(total - before) if within == "post" else total - before

    def to(self, device: torch.device | str) -> None:
        """Move every tensor of the projection."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
