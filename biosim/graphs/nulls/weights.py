"""Nulls that keep the wiring and deal the weights out anew."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from biosim.errors import InputError
from biosim.graphs.graph import Graph
from biosim.graphs.nulls.kernels import swap_weights
from biosim.graphs.nulls.states import null_generator, states

SWEEPS = 50


def permute_weights(graph: Graph, seed: int, null: int = 0, within: Literal["graph", "source", "target"] = "graph") -> Graph:
    """Return the same wiring with its weights permuted.

    The multiset of weights is kept exactly: of the whole graph; or of each presynaptic neuron (``within="source"``, which
    keeps out-strengths and each neuron's signs); or of each postsynaptic neuron (``"target"``, which keeps in-strengths).
    """
    if within not in ("graph", "source", "target"):
        raise InputError(f"weights are permuted within 'graph', 'source' or 'target', not {within!r}")
    draw = null_generator(seed, "graphs/permute-weights", null).random(graph.edges)
    group = {"graph": np.zeros(graph.edges, np.int32), "source": graph.source, "target": graph.target}[within]
    weight = np.empty(graph.edges)
    weight[np.argsort(group, kind="stable")] = graph.weight[np.lexsort((draw, group))]
    return graph.with_edges(graph.source, graph.target, weight)


class StrengthNull(NamedTuple):
    """A graph whose strengths are nearly those asked for.

    Attributes
    ----------
    graph : Graph
    error : float
        Root mean square of (strength - wanted), in- and out-strengths together, over the root mean square of a plain
        permutation's; 0 is exact, 1 no better than permuting.
    """

    graph: Graph
    error: float


def strength_preserving(graph: Graph, seed: int, null: int = 0, sweeps: int = SWEEPS) -> StrengthNull:
    """Return the same wiring with its weights permuted such that every in- and out-strength is nearly kept.

    Wiring and the multiset of weights are kept exactly, the strengths as nearly as zero-temperature annealing brings
    them: two weights drawn at random change places whenever that does not raise
    ``E = sum_i (s_out[i] - s_out0[i])^2 + sum_j (s_in[j] - s_in0[j])^2``. The idea is that of Rubinov & Sporns 2011
    (https://doi.org/10.1016/j.neuroimage.2011.03.069), the search that of Milisav et al. 2025
    (https://doi.org/10.1038/s43588-024-00735-z) at zero temperature. Report ``error`` with whatever rests on it.

    Parameters
    ----------
    graph : Graph
    seed, null : int
    sweeps : int
        Proposals an edge.
    """
    start = permute_weights(graph, seed, null)
    weight = start.weight.copy()
    gap_out = np.bincount(graph.source, weight - graph.weight, graph.nodes)
    gap_in = np.bincount(graph.target, weight - graph.weight, graph.nodes)
    before = float((gap_out**2).sum() + (gap_in**2).sum())
    if graph.edges > 1 and before > 0:
        state = states(seed, "graphs/strength-preserving", range(null, null + 1))
        swap_weights(graph.source, graph.target, weight, gap_out, gap_in, sweeps * graph.edges, state)
    gap_out = np.bincount(graph.source, weight - graph.weight, graph.nodes)  # afresh: sums of differences gather error
    gap_in = np.bincount(graph.target, weight - graph.weight, graph.nodes)
    after = float((gap_out**2).sum() + (gap_in**2).sum())
    return StrengthNull(graph.with_edges(graph.source, graph.target, weight), float(np.sqrt(after / before)) if before > 0 else 0.0)
