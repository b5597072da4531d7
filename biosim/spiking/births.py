"""Birth edges of a spiking projection in compact rows: for each presynaptic neuron its targets, in ascending order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.streams import edge_streams, generator, hash32

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Edges = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[Any]]  # presynaptic neuron, postsynaptic neuron, weight
Draw = Callable[[np.random.Generator, int], npt.NDArray[Any]]
CHUNK = 1 << 22  # weights drawn at a time
LARGEST = 1 << 32


def index_type(n_post: int) -> npt.DTypeLike:
    """Return the unsigned type that indexes ``n_post`` neurons."""
    if n_post > LARGEST:
        raise InputError(f"a synapse names its target by at most 32 bits: {n_post} postsynaptic neurons are too many", ("size",))
    return np.uint16 if n_post <= 1 << 16 else np.uint32


@numba.njit(cache=True)
def _count_rows(stream, n_post, limit, loops, starts):  # type: ignore[no-untyped-def]
    """Count the edges of every row; an edge is born where the hash of its key lies below ``limit``."""
    for i in range(len(starts) - 1):
        n = np.int64(0)
        for j in range(n_post):
            bits = hash32(stream, np.uint32(0), np.uint64(i) * np.uint64(n_post) + np.uint64(j))
            n += np.int64(np.uint64(bits) < limit)
        if not loops and i < n_post:
            n -= np.int64(np.uint64(hash32(stream, np.uint32(0), np.uint64(i) * np.uint64(n_post) + np.uint64(i))) < limit)
        starts[i + 1] = starts[i] + n


@numba.njit(cache=True)
def _fill_rows(stream, n_post, limit, loops, starts, targets):  # type: ignore[no-untyped-def]
    for i in range(len(starts) - 1):
        at, end = starts[i], starts[i + 1]
        j = 0
        while at < end:
            targets[at] = j  # overwritten by the next one unless this edge is born
            bits = hash32(stream, np.uint32(0), np.uint64(i) * np.uint64(n_post) + np.uint64(j))
            at += np.int64((np.uint64(bits) < limit) and (loops or i != j))
            j += 1


@dataclass(frozen=True)
class Births:
    """The synapses that a projection is born with, each replicate with a graph of its own.

    Attributes
    ----------
    n_pre, n_post : int
    starts : tuple of (n_pre + 1,) int64 arrays
        Where each presynaptic neuron's row begins, by replicate.
    targets : tuple of uint16 or uint32 arrays
        Postsynaptic neuron of every synapse, ascending within a row.
    weights : tuple of float32 or float64 arrays
        Weight of every synapse at birth; read only, possibly one value repeated.
    """

    n_pre: int
    n_post: int
    starts: tuple[npt.NDArray[np.int64], ...] = field(repr=False)
    targets: tuple[npt.NDArray[np.uint16] | npt.NDArray[np.uint32], ...] = field(repr=False)
    weights: tuple[Floats, ...] = field(repr=False)

    def __post_init__(self) -> None:
        kind = np.dtype(index_type(self.n_post))
        if not len(self.starts) == len(self.targets) == len(self.weights) >= 1:
            raise InputError("births need starts, targets and weights for each replicate, and at least one replicate")
        for starts, targets, weights in zip(self.starts, self.targets, self.weights, strict=True):
            if starts.shape != (self.n_pre + 1,) or starts[0] != 0 or starts[-1] != len(targets) or (np.diff(starts) < 0).any():
                raise InputError(f"rows of births must divide {len(targets)} synapses among {self.n_pre} presynaptic neurons")
            if targets.dtype != kind or weights.shape != targets.shape or weights.dtype.kind != "f":
                raise InputError(f"targets must be {kind} and weights floating-point numbers, as many as targets")
            values = weights[:1] if weights.strides == (0,) else weights
            if not np.isfinite(values).all():
                raise InputError("weights at birth must be finite numbers", ("weight",))

    @property
    def replicates(self) -> int:
        """Number of replicates."""
        return len(self.starts)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Synapses born, (R,)."""
        return np.array([len(t) for t in self.targets], np.int64)

    @classmethod
    def random(
        cls,
        n_pre: int,
        n_post: int,
        probability: float,
        seeds: Sequence[int],
        weight: float | Draw = 1.0,
        *,
        component: str = "spiking",
        loops: bool = True,
    ) -> Births:
        """Draw every edge with the same probability.

        Parameters
        ----------
        n_pre, n_post : int
        probability : float
            Chance that an edge is born, in (0, 1].
        seeds : sequence of int
            One births seed a replicate.
        weight : float or callable
            One weight for all, or ``draw(generator, n)`` that returns ``n`` of them.
        component : str
            Name of the stream, usually the projection's name.
        loops : bool
            Whether neuron ``i`` may have a synapse onto neuron ``i``: False for a population onto itself.
        """
        if not 0 < probability <= 1:
            raise InputError(f"the probability of a birth edge must lie in (0, 1], not {probability}", ("probability",))
        starts, targets, weights = [], [], []
        limit = np.uint64(round(probability * 2.0**32))
        for seed in seeds:
            (stream,) = edge_streams((seed,), f"edges/{component}")
            start = np.zeros(n_pre + 1, np.int64)
            _count_rows(stream, n_post, limit, loops, start)
            target = np.empty(int(start[-1]), index_type(n_post))
            _fill_rows(stream, n_post, limit, loops, start, target)
            starts.append(start)
            targets.append(target)
            weights.append(_weights(weight, len(target), generator(seed, f"births/{component}")))
        return cls(n_pre, n_post, tuple(starts), tuple(targets), tuple(weights))

    @classmethod
    def from_edges(
        cls,
        n_pre: int,
        n_post: int,
        edges: Sequence[tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]],
    ) -> Births:
        """Take explicit edges: for each replicate presynaptic neurons, postsynaptic neurons and weights."""
        starts, targets, weights = [], [], []
        for pre, post, weight in edges:
            i, j = np.asarray(pre, np.int64), np.asarray(post, np.int64)
            w = np.broadcast_to(np.asarray(weight, np.float64), i.shape)
            if i.shape != j.shape or i.ndim != 1:
                raise InputError(f"edges need as many presynaptic as postsynaptic neurons, not {i.shape} and {j.shape}")
            for name, index, size in (("presynaptic", i, n_pre), ("postsynaptic", j, n_post)):
                if len(index) and not (index.min() >= 0 and index.max() < size):
                    raise InputError(f"{name} neurons are 0 to {size - 1}; edges name {index.min()} to {index.max()}")
            order = np.lexsort((j, i))
            i, j, w = i[order], j[order], w[order]
            if ((np.diff(i) == 0) & (np.diff(j) == 0)).any():
                raise InputError("two synapses join the same two neurons: add their weights, or use two projections")
            starts.append(np.concatenate([[0], np.cumsum(np.bincount(i, minlength=n_pre))]).astype(np.int64))
            targets.append(j.astype(index_type(n_post)))
            weights.append(w)
        return cls(n_pre, n_post, tuple(starts), tuple(targets), tuple(weights))

    @classmethod
    def from_dense(cls, weight: npt.NDArray[Any], born: npt.NDArray[np.bool_] | None = None) -> Births:
        """Take (R, n_pre, n_post) weights, and the mask of what is born of them; all are when it is left out."""
        if weight.ndim != 3 or (born is not None and born.shape != weight.shape):
            raise InputError("dense births are (replicates, n_pre, n_post) weights and a mask of the same shape")
        _, n_pre, n_post = weight.shape
        mask = np.ones(weight.shape, np.bool_) if born is None else born
        starts, targets, weights = [], [], []
        for w, m in zip(weight, mask, strict=True):
            starts.append(np.concatenate([[0], np.cumsum(m.sum(1))]).astype(np.int64))
            targets.append(np.nonzero(m)[1].astype(index_type(n_post)))
            weights.append(w[m] if w.dtype.kind == "f" else w[m].astype(np.float64))
        return cls(n_pre, n_post, tuple(starts), tuple(targets), tuple(weights))

    def sources(self, replicate: int) -> npt.NDArray[np.int64]:
        """Return the presynaptic neuron of every synapse of one replicate."""
        return np.repeat(np.arange(self.n_pre), np.diff(self.starts[replicate]))

    def edges(self, replicate: int) -> Edges:
        """Return presynaptic neuron, postsynaptic neuron and weight of every synapse of one replicate."""
        return self.sources(replicate), self.targets[replicate].astype(np.int64), self.weights[replicate]

    def dense(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Return (R, n_pre, n_post) weights, zero where no edge was born, and the mask of the birth edges."""
        return dense((self.replicates, self.n_pre, self.n_post), (self.edges(r) for r in range(self.replicates)))

    def extremes(self) -> tuple[float, float]:
        """Return the smallest and the largest weight at birth, 0 where there is no synapse."""
        own = [w for w in self.weights if len(w)]
        return min((float(w.min()) for w in own), default=0.0), max((float(w.max()) for w in own), default=0.0)


def dense(shape: tuple[int, int, int], edges: Iterable[Edges]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return (R, n_pre, n_post) weights and the mask of the synapses, from the edges of each replicate."""
    weight, mask = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    for r, (i, j, w) in enumerate(edges):
        weight[r, i, j], mask[r, i, j] = w, True
    return weight, mask


def _weights(weight: float | Draw, n: int, random: np.random.Generator) -> Floats:
    if not callable(weight):
        if not math.isfinite(weight):
            raise InputError(f"a weight must be a finite number, not {weight}", ("weight",))
        return np.broadcast_to(np.float64(weight), (n,))
    out = np.empty(n, np.float32)
    for at in range(0, n, CHUNK):
        out[at : at + CHUNK] = weight(random, min(CHUNK, n - at))
    return out
