"""The graph that every measure reads: directed, weighted, simple; edges sorted by source, then target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from biosim.errors import InputError

Indices = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Graph:
    """A directed graph with at most one edge from a node to another (or to itself).

    Build one with :meth:`from_edges` or :meth:`from_matrix`, which check and sort. An edge from i to j is a synapse
    of presynaptic neuron i on postsynaptic neuron j. An undirected graph has every edge twice, once each way.

    Attributes
    ----------
    nodes : int
    source, target : ndarray
        (edges,) node numbers, sorted by source, then target.
    weight : ndarray
        (edges,) finite and signed; 1 where the origin has no weights. An edge of weight 0 is there.
    names : tuple of str
        A name a node, or empty.
    group : ndarray
        (nodes,) number of the population a node belongs to; all 0 when there is one.
    """

    nodes: int
    source: Indices
    target: Indices
    weight: Numbers
    names: tuple[str, ...] = ()
    group: Indices | None = None

    @classmethod
    def from_edges(
        cls,
        nodes: int,
        source: npt.ArrayLike,
        target: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        names: Sequence[str] = (),
        group: npt.ArrayLike | None = None,
        parallel: str = "refuse",
    ) -> Graph:
        """Build a graph from edge lists.

        Parameters
        ----------
        nodes : int
        source, target : array_like
            (edges,) node numbers from 0.
        weight : array_like, optional
            (edges,); 1 everywhere when left out.
        names, group : optional
            One a node.
        parallel : {"refuse", "sum"}
            What to do with several edges between the same two nodes.

        Raises
        ------
        InputError
            When lengths differ, a node does not exist, a weight is not finite, or edges repeat and may not be summed.
        """
        ends = [np.asarray(e).ravel() for e in (source, target)]
        weights = np.ones(ends[0].size) if weight is None else np.asarray(weight, np.float64).ravel()
        if not ends[0].size == ends[1].size == weights.size:
            raise InputError(f"{ends[0].size} sources, {ends[1].size} targets and {weights.size} weights: an edge needs one of each")
        if nodes < 0 or any(e.size and (e.min() < 0 or e.max() >= nodes) for e in ends):
            raise InputError(f"an edge names a node that is not among the {nodes} nodes, numbered from 0")
        if any(e.size and (e != np.trunc(e)).any() for e in ends):
            raise InputError("nodes are named by whole numbers")
        if not np.isfinite(weights).all():
            raise InputError(f"{int((~np.isfinite(weights)).sum())} edge weights are NaN or infinite: leave such edges out, or mend them")
        if names and len(names) != nodes:
            raise InputError(f"{len(names)} names for {nodes} nodes")
        key = ends[0].astype(np.int64) * nodes + ends[1].astype(np.int64)
        order = np.argsort(key, kind="stable")
        key, weights = key[order], weights[order]
        first = np.ones(key.size, bool)
        first[1:] = key[1:] != key[:-1]
        if not first.all():
            if parallel != "sum":
                raise InputError(f"{int((~first).sum())} edges repeat others: sum them (parallel='sum') or drop them")
            weights, key = np.add.reduceat(weights, np.flatnonzero(first)), key[first]
        pre, post = np.divmod(key, max(nodes, 1))
        groups = None if group is None else np.asarray(group, np.int32)
        if groups is not None and groups.shape != (nodes,):
            raise InputError(f"{groups.size} group numbers for {nodes} nodes")
        return cls(nodes, pre.astype(np.int32), post.astype(np.int32), weights, tuple(map(str, names)), groups)

    @classmethod
    def from_matrix(cls, matrix: Any, names: Sequence[str] = (), group: npt.ArrayLike | None = None) -> Graph:
        """Build a graph from a square matrix, dense or scipy sparse; entry [i, j] other than 0 is the edge from i to j.

        Raises
        ------
        InputError
            When the matrix is not square or holds NaN or infinity.
        """
        if scipy.sparse.issparse(matrix):
            whole: Any = scipy.sparse.coo_array(matrix)
            shape, pre, post, weight = whole.shape, whole.row, whole.col, whole.data
        else:
            dense: Any = np.asarray(matrix)
            shape = dense.shape
            pre, post = np.nonzero(dense) if dense.ndim == 2 else (np.empty(0), np.empty(0))
            weight = dense[pre, post] if dense.ndim == 2 else np.empty(0)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise InputError(f"a graph's matrix is square, (nodes, nodes), not {tuple(shape)}")
        return cls.from_edges(shape[0], pre, post, weight, names, group)

    @property
    def edges(self) -> int:
        """Number of edges, self-loops included."""
        return int(self.source.size)

    @cached_property
    def loops(self) -> int:
        """Number of self-loops."""
        return int((self.source == self.target).sum())

    @cached_property
    def start(self) -> npt.NDArray[np.int64]:
        """(nodes + 1,) place of each node's first outgoing edge (the row pointers of the CSR form)."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.source, minlength=self.nodes))]).astype(np.int64)

    def matrix(self, weighted: bool = True) -> Any:
        """Return the graph as a scipy CSR array of float64: weights, or ones."""
        values = self.weight if weighted else np.ones(self.edges)
        return scipy.sparse.csr_array((values, self.target, self.start), shape=(self.nodes, self.nodes))

    def dense(self, weighted: bool = True) -> Numbers:
        """Return the graph as a (nodes, nodes) float64 matrix: weights, or ones."""
        out = np.zeros((self.nodes, self.nodes))
        out[self.source, self.target] = self.weight if weighted else 1.0
        return out

    def with_edges(self, source: npt.ArrayLike, target: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Graph:
        """Return a graph on the same nodes with other edges."""
        return Graph.from_edges(self.nodes, source, target, weight, self.names, self.group)

    def without_loops(self) -> Graph:
        """Return the graph without its self-loops."""
        keep = self.source != self.target
        return self if keep.all() else Graph(self.nodes, self.source[keep], self.target[keep], self.weight[keep], self.names, self.group)

    def binary(self) -> Graph:
        """Return the graph with every weight 1."""
        return Graph(self.nodes, self.source, self.target, np.ones(self.edges), self.names, self.group)

    def symmetric(self) -> Graph:
        """Return the undirected graph as a symmetric one: i - j with weight ``w_ij + w_ji``, self-loops as they are."""
        other = self.source != self.target
        ends = (np.concatenate([self.source, self.target[other]]), np.concatenate([self.target, self.source[other]]))
        weight = np.concatenate([self.weight, self.weight[other]])
        return Graph.from_edges(self.nodes, *ends, weight, self.names, self.group, parallel="sum")

    def select(self, nodes: npt.ArrayLike) -> Graph:
        """Return the subgraph of these nodes (numbers, or a mask), in ascending order."""
        kept = np.zeros(self.nodes, bool)
        kept[np.asarray(nodes)] = True
        number = np.cumsum(kept) - 1
        inside = kept[self.source] & kept[self.target]
        names = tuple(n for n, k in zip(self.names, kept, strict=True) if k) if self.names else ()
        groups = None if self.group is None else self.group[kept]
        return Graph.from_edges(
            int(kept.sum()), number[self.source[inside]], number[self.target[inside]], self.weight[inside], names, groups
        )

    @cached_property
    def in_degree(self) -> npt.NDArray[np.int64]:
        """(nodes,) edges that end at each node, self-loops included."""
        return np.bincount(self.target, minlength=self.nodes).astype(np.int64)

    @cached_property
    def out_degree(self) -> npt.NDArray[np.int64]:
        """(nodes,) edges that begin at each node, self-loops included."""
        return np.diff(self.start)
