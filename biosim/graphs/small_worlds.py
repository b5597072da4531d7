"""Small worlds: more clustered than chance at paths as short as chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from biosim.errors import InputError, UndefinedError
from biosim.graphs.graph import Graph
from biosim.graphs.nulls.swaps import degree_preserving, latticised, random_graph
from biosim.graphs.paths import path_length
from biosim.graphs.triangles import average_clustering

LATTICE_SWAPS = 100.0  # proposals an edge


@dataclass(frozen=True)
class SmallWorld:
    """Clustering C and path length L of a graph, of its nulls (means) and of its lattice.

    Attributes
    ----------
    clustering, path_length, null_clustering, null_path_length, lattice_clustering : float
    sigma : float
        ``(C / C_null) / (L / L_null)`` (Humphries & Gurney 2008, https://doi.org/10.1371/journal.pone.0002051): above 1 for a small world.
    omega : float
        ``L_null / L - C / C_lattice`` (Telesford et al. 2011, https://doi.org/10.1089/brain.2011.0038): near 0 for a small
        world, towards 1 random, towards -1 regular.
    """

    clustering: float
    path_length: float
    null_clustering: float
    null_path_length: float
    lattice_clustering: float

    @property
    def sigma(self) -> float:
        """(C / C_null) / (L / L_null)."""
        return (self.clustering / self.null_clustering) / (self.path_length / self.null_path_length)

    @property
    def omega(self) -> float:
        """L_null / L - C / C_lattice."""
        return self.null_path_length / self.path_length - self.clustering / self.lattice_clustering


def small_world(
    graph: Graph, nulls: int = 10, seed: int = 0, null: Literal["degrees", "edges"] = "degrees", lattice_swaps: float = LATTICE_SWAPS
) -> SmallWorld:
    """Return the small-world indices of a binary directed graph.

    C is Fagiolo's average clustering and L the characteristic path length, both directed; weights and self-loops are left
    out. The null keeps degrees (``degrees``, Maslov-Sneppen) or the number of edges only (``edges``, Erdos-Renyi).
    L is over pairs with a path, in graph and nulls alike: look at :func:`biosim.graphs.reachable` beside it.

    Raises
    ------
    UndefinedError
        When the nulls or the lattice have no triangles, or there are no paths.
    """
    if null not in ("degrees", "edges"):
        raise InputError(f"the null of a small world keeps 'degrees' or 'edges', not {null!r}")
    if nulls < 1:
        raise InputError("a small world needs at least one null")
    own = graph.without_loops().binary()
    draw = degree_preserving if null == "degrees" else random_graph
    drawn = [draw(own, seed, k) for k in range(nulls)]
    lengths = [path_length(g) for g in drawn]
    clusterings = [average_clustering(g) for g in drawn]
    lattice = average_clustering(latticised(own, seed, swaps=lattice_swaps))
    found = SmallWorld(average_clustering(own), path_length(own), sum(clusterings) / nulls, sum(lengths) / nulls, lattice)
    if not (found.null_clustering and found.lattice_clustering):
        raise UndefinedError("small-world indices are not defined: the nulls, or the lattice, have no triangles")
    return found
