"""Fused updates of a projection's structure: one pass over memory for each decision.

Each function has a numba form for the CPU and a torch form for accelerators; both work in place and
give the same result. Work is split by columns (postsynaptic neurons), so threads never share a count.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim import backend

RUNAWAY = 1e12  # no weight is as large as this
BLOCK = 128  # columns a thread works on at a time


def set_active(
    wanted: Tensor, alive: Tensor, active: Tensor, since: Tensor, weight: Tensor, effective: Tensor, degree: Tensor, step: int
) -> None:
    """Make ``active = wanted and alive``; keep ``since``, ``effective`` and the in-degree in step with it."""
    if backend.fused(alive.device):
        _run(_set_active, (wanted, alive, active, since, weight, effective, degree), np.float32(step))
        return
    now = wanted & alive
    since.masked_fill_(now, math.inf)
    since.masked_fill_(active & ~now, float(step))
    active.copy_(now)
    torch.mul(weight, active, out=effective)
    degree.copy_(active.sum(1))


def kill(victims: Tensor, alive: Tensor, active: Tensor, death: Tensor, effective: Tensor, degree: Tensor, step: int) -> Tensor:
    """Eliminate the live ``victims``; return how many died in each replicate, (R,) int64."""
    if backend.fused(alive.device):
        died = np.zeros((alive.shape[0], (alive.shape[2] + BLOCK - 1) // BLOCK), np.int64)
        _run(_kill, (victims, alive, active, death, effective, degree), np.int32(step), died)
        return torch.from_numpy(died.sum(1))
    victims = victims & alive
    alive &= ~victims
    active &= ~victims
    death.masked_fill_(victims, step)
    effective.masked_fill_(victims, 0.0)
    degree.copy_(active.sum(1))
    return victims.sum((1, 2))


def adopt(fresh: Tensor, alive: Tensor, active: Tensor, weight: Tensor, effective: Tensor) -> bool:
    """Give live synapses their ``fresh`` weight, keep ``effective`` in step; return whether none has run away."""
    if backend.fused(alive.device):
        bad = np.zeros((alive.shape[0], (alive.shape[2] + BLOCK - 1) // BLOCK), np.int64)
        _run(_adopt, (fresh, alive, active, weight, effective), bad)
        return not bad.any()
    weight.copy_(torch.where(alive, fresh, weight))
    torch.mul(weight, active, out=effective)
    return bool((weight.abs() < RUNAWAY).all())


def count_columns(mask: Tensor) -> Tensor:
    """Return the true entries of each column: (R, n_pre, n_post) bool -> (R, n_post) int64."""
    if not backend.fused(mask.device):
        return mask.sum(1)
    out = torch.zeros(mask.shape[0], mask.shape[2], dtype=torch.int64)
    _run(_count_columns, (mask.contiguous(), out))
    return out


def count_rows(mask: Tensor) -> Tensor:
    """Return the true entries of each row: (R, n_pre, n_post) bool -> (R, n_pre) int64."""
    if not backend.fused(mask.device):
        return mask.sum(2)
    return torch.from_numpy(np.asarray(as_array(mask).sum(2, dtype=np.int64)))  # torch would copy it all to int64 first


def any_in_columns(mask: Tensor, rows: Tensor) -> Tensor:
    """Return whether each column has a true entry in one of these ``rows``: (R, n_pre, n_post), (R, n_pre) -> (R, n_post) bool."""
    if not backend.fused(mask.device):
        return (mask & rows.unsqueeze(2)).any(1)
    out = torch.zeros(mask.shape[0], mask.shape[2], dtype=torch.bool)
    _run(_any_in_columns, (mask.contiguous(), rows.contiguous(), out))
    return out


def any_in_rows(mask: Tensor, columns: Tensor) -> Tensor:
    """Return whether each row has a true entry in one of these ``columns``: (R, n_pre, n_post), (R, n_post) -> (R, n_pre) bool."""
    if not backend.fused(mask.device):
        return (mask & columns.unsqueeze(1)).any(2)
    out = torch.zeros(mask.shape[0], mask.shape[1], dtype=torch.bool)
    _run(_any_in_rows, (mask.contiguous(), columns.contiguous(), out))
    return out


def count_between(mask: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the true entries in these ``rows`` and ``columns``, (R,) int64."""
    if not backend.fused(mask.device):
        return (mask & rows.unsqueeze(2) & columns.unsqueeze(1)).sum((1, 2))
    out = torch.zeros(mask.shape[0], mask.shape[1], dtype=torch.int64)
    _run(_count_between, (mask.contiguous(), rows.contiguous(), columns.contiguous(), out))
    return out.sum(1)


def _run(kernel: Callable[..., Any], tensors: tuple[Tensor, ...], *more: Any) -> None:
    kernel(*(as_array(t) for t in tensors), *more)


def as_array(tensor: Tensor) -> npt.NDArray[Any]:
    """Return the memory of a tensor on the CPU as an array; truth values as bytes, which vectorise."""
    array: npt.NDArray[Any] = tensor.numpy()
    return array.view(np.uint8) if array.dtype == np.bool_ else array


@numba.njit(cache=True, parallel=True, error_model="numpy")
def _set_active(wanted, alive, active, since, weight, effective, degree, step):  # type: ignore[no-untyped-def]
    # short loops over slices, one quantity each: that is what vectorises (measured 7 x the single loop)
    replicates, rows, columns = alive.shape
    blocks = (columns + BLOCK - 1) // BLOCK
    for task in numba.prange(replicates * blocks):
        r, first = task // blocks, (task % blocks) * BLOCK
        n = min(columns - first, BLOCK)
        count = np.zeros(BLOCK, np.int32)
        now = np.empty(BLOCK, np.uint8)
        for i in range(rows):
            want, live = wanted[r, i, first : first + n], alive[r, i, first : first + n]
            was, start = active[r, i, first : first + n], since[r, i, first : first + n]
            strength, sends = weight[r, i, first : first + n], effective[r, i, first : first + n]
            for j in range(n):
                now[j] = want[j] & live[j]
            for j in range(n):
                count[j] += now[j]
            for j in range(n):
                sends[j] = strength[j] if now[j] else np.float32(0)
            for j in range(n):
                earlier = step if was[j] else start[j]
                start[j] = np.float32(np.inf) if now[j] else earlier
            for j in range(n):
                was[j] = now[j]
        for j in range(n):
            degree[r, first + j] = count[j]


@numba.njit(cache=True, parallel=True)
def _kill(victims, alive, active, death, effective, degree, step, died):  # type: ignore[no-untyped-def]
    replicates, rows, columns = alive.shape
    blocks = (columns + BLOCK - 1) // BLOCK
    for task in numba.prange(replicates * blocks):
        r, first = task // blocks, (task % blocks) * BLOCK
        n = min(columns - first, BLOCK)
        total = 0
        for i in range(rows):
            doomed, live = victims[r, i, first : first + n], alive[r, i, first : first + n]
            some = 0
            for j in range(n):
                some += doomed[j] & live[j]
            if some > 0:
                total += some
                for j in range(n):
                    if doomed[j] & live[j]:
                        degree[r, first + j] -= active[r, i, first + j]
                        active[r, i, first + j] = 0
                        death[r, i, first + j] = step
                        effective[r, i, first + j] = 0
                        live[j] = 0
        died[r, task % blocks] = total


@numba.njit(cache=True, parallel=True, error_model="numpy")
def _adopt(fresh, alive, active, weight, effective, bad):  # type: ignore[no-untyped-def]
    replicates, rows, columns = alive.shape
    blocks = (columns + BLOCK - 1) // BLOCK
    for task in numba.prange(replicates * blocks):
        r, first = task // blocks, (task % blocks) * BLOCK
        n = min(columns - first, BLOCK)
        wild = 0
        for i in range(rows):
            new, live, on = fresh[r, i, first : first + n], alive[r, i, first : first + n], active[r, i, first : first + n]
            strength, sends = weight[r, i, first : first + n], effective[r, i, first : first + n]
            for j in range(n):
                strength[j] = new[j] if live[j] else strength[j]
            for j in range(n):
                sends[j] = strength[j] if on[j] else np.float32(0)
            for j in range(n):
                wild += not abs(strength[j]) < np.float32(RUNAWAY)
        bad[r, task % blocks] = wild


@numba.njit(cache=True, parallel=True)
def _count_columns(mask, out):  # type: ignore[no-untyped-def]
    replicates, rows, columns = mask.shape
    blocks = (columns + BLOCK - 1) // BLOCK
    for task in numba.prange(replicates * blocks):
        r, first = task // blocks, (task % blocks) * BLOCK
        n = min(columns - first, BLOCK)
        count = np.zeros(BLOCK, np.int32)
        for i in range(rows):
            row = mask[r, i, first : first + n]
            for j in range(n):
                count[j] += row[j]
        for j in range(n):
            out[r, first + j] = count[j]


@numba.njit(cache=True, parallel=True)
def _any_in_columns(mask, wanted, out):  # type: ignore[no-untyped-def]
    replicates, rows, columns = mask.shape
    blocks = (columns + BLOCK - 1) // BLOCK
    for task in numba.prange(replicates * blocks):
        r, first = task // blocks, (task % blocks) * BLOCK
        found = out[r, first : first + BLOCK]
        for i in range(rows):
            if wanted[r, i]:
                row = mask[r, i, first : first + BLOCK]
                for j in range(found.size):
                    found[j] |= row[j]


@numba.njit(cache=True, parallel=True)
def _any_in_rows(mask, wanted, out):  # type: ignore[no-untyped-def]
    replicates, rows, _ = mask.shape
    for task in numba.prange(replicates * rows):
        r, i = task // rows, task % rows
        row, own, found = mask[r, i], wanted[r], np.uint8(0)
        for j in range(row.size):
            found |= row[j] & own[j]
        out[r, i] = found


@numba.njit(cache=True, parallel=True)
def _count_between(mask, wanted_rows, wanted_columns, out):  # type: ignore[no-untyped-def]
    replicates, rows, _ = mask.shape
    for task in numba.prange(replicates * rows):
        r, i = task // rows, task % rows
        if wanted_rows[r, i]:
            row, own, count = mask[r, i], wanted_columns[r], np.int32(0)
            for j in range(row.size):
                count += row[j] & own[j]
            out[r, i] = count
