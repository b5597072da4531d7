"""Matrix products taken tile by tile and replicate by replicate, so that a batch, or a share of a network, changes no bit.

On the CPU replicates are multiplied one by one, and columns :data:`TILE` at a time: replicate k of a batch equals replicate k
alone, and one process takes the products that several take together. On an accelerator they are one batched product.
"""

from __future__ import annotations

import torch
from torch import Tensor

from biosim import backend

TILE = 512  # columns of a product that are taken at a time


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
