"""Density, reciprocity, degrees and strengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError, UndefinedError
from biosim.graphs.graph import Graph, Numbers
from biosim.graphs.kernels import mark_reciprocal

Way = Literal["in", "out", "total"]


def density(graph: Graph, loops: bool = False) -> float:
    """Return edges over possible edges.

    Without ``loops``: ``m' / (n (n - 1))``, m' the edges that are not self-loops; with them: ``m / n^2``.

    Raises
    ------
    UndefinedError
        When no edge is possible.

    Examples
    --------
    >>> import networkx
    >>> from biosim.graphs import density, from_networkx
    >>> density(from_networkx(networkx.DiGraph([(0, 1), (1, 2), (2, 0)])))  # 3 of 6
    0.5
    """
    possible = graph.nodes * (graph.nodes if loops else graph.nodes - 1)
    if possible <= 0:
        raise UndefinedError(f"density is not defined for {graph.nodes} node(s) without self-loops")
    return (graph.edges if loops else graph.edges - graph.loops) / possible


def reciprocal(graph: Graph) -> npt.NDArray[np.bool_]:
    """Return which edges run the other way too: (edges,); self-loops do not count."""
    return np.asarray(mark_reciprocal(graph.start, graph.source, graph.target, graph.nodes))


def reciprocity(graph: Graph) -> float:
    """Return the share of edges i -> j for which j -> i is there too (self-loops aside).

    Raises
    ------
    UndefinedError
        When there are no edges.

    Examples
    --------
    >>> import networkx
    >>> from biosim.graphs import from_networkx, reciprocity
    >>> reciprocity(from_networkx(networkx.DiGraph([(0, 1), (1, 0), (1, 2), (2, 3)])))
    0.5
    """
    if graph.edges == graph.loops:
        raise UndefinedError("reciprocity is not defined without edges")
    return float(reciprocal(graph).sum() / (graph.edges - graph.loops))


def reciprocity_beyond_chance(graph: Graph) -> float:
    """Return ``(r - d) / (1 - d)``: 0 when an edge says nothing of its reverse, 1 for a symmetric graph, negative below chance.

    r is the reciprocity and d the density (Garlaschelli & Loffredo 2004, https://doi.org/10.1103/PhysRevLett.93.268701).

    Raises
    ------
    UndefinedError
        When there are no edges, or all possible ones.
    """
    chance = density(graph)
    if chance == 1:
        raise UndefinedError("reciprocity beyond chance is not defined for a complete graph")
    return (reciprocity(graph) - chance) / (1 - chance)


def weighted_reciprocity(graph: Graph) -> float:
    """Return the share of weight that is returned: ``sum_{i != j} min(|w_ij|, |w_ji|) / sum_{i != j} |w_ij|``.

    Squartini et al. 2013, https://doi.org/10.1038/srep02729; signed weights count by magnitude.

    Raises
    ------
    UndefinedError
        When there is no weight.
    """
    own = abs(graph.without_loops().matrix())
    total = float(own.sum())
    if total == 0:
        raise UndefinedError("weighted reciprocity is not defined without weights")
    return float(own.minimum(own.T).sum() / total)


def degrees(graph: Graph, way: Way = "total") -> npt.NDArray[np.int64]:
    """Return in-, out- or total (in + out) degrees: (nodes,). A self-loop counts in both."""
    if way not in ("in", "out", "total"):
        raise InputError(f"a degree is 'in', 'out' or 'total', not {way!r}")
    if way == "total":
        return np.asarray(graph.in_degree + graph.out_degree)
    return np.asarray(graph.in_degree if way == "in" else graph.out_degree)


def strengths(graph: Graph, way: Way = "total", sign: Literal["both", "excitatory", "inhibitory", "net"] = "both") -> Numbers:
    """Return summed weights of a node's edges: (nodes,).

    ``sign`` says which: magnitudes of all (``both``), of the positive (``excitatory``) or negative ones (``inhibitory``),
    or the signed sum (``net``).
    """
    w = graph.weight
    choices = {"both": np.abs(w), "excitatory": np.maximum(w, 0), "inhibitory": np.maximum(-w, 0), "net": w}
    if sign not in choices or way not in ("in", "out", "total"):
        raise InputError(f"strengths are 'in', 'out' or 'total' and {', '.join(choices)}; not {way!r}, {sign!r}")
    parts = {"in": graph.target, "out": graph.source}
    return np.asarray(sum(np.bincount(ends, choices[sign], graph.nodes) for name, ends in parts.items() if way in (name, "total")))


def degree_distribution(graph: Graph, way: Way = "total") -> npt.NDArray[np.int64]:
    """Return how many nodes have each degree 0, 1, 2, ...: (largest degree + 1,)."""
    return np.bincount(degrees(graph, way)) if graph.nodes else np.zeros(0, np.int64)


@dataclass(frozen=True)
class Spread:
    """How unequal non-negative numbers are.

    Attributes
    ----------
    mean, deviation, largest : float
    variation : float
        deviation / mean; NaN when the mean is 0.
    gini : float
        ``sum_ij |x_i - x_j| / (2 n^2 mean)``: 0 all equal, near 1 one has all; NaN when the mean is 0.
    """

    mean: float
    deviation: float
    largest: float
    variation: float
    gini: float


def spread(values: npt.ArrayLike) -> Spread:
    """Summarise a distribution of degrees or strengths.

    Raises
    ------
    UndefinedError
        When there are no values.
    """
    x = np.sort(np.asarray(values, np.float64).ravel())
    if not x.size:
        raise UndefinedError("a distribution needs at least one value")
    if x[0] < 0:
        raise InputError("degrees and strengths are not negative: take magnitudes, or one sign")
    mean, n = float(x.mean()), x.size
    gini = float(((2 * np.arange(1, n + 1) - n - 1) * x).sum() / (n * x.sum())) if mean else float("nan")
    return Spread(mean, float(x.std()), float(x[-1]), float(x.std() / mean) if mean else float("nan"), gini)
