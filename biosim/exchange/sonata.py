"""SONATA, the file format of large-scale network models: for bmtk, NEST and libsonata.

A folder of ``nodes.h5``, ``edges.h5``, their type tables and a ``circuit_config.json``. Edges are sorted by target, and
carry ``syn_weight``. Indices are written for both directions, up to ``INDEXED`` edges for the one from source to target.
A rate circuit has no delays and no spiking neuron model: the tables name ``DELAY`` and ``MODEL`` because bmtk and NEST
want some, for a user to replace.

Source: Dai et al. (2020) PLoS Comput Biol 16:e1007696, and the SONATA developer guide, version 0.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.exchange.base import PAIRS, Diagram, Edges, Format, Imported, Index, Records, check_pairs, from_edges, survivors
from biosim.exchange.hdf import array, check, member
from biosim.rundir.circuit_file import describe

MAGIC, VERSION = np.uint32(0x0A7A), np.array([0, 1], np.uint32)
INDEXED = 20_000_000
LONGEST_PATH = 4096  # letters; entries of a manifest may multiply one another
DELAY, MODEL = 1.0, "nest:iaf_psc_alpha"
CONFIG, NODES, EDGES, NODE_TYPES, EDGE_TYPES = "circuit_config.json", "nodes.h5", "edges.h5", "node_types.csv", "edge_types.csv"


def _recognise(path: Path) -> bool:
    if path.is_dir():
        return (path / CONFIG).is_file()
    if path.suffix == ".json":
        with path.open(errors="replace") as text:
            return path.name == CONFIG or "networks" in text.read(100_000)
    if path.suffix in (".h5", ".hdf5", ".sonata"):
        import h5py

        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return "edges" in file
    return False


def _write(circuit: Circuit, path: Path, records: Records) -> None:
    import h5py

    path.mkdir()
    about = json.dumps(describe(circuit), sort_keys=True)
    with h5py.File(path / NODES, "w") as file:
        _sign(file, about)
        for k, (name, size, _) in enumerate(circuit.populations):
            _nodes(file.create_group(f"nodes/{name}"), k, size, circuit.gain[name][0])
    with h5py.File(path / EDGES, "w") as file:
        _sign(file, about)
        for k, (name, pre, post) in enumerate(circuit.projections):
            _edges(file.create_group(f"edges/{name}"), k, circuit, name, pre, post)
    _tables(circuit, path)


def _sign(file: Any, about: str) -> None:
    file.attrs["magic"], file.attrs["version"], file.attrs["biosim"] = MAGIC, VERSION, about


def _nodes(group: Any, kind: int, size: int, gain: Any) -> None:
    group["node_id"] = np.arange(size, dtype=np.uint64)
    group["node_type_id"] = np.full(size, kind, np.int64)
    group["node_group_id"] = np.zeros(size, np.uint32)
    group["node_group_index"] = np.arange(size, dtype=np.uint64)
    group["0/gain"] = gain
    group.require_group("0/dynamics_params")


def _edges(group: Any, kind: int, circuit: Circuit, name: str, pre: str, post: str) -> None:
    count = int(np.count_nonzero(circuit.mask[name][0]))
    chunks = (min(count, 1 << 20),) if count else None
    for column, fill, of in (("edge_type_id", kind, np.int64), ("edge_group_id", 0, np.uint32)):
        group.create_dataset(column, (count,), of, chunks=chunks, fillvalue=fill)  # all alike: nothing is written
    columns = {
        "source_node_id": group.create_dataset("source_node_id", (count,), np.uint64),
        "target_node_id": group.create_dataset("target_node_id", (count,), np.uint64),
        "edge_group_index": group.create_dataset("edge_group_index", (count,), np.uint64),
        "weight": group.create_dataset("0/syn_weight", (count,), np.float32),
    }
    columns["source_node_id"].attrs["node_population"], columns["target_node_id"].attrs["node_population"] = pre, post
    start = 0
    for source, target, weight in survivors(circuit, name):
        part = slice(start, start + len(source))
        columns["source_node_id"][part], columns["target_node_id"][part] = source, target
        columns["edge_group_index"][part], columns["weight"][part] = np.arange(part.start, part.stop), weight
        start = part.stop
    mask = circuit.mask[name][0]
    ends = np.cumsum(np.count_nonzero(mask, axis=0))
    ranges = np.stack([np.concatenate([[0], ends[:-1]]), ends], 1)
    _index(group, "target_to_source", np.stack([np.arange(len(ends)), np.arange(1, len(ends) + 1)], 1), ranges)
    if count <= INDEXED:
        order = np.argsort(columns["source_node_id"][()], kind="stable")
        own = np.cumsum(np.count_nonzero(mask, axis=1))
        _index(group, "source_to_target", np.stack([np.concatenate([[0], own[:-1]]), own], 1), np.stack([order, order + 1], 1))


def _index(group: Any, name: str, nodes: Index, ranges: Index) -> None:
    index = group.create_group(f"indices/{name}")
    index["node_id_to_ranges"], index["range_to_edge_id"] = nodes.astype(np.uint64), ranges.astype(np.uint64)
    import h5py

    index["node_id_to_range"] = h5py.SoftLink(f"{index.name}/node_id_to_ranges")  # what bmtk calls it


def _tables(circuit: Circuit, path: Path) -> None:
    lines = ["node_type_id pop_name model_type model_template dynamics_params activation leak"]
    for k, (name, _, activation) in enumerate(circuit.populations):
        model = (
            "virtual NULL NULL" if k == 0 and not any(post == name for _, _, post in circuit.projections) else f"point_neuron {MODEL} NULL"
        )
        lines.append(f"{k} {name} {model} {activation} {circuit.leak.get(name, 1.0)!r}")
    (path / NODE_TYPES).write_text("\n".join(lines) + "\n")
    lines = ["edge_type_id model_template delay dynamics_params"]
    lines += [f"{k} static_synapse {DELAY} NULL" for k, _ in enumerate(circuit.projections)]
    (path / EDGE_TYPES).write_text("\n".join(lines) + "\n")
    networks = {
        "nodes": [{"nodes_file": f"$NETWORK_DIR/{NODES}", "node_types_file": f"$NETWORK_DIR/{NODE_TYPES}"}],
        "edges": [{"edges_file": f"$NETWORK_DIR/{EDGES}", "edge_types_file": f"$NETWORK_DIR/{EDGE_TYPES}"}],
    }
    config = {"manifest": {"$NETWORK_DIR": "."}, "components": {}, "networks": networks}
    (path / CONFIG).write_text(json.dumps(config, indent=1) + "\n")


def _read(path: Path) -> Imported:
    import h5py

    nodes, edges = _files(path)
    sizes: dict[str, int] = {}
    gains: dict[str, Any] = {}
    about: str | None = None
    for place in nodes:
        with h5py.File(place, "r") as file:
            check(place, file)
            about = file.attrs.get("biosim", about)
            group = member(place, file, "nodes")
            for name in group:
                population = member(place, group, name)
                sizes[name] = len(member(place, population, "node_type_id"))
                if "0" in population and "gain" in member(place, population, "0"):
                    gains[name] = array(place, member(place, population, "0"), "gain")
    found = []
    for place in edges:
        with h5py.File(place, "r") as file:
            check(place, file)
            group = member(place, file, "edges")
            ends = {n: _ends(place, member(place, group, n)) for n in group}
            sizes |= _implied(place, group, ends, sizes)
            check_pairs(place, sizes, list(ends.values()))
            found += [_projection(place, member(place, group, n), n, *ends[n]) for n in group]
    if about is None:
        return from_edges(path, Diagram(sizes, gains=gains), found)
    told = json.loads(about)
    diagram = Diagram.of(told)
    diagram.gains = gains
    if diagram.sizes != sizes:
        raise BiosimError(f"{path}: its populations {sizes} are not those it describes, {diagram.sizes}")
    order = [str(n) for n, _, _ in told["projections"]]
    return from_edges(path, diagram, sorted(found, key=lambda e: order.index(e.name)))


def _ends(path: Path, group: Any) -> tuple[str, str]:
    ends = []
    for column in ("source_node_id", "target_node_id"):
        name = member(path, group, column).attrs["node_population"]
        ends.append(name.decode() if isinstance(name, bytes) else str(name))
    return ends[0], ends[1]


def _implied(path: Path, group: Any, ends: Mapping[str, tuple[str, str]], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return sizes of populations that no nodes file tells, from the largest neuron named."""
    implied: dict[str, int] = {}
    for name, pair in ends.items():
        for column, population in zip(("source_node_id", "target_node_id"), pair, strict=True):
            if population not in sizes:
                ids = array(path, member(path, group, name), column)
                implied[population] = max(implied.get(population, 1), int(ids.max()) + 1 if len(ids) else 1)
    return implied


def _projection(path: Path, group: Any, name: str, pre: str, post: str) -> Edges:
    source, target = (array(path, group, f"{end}_node_id").astype(np.int64) for end in ("source", "target"))
    weight = np.ones(len(source), np.float32)
    if "0" in group and "syn_weight" in member(path, group, "0"):
        weight = array(path, member(path, group, "0"), "syn_weight")
    if "edge_group_id" in group and len(source) and int(array(path, group, "edge_group_id").max()) > 0:
        raise BiosimError(f"{path}: the edges '{name}' are of several groups; one group can be read")
    if "0" in group and "edge_group_index" in group and len(source):
        place = array(path, group, "edge_group_index").astype(np.int64)
        if int(place.max()) >= len(weight):
            raise BiosimError(f"{path}: the edges '{name}' point behind their weights")
        weight = weight[place]
    return Edges(name, pre, post, source, target, weight)


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    """Return nodes and edges files: those of a configuration, or an edges file with what lies beside it."""
    if path.is_dir():
        path = path / CONFIG
    if path.suffix != ".json":
        beside = path.with_name(path.name.replace("edges", "nodes"))
        return ([beside] if beside != path and beside.is_file() else []), [path]
    if path.stat().st_size > 10_000_000:
        raise BiosimError(f"{path}: a configuration of more than 10 MB")
    config = json.loads(path.read_text())
    manifest = {str(k): str(v) for k, v in config.get("manifest", {}).items()}
    if not all(manifest) or any(len(value) > LONGEST_PATH for value in manifest.values()):
        raise BiosimError(f"{path}: its manifest has a name that is empty, or a value that is too long for a path")
    home = path.parent.resolve()
    found: dict[str, list[Path]] = {"nodes": [], "edges": []}
    for what, own in found.items():
        for entry in config["networks"].get(what, []):
            text = str(entry[f"{what}_file"])
            for _ in manifest:  # an entry of the manifest may use another
                for name, value in manifest.items():
                    if len(text) > LONGEST_PATH:
                        raise BiosimError(f"{path}: its manifest makes a path of more than {LONGEST_PATH} letters")
                    text = text.replace(name, value)
            place = (home / text.replace("${configdir}", ".").replace("$configdir", ".")).resolve()
            if not place.is_relative_to(home):
                raise BiosimError(f"{path}: '{text}' lies outside its folder, and is not read")
            own.append(place)
    return found["nodes"], found["edges"]


FORMAT = Format(
    "sonata",
    "a folder of HDF5 files and type tables; read by libsonata, bmtk, NEST",
    "one replicate: populations, survivors, weights bit for bit, gains, settling",
    "",
    _recognise,
    _write,
    _read,
    parts=(CONFIG, NODES, EDGES, NODE_TYPES, EDGE_TYPES),
    largest=PAIRS,
    because="a circuit that is read back may have no more pairs of neurons",
)
