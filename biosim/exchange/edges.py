"""Edge lists, as text: one synapse a line.

Written with the columns projection, pre_population, pre, post_population, post, weight behind one comment line that
describes the populations. Read with any header that names a pre and a post column, or with none: pre, post, weight.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.exchange.base import BEGINNING, Diagram, Edges, Format, Imported, Records, check_text, from_edges, survivors
from biosim.rundir.circuit_file import describe

COLUMNS = ("projection", "pre_population", "pre", "post_population", "post", "weight")
ALSO = {  # what others call the columns
    "pre": ("pre", "source", "from", "pre_id", "source_id", "pre_root_id", "bodyid_pre", "src", "presynaptic", "neuron 1"),
    "post": ("post", "target", "to", "post_id", "target_id", "post_root_id", "bodyid_post", "dst", "postsynaptic", "neuron 2"),
    "weight": ("weight", "syn_count", "synapses", "count", "nbr", "number of connections"),
    "pre_population": ("pre_population", "source_population"),
    "post_population": ("post_population", "target_population"),
    "projection": ("projection",),
}
MARK = "# biosim "
LARGEST = 20_000_000
LABELLED = 100_000  # neurons whose names are kept


def _recognise(path: Path) -> bool:
    if path.suffix not in (".csv", ".tsv", ".txt", ".edges"):
        return False
    try:
        with path.open() as file:
            first = file.readline(BEGINNING)
    except (OSError, ValueError):
        return False
    words = _split(first)
    return first.startswith(MARK) or len(words) in (2, 3) or (_column(words, "pre") is not None and _column(words, "post") is not None)


def _split(line: str) -> list[str]:
    mark = "\t" if "\t" in line else "," if "," in line else None
    return [w.strip().strip('"') for w in line.strip().split(mark)]


def _column(words: list[str], what: str) -> int | None:
    lower = [w.lower() for w in words]
    return next((lower.index(name) for name in ALSO[what] if name in lower), None)


def _write(circuit: Circuit, path: Path, records: Records) -> None:
    with path.open("w") as file:
        gains = {n: [float(x) for x in circuit.gain[n][0]] for n, _, _ in circuit.populations}
        file.write(MARK + json.dumps(describe(circuit) | {"gains": gains}, sort_keys=True) + "\n" + ",".join(COLUMNS) + "\n")
        for name, pre, post in circuit.projections:
            for source, target, weight in survivors(circuit, name):
                rows = zip(source.tolist(), target.tolist(), weight.tolist(), strict=True)
                file.writelines(f"{name},{pre},{i},{post},{j},{w!r}\n" for i, j, w in rows)


def _read(path: Path) -> Imported:
    import pandas as pd

    check_text(path)
    with path.open() as file:
        first = head = file.readline()
        while head.startswith("#"):
            head = file.readline()
    about = json.loads(first[len(MARK) :]) if first.startswith(MARK) else None
    words = _split(head)
    named = _column(words, "pre") is not None and _column(words, "post") is not None
    if not named and not (2 <= len(words) <= 3):
        raise BiosimError(f"{path}: the columns {', '.join(words)[:80]} do not name a pre and a post neuron")
    separator = "\t" if "\t" in head else "," if "," in head else r"\s+"
    place = _column(words, "weight") if named else 2
    frame = pd.read_csv(path, sep=separator, comment="#", header=0 if named else None, dtype={} if place is None else {place: str})
    if not named:
        frame.columns = pd.Index(["pre", "post", "weight"][: len(words)])
    names = [str(c) for c in frame.columns]
    found = {what: frame.iloc[:, k] for what in ALSO if (k := _column(names, what)) is not None}
    for what, column in found.items():
        if column.isna().any():
            raise BiosimError(f"{path}: the column '{what}' has empty cells")
    weight = found["weight"].to_numpy().astype(str).astype(np.float64) if "weight" in found else np.ones(len(frame))  # numpy rounds right
    return _described(path, about, found, weight) if about is not None else _labelled(path, found, weight)


def _described(path: Path, about: dict[str, Any], found: dict[str, Any], weight: npt.NDArray[Any]) -> Imported:
    """Return the circuit of a list that describes its populations."""
    diagram = Diagram.of(about)
    diagram.gains = {n: np.array(g, np.float32) for n, g in about.get("gains", {}).items()}
    edges = []
    for name, pre, post in about["projections"]:
        own = (found["projection"] == name).to_numpy()
        source, target = (found[what].to_numpy()[own].astype(np.int64) for what in ("pre", "post"))
        edges.append(Edges(name, pre, post, source, target, weight[own].astype(np.float64)))
    return from_edges(path, diagram, edges)


def _labelled(path: Path, found: dict[str, Any], weight: npt.NDArray[Any]) -> Imported:
    """Return the circuit of a list whose neurons are known by their labels alone."""
    one = ["neurons"] * len(weight)
    ends = {}
    for what in ("pre", "post"):
        names = found.get(f"{what}_population", one)
        ends[what] = np.array([str(n) for n in names])
    labels: dict[str, list[Any]] = {}
    for name in dict.fromkeys([*ends["pre"].tolist(), *ends["post"].tolist()]):
        members = [found[what].to_numpy()[ends[what] == name] for what in ("pre", "post")]
        labels[name] = np.unique(np.concatenate([m if m.dtype.kind in "iu" else m.astype(str) for m in members])).tolist()
    edges = []
    for pre, post in dict.fromkeys(zip(ends["pre"].tolist(), ends["post"].tolist(), strict=True)):
        own = (ends["pre"] == pre) & (ends["post"] == post)
        places = []
        for what, name in (("pre", pre), ("post", post)):
            own_labels = np.array(labels[name])
            wanted = found[what].to_numpy()[own]
            places.append(np.searchsorted(own_labels, wanted if own_labels.dtype.kind in "iu" else wanted.astype(str)))
        edges.append(Edges(f"{pre}-{post}", pre, post, places[0], places[1], weight[own]))
    sizes = {n: len(own) for n, own in labels.items()}
    provenance: dict[str, Any] = {"scorer": "imported", "locality": "unknown", "file": path.name}
    if sum(sizes.values()) <= LABELLED:
        provenance["labels"] = labels
    return from_edges(path, Diagram(sizes, provenance=provenance), edges, ["neurons are counted in the order of their labels"])


FORMAT = Format(
    "edges",
    "an edge list as text, CSV or TSV: one synapse a line; read by everything",
    "one replicate: populations, survivors, weights bit for bit, gains, settling",
    ".csv",
    _recognise,
    _write,
    _read,
    largest=LARGEST,
    because="a line a synapse takes 40 bytes and a microsecond each way; npz, safetensors and sonata carry more",
)
