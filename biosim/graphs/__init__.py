"""Graph measures on arrays, and their nulls: directed, weighted and signed where that is defined.

A :class:`Graph` comes from a circuit (:func:`from_circuit`), from networkx or from a connectome
(:mod:`biosim.connectomes`); every measure is a function of one. Conventions are in docs/graphs.md.
"""

from biosim.graphs.basic import (
    degree_distribution,
    degrees,
    density,
    reciprocity,
    reciprocity_beyond_chance,
    spread,
    strengths,
    weighted_reciprocity,
)
from biosim.graphs.bipartite import bifans, bipartite_clustering
from biosim.graphs.clubs import RichClub, rich_club
from biosim.graphs.community import Communities, communities, modularity
from biosim.graphs.convert import from_circuit, from_networkx, projection_matrix, to_networkx
from biosim.graphs.graph import Graph
from biosim.graphs.measures import Row, measures
from biosim.graphs.mixing import assortativity
from biosim.graphs.paths import components, distance_counts, global_efficiency, largest_component, path_length, reachable
from biosim.graphs.small_worlds import SmallWorld, small_world
from biosim.graphs.spectrum import Dimensions, LeadingModes, dimensions, eigenvalues, leading_modes
from biosim.graphs.triads import motifs, triad_census
from biosim.graphs.triangles import average_clustering, clustering, transitivity

__all__ = [
    "Communities", "Dimensions", "Graph", "LeadingModes", "RichClub", "Row", "SmallWorld", "assortativity", "average_clustering",
    "bifans", "bipartite_clustering", "clustering", "communities", "components", "degree_distribution", "degrees", "density",
    "dimensions", "distance_counts", "eigenvalues", "from_circuit", "from_networkx", "global_efficiency", "largest_component",
    "leading_modes", "measures", "modularity", "motifs", "path_length", "projection_matrix", "reachable", "reciprocity",
    "reciprocity_beyond_chance", "rich_club", "small_world", "spread", "strengths", "to_networkx", "transitivity", "triad_census",
    "weighted_reciprocity",
]  # fmt: skip
