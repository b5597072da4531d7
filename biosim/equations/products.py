"""Matrix products over a step's samples: the expensive half of a rule, at BLAS speed.

``sum_s w_s * f_s,i * g_s,j`` for every synapse is ``(f * w)^T @ g``. On the CPU replicates are
multiplied one by one, so replicate k of a batch equals replicate k alone bit for bit; on an
accelerator they are one batched product.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from biosim import backend
from biosim.equations.evaluate import evaluate

if TYPE_CHECKING:
    from biosim.wiring.packed import Packed

TILE = 512  # columns of a product that are taken at a time: one process or several take the same products
CHUNK = 1 << 24  # elements of the (replicate, sample, pre, post) block an unfactorisable term may take


class PerformanceWarning(UserWarning):
    """An equation runs, but far slower than it could."""


def side_values(node: ast.expr | None, values: Mapping[str, Tensor], like: Tensor, width: int) -> Tensor:
    """Evaluate a one-sided factor to (R, S, width); an absent factor is ones."""
    shape = (like.shape[0], like.shape[1], width)
    if node is None:
        return like.new_ones(()).expand(shape)
    return evaluate(node, values).expand(shape)


def outer_sum(left: Tensor, right: Tensor, scale: float, out: Tensor, keep: float = 0.0) -> None:
    """Set ``out = keep*out + scale * left^T @ right``; (R, S, n_pre), (R, S, n_post) -> (R, n_pre, n_post)."""
    transposed = left.transpose(1, 2)
    if not backend.fused(out.device):
        torch.baddbmm(out, transposed, right, beta=keep, alpha=scale, out=out)
        return
    for r in range(out.shape[0]):
        for own in tiles(out.shape[2]):
            target = out[r][:, own]
            torch.addmm(target, transposed[r], right[r][:, own], beta=keep, alpha=scale, out=target)


def matmul(left: Tensor, right: Tensor) -> Tensor:
    """Return the batched product (R, a, b) @ (R, b, c), replicate by replicate on the CPU."""
    if not backend.fused(left.device):
        return torch.bmm(left, right)
    width = right.shape[2]
    if left.shape[0] == 1 and width <= TILE:
        return torch.mm(left[0], right[0]).unsqueeze(0)
    if torch.is_grad_enabled():
        return torch.stack([torch.cat([torch.mm(a, b[:, own]) for own in tiles(width)], 1) for a, b in zip(left, right, strict=True)])
    out = left.new_empty(left.shape[0], left.shape[1], width)
    for r in range(left.shape[0]):
        for own in tiles(width):
            torch.mm(left[r], right[r][:, own], out=out[r][:, own])
    return out


def tiles(width: int) -> list[slice]:
    """Return the columns that are worked on at a time: how many there are in all changes the bits of none."""
    return [slice(first, min(first + TILE, width)) for first in range(0, width, TILE)]


def weighted(values: Tensor, weights: Tensor | None) -> Tensor:
    """Multiply (R, S, n) by per-sample weights (S,)."""
    return values if weights is None else values * weights.view(1, -1, 1)


def sample_sum(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return the weighted sum (or the mean, without weights) over samples: (R, S, n) -> (R, n)."""
    return values.mean(1) if weights is None else weighted(values, weights).sum(1)


def chunked_sum(node: ast.expr, sampled: Mapping[str, Tensor], synaptic: Mapping[str, Tensor], weights: Tensor | None, out: Tensor) -> None:
    """Evaluate an unfactorisable term over every (sample, pre, post), a block of rows at a time.

    ``sampled`` holds (R, S, n) values by side, ``synaptic`` (R, n_pre, n_post) ones.
    """
    replicates, n_pre, n_post = out.shape
    samples = max(v.shape[1] for v in sampled.values())
    rows = max(1, CHUNK // (replicates * samples * n_post))
    scale = out.new_full((samples,), 1.0 / samples) if weights is None else weights
    for start in range(0, n_pre, rows):
        stop = min(n_pre, start + rows)
        values: dict[str, Tensor] = {}
        for name, value in sampled.items():
            presynaptic = name == "pre" or name.endswith("_pre")
            values[name] = value[:, :, start:stop, None] if presynaptic else value[:, :, None, :]
        values |= {n: v[:, None, start:stop, :] if v.dim() == 3 else v for n, v in synaptic.items()}
        block = evaluate(node, values).expand(replicates, samples, stop - start, n_post)
        out[:, start:stop] = (block * scale.view(1, -1, 1, 1)).sum(1)


def packed_sum(
    node: ast.expr, sampled: Mapping[str, Tensor], synaptic: Mapping[str, Tensor], weights: Tensor | None, out: Tensor, layout: Packed
) -> None:
    """Do what :func:`chunked_sum` does for (1, 1, N) packed synapses."""
    samples = max(v.shape[1] for v in sampled.values())
    size = max(1, CHUNK // samples)
    scale = out.new_full((samples,), 1.0 / samples) if weights is None else weights
    for start in range(0, out.shape[2], size):
        some = slice(start, min(out.shape[2], start + size))
        values = {n: v[..., some] if v.dim() == 3 else v for n, v in synaptic.items()}
        for name, value in sampled.items():  # the reward has no neurons: one value for all
            presynaptic = name == "pre" or name.endswith("_pre")
            values[name] = value if name == "reward" else layout.per_synapse(value, presynaptic, some)
        block = evaluate(node, values).expand(1, samples, some.stop - start)
        out[0, 0, some] = (block[0] * scale.view(-1, 1)).sum(0)


def warn_slow(rule: str, text: str) -> None:
    """Warn that ``text`` will run in chunks."""
    warnings.warn(
        f"rule '{rule}': '{text}' does not split into f(pre) x g(post); it is evaluated in chunks over every synapse and "
        "sample, typically 70-100 times slower than a matrix product",
        PerformanceWarning,
        stacklevel=3,
    )
