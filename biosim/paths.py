"""Effective synapses: those on a path from the input to the readout."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.structure import count_columns
from biosim.synapses import Network


def on_path(network: Network, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return, for each projection, which synapses of ``masks`` lie on an input-to-output path.

    Only the diagram of ``network`` is read; masks are (R, n_pre, n_post) bool.
    """
    names = list(network.populations)
    like = next(iter(masks.values()))
    reached = {n: torch.zeros(like.shape[0], p.size, dtype=torch.bool, device=like.device) for n, p in network.populations.items()}
    leads = {n: torch.zeros_like(r) for n, r in reached.items()}
    reached[names[0]][:] = True
    leads[names[-1]][:] = True
    for name in names:
        for p in network.outgoing(name):
            reached[p.post.name] |= (masks[p.name] & reached[name].unsqueeze(2)).any(1)
    for name in reversed(names):
        for p in network.incoming(name):
            leads[p.pre.name] |= (masks[p.name] & leads[name].unsqueeze(1)).any(2)
    return {n: masks[n] & reached[p.pre.name].unsqueeze(2) & leads[p.post.name].unsqueeze(1) for n, p in network.projections.items()}


def effective_density(network: Network, masks: Mapping[str, Tensor]) -> npt.NDArray[np.float64]:
    """Return effective synapses over synapses born, one number a replicate."""
    kept = torch.stack([count_columns(m).sum(1) for m in on_path(network, masks).values()]).sum(0)
    return np.asarray((kept.double() / network.born.double()).cpu())


def breaks(network: Network, masks: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """Return where masks cut the input off from the readout: replicates by the projection at which activity stops.

    That is the first projection, in the order activity travels, into a population that no path from the
    input reaches in a replicate whose readout is unreached altogether. Empty when nothing is cut off.
    """
    names = list(network.populations)
    like = next(iter(masks.values()))
    reached = {n: torch.zeros(like.shape[0], p.size, dtype=torch.bool, device=like.device) for n, p in network.populations.items()}
    reached[names[0]][:] = True
    for p in (p for name in names for p in network.outgoing(name)):
        reached[p.post.name] |= (masks[p.name] & reached[p.pre.name].unsqueeze(2)).any(1)
    found: dict[str, list[int]] = {}
    for r in torch.nonzero(~reached[names[-1]].any(1)).flatten().tolist():
        dark = next(n for n in names if not reached[n][r].any())
        found.setdefault(network.incoming(dark)[0].name, []).append(r)
    return found
