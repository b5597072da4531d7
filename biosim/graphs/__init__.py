"""Graph measures on arrays, and their nulls: directed, weighted and signed where that is defined."""

from biosim.graphs.graph import Graph

__all__ = ["Graph"]
