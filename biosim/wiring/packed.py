"""One replicate of a projection, packed: only its live synapses, column by column.

Once most synapses are gone, arrays of every birth edge are mostly graves. Packed synapses cost what the
survivors cost. The numbers are those of the whole arrays, up to the order in which a sum is taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.streams import Span
from biosim.wiring import sparse
from biosim.wiring.select import refuse_nan
from biosim.wiring.structure import as_array

DENSITY = 0.3  # live synapses per pair of neurons at which packing pays (measured: products 1.0 x the dense ones)
SMALLEST = 1 << 16  # pairs of neurons below which a projection is never worth it


def worth_packing(alive: int, pairs: int) -> bool:
    """Whether ``alive`` synapses among ``pairs`` of neurons are few enough: a matter of counts, never of timing."""
    return pairs >= SMALLEST and alive <= DENSITY * pairs


def _bytes(mask: Tensor) -> npt.NDArray[np.uint8]:
    return as_array(mask.contiguous().view(-1))


class Packed:
    """The live synapses of one replicate; every tensor is (1, 1, N).

    It answers to what a rule's site asks of a :class:`~biosim.synapses.Projection`.

    Parameters
    ----------
    name : str
    alive, death_step : Tensor
        (n_pre, n_post) of the whole projection; kept up to date here.
    in_degree : Tensor
        (n_post,) of the whole projection; kept up to date here.
    weight, active, silent_since : Tensor
        (n_pre, n_post); read once. ``weight`` is written back when it has changed.
    span : Span, optional
        Which columns of their projection these are, where they are not all of it.

    Attributes
    ----------
    edges : ndarray
        (2, N) int32, presynaptic and postsynaptic neuron of each synapse.
    starts : ndarray
        (n_post + 1,) int64, where each column begins.
    """

    def __init__(
        self,
        name: str,
        alive: Tensor,
        death_step: Tensor,
        in_degree: Tensor,
        weight: Tensor,
        active: Tensor,
        silent_since: Tensor,
        span: Span | None = None,
    ) -> None:
        self.name = name
        self.n_pre, self.n_post = alive.shape
        self.span = span or Span(0, self.n_post)
        self._home, self._death, self.in_degree, self._weight = alive.numpy().view(np.uint8), death_step.numpy(), in_degree, weight
        counts = self._home.sum(0, dtype=np.int64)
        self.starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        size = int(self.starts[-1])
        self.edges = np.empty((2, size), np.int32)
        sparse.index_rows(self._home, self.starts, self.rows, self.columns)
        self.weight, self.active, self.silent_since = self.pick(weight), self.pick(active), self.pick(silent_since)
        self.alive = torch.ones(self.shape, dtype=torch.bool)
        self.changed = False  # whether ``weight`` differs from the whole projection's
        self._by_row: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(1, 1, N)."""
        return 1, 1, self.edges.shape[1]

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        """(N,), the presynaptic neuron of each synapse."""
        return np.asarray(self.edges[0])

    @property
    def columns(self) -> npt.NDArray[np.int32]:
        """(N,), the postsynaptic neuron of each synapse."""
        return np.asarray(self.edges[1])

    # -- between the whole projection and here --------------------------------------------------
    def pick(self, whole: Tensor) -> Tensor:
        """Return the values of (n_pre, n_post) ``whole`` at these synapses, (1, 1, N)."""
        out = torch.empty(self.shape, dtype=whole.dtype)
        sparse.gather(whole.numpy(), self.rows, self.columns, out.view(-1).numpy())
        return out

    def spread(self, values: Tensor, whole: Tensor) -> None:
        """Write (1, 1, N) ``values`` where these synapses lie in (n_pre, n_post) ``whole``."""
        sparse.scatter(values.view(-1).numpy(), self.rows, self.columns, whole.numpy())

    def refresh(self) -> None:
        """Note that ``weight`` was changed."""
        self.changed = True

    def write_back(self) -> None:
        """Bring the whole projection's weights up to date."""
        if self.changed:
            self.spread(self.weight, self._weight)
            self.changed = False

    def compress(self) -> Tensor | None:
        """Drop the dead; return the places of the synapses that stay, or None when nobody died."""
        if bool(self.alive.all()):
            return None
        self.write_back()
        stay = self.alive.view(-1).nonzero().view(-1)
        index = stay.numpy()
        self.edges = np.ascontiguousarray(self.edges[:, index])
        self.starts = np.searchsorted(self.columns, np.arange(self.n_post + 1)).astype(np.int64)
        for field in ("weight", "active", "silent_since", "alive"):
            setattr(self, field, getattr(self, field)[..., stay])
        self._by_row = None
        return stay

    # -- products -------------------------------------------------------------------------------
    def transmit(self, values: Tensor) -> Tensor:
        """Return what arrives at each postsynaptic neuron: (S, n_pre) -> (S, n_post)."""
        out = np.empty((self.n_post, values.shape[0]), np.float32)
        given = values.T.contiguous().numpy()
        sparse.transmit(self.starts, self.rows, self.weight.view(-1).numpy(), _bytes(self.active), given, out)
        return torch.from_numpy(out).T

    def sample(self, left: Tensor, right: Tensor, scale: float, out: Tensor, keep: float) -> None:
        """Set ``out = keep*out + scale * sum_s left[s, i]*right[s, j]``; (S, n_pre), (S, n_post) -> (1, 1, N)."""
        pre, post = left.T.contiguous().numpy(), right.T.contiguous().numpy()
        sparse.sample_product(self.starts, self.rows, pre, post, np.float32(scale), np.float32(keep), out.view(-1).numpy())

    def per_synapse(self, vector: Tensor, presynaptic: bool, some: slice = slice(None)) -> Tensor:
        """Give every synapse, or ``some``, the value of its neuron: (..., n) -> (..., N)."""
        return vector[..., torch.from_numpy(self.edges[0 if presynaptic else 1, some])]

    # -- what a site asks of a projection -------------------------------------------------------
    def count(self, mask: Tensor, within: str = "post") -> Tensor:
        """Return the true entries of each neuron, (1, n)."""
        if within == "pre":
            return torch.from_numpy(np.bincount(self.rows, _bytes(mask), self.n_pre).astype(np.int64)).unsqueeze(0)
        return torch.from_numpy(sparse.count(self.starts, _bytes(mask))).unsqueeze(0)

    def summed(self, within: str) -> Tensor:
        """Return the summed weight of each neuron's active synapses, (1, n)."""
        return self._summed((self.weight * self.active).view(-1), within)

    def summed_magnitude(self) -> Tensor:
        """Return the summed magnitude of each postsynaptic neuron's active weights, (1, n_post)."""
        return self._summed((self.weight * self.active).abs().view(-1), "post")

    def _summed(self, values: Tensor, within: str) -> Tensor:
        ends, size = (self.rows, self.n_pre) if within == "pre" else (self.columns, self.n_post)
        return torch.from_numpy(np.bincount(ends, values.numpy(), size).astype(np.float32)).unsqueeze(0)

    def silence(self, active: Tensor, step: int) -> None:
        """Make exactly the live synapses in ``active`` active."""
        wanted, alive, now, since = _bytes(active), _bytes(self.alive), _bytes(self.active), self.silent_since.view(-1).numpy()
        sparse.set_active(self.starts, wanted, alive, now, since, self.in_degree.numpy(), np.float32(step))

    def eliminate(self, victims: Tensor, step: int) -> Tensor:
        """Eliminate the live synapses in ``victims`` for good; return how many died, (1,)."""
        doomed, alive, active, degree = _bytes(victims), _bytes(self.alive), _bytes(self.active), self.in_degree.numpy()
        died = sparse.kill(self.starts, self.rows, doomed, alive, active, degree, self._home, self._death, np.int32(step))
        return torch.tensor([died])

    def uniform(self, streams: npt.NDArray[np.uint32], step: int) -> Tensor:
        """Return one draw a synapse, the one its birth edge gets in the whole projection."""
        out = torch.empty(self.shape)
        sparse.uniform(self.rows, self.columns, *self.span, streams[0], np.uint32(step & 0xFFFFFFFF), out.view(-1).numpy())
        return out

    def compete(self, scores: Tensor, candidate: Tensor, quota: Tensor, streams: npt.NDArray[np.uint32], within: str, step: int) -> Tensor:
        """Keep each neuron's quota of its candidates, as :func:`biosim.wiring.select.compete` does."""
        values, allowed = scores.contiguous().view(-1).numpy(), _bytes(candidate)
        keep = np.empty(self.rows.size, np.uint8)
        if within == "post":
            first, total = self.span
            bad = sparse.compete(self.starts, self.rows, total, 1, first, values, allowed, quota[0].numpy(), streams[0], keep)
        else:
            order, starts = self._rows_first()
            kept = np.empty_like(keep)
            others = self.columns[order]
            bad = sparse.compete(starts, others, self.n_pre, 1, 0, values[order], allowed[order], quota[0].numpy(), streams[0], kept)
            keep[order] = kept
        refuse_nan(self.name, step, bad)
        return torch.from_numpy(keep.view(np.bool_)).view(self.shape)

    def _rows_first(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the order of the synapses by presynaptic neuron, and where each begins in it."""
        if self._by_row is None:
            order = np.argsort(self.rows, kind="stable")
            starts = np.searchsorted(self.rows[order], np.arange(self.n_pre + 1)).astype(np.int64)
            self._by_row = order, starts
        return self._by_row
