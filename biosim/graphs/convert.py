"""Graphs from circuits, and to and from networkx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.errors import InputError, did_you_mean
from biosim.graphs.graph import Graph

if TYPE_CHECKING:
    import networkx


def from_circuit(circuit: Circuit, replicate: int = 0, projection: str | None = None) -> Graph:
    """Return the surviving synapses of one replicate as a directed graph.

    Nodes are the neurons of all populations in their order, named ``POPULATION:INDEX``; edges are live synapses with their
    weights (of parallel projections, the sum). ``projection`` takes that one alone: a bipartite graph of its presynaptic, then
    its postsynaptic neurons, or a graph of one population when it is recurrent.

    Raises
    ------
    InputError
        When there is no such replicate or projection.
    """
    if not 0 <= replicate < circuit.replicates:
        raise InputError(f"the circuit has replicates 0 to {circuit.replicates - 1}, not {replicate}")
    chosen = [p for p in circuit.projections if projection in (None, p[0])]
    if not chosen:
        known = [p[0] for p in circuit.projections]
        raise InputError(f"the circuit has no projection '{projection}'{did_you_mean(str(projection), known)}; it has {', '.join(known)}")
    taken = {n for _, pre, post in chosen for n in (pre, post)} if projection else {n for n, _, _ in circuit.populations}
    sizes = {name: size for name, size, _ in circuit.populations if name in taken}
    offset = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    ends, weights = [], []
    for name, pre, post in chosen:
        i, j = np.nonzero(circuit.mask[name][replicate])
        ends.append((i + offset[pre], j + offset[post]))
        weights.append(circuit.weight[name][replicate][i, j])
    source, target = (np.concatenate(e) for e in zip(*ends, strict=True))
    names = tuple(f"{name}:{i}" for name, size in sizes.items() for i in range(size))
    groups = np.repeat(np.arange(len(sizes)), list(sizes.values()))
    return Graph.from_edges(len(names), source, target, np.concatenate(weights), names, groups, parallel="sum")


def projection_matrix(circuit: Circuit, projection: str, replicate: int = 0) -> npt.NDArray[np.float64]:
    """Return the (n_pre, n_post) weights of a projection's live synapses, 0 elsewhere: what :func:`dimensions` reads.

    Raises
    ------
    InputError
        When there is no such replicate or projection.
    """
    if projection not in circuit.mask or not 0 <= replicate < circuit.replicates:
        raise InputError(f"the circuit has projections {', '.join(circuit.mask)} and {circuit.replicates} replicates")
    return np.where(circuit.mask[projection][replicate], circuit.weight[projection][replicate], 0.0).astype(np.float64)


def from_networkx(graph: networkx.Graph[Any], weight: str = "weight") -> Graph:
    """Return a networkx graph; an undirected edge becomes two, parallel edges are summed, an edge without weight weighs 1.

    Raises
    ------
    InputError
        When a weight is not a finite number.
    """
    number = {node: k for k, node in enumerate(graph)}
    try:
        triples = [(number[a], number[b], float(w)) for a, b, w in graph.edges(data=weight, default=1.0)]
    except (TypeError, ValueError):
        raise InputError(f"an edge's attribute '{weight}' is not a number") from None
    if not graph.is_directed():
        triples += [(b, a, w) for a, b, w in triples if a != b]
    source, target, weights = zip(*triples, strict=True) if triples else ((), (), ())
    return Graph.from_edges(len(number), source, target, weights, [str(n) for n in number], parallel="sum")


def to_networkx(graph: Graph) -> networkx.DiGraph[Any]:
    """Return a networkx DiGraph: nodes by name (by number without names), edges with ``weight``."""
    import networkx as nx

    found: networkx.DiGraph[Any] = nx.DiGraph()
    names: list[Any] = list(graph.names) or list(range(graph.nodes))
    found.add_nodes_from(names)
    edges = zip(graph.source.tolist(), graph.target.tolist(), graph.weight.tolist(), strict=True)
    found.add_weighted_edges_from((names[a], names[b], w) for a, b, w in edges)
    return found
