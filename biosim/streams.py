"""Randomness that nothing can shift: named streams, and draws that are a hash of their key.

A component asks for ``generator(seed, "births/hidden1-hidden2")`` and gets a stream that is its
own, so adding a recorder or a rule moves nobody else's draws. A per-synapse draw inside a rule is
``hash32(stream, step, birth edge)``: no state, so chunks, threads, replicates and backends cannot
change it.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import torch

from biosim import backend

_M1 = 0x7FEB352D  # multipliers of the "lowbias32" integer finaliser (C. Wellons, hash-prospector)
_M2 = 0x846CA68B
_MASK = 0xFFFFFFFF


class Span(NamedTuple):
    """Some columns of a projection: ``first`` is the first of them, ``total`` how many the whole projection has."""

    first: int
    total: int


def stable_hash(text: str) -> int:
    """Return a 32-bit hash of ``text`` that is the same in every process and version."""
    return zlib.crc32(text.encode())


def generator(seed: int, component: str) -> np.random.Generator:
    """Return the random stream of one component under one seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stable_hash(component),)))


def edge_streams(seeds: tuple[int, ...], component: str) -> npt.NDArray[np.uint32]:
    """Return one 32-bit stream key a replicate, for :func:`hash32`."""
    keys = [np.random.SeedSequence(seed, spawn_key=(stable_hash(component),)) for seed in seeds]
    return np.array([key.generate_state(1, np.uint32)[0] for key in keys], np.uint32)


@numba.njit(cache=True, inline="always")
def _mix(x: np.uint32) -> np.uint32:
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(_M1))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(_M2))
    return np.uint32(x ^ (x >> np.uint32(16)))


@numba.njit(cache=True, inline="always")
def hash32(stream: np.uint32, step: np.uint32, edge: np.uint64) -> np.uint32:
    """Return 32 pseudo-random bits of the key (stream, step, birth edge)."""
    high = np.uint32(edge >> np.uint64(32))
    low = np.uint32(edge & np.uint64(_MASK))
    return _mix(np.uint32(low ^ _mix(np.uint32(step ^ _mix(np.uint32(stream ^ _mix(high)))))))


@numba.njit(cache=True, inline="always")
def unit(bits: np.uint32) -> np.float32:
    """Map 32 bits to a float32 in [0, 1) on a grid of 2**-24, exact in every precision."""
    return np.float32(bits >> np.uint32(8)) * np.float32(2.0**-24)


@numba.njit(cache=True, parallel=True)
def _fill_uniform(streams, step, start, first, total, out):  # type: ignore[no-untyped-def]
    replicates, rows, width = out.shape
    for r in numba.prange(replicates):
        stream = streams[r]
        for i in range(rows):
            edge = (start + i) * total + first
            for j in range(width):
                out[r, i, j] = unit(hash32(stream, step, np.uint64(edge + j)))


def _mix_torch(x: torch.Tensor) -> torch.Tensor:
    x = x ^ (x >> 16)
    x = (x * _M1) & _MASK
    x = x ^ (x >> 15)
    x = (x * _M2) & _MASK
    return x ^ (x >> 16)


def edge_uniform(
    streams: npt.NDArray[np.uint32], step: int, shape: tuple[int, int], rows: slice, device: torch.device, span: Span | None = None
) -> torch.Tensor:
    """Return the draws of ``rows`` of an (n_pre, n_post) projection, or of those columns of one, (R, rows, n_post), in [0, 1).

    ``unit(hash32(...))``; its torch form on an accelerator: 64-bit arithmetic wraps, its low 32 bits do not differ.
    """
    start, stop, _ = rows.indices(shape[0])
    first, total = span or (0, shape[1])
    if backend.fused(device):
        out = np.empty((len(streams), stop - start, shape[1]), np.float32)
        _fill_uniform(streams, np.uint32(step & _MASK), start, first, total, out)
        return torch.from_numpy(out)
    row = torch.arange(start, stop, dtype=torch.int64, device=device).unsqueeze(1)
    edge = (row * total + first + torch.arange(shape[1], dtype=torch.int64, device=device)).view(-1)
    stream = torch.from_numpy(streams.astype(np.int64)).to(device).view(-1, 1)
    return uniform_at(stream, step, edge).view(len(streams), stop - start, shape[1])


def uniform_at(stream: torch.Tensor, step: int, edge: torch.Tensor) -> torch.Tensor:
    """Return the draws of single edges in [0, 1): int64 ``stream`` and ``edge``, broadcastable; for accelerators."""
    inner = _mix_torch((step & _MASK) ^ _mix_torch(stream ^ _mix_torch(edge >> 32)))
    return (_mix_torch((edge & _MASK) ^ inner) >> 8).to(torch.float32) * 2.0**-24
