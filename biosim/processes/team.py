"""Processes that share one network: each has the synapses onto some neurons, and all of them know what every neuron does.

A process has a block of the columns (the postsynaptic neurons) of every projection. What is of a neuron (activity, teaching
signals, gains, means) is everywhere; what is of a synapse is where its postsynaptic neuron is. So processes exchange one number
a neuron, never one a synapse. Blocks are whole tiles of :data:`biosim.tiles.TILE` columns, the widths in which products
are taken in any case: where a tile lies changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, overload

from torch import Tensor

from biosim.streams import Span
from biosim.tiles import TILE


class Team(Protocol):
    """The processes, as one of them sees them. All of them must ask for the same things in the same order."""

    @property
    def rank(self) -> int:
        """Which of the processes this one is, from 0."""
        ...

    @property
    def size(self) -> int:
        """How many processes there are."""
        ...

    def gather(self, own: Tensor, widths: Sequence[int]) -> Tensor:
        """Join (..., width) blocks of all processes along their last dimension; ``widths`` are theirs."""
        ...

    def collect(self, own: Tensor, widths: Sequence[int]) -> Tensor | None:
        """Join (R, n_pre, width) blocks on the CPU of the first process; the others get None."""
        ...

    def total(self, counts: Tensor) -> Tensor:
        """Return the sum of integers over the processes."""
        ...

    def any(self, truth: bool) -> bool:
        """Return whether it is so in any of the processes."""
        ...

    def begin(self, work: bool = True) -> bool:
        """Return whether there is work to be done together, which the first process says, once; the others wait for it."""
        ...


class Alone:
    """One process by itself."""

    rank, size = 0, 1

    def gather(self, own: Tensor, widths: Sequence[int]) -> Tensor:
        """Return what there is."""
        return own

    def collect(self, own: Tensor, widths: Sequence[int]) -> Tensor | None:
        """Return what there is."""
        return own

    def total(self, counts: Tensor) -> Tensor:
        """Return the counts."""
        return counts

    def any(self, truth: bool) -> bool:
        """Return what was asked."""
        return truth

    def begin(self, work: bool = True) -> bool:
        """Return what was asked."""
        return work


ALONE: Team = Alone()


@dataclass(frozen=True)
class Share:
    """The neurons of one population whose incoming synapses this process has.

    A population of fewer tiles than there are processes is not divided: then every process has all of its synapses, and
    computes the same.

    Attributes
    ----------
    edges : tuple of int
        Where the block of each process begins, and where the last one ends.
    team : Team
    """

    edges: tuple[int, ...]
    team: Team

    @classmethod
    def of(cls, size: int, team: Team) -> Share:
        """Divide a population of ``size`` neurons."""
        tiles = -(-size // TILE)
        if tiles < team.size or team.size == 1:
            return cls((0, size), ALONE)
        return cls(tuple(min(size, TILE * (tiles * k // team.size)) for k in range(team.size + 1)), team)

    @property
    def divided(self) -> bool:
        """Whether other processes have some of them."""
        return self.team.size > 1

    @property
    def columns(self) -> slice:
        """Which neurons they are."""
        return self.block(self.team.rank)

    @property
    def width(self) -> int:
        """How many they are."""
        return self.columns.stop - self.columns.start  # type: ignore[no-any-return]

    @property
    def span(self) -> Span:
        """The same, for draws that are a hash of the birth edge."""
        return Span(self.columns.start, self.edges[-1])

    def block(self, rank: int) -> slice:
        """Return the neurons of one of the processes."""
        return slice(self.edges[rank], self.edges[rank + 1])

    @overload
    def own(self, values: Tensor) -> Tensor: ...
    @overload
    def own(self, values: None) -> None: ...
    def own(self, values: Tensor | None) -> Tensor | None:
        """Return the part of (..., size) values that is of these neurons."""
        return values[..., self.columns] if values is not None and self.divided else values

    def whole(self, values: Tensor) -> Tensor:
        """Return (..., size) values of all neurons, of (..., width) ones."""
        return self.team.gather(values, self._widths)

    def collect(self, values: Tensor) -> Tensor | None:
        """Return (R, n_pre, size) values of (R, n_pre, width) ones, on the CPU of the first process."""
        return self.team.collect(values, self._widths)

    def total(self, counts: Tensor) -> Tensor:
        """Return the sum over all neurons, of integers that are a sum over these."""
        return self.team.total(counts)

    def anywhere(self, truth: Tensor) -> Tensor:
        """Return what is true of these neurons' synapses or of those of others."""
        return self.team.total(truth.int()) > 0 if self.divided else truth

    @property
    def _widths(self) -> list[int]:
        return [b - a for a, b in zip(self.edges, self.edges[1:], strict=False)]
