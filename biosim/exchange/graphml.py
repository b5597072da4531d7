"""GraphML, for networkx, igraph, Gephi, Cytoscape: one node a neuron, one edge a living synapse.

Nodes are called ``POPULATION/INDEX``. Weights are written with all the digits of a double, so they come back bit for
bit. Read with networkx; a graph from elsewhere is one population, or several where its nodes have a ``population``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.exchange.base import Diagram, Edges, Format, Imported, Records, check_text, from_edges, survivors
from biosim.rundir.circuit_file import describe

LARGEST = 5_000_000
KEYS = (
    ("about", "graph", "biosim", "string"),
    ("population", "node", "population", "string"),
    ("index", "node", "index", "int"),
    ("gain", "node", "gain", "double"),
    ("weight", "edge", "weight", "double"),
    ("projection", "edge", "projection", "string"),
)


def _recognise(path: Path) -> bool:
    if path.suffix not in (".graphml", ".xml"):
        return False
    with path.open("rb") as file:
        return b"<graphml" in file.read(4096)


def _write(circuit: Circuit, path: Path, records: Records) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n')
        for name, of, attribute, kind in KEYS:
            file.write(f'<key id="{name}" for="{of}" attr.name="{attribute}" attr.type="{kind}"/>\n')
        about = escape(json.dumps(describe(circuit), sort_keys=True))
        file.write(f'<graph edgedefault="directed">\n<data key="about">{about}</data>\n')
        for name, size, _ in circuit.populations:
            tag, said = quoteattr(name)[1:-1], escape(name)
            for i, gain in zip(range(size), circuit.gain[name][0].tolist(), strict=True):
                data = f'<data key="population">{said}</data><data key="index">{i}</data><data key="gain">{gain!r}</data>'
                file.write(f'<node id="{tag}/{i}">{data}</node>\n')
        for name, pre, post in circuit.projections:
            a, b, said = quoteattr(pre)[1:-1], quoteattr(post)[1:-1], escape(name)
            for source, target, weight in survivors(circuit, name):
                rows = zip(source.tolist(), target.tolist(), weight.tolist(), strict=True)
                file.writelines(
                    f'<edge source="{a}/{i}" target="{b}/{j}"><data key="weight">{w!r}</data><data key="projection">{said}</data></edge>\n'
                    for i, j, w in rows
                )
        file.write("</graph>\n</graphml>\n")


def _read(path: Path) -> Imported:
    import networkx as nx

    try:
        _check(path)
        graph = nx.read_graphml(path)
    except (nx.NetworkXError, SyntaxError, expat.ExpatError) as error:  # ElementTree's ParseError is a SyntaxError
        raise BiosimError(f"{path}: not GraphML that can be read: {error}") from None
    notes = []
    if not graph.is_directed():
        notes.append("edges without direction became two synapses each")
        graph = graph.to_directed()
    if "biosim" in graph.graph:
        return _described(path, json.loads(graph.graph["biosim"]), graph)
    places: dict[Any, tuple[str, int]] = {}
    sizes: dict[str, int] = {}
    labels: dict[str, list[str]] = {}
    for node, data in graph.nodes(data=True):
        name = str(data.get("population", "neurons"))
        places[node] = (name, sizes.get(name, 0))
        sizes[name] = sizes.get(name, 0) + 1
        labels.setdefault(name, []).append(str(node))
    provenance = {"scorer": "imported", "locality": "unknown", "file": path.name, "labels": labels}
    return from_edges(path, Diagram(sizes, provenance=provenance), _edges(path, graph, places, {}), notes)


def _check(path: Path) -> None:
    """Refuse a text that defines entities: that is done before the first element, or not at all."""
    check_text(path)
    parser, begun = expat.ParserCreate(), False

    def refuse(*declared: Any) -> None:
        raise BiosimError(f"{path}: it defines entities of its own (<!DOCTYPE, <!ENTITY), which are never expanded")

    def begin(*element: Any) -> None:
        nonlocal begun
        begun = True

    parser.StartDoctypeDeclHandler, parser.StartElementHandler = refuse, begin
    with path.open("rb") as file:
        while not begun and (part := file.read(1 << 16)):
            parser.Parse(part)


def _described(path: Path, about: dict[str, Any], graph: Any) -> Imported:
    """Return a circuit that biosim wrote."""
    diagram = Diagram.of(about)
    gains = {n: np.ones(s, np.float32) for n, s in diagram.sizes.items() if 1 <= s <= len(graph)}
    places = {}
    for node, data in graph.nodes(data=True):
        name, index = str(data["population"]), int(data["index"])
        places[node] = (name, index)
        gains[name][index] = data["gain"]
    diagram.gains = gains
    named = {(str(a), str(b), str(n)): str(n) for n, a, b in about["projections"]}
    edges = {e.name: e for e in _edges(path, graph, places, named)}
    nothing = np.zeros(0, np.int64)
    whole = [edges.get(str(n), Edges(str(n), str(a), str(b), nothing, nothing, np.zeros(0))) for n, a, b in about["projections"]]
    return from_edges(path, diagram, whole)


def _edges(path: Path, graph: Any, places: dict[Any, tuple[str, int]], named: dict[tuple[str, str, str], str]) -> list[Edges]:
    lists: dict[tuple[str, str, str], tuple[list[int], list[int], list[float]]] = {}
    for a, b, data in graph.edges(data=True):
        (pre, i), (post, j) = places[a], places[b]
        name = str(data.get("projection", f"{pre}-{post}")) if named else f"{pre}-{post}"
        if named and (pre, post, name) not in named:
            raise BiosimError(f"{path}: a synapse from '{pre}' to '{post}' says it is of projection '{name}'")
        source, target, weight = lists.setdefault((pre, post, name), ([], [], []))
        source.append(i)
        target.append(j)
        weight.append(float(data.get("weight", 1.0)))
    return [
        Edges(name, pre, post, np.array(source, np.int64), np.array(target, np.int64), np.array(weight))
        for (pre, post, name), (source, target, weight) in lists.items()
    ]


FORMAT = Format(
    "graphml",
    "a graph as XML; read by networkx, igraph, Gephi, Cytoscape",
    "one replicate: populations, survivors, weights bit for bit (as doubles), gains, settling",
    ".graphml",
    _recognise,
    _write,
    _read,
    largest=LARGEST,
    because="its XML takes 150 bytes a synapse, and readers build a Python object of each; npz, safetensors and sonata carry more",
)
