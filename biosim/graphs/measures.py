"""All measures of a graph at once, each next to its null."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from biosim.errors import InputError, UndefinedError
from biosim.graphs import basic, clubs, community, mixing, paths, spectrum, triads, triangles
from biosim.graphs.graph import Graph
from biosim.graphs.nulls.contrast import Contrast, contrast
from biosim.graphs.nulls.swaps import SWAPS, degree_preserving, latticised
from biosim.graphs.small_worlds import LATTICE_SWAPS, SmallWorld

Measured = Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """One measure of a graph.

    Attributes
    ----------
    measure : str
    value : float
        NaN where the measure is not defined for this graph.
    null : Contrast or None
        Against degree-preserving nulls; None for a measure that degrees (or weights) fix, or without nulls.
    note : str
        Why there is no value.
    """

    measure: str
    value: float
    null: Contrast | None = None
    note: str = ""

    def flat(self) -> dict[str, Any]:
        """Return the row as one flat mapping, for a table."""
        null = self.null
        numbers = {
            n: getattr(null, n) if null else float("nan") for n in ("mean", "deviation", "difference", "ratio", "z", "normalised", "p")
        }
        return {
            "measure": self.measure,
            "value": self.value,
            **{f"null_{k}" if k in ("mean", "deviation") else k: v for k, v in numbers.items()},
            "note": self.note,
        }


def measures(graph: Graph, nulls: int = 0, seed: int = 0, swaps: float = SWAPS, starts: int = 3, weighted: bool = True) -> list[Row]:
    """Return every measure of a graph, next to its degree-preserving nulls.

    Self-loops are left out, except from degrees, strengths and the spectrum. Triads are given as counts, the rich club
    as phi at the tenth of nodes of highest degree. Clustering, path length, modularity and the small-world indices are binary unless
    the name says weighted.

    Parameters
    ----------
    graph : Graph
    nulls : int
        Degree-preserving nulls; 0 leaves ``null`` and the small-world indices out.
    seed : int
    swaps : float
        Proposals an edge.
    starts : int
        Starts of each modularity search, the same for graph and nulls.
    weighted : bool
        Whether to add the weighted measures; leave them out for graphs whose weights are all alike.

    Examples
    --------
    >>> import networkx
    >>> from biosim.graphs import from_networkx, measures
    >>> graph = from_networkx(networkx.gnp_random_graph(30, 0.2, seed=1, directed=True))
    >>> rows = {row.measure: row for row in measures(graph, nulls=3)}
    >>> abs(rows["reciprocity"].null.normalised) < 1
    True
    """
    if nulls < 0:
        raise InputError(f"a number of nulls is not negative: {nulls}")
    own = graph.without_loops()
    club = _club(own)
    scalar = _against_nulls(starts, seed, club)
    observed, notes = _evaluate(scalar, own)
    drawn = [_evaluate(scalar, degree_preserving(own.binary(), seed, k, swaps=swaps))[0] for k in range(nulls)]
    rows = []
    for name, value in observed.items():
        null = [d[name] for d in drawn]
        usable = bool(null) and not np.isnan(value) and not np.isnan(null).any()
        rows.append(Row(name, value, contrast(value, null) if usable else None, notes.get(name, "")))
    rows += _small_world(own, observed, drawn, seed)
    fixed, notes = _evaluate(_fixed(weighted, starts, seed), graph)
    return rows + [Row(name, value, None, notes.get(name, "")) for name, value in fixed.items()]


_Scalars = Mapping[str, Callable[[Graph], "float | Measured"]]


def _evaluate(scalars: _Scalars, graph: Graph) -> tuple[dict[str, float], dict[str, str]]:
    values: dict[str, float] = {}
    notes: dict[str, str] = {}
    for name, measure in scalars.items():
        try:
            found = measure(graph)
        except UndefinedError as error:
            found, notes[name] = float("nan"), error.message
        values |= {f"{name}.{k}": float(v) for k, v in found.items()} if isinstance(found, Mapping) else {name: float(found)}
    return values, notes


def _club(graph: Graph) -> int:
    return clubs.rich_club(graph).at() if graph.nodes > 1 else 0


def _rich(graph: Graph, k: int) -> float:
    coefficients = clubs.rich_club(graph).coefficient
    if k >= coefficients.size:
        raise UndefinedError("no club of that degree")
    return float(coefficients[k])


def _against_nulls(starts: int, seed: int, club: int) -> _Scalars:
    """Return the measures that a graph with the same degrees may change."""
    return {
        "reciprocity": basic.reciprocity,
        "clustering": triangles.average_clustering,
        "transitivity": triangles.transitivity,
        "path length": paths.path_length,
        "global efficiency": paths.global_efficiency,
        "reachable pairs": paths.reachable,
        "largest strong component": paths.largest_component,
        "modularity": lambda g: community.communities(g, seed=seed, starts=starts).modularity,
        "rich club": lambda g: _rich(g, club),
        **{f"assortativity {a}-{b}": _mixing(a, b) for a in ("out", "in") for b in ("in", "out")},
        "triads": lambda g: {kind: n for kind, n in triads.triad_census(g).items() if kind in triads.CONNECTED},
    }


def _mixing(source: Any, target: Any) -> Callable[[Graph], float]:
    return lambda graph: mixing.assortativity(graph, source, target)


def _fixed(weighted: bool, starts: int, seed: int) -> _Scalars:
    """Return the measures that degrees fix, and those of weights."""
    binary: _Scalars = {
        "density": basic.density,
        "edges": lambda g: float(g.edges),
        **{f"{way}-degree": _spread(way) for way in ("in", "out")},
    }
    if not weighted:
        return binary
    return {
        **binary,
        "share excitatory": _excitatory,
        **{f"{way}-strength": _spread(way, strength=True) for way in ("in", "out")},
        "weighted reciprocity": basic.weighted_reciprocity,
        "weighted clustering": lambda g: triangles.average_clustering(g, weighted=True),
        "signed clustering": lambda g: triangles.average_clustering(g, weighted=True, signed=True),
        "weighted path length": lambda g: paths.path_length(g, weighted=True),
        "weighted efficiency": lambda g: paths.global_efficiency(g, weighted=True),
        "weighted modularity": lambda g: community.communities(g.without_loops(), weighted=True, seed=seed, starts=starts).modularity,
        "spectrum": lambda g: {"radius": (found := spectrum.leading_modes(g)).radius, "abscissa": found.abscissa},
        "dimensions": lambda g: vars(spectrum.dimensions(g.dense())),
    }


def _spread(way: Any, strength: bool = False) -> Callable[[Graph], Measured]:
    return lambda graph: vars(basic.spread(basic.strengths(graph, way) if strength else basic.degrees(graph, way)))


def _excitatory(graph: Graph) -> float:
    if not graph.edges:
        raise UndefinedError("without edges no share of them is excitatory")
    return float((graph.weight > 0).mean())


def _small_world(graph: Graph, observed: Measured, drawn: list[dict[str, float]], seed: int) -> list[Row]:
    if not drawn:
        return []
    c, length = (float(np.mean([d[name] for d in drawn])) for name in ("clustering", "path length"))
    lattice = triangles.average_clustering(latticised(graph.binary(), seed, swaps=LATTICE_SWAPS)) if graph.nodes else 0.0
    if not (c and lattice and np.isfinite(length) and np.isfinite(observed["path length"])):
        note = "small-world indices are not defined: no paths, or no triangles in the nulls or the lattice"
        return [Row(name, float("nan"), None, note) for name in ("small-world sigma", "small-world omega")]
    found = SmallWorld(observed["clustering"], observed["path length"], c, length, lattice)
    return [Row("small-world sigma", found.sigma), Row("small-world omega", found.omega)]
