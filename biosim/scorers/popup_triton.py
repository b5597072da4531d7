# pyright: reportMissingImports=false, reportIndexIssue=false
"""Edge-popup's passes over all scores as Triton kernels (https://triton-lang.org), for CUDA devices on which it is installed.

The threshold is found exactly, without sorting: as integers, the bits of abs(S) have the order of abs(S), so four passes
count how the scores divide by their first 8, next 8, next 8 and last 7 bits, each only among those that share what is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

_DIGITS = ((23, 256), (15, 256), (7, 256), (0, 128))  # shift and bins of each pass
_BLOCK = 2048
_PROGRAMS = 1056


class Threshold:
    """The least of the k largest abs(S) among several score tensors of each replicate.

    Parameters
    ----------
    k : int
        At least 1.
    replicates : int
    device : torch.device

    Attributes
    ----------
    bits : Tensor
        (R,) int32, its bits once :meth:`find` ran.
    """

    def __init__(self, k: int, replicates: int, device: torch.device) -> None:
        self.k = k
        self.bits = torch.zeros(replicates, dtype=torch.int32, device=device)
        self.left = torch.zeros_like(self.bits)
        self.counts = torch.zeros(replicates, 256, dtype=torch.int32, device=device)

    def find(self, scores: Sequence[Tensor]) -> None:
        """Find it in (R, n_pre, n_post) ``scores``."""
        self.bits.zero_()
        self.left.fill_(self.k)
        known = 31
        for shift, bins in _DIGITS:
            for score in scores:
                n = score[0].numel()
                grid = (min(_PROGRAMS, triton.cdiv(n, _BLOCK)), len(score))
                _count[grid](score, self.counts, self.bits, n, shift, known, bins, _BLOCK)
            _descend[(len(self.bits),)](self.counts, self.bits, self.left, bins)
            known = shift

    def transmit(self, score: Tensor, weight: Tensor, out: Tensor) -> None:
        """Write the weight where abs(S) reaches the threshold, else 0."""
        n = score[0].numel()
        _transmit[(triton.cdiv(n, _BLOCK), len(score))](score, weight, self.bits, out, n, _BLOCK)


def update(score: Tensor, speed: Tensor, gradient: Tensor, weight: Tensor, rate: Tensor, momentum: float, decay: float) -> None:
    """One step of SGD: ``V = momentum V + G W sign(S) + decay S``, ``S = S - rate V``; ``rate`` is a tensor, ()."""
    n = score.numel()
    _update[(triton.cdiv(n, _BLOCK),)](score, speed, gradient, weight, rate, momentum, decay, n, _BLOCK)


@triton.jit
def _magnitude_bits(values):  # type: ignore[no-untyped-def]
    return values.to(tl.int32, bitcast=True) & 0x7FFFFFFF


@triton.jit
def _count(score, counts, prefix, n, SHIFT: tl.constexpr, KNOWN: tl.constexpr, BINS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def] # noqa: N803
    replicate = tl.program_id(1)
    score += replicate.to(tl.int64) * n
    wanted = tl.load(prefix + replicate)
    found = tl.zeros([BINS], tl.int32)
    for start in range(tl.program_id(0) * BLOCK, n, tl.num_programs(0) * BLOCK):
        place = start + tl.arange(0, BLOCK)
        bits = _magnitude_bits(tl.load(score + place, mask=place < n, other=0.0))
        alike = (place < n) & ((bits >> KNOWN) == wanted)
        found += tl.histogram((bits >> SHIFT) & (BINS - 1), BINS, mask=alike)
    tl.atomic_add(counts + replicate * 256 + tl.arange(0, BINS), found, mask=found > 0)


@triton.jit
def _descend(counts, prefix, left, BINS: tl.constexpr):  # type: ignore[no-untyped-def] # noqa: N803
    replicate = tl.program_id(0)
    bins = tl.arange(0, BINS)
    found = tl.load(counts + replicate * 256 + bins)
    wanted = tl.load(left + replicate)
    above = tl.sum(found, 0) - tl.cumsum(found, 0)
    here = (above < wanted) & (above + found >= wanted)
    tl.store(left + replicate, wanted - tl.sum(tl.where(here, above, 0), 0))
    tl.store(prefix + replicate, tl.load(prefix + replicate) * BINS + tl.sum(tl.where(here, bins, 0), 0))
    tl.store(counts + replicate * 256 + bins, tl.zeros([BINS], tl.int32))


@triton.jit
def _transmit(score, weight, threshold, out, n, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def] # noqa: N803
    replicate = tl.program_id(1)
    base = replicate.to(tl.int64) * n
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    bits = _magnitude_bits(tl.load(score + base + place, mask=place < n, other=0.0))
    sent = tl.load(weight + base + place, mask=place < n, other=0.0)
    tl.store(out + base + place, tl.where(bits >= tl.load(threshold + replicate), sent, 0.0), mask=place < n)


@triton.jit
def _update(score, speed, gradient, weight, rate, momentum, decay, n, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def] # noqa: N803
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < n
    s = tl.load(score + place, mask=inside, other=0.0)
    through = tl.load(gradient + place, mask=inside, other=0.0) * tl.load(weight + place, mask=inside, other=0.0)
    sign = tl.where(s > 0, 1.0, tl.where(s < 0, -1.0, 0.0))
    v = tl.load(speed + place, mask=inside, other=0.0) * momentum + through * sign + s * decay
    tl.store(speed + place, v, mask=inside)
    tl.store(score + place, s - tl.load(rate) * v, mask=inside)
