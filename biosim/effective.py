"""Effective synapses: those on a path from the input to the readout.

In a network that settles for T steps a path crosses recurrent synapses at most T - 1 times: what would take
longer never reaches the readout.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.synapses import Network
from biosim.wiring.structure import any_in_columns, any_in_rows, count_between, count_columns


def on_path(network: Network, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return, for each projection, which synapses of ``masks`` lie on an input-to-output path.

    Only the diagram of ``network`` is read; masks are (R, n_pre, n_post) bool.
    """
    if network.settles or network.substrate is not None:
        return _within_steps(network, masks)
    reached, leads = _ends(network, masks)
    ends = {n: (reached[p.pre.name].unsqueeze(2), p.share.own(leads[p.post.name]).unsqueeze(1)) for n, p in network.projections.items()}
    return {n: masks[n] & arrived & leaving for n, (arrived, leaving) in ends.items()}


def _ends(network: Network, masks: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the neurons that the input reaches, and those that lead to the readout, in one pass: (R, size) bool by population."""
    names, like = list(network.populations), next(iter(masks.values()))
    reached = {n: torch.zeros(like.shape[0], p.size, dtype=torch.bool, device=like.device) for n, p in network.populations.items()}
    leads = {n: torch.zeros_like(r) for n, r in reached.items()}
    reached[names[0]][:] = True
    leads[names[-1]][:] = True
    for name in names:
        for p in network.outgoing(name):
            reached[p.post.name] |= p.share.whole(any_in_columns(masks[p.name], reached[name]))
    for name in reversed(names):
        for p in network.incoming(name):
            leads[p.pre.name] |= p.share.anywhere(any_in_rows(masks[p.name], p.share.own(leads[name])))
    return reached, leads


def _within_steps(network: Network, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the synapses on a path with at most ``steps - 1`` recurrent ones.

    With d_in and d_out the fewest recurrent synapses from the input to a neuron and from it to the readout,
    synapse (i, j) is on such a path when ``d_in(i) + recurrent + d_out(j) <= steps - 1``.
    """
    names = list(network.populations)
    d_in = _fewest_recurrent(network, masks, names, backwards=False)
    d_out = _fewest_recurrent(network, masks, names[::-1], backwards=True)
    found = {}
    for n, p in network.projections.items():
        crossings = d_in[p.pre.name].unsqueeze(2) + int(p.recurrent) + d_out[p.post.name].unsqueeze(1)
        found[n] = masks[n] & (crossings <= _steps(network) - 1)
    return found


def _steps(network: Network) -> int:
    """Return the settling steps that bound a path; under a substrate of another kind, which has none, more than any path needs."""
    return network.steps if network.substrate is None else 2 * sum(p.size for p in network.populations.values()) + 2


def _fewest_recurrent(network: Network, masks: Mapping[str, Tensor], order: list[str], backwards: bool) -> dict[str, Tensor]:
    """Return the fewest recurrent synapses on the way from ``order[0]`` to each neuron, (R, size) int64; ``steps`` when none."""
    like, never = next(iter(masks.values())), _steps(network)
    fewest = {n: torch.full((like.shape[0], network.populations[n].size), never, device=like.device) for n in order}
    fewest[order[0]].fill_(0)
    for crossed in range(never):
        before = {n: f.clone() for n, f in fewest.items()}
        for name in order:
            for p in network.outgoing(name) if backwards else network.incoming(name):
                source = (p.post if backwards else p.pre).name
                reached = fewest[source] <= crossed - int(p.recurrent)
                carried = (masks[p.name] & reached.unsqueeze(1)).any(2) if backwards else (masks[p.name] & reached.unsqueeze(2)).any(1)
                fewest[name] = torch.where(carried, fewest[name].clamp(max=crossed), fewest[name])
        if crossed > 0 and all(torch.equal(before[n], f) for n, f in fewest.items()):
            break  # nobody new after one more crossing, so nobody after two
    return fewest


def effective_density(network: Network, masks: Mapping[str, Tensor]) -> npt.NDArray[np.float64]:
    """Return effective synapses over synapses born, one number a replicate."""
    if network.settles or network.substrate is not None:
        counts = [count_columns(m).sum(1) for m in on_path(network, masks).values()]
    else:  # counted where they lie: no mask is made
        reached, leads = _ends(network, masks)
        projections = network.projections.items()
        counts = [p.share.total(count_between(masks[n], reached[p.pre.name], p.share.own(leads[p.post.name]))) for n, p in projections]
    kept = torch.stack(counts).sum(0)
    return np.asarray((kept.double() / network.born.double()).cpu())


def breaks(network: Network, masks: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """Return where masks cut the input off from the readout: replicates by the projection at which activity stops.

    That is the first projection, in the order activity travels, into a population that no path from the
    input reaches in a replicate whose readout is unreached altogether. Empty when nothing is cut off.
    """
    names = list(network.populations)
    fewest = _fewest_recurrent(network, masks, names, backwards=False)
    reached = {n: f < _steps(network) for n, f in fewest.items()}
    found: dict[str, list[int]] = {}
    for r in torch.nonzero(~reached[names[-1]].any(1)).flatten().tolist():
        dark = next(n for n in names if not reached[n][r].any())
        found.setdefault(network.incoming(dark)[0].name, []).append(r)
    return found
