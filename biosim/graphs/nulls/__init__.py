"""Nulls: what a graph or a mask would be like if only some of it were kept. Each keeps exactly what it says.

Null k is drawn from a stream of its own, so it is the same null whatever the number of nulls or threads.
"""

from biosim.graphs.nulls.contrast import Contrast, contrast
from biosim.graphs.nulls.curveball import curveball, curveball_shared
from biosim.graphs.nulls.overlap import OverlapNull, hypergeometric, shared_by_chance
from biosim.graphs.nulls.swaps import (
    degree_preserving,
    degree_preserving_many,
    degree_preserving_undirected,
    latticised,
    random_graph,
)
from biosim.graphs.nulls.weights import permute_weights, strength_preserving

__all__ = [
    "Contrast", "OverlapNull", "contrast", "curveball", "curveball_shared", "degree_preserving", "degree_preserving_many",
    "degree_preserving_undirected", "hypergeometric", "latticised", "permute_weights", "random_graph", "shared_by_chance",
    "strength_preserving",
]  # fmt: skip
