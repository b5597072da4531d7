"""Thresholding: which synapses a density keeps, given scores. Exact counts, seeded tie-breaks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.scorers.keep_neurons import NeuronBudget, keep_neurons
from biosim.streams import edge_streams
from biosim.synapses import Network
from biosim.wiring.select import compete, keep_largest

Scope = Literal["neuron", "layer", "network", "whole-neurons"]
SCOPES: tuple[Scope, ...] = ("neuron", "layer", "network")  # those in which single synapses compete


def keep(scores: Mapping[str, Tensor], network: Network, density: float, scope: Scope, seeds: tuple[int, ...]) -> dict[str, Tensor]:
    """Keep the birth edges with the largest scores.

    Parameters
    ----------
    scores : mapping
        (R, n_pre, n_post) by projection.
    network : Network
        The births.
    density : float
        Share of birth edges kept, in (0, 1].
    scope : {"neuron", "layer", "network", "whole-neurons"}
        Edges compete within each postsynaptic neuron, each projection, or all together: exactly
        ``round(density * born)`` are kept, by projection for the first two. Or whole hidden neurons
        compete, and the count is as near as they allow.
    seeds : tuple of int
        One a replicate; break ties.

    Returns
    -------
    dict
        (R, n_pre, n_post) bool by projection.

    Examples
    --------
    >>> from biosim import Network, keep
    >>> network = Network.layered([64, 20, 10], seeds=[0], weights="signed-constant")
    >>> scores = {name: p.weight.abs() for name, p in network.projections.items()}  # all alike: a seeded hash decides
    >>> masks = keep(scores, network, 0.25, "layer", (0,))
    >>> {name: int(mask.sum()) for name, mask in masks.items()}
    {'input-hidden1': 320, 'hidden1-output': 50}
    """
    if not 0 < density <= 1:
        raise InputError(f"the density kept must lie in (0, 1], not {density}", ("density",))
    if scope == "whole-neurons":
        return keep_neurons({n: s.detach() for n, s in scores.items()}, network, density, seeds)
    if scope not in SCOPES:
        raise InputError(f"unknown scope '{scope}'; there are: {', '.join(SCOPES)}", ("scope",))
    if scope == "neuron":
        streams = {name: edge_streams(seeds, f"keep/{name}") for name in scores}
        return {
            n: compete(s.detach(), network.projections[n].born, network.projections[n].quota(density), streams[n], "post", n)
            for n, s in scores.items()
        }
    if scope == "layer":
        return keep_counts(scores, network, {n: _share([network.projections[n].born], density) for n in scores}, seeds)
    born = [network.projections[n].born for n in scores]
    masks = _largest(list(scores.values()), born, _share(born, density), edge_streams(seeds, "keep"))
    return dict(zip(scores, masks, strict=True))


def keep_counts(scores: Mapping[str, Tensor], network: Network, counts: Mapping[str, Tensor], seeds: tuple[int, ...]) -> dict[str, Tensor]:
    """Keep exactly ``counts``, (R,) int64 by projection, of the birth edges, those with the largest scores; all else as in :func:`keep`."""
    streams = {name: edge_streams(seeds, f"keep/{name}") for name in scores}
    return {n: _largest([s], [network.projections[n].born], counts[n], streams[n])[0] for n, s in scores.items()}


def whole_counts(ideal: Mapping[str, Tensor], network: Network, total: Tensor) -> dict[str, Tensor]:
    """Return whole numbers of edges near ``ideal`` ones, (R,) by projection, that sum to ``total`` (R,): largest remainders first."""
    wanted = torch.stack(list(ideal.values()))
    born = torch.stack([network.projections[n].fan_in.sum(1) for n in ideal])
    counts = wanted.clamp(max=born).floor()
    spare = (total - counts.sum(0)).long()
    place = (wanted - counts).masked_fill(counts >= born, -1.0).argsort(dim=0, descending=True, stable=True).argsort(dim=0)
    counts += (place < spare.unsqueeze(0)) & (counts < born)
    for k in range(len(counts)):  # what full projections could not take; less where ideals of tens of millions were rounded up
        counts[k] += torch.minimum(born[k] - counts[k], total - counts.sum(0)).maximum(-counts[k])
    return dict(zip(ideal, counts.long(), strict=True))


def gains_after(network: Network, density: float, scope: Scope) -> dict[str, Tensor]:
    """Return gains that hold summed inputs at their size at birth: 1/sqrt of the share of inputs kept.

    That share is the density, except where whole neurons go: the others then keep all their synapses to those left.
    """
    if scope == "whole-neurons":
        return NeuronBudget.of(network, density).gains(network)
    gains = {n: torch.full_like(p.gain, 1 / math.sqrt(density)) for n, p in network.populations.items()}
    gains[next(iter(gains))].fill_(1.0)
    return gains


def _share(born: list[Tensor], density: float) -> Tensor:
    total = torch.stack([b.flatten(1).sum(1) for b in born]).sum(0)
    return torch.floor(total.to(torch.float64) * density + 0.5).to(torch.int64)


def _largest(scores: list[Tensor], born: list[Tensor], count: Tensor, streams: npt.NDArray[np.uint32]) -> list[Tensor]:
    flat = torch.cat([s.detach().flatten(1) for s in scores], 1)
    candidate = torch.cat([b.flatten(1) for b in born], 1)
    kept = keep_largest(flat, candidate, count, streams)
    parts = torch.split(kept, [s[0].numel() for s in scores], 1)
    return [part.view(s.shape) for part, s in zip(parts, scores, strict=True)]
