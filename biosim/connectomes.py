"""Real connectomes as graphs: C. elegans at eight stages, and any edge list, adjacency matrix, GraphML or SONATA file."""

from __future__ import annotations

import csv
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from biosim.errors import BiosimError, InputError
from biosim.extras import need
from biosim.graphs.convert import from_networkx
from biosim.graphs.graph import Graph

STAGES = ("1 L1", "2 L1", "3 L1", "4 L1", "5 L2", "6 L3", "7 adult", "8 adult")
Synapses = Literal["chemical", "electrical", "both"]


def celegans(synapses: Synapses = "chemical", shared: bool = True) -> dict[str, Graph]:
    """Return the brain of C. elegans at eight stages from birth to adulthood, by name of stage, youngest first.

    Nodes are neurons by name, edges synaptic connections with the number of synapses as weight (Witvliet et al. 2021,
    https://doi.org/10.1038/s41586-021-03778-8; eight animals, the last two both adult). The sheets come with the package
    ``cect`` (``pip install biosim[connectome]``), which need not be imported.

    Parameters
    ----------
    synapses : {"chemical", "electrical", "both"}
        Electrical ones run both ways.
    shared : bool
        Keep the neurons that have a connection of any kind in all eight, so that stages compare; else each stage's own.

    Raises
    ------
    BiosimError
        When cect or openpyxl is not installed, or its sheets are not there.
    """
    if synapses not in ("chemical", "electrical", "both"):
        raise InputError(f"synapses are 'chemical', 'electrical' or 'both', not {synapses!r}")
    folder = _sheets()
    neurons = _neuron_names(folder)
    rows = {stage: [r for r in _sheet(folder, stage) if r[0] in neurons and r[1] in neurons] for stage in STAGES}
    present = {stage: {n for a, b, _, _ in own for n in (a, b)} for stage, own in rows.items()}
    common = set.intersection(*present.values())
    graphs = {}
    for stage, own in rows.items():
        names = sorted(common if shared else present[stage])
        number = {name: k for k, name in enumerate(names)}
        kept = [r for r in own if r[0] in number and r[1] in number and synapses in (r[2], "both")]
        back = [(b, a, kind, count) for a, b, kind, count in kept if kind == "electrical" and a != b]
        edges = [(number[a], number[b], count) for a, b, _, count in [*kept, *back]]
        source, target, weight = zip(*edges, strict=True) if edges else ((), (), ())
        graphs[stage] = Graph.from_edges(len(names), source, target, weight, names, parallel="sum")
    return graphs


def _sheets() -> Path:
    found = find_spec("cect")  # not imported: that would import plotting and modelling packages too
    if found is None or found.origin is None:
        raise BiosimError("the C. elegans connectomes come with the package cect: pip install 'biosim[connectome]'")
    return Path(found.origin).parent / "data"


def _neuron_names(folder: Path) -> set[str]:
    path = folder / "IndividualNeurons.csv"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BiosimError(f"{path} cannot be read: {error.strerror}") from None
    return {line.split(";")[0].strip() for line in lines if line.strip() and not line.startswith("#")}


def _sheet(folder: Path, stage: str) -> list[tuple[str, str, str, float]]:
    """Return (pre, post, kind, synapses) of every row of a stage's sheet; VB01 is VB1."""
    openpyxl = need("openpyxl", "connectome")
    path = folder / f"witvliet_2020_{stage}.xlsx"
    try:
        book = openpyxl.load_workbook(path, read_only=True)
    except OSError as error:
        raise BiosimError(f"{path} cannot be read: {error.strerror}") from None
    rows = [row[:4] for row in book.worksheets[0].iter_rows(min_row=2, values_only=True) if row[0] is not None]
    book.close()
    plain = [[re.sub(r"(?<=[A-Z])0+(?=\d+$)", "", str(name)) for name in row[:2]] for row in rows]
    return [(pre, post, str(row[2]), float(row[3])) for (pre, post), row in zip(plain, rows, strict=True)]


def read_graph(path: str | Path, layout: Literal["edges", "matrix"] | None = None, population: str | None = None) -> Graph:
    """Read a connectome from a file.

    ====================  ==============================================================================================
    ``.csv .tsv .txt``    an edge list, ``pre, post[, weight]`` a line with or without a heading, or an adjacency matrix (rows
                          presynaptic), with or without names on both sides. Up to three columns are taken for a list.
    ``.graphml``          through networkx; edge attribute ``weight``
    ``.h5 .hdf5``         SONATA edges; ``syn_weight`` where edges have it, else the number of synapses
    ====================  ==============================================================================================

    Parameters
    ----------
    path : str or Path
    layout : {"edges", "matrix"}, optional
        What a table is, where its shape does not tell.
    population : str, optional
        Which edge population of a SONATA file that has several.

    Raises
    ------
    BiosimError
        When the file cannot be read as what its ending says.
    """
    file = Path(path)
    readers = {".graphml": _graphml, ".h5": _sonata, ".hdf5": _sonata}
    ending = file.suffix.lower()
    try:
        if ending in readers:
            return readers[ending](file, population)
        if ending in (".csv", ".tsv", ".txt"):
            return _table(file, layout)
    except InputError as error:
        raise BiosimError(f"{file}: {error}") from None
    except (OSError, KeyError, ValueError, SyntaxError, csv.Error) as error:
        raise BiosimError(f"{file} cannot be read as {ending}: {error}") from None
    raise BiosimError(f"{file}: a connectome ends in .csv, .tsv, .txt, .graphml, .h5 or .hdf5")


def _graphml(file: Path, population: str | None) -> Graph:
    import networkx as nx

    try:
        return from_networkx(nx.read_graphml(file))
    except nx.NetworkXException as error:  # XML, but no graph
        raise InputError(f"cannot be read as .graphml: {error}") from None


def _sonata(file: Path, population: str | None) -> Graph:
    import h5py

    with h5py.File(file) as whole:
        edges: Any = whole["edges"]
        names = sorted(edges)
        if population is None and len(names) != 1:
            raise InputError(f"has the edge populations {', '.join(names)}: name one")
        if population is not None and population not in edges:
            raise InputError(f"has no edge population '{population}'; it has {', '.join(names)}")
        own = edges[population or names[0]]
        source, target = own["source_node_id"], own["target_node_id"]
        kinds = [str(np.asarray(ends.attrs.get("node_population", "")).item()) for ends in (source, target)]
        source, target = source[:].astype(np.int64), target[:].astype(np.int64)
        weight = own["0/syn_weight"][:] if "0" in own and "syn_weight" in own["0"] else None
    before = int(source.max(initial=-1)) + 1
    after = int(target.max(initial=-1)) + 1
    if kinds[0] == kinds[1]:
        return Graph.from_edges(max(before, after), source, target, weight, parallel="sum")
    group = np.repeat([0, 1], [before, after])
    labels = [f"{kind}:{i}" for kind, n in zip(kinds, (before, after), strict=True) for i in range(n)]
    return Graph.from_edges(before + after, source, target + before, weight, labels, group, parallel="sum")


def _table(file: Path, layout: str | None) -> Graph:
    text = file.read_text(encoding="utf-8-sig")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    separator = next((s for s in ("\t", ";", ",") if lines and s in lines[0]), None)
    rows = [[c.strip() for c in r] for r in csv.reader(lines, delimiter=separator)] if separator else [line.split() for line in lines]
    if not rows:
        raise InputError("is empty")
    widths = {len(r) for r in rows[1:]} or {len(rows[0])}
    if len(widths) != 1 or len(rows[0]) - max(widths) not in (0, -1):  # a heading may lack the corner
        widths.add(len(rows[0]))
        raise InputError(f"has lines of {', '.join(map(str, sorted(widths)))} columns: all need the same")
    width = widths.pop()
    if (layout or ("edges" if width <= 3 else "matrix")) == "edges":
        return _edge_list(rows, width)
    return _adjacency(rows, width)


def _edge_list(rows: list[list[str]], width: int) -> Graph:
    if width not in (2, 3):
        raise InputError(f"an edge list has two or three columns (pre, post, weight), not {width}")
    known = {"source", "target", "pre", "post", "from", "to", "presynaptic", "postsynaptic"}
    heading = (width == 3 and not _number(rows[0][2])) or (rows[0][0].lower() in known and rows[0][1].lower() in known)
    body = rows[1:] if heading else rows
    for place, row in enumerate(body):
        if width == 3 and not _number(row[2]):
            raise InputError(f"the weight of edge {place + 1}, '{row[2]}', is not a number")
    names = sorted({n for row in body for n in row[:2]}, key=lambda n: (0, int(n), "") if n.isdecimal() else (1, 0, n))
    number = {name: k for k, name in enumerate(names)}
    weight = [float(r[2]) for r in body] if width == 3 else None
    return Graph.from_edges(len(names), [number[r[0]] for r in body], [number[r[1]] for r in body], weight, names, parallel="sum")


def _adjacency(rows: list[list[str]], width: int) -> Graph:
    heading = len(rows) == width + 1 or not all(map(_number, rows[0])) or len(rows[0]) == width - 1
    body = rows[1:] if heading else rows
    labelled = not all(_number(r[0]) for r in body) or width == len(body) + 1
    names = [r[0] for r in body] if labelled else (rows[0] if heading else [])
    cells = [r[1:] if labelled else r for r in body]
    bad = next((c for r in cells for c in r if c and not _number(c)), None)
    if bad is not None:
        raise InputError(f"the matrix holds '{bad}', which is not a number")
    if labelled and heading and rows[0][-len(names) :] != names:
        raise InputError("rows and columns do not have the same names in the same order")
    return Graph.from_matrix(np.array([[float(c or 0) for c in r] for r in cells]), names)


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def missing_edges(first: Graph, second: Graph, most: float = np.inf) -> float:
    """Return the share of the first graph's edges, of weight ``most`` or less, that the second does not have.

    Nodes are matched by their place and must have the same names.

    Raises
    ------
    InputError
        When the graphs do not have the same nodes, or the first no such edges.
    """
    if first.nodes != second.nodes or first.names != second.names:
        raise InputError("the two graphs do not have the same nodes in the same order, so their edges cannot be matched")
    mine, theirs = (g.source.astype(np.int64) * g.nodes + g.target for g in (first, second))
    asked = mine[np.abs(first.weight) <= most]
    if not asked.size:
        raise InputError(f"the first graph has no edges of weight {most} or less")
    return float(1 - np.isin(asked, theirs).mean())
