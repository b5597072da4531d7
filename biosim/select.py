"""Exact competition: keep the k best synapses of every neuron, or of a whole projection.

Both the local rules (a competition within one neuron) and ``scorers.keep`` (layer and network
scope) stand on these kernels, so "exactly k, ties broken by a seeded hash" is written once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim import backend
from biosim.errors import NumericalError
from biosim.selection import compete_columns, compete_whole
from biosim.streams import Span, edge_uniform


def _sorted_keep(scores: Tensor, candidate: Tensor, quota: Tensor, streams: npt.NDArray[np.uint32], span: Span | None = None) -> Tensor:
    """Keep along dimension 1 by the value that the last to stay has: the accelerator's form of the kernels.

    Ties at that value, which are rare, take a second sort, of the seeded lottery.
    """
    values = torch.where(candidate, scores.to(torch.float32), -torch.inf)
    quota = torch.minimum(quota, candidate.sum(1)).unsqueeze(1)
    ranked = values.transpose(1, -1).contiguous().sort(dim=-1, descending=True).values.transpose(1, -1)
    last = ranked.gather(1, (quota - 1).clamp(min=0))
    above, level = candidate & (values > last), candidate & (values == last)
    wanted = (quota - above.sum(1, keepdim=True)).clamp(min=0)
    level &= quota > 0
    if bool((level.sum(1, keepdim=True) > wanted).any()):
        shape = (1, scores.shape[1]) if scores.dim() == 2 else (scores.shape[1], scores.shape[2])
        lottery = edge_uniform(streams, 0, shape, slice(None), scores.device, span).view(scores.shape)
        lottery = torch.where(level, lottery, torch.inf)
        rank = lottery.argsort(dim=1, stable=True).argsort(dim=1)
        level &= rank < wanted
    return above | level


def _bytes(mask: Tensor) -> npt.NDArray[np.uint8]:
    return np.asarray(mask.contiguous().numpy().view(np.uint8))


def compete(
    scores: Tensor,
    candidate: Tensor,
    quota: Tensor,
    streams: npt.NDArray[np.uint32],
    within: str = "post",
    name: str = "",
    step: int = 0,
    span: Span | None = None,
) -> Tensor:
    """Keep, within each neuron, exactly its quota of the candidates with the largest scores.

    Parameters
    ----------
    scores : Tensor
        (R, n_pre, n_post).
    candidate : Tensor
        Same shape, bool: who competes.
    quota : Tensor
        (R, n_post) for ``within="post"``, (R, n_pre) for ``"pre"``; a neuron with fewer candidates keeps all.
    streams : (R,) uint32
        Seeds of the tie-break: among equal scores those with the smallest hash of the edge stay.
    within : {"post", "pre"}
    name, step
        Named in the error.
    span : Span, optional
        Which columns of their projection these are, where they are not all of it; with ``within="post"`` only.

    Returns
    -------
    Tensor
        (R, n_pre, n_post) bool.

    Raises
    ------
    NumericalError
        When a candidate's score is NaN.
    """
    if within == "pre":
        flipped = compete(scores.transpose(1, 2).contiguous(), candidate.transpose(1, 2).contiguous(), quota, streams, "post", name, step)
        return flipped.transpose(1, 2).contiguous()
    if backend.fused(scores.device):
        keep = torch.empty_like(candidate)
        values = scores.to(torch.float32).contiguous().numpy()
        first, total = span or (0, scores.shape[2])
        bad = compete_columns(values, _bytes(candidate), quota.contiguous().numpy(), streams, _bytes(keep), first, total)
    else:
        bad = int((scores.isnan() & candidate).any(1).sum())
        keep = _sorted_keep(scores, candidate, quota, streams, span)
    if bad:
        raise NumericalError(f"NaN among the values by which synapses of '{name}' compete, at step {step}, in {bad} neurons")
    return keep


def keep_largest(scores: Tensor, candidate: Tensor, count: Tensor, streams: npt.NDArray[np.uint32]) -> Tensor:
    """Keep exactly ``count[r]`` of all the candidates of replicate r; (R, n) scores, ties by seeded hash."""
    if backend.fused(scores.device):
        keep = torch.empty_like(candidate)
        values = scores.detach().to(torch.float32).contiguous().numpy()
        bad = compete_whole(values, _bytes(candidate), count.numpy(), streams, _bytes(keep))
    else:
        bad = int((scores.isnan() & candidate).sum())
        keep = _sorted_keep(scores, candidate, count, streams)
    if bad:
        raise NumericalError("a score is NaN")
    return keep
