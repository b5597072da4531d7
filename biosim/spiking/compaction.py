"""Synapses in compact rows: laid out at birth, and laid out anew, smaller, when some are eliminated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.spiking.births import Births, index_type
from biosim.spiking.layout import Layout
from biosim.spiking.world import World

MOST = 1 << 32  # synapses that a column can name


@numba.njit(cache=True, nogil=True)
def _divide(starts, target, base, edges, lo, hi):  # type: ignore[no-untyped-def]
    """Split every row among the parts, which own the targets between consecutive ``edges``."""
    for i in range(len(starts) - 1):
        at, end = starts[i], starts[i + 1]
        for k in range(len(edges) - 1):
            lo[k, i] = base + at
            left, right = at, end  # the first synapse whose target lies beyond the part
            while left < right:
                middle = (left + right) >> 1
                if target[base + middle] < edges[k + 1]:
                    left = middle + 1
                else:
                    right = middle
            at = left
            hi[k, i] = base + at


@numba.njit(cache=True, nogil=True)
def _columns(lo, hi, target, begin, starts, synapse, source):  # type: ignore[no-untyped-def]
    """List the synapses of every target, by ascending presynaptic neuron; ``starts`` are where they begin, from ``begin``."""
    for i in range(lo.shape[1]):
        for q in range(lo[0, i], hi[-1, i]):
            starts[target[q] + 1] += 1
    starts[0] = begin
    for j in range(1, len(starts)):
        starts[j] += starts[j - 1]
    at = starts[:-1].copy()
    for i in range(lo.shape[1]):
        for q in range(lo[0, i], hi[-1, i]):
            j = target[q]
            synapse[at[j]], source[at[j]] = q, i
            at[j] += 1


@numba.njit(cache=True, nogil=True)
def _compact(lo, hi, keep, base, target, weight, state, active, at, new_target, new_weight, new_state, new_active, starts):  # type: ignore[no-untyped-def]
    """Copy the synapses to keep, row by row; ``keep`` empty keeps them all. Return where the next projection goes."""
    first = at
    for i in range(lo.shape[1]):
        starts[i] = at - first
        for q in range(lo[0, i], hi[-1, i]):
            if keep.size == 0 or keep[q - base]:
                new_target[at], new_weight[at] = target[q], weight[q]
                for s in range(state.shape[0]):
                    new_state[s, at] = state[s, q]
                if active.size:
                    new_active[at] = active[q]
                at += 1
    starts[-1] = at - first
    return at


@numba.njit(cache=True, nogil=True)
def _mark_dead(born_starts, born, lo, hi, target, keep, base, death, step):  # type: ignore[no-untyped-def]
    """Set ``death`` of the birth edges whose synapses are not kept: a live row is a part of its birth row, in order."""
    for i in range(lo.shape[1]):
        b = born_starts[i]
        for q in range(lo[0, i], hi[-1, i]):
            while born[b] != target[q]:
                b += 1
            if not keep[q - base]:
                death[b] = step
            b += 1


@numba.njit(cache=True, nogil=True)
def _positions(born_starts, born, lo, hi, target, out):  # type: ignore[no-untyped-def]
    """Set ``out`` to the birth edge of every live synapse."""
    at = 0
    for i in range(lo.shape[1]):
        b = born_starts[i]
        for q in range(lo[0, i], hi[-1, i]):
            while born[b] != target[q]:
                b += 1
            out[at] = b
            at += 1
            b += 1


def born_rows(layout: Layout, r: int) -> dict[str, Any]:
    """Return the fields of a world that hold the synapses of replicate ``r``, as born."""
    births, kind = [p.births for p in layout.network.projections], index_type(layout.widest)
    targets = [b.targets[r] for b in births]
    one = len(targets) == 1 and targets[0].dtype == kind
    target = targets[0] if one else np.concatenate([np.zeros(0, kind), *[t.astype(kind) for t in targets]])
    weight = np.empty(len(target), layout.real)
    bases = np.concatenate([[0], np.cumsum([len(t) for t in targets])]).astype(np.int64)
    for base, b in zip(bases, births, strict=False):
        weight[base : base + len(b.weights[r])] = b.weights[r]
    states = max((len(p.states) for p in layout.plans.values()), default=0)
    state = np.zeros((states, len(target)), layout.real)
    return _rows(layout, [b.starts[r] for b in births], target, weight, state, np.zeros(0, np.bool_), bases)


def _rows(
    layout: Layout,
    starts: Sequence[npt.NDArray[np.int64]],
    target: npt.NDArray[Any],
    weight: npt.NDArray[Any],
    state: npt.NDArray[Any],
    active: npt.NDArray[np.bool_],
    bases: npt.NDArray[np.int64],
) -> dict[str, Any]:
    """Return the fields of a world for these synapses; those of projection ``k`` begin at ``bases[k]``."""
    projections = layout.network.projections
    count = sum(p.births.n_pre for p in projections)
    lo, hi = np.zeros((2, layout.parts, count), np.int64)
    sizes = [int(bases[k + 1] - bases[k]) if layout.paths[p.name] == "general" else 0 for k, p in enumerate(projections)]
    if sum(sizes) and len(target) >= MOST:
        raise InputError(f"{len(target)} synapses are more than the general path can list by target ({MOST})")
    widest = max([p.births.n_pre for p in projections], default=1)
    column = np.zeros(sum(p.births.n_post + 1 for p in projections), np.int64)
    synapse, source = np.zeros(sum(sizes), np.uint32), np.zeros(sum(sizes), index_type(widest))
    row = at = begin = 0
    for k, p in enumerate(projections):
        post = layout.neurons[p.post].size
        own = slice(row, row + p.births.n_pre)
        _divide(starts[k], target, int(bases[k]), layout.cuts(post), lo[:, own], hi[:, own])
        if layout.paths[p.name] == "general":
            _columns(lo[:, own], hi[:, own], target, begin, column[at : at + post + 1], synapse, source)
            begin += sizes[k]
        row, at = row + p.births.n_pre, at + post + 1
    found = {"row_lo": lo, "row_hi": hi, "target": target, "weight": weight, "state": state, "active": active}
    return found | {"column": column, "column_synapse": synapse, "column_source": source}


def own_rows(world: World, k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where the rows of projection ``k`` begin and end in each part, (T, n_pre) each."""
    first, n_pre = world.proj[k]["rows"], world.proj[k]["n_pre"]
    return world.row_lo[:, first : first + n_pre], world.row_hi[:, first : first + n_pre]


def place_of(world: World, k: int) -> slice:
    """Return where the live synapses of projection ``k`` lie in the flat arrays: rows follow each other without gaps."""
    lo, hi = own_rows(world, k)
    return slice(int(lo[0, 0]), int(hi[-1, -1]))


def mark_dead(births: Births, world: World, r: int, k: int, keep: npt.NDArray[np.bool_], death: npt.NDArray[np.int32], step: int) -> None:
    """Note in ``death`` (one entry a birth edge) the step at which the synapses that are not kept died."""
    rows, base = own_rows(world, k), place_of(world, k).start
    _mark_dead(births.starts[r], births.targets[r], *rows, world.target, keep, base, death, np.int32(step))


def birth_edges(births: Births, world: World, r: int, k: int) -> npt.NDArray[np.int64]:
    """Return the place among the birth edges of every live synapse."""
    place = place_of(world, k)
    out = np.empty(place.stop - place.start, np.int64)
    _positions(births.starts[r], births.targets[r], *own_rows(world, k), world.target, out)
    return out


def without(layout: Layout, world: World, k: int, keep: npt.NDArray[np.bool_]) -> World:
    """Return the world with only the synapses of projection ``k`` that ``keep`` holds; the others are gone from memory."""
    projections = layout.network.projections
    places = [place_of(world, q) for q in range(len(projections))]
    sizes = [p.stop - p.start for p in places]
    sizes[k] = int(np.count_nonzero(keep))
    total = sum(sizes)
    target, weight = np.empty(total, world.target.dtype), np.empty(total, world.weight.dtype)
    state = np.empty((world.state.shape[0], total), world.weight.dtype)
    active = np.empty(total if world.active.size else 0, np.bool_)
    starts, at = [], 0
    for q, p in enumerate(projections):
        start, own = np.zeros(p.births.n_pre + 1, np.int64), keep if q == k else np.zeros(0, np.bool_)
        old = (world.target, world.weight, world.state, world.active)
        at = _compact(*own_rows(world, q), own, places[q].start, *old, at, target, weight, state, active, start)
        starts.append(start)
    bases = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return world.with_arrays(**_rows(layout, starts, target, weight, state, active, bases))
