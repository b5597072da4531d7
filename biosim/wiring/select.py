"""Exact competition: keep the k best synapses of every neuron, or of a whole projection.

Both the local rules (a competition within one neuron) and ``scorers.keep`` (layer and network
scope) stand on these kernels, so "exactly k, ties broken by a seeded hash" is written once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim import backend
from biosim.errors import NumericalError
from biosim.replay import Replay
from biosim.streams import Span, uniform_at
from biosim.wiring.selection import compete_columns, compete_whole
from biosim.wiring.structure import as_array

Ranks = tuple[Tensor, Tensor, Tensor, Tensor]


def rank(given: Mapping[str, Tensor]) -> Ranks:
    """Return who is above the value that the last to stay has, who is level with it, how many of those stay, and two flags.

    Along dimension 1, the accelerator's form of the kernels. The flags: whether anybody must go among those who are
    level; in how many competitions a candidate's score is NaN (it sorts before all others).
    """
    scores, candidate = given["scores"], given["candidate"]
    values = torch.where(candidate, scores.to(torch.float32), -torch.inf)
    quota = torch.minimum(given["quota"], candidate.sum(1)).unsqueeze(1)
    ranked = values.transpose(1, -1).contiguous().sort(dim=-1, descending=True).values.transpose(1, -1)
    last = ranked.gather(1, (quota - 1).clamp(min=0))
    above, level = candidate & (values > last), candidate & (values == last)
    wanted = (quota - above.sum(1, keepdim=True)).clamp(min=0)
    level &= quota > 0
    tied = (level.sum(1, keepdim=True) > wanted).any()
    return above, level, wanted, torch.stack([tied, ranked[:, :1].isnan().sum()])


def _sorted_keep(
    scores: Tensor,
    candidate: Tensor,
    quota: Tensor,
    streams: npt.NDArray[np.uint32],
    ranking: Replay[Ranks] | None = None,
    span: Span | None = None,
) -> tuple[Tensor, int]:
    """Keep along dimension 1; return who stays, and in how many competitions there is a NaN.

    Ties at the last value, which are rare, take a second sort, of the seeded lottery. The host waits once.
    """
    if ranking is None:
        above, level, wanted, flags = rank({"scores": scores, "candidate": candidate, "quota": quota})
    else:
        ranking.function = lambda given: rank({"scores": scores, "candidate": candidate, **given})
        above, level, wanted, flags = ranking({"quota": quota}, (scores, candidate))
    ties, bad = flags.tolist()
    if ties:
        _draw_lots(level, wanted, streams, span)
    return above | level, bad


def _draw_lots(level: Tensor, wanted: Tensor, streams: npt.NDArray[np.uint32], span: Span | None) -> None:
    """Leave among the true of (R, n) or (R, n_pre, n_post) ``level`` only as many as are ``wanted``, along dimension 1, in place.

    Only competitions that hold too many draw; each edge has one lot, whoever draws.
    """
    level = level.view(*level.shape[:2], -1)
    n_pre, n_post = level.shape[1:]
    replicate, post = (level.sum(1) > wanted.view(len(level), n_post)).nonzero().T
    first, total = span or (0, n_post)
    edge = torch.arange(n_pre, device=level.device) * total + first + post.unsqueeze(1)
    lots = uniform_at(torch.from_numpy(streams.astype(np.int64)).to(level.device)[replicate].unsqueeze(1), 0, edge)
    tied = level[replicate, :, post]
    rank = torch.where(tied, lots, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
    level[replicate, :, post] = tied & (rank < wanted.view(len(level), n_post)[replicate, post].unsqueeze(1))


def compete(
    scores: Tensor,
    candidate: Tensor,
    quota: Tensor,
    streams: npt.NDArray[np.uint32],
    within: str = "post",
    name: str = "",
    step: int = 0,
    ranking: Replay[Ranks] | None = None,
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
    ranking : Replay, optional
        Of :func:`rank`, where scores and candidates lie at the same place in every step.
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
        bad = compete_columns(values, as_array(candidate.contiguous()), quota.contiguous().numpy(), streams, as_array(keep), first, total)
    else:
        keep, bad = _sorted_keep(scores, candidate, quota, streams, ranking, span)
    refuse_nan(name, step, bad)
    return keep


def refuse_nan(name: str, step: int, bad: int) -> None:
    """Raise where synapses of ``bad`` neurons compete by a NaN."""
    if bad:
        raise NumericalError(f"NaN among the values by which synapses of '{name}' compete, at step {step}, in {bad} neurons")


def keep_largest(scores: Tensor, candidate: Tensor, count: Tensor, streams: npt.NDArray[np.uint32]) -> Tensor:
    """Keep exactly ``count[r]`` of all the candidates of replicate r; (R, n) scores, ties by seeded hash."""
    if backend.fused(scores.device):
        keep = torch.empty_like(candidate)
        values = scores.detach().to(torch.float32).contiguous().numpy()
        bad = compete_whole(values, as_array(candidate.contiguous()), count.numpy(), streams, as_array(keep))
    else:
        keep, bad = _sorted_keep(scores, candidate, count, streams)
    if bad:
        raise NumericalError("a score is NaN")
    return keep
