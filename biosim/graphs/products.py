"""Sums over triangles as matrix products, dense or sparse, whichever is quicker."""

from __future__ import annotations

from typing import Any

import numpy as np

from biosim.graphs.graph import Graph, Numbers

DENSE_FROM = 0.05  # density from which a BLAS product beats a sparse one
DENSE_UP_TO = 8192  # nodes; beyond, a dense matrix asks for more than half a GB


def adjacency(graph: Graph, weighted: bool = False) -> Any:
    """Return the (nodes, nodes) matrix: ones in float32 (products of counts stay exact), or weights in float64."""
    full = graph.edges > DENSE_FROM * graph.nodes**2 or graph.nodes < 64
    if full and graph.nodes <= DENSE_UP_TO:
        dense = graph.dense(weighted)
        return dense if weighted else dense.astype(np.float32)
    sparse = graph.matrix(weighted)
    return sparse if weighted else sparse.astype(np.float32)


def row_sums(x: Any, y: Any, z: Any) -> Numbers:
    """Return ``sum_j ((x @ y) * z)[i, j]`` for every i, summed in float64."""
    return _masked_rows(x @ y, z)


def total(x: Any, y: Any, *masks: Any) -> list[int]:
    """Return ``sum((x @ y) * z)`` for every mask z, as whole numbers."""
    product = x @ y
    return [round(float(_masked_rows(product, z).sum())) for z in masks]


def _masked_rows(product: Any, z: Any) -> Numbers:
    if isinstance(product, np.ndarray):
        return np.asarray(np.einsum("ij,ij->i", product, z, dtype=np.float64, casting="unsafe"))
    return np.asarray(product.multiply(z).astype(np.float64).sum(1)).ravel()
