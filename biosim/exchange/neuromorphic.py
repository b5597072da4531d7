"""NIR, the Neuromorphic Intermediate Representation: for Norse, snnTorch, Nengo, Lava, SpiNNaker and chips.

A projection is a ``Linear`` (post, pre) with zeros where no synapse lives, so a living synapse of weight 0 is lost. A
population is a ``Scale`` by its gains; NIR has no rectified neuron, so its activation stands in the node's metadata.

Source: Pedersen et al. (2024) Nat Commun 15:8122.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.exchange.base import PAIRS, Diagram, Edges, Format, Imported, Records, check_described, from_edges
from biosim.exchange.hdf import check
from biosim.extras import need
from biosim.rundir.circuit_file import describe

IN, OUT = "drive", "readout"


def _recognise(path: Path) -> bool:
    if path.suffix not in (".nir", ".h5", ".hdf5"):
        return False
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return "node" in file and "version" in file


def _write(circuit: Circuit, path: Path, records: Records) -> None:
    nir = need("nir", "nir")
    lost = sum(int(np.count_nonzero(m & (circuit.weight[n] == 0))) for n, m in circuit.mask.items())
    if lost:
        raise BiosimError(f"--to nir: {lost} living synapses have the weight 0, which a matrix cannot tell from none; npz and sonata can")
    first, last = circuit.populations[0], circuit.populations[-1]
    nodes: dict[str, Any] = {IN: nir.Input({"input": np.array([first[1]])}), OUT: nir.Output({"output": np.array([last[1]])})}
    edges = [(IN, f"population {first[0]}"), (f"population {last[0]}", OUT)]
    for name, _, activation in circuit.populations:
        about = {"population": name, "activation": activation, "leak": circuit.leak.get(name, 1.0)}
        nodes[f"population {name}"] = nir.Scale(circuit.gain[name][0], metadata=about)
    for name, pre, post in circuit.projections:
        weight = np.where(circuit.mask[name][0], circuit.weight[name][0], np.float32(0)).T
        nodes[f"projection {name}"] = nir.Linear(np.ascontiguousarray(weight), metadata={"projection": name})
        edges += [(f"population {pre}", f"projection {name}"), (f"projection {name}", f"population {post}")]
    graph = nir.NIRGraph(nodes, edges, {"biosim": json.dumps(describe(circuit), sort_keys=True)}, type_check=False)
    nir.write(path, graph)


def _read(path: Path) -> Imported:
    """Read with the package ``nir``, which reads all there is, after a look at every size and link."""
    import h5py

    nir = need("nir", "nir")
    with h5py.File(path, "r") as file:
        if check(path, file) > PAIRS:
            raise BiosimError(f"{path}: its weights are more than the {PAIRS:.3g} that a circuit here can hold")
    graph = nir.read(path)
    if "biosim" in graph.metadata:
        return _described(path, graph)
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    if odd := sorted(set(kinds.values()) - {"Input", "Output", "Linear", "Affine", "Scale"}):
        raise BiosimError(f"{path}: its nodes {', '.join(odd)} are no weights: a chain of Linear (or Affine without bias) can be read")
    return _chain(path, graph)


def _described(path: Path, graph: Any) -> Imported:
    about = json.loads(_text(graph.metadata["biosim"]))
    diagram = Diagram.of(about)
    check_described(path, about)
    diagram.gains = {n: np.asarray(graph.nodes[f"population {n}"].scale, np.float32) for n in diagram.sizes}
    edges = [_projection(str(n), str(a), str(b), graph.nodes[f"projection {n}"].weight) for n, a, b in about["projections"]]
    return from_edges(path, diagram, edges)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _projection(name: str, pre: str, post: str, weight: Any) -> Edges:
    target, source = np.nonzero(weight)
    return Edges(name, pre, post, source, target, weight[target, source])


def _chain(path: Path, graph: Any) -> Imported:
    """Return a chain of weights from somewhere else, Input to Output; scales become gains."""
    follows: dict[str, list[str]] = {}
    for a, b in graph.edges:
        follows.setdefault(a, []).append(b)
    place = next((n for n, node in graph.nodes.items() if type(node).__name__ == "Input"), "")
    weights: list[Any] = []
    gains: dict[int, Any] = {}
    for _ in graph.nodes:
        ahead = follows.get(place, [])
        if type(graph.nodes.get(place)).__name__ == "Output":
            break
        if len(ahead) != 1:
            raise BiosimError(f"{path}: its nodes are no chain from Input to Output: '{place}' leads to {len(ahead)} nodes")
        place = ahead[0]
        node = graph.nodes[place]
        if hasattr(node, "bias") and np.any(node.bias):
            raise BiosimError(f"{path}: node '{place}' has a bias, and biosim's neurons have none")
        if hasattr(node, "weight"):
            weights.append(np.asarray(node.weight))
        elif hasattr(node, "scale"):
            gains[len(weights)] = gains.get(len(weights), np.float32(1)) * np.asarray(node.scale, np.float32)
    if not weights:
        raise BiosimError(f"{path}: it holds no weights between Input and Output")
    names = ["input", *(f"hidden{i}" for i in range(1, len(weights))), "output"]
    sizes = dict(zip(names, [weights[0].shape[1], *(w.shape[0] for w in weights)], strict=True))
    edges = [_projection(f"{a}-{b}", a, b, w) for a, b, w in zip(names, names[1:], weights, strict=False)]
    return from_edges(path, Diagram(sizes, {"output": "linear"}, {names[k]: g for k, g in gains.items()}, ordered=True), edges)


FORMAT = Format(
    "nir",
    "NIR in HDF5; read by Norse, snnTorch, Nengo, Lava, SpiNNaker (needs the extra 'nir')",
    "one replicate: populations, survivors, weights bit for bit, gains, settling",
    ".nir",
    _recognise,
    _write,
    _read,
    largest=PAIRS,
    because="a circuit that is read back may have no more pairs of neurons",
)
