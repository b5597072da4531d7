"""Do neurons of high degree connect to neurons of high degree?"""

from __future__ import annotations

from typing import Literal

import numpy as np

from biosim.errors import UndefinedError
from biosim.graphs.basic import degrees, strengths
from biosim.graphs.graph import Graph

Ends = Literal["in", "out"]


def assortativity(graph: Graph, source: Ends = "out", target: Ends = "in", weighted: bool = False) -> float:
    """Return the correlation, over edges i -> j, of the ``source`` degree of i with the ``target`` degree of j.

    Pearson's; one count an edge, self-loops included (Newman 2003, https://doi.org/10.1103/PhysRevE.67.026126; Foster et al. 2010,
    https://doi.org/10.1073/pnas.0912671107, for the four directed pairs). ``weighted`` takes strengths (magnitudes).

    Raises
    ------
    UndefinedError
        When there are no edges, or all have the same degree at one end.
    """
    read = strengths if weighted else degrees
    x = np.asarray(read(graph, source), np.float64)[graph.source]
    y = np.asarray(read(graph, target), np.float64)[graph.target]
    if not x.size or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise UndefinedError(f"assortativity is not defined: the {source}-degree or the {target}-degree is the same at every edge")
    return float(np.corrcoef(x, y)[0, 1])
