"""NWB, Neurodata Without Borders: the circuit and its development as one file for the tools of neurophysiology.

The processing module ``circuit`` holds two tables: ``neurons`` (population, index, gain) and ``synapses`` (projection, pre,
post, weight; pre and post are rows of ``neurons``). The module ``development`` holds what the run recorded as time series in
developmental time. Written and read with pynwb.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.exchange.base import Diagram, Edges, Format, Imported, Records, edges_of, from_edges
from biosim.exchange.hdf import array, check, member
from biosim.extras import need
from biosim.rundir.circuit_file import describe

LARGEST = 20_000_000
BIRTH = datetime(2000, 1, 1, tzinfo=UTC)  # NWB wants a date; the same circuit is to give the same file


def _recognise(path: Path) -> bool:
    return path.suffix == ".nwb"


def _write(circuit: Circuit, path: Path, records: Records) -> None:
    pynwb, common = need("pynwb", "nwb"), need("hdmf.common", "nwb")
    about = json.dumps(describe(circuit), sort_keys=True)
    file = pynwb.NWBFile("a circuit made by biosim", "biosim", BIRTH, file_create_date=BIRTH, notes=about)
    module = file.create_processing_module("circuit", "who is joined to whom")
    first, starts = 0, {}
    for name, size, _ in circuit.populations:
        starts[name], first = first, first + size

    def column(name: str, description: str, data: Any) -> Any:
        return common.VectorData(name=name, description=description, data=data)

    sizes = [size for _, size, _ in circuit.populations]
    neurons = [
        column("population", "place in the list of populations", np.repeat(np.arange(len(sizes), dtype=np.uint16), sizes)),
        column("index", "number within the population", np.concatenate([np.arange(s, dtype=np.uint32) for s in sizes])),
        column("gain", "factor of the summed input", np.concatenate([circuit.gain[n][0] for n, _, _ in circuit.populations])),
    ]
    module.add(common.DynamicTable(name="neurons", description="one row a neuron", columns=neurons))
    edges = edges_of(circuit)
    synapses = [
        column(
            "projection",
            "place in the list of projections",
            np.repeat(np.arange(len(edges), dtype=np.uint16), [len(e.source) for e in edges]),
        ),
        column("pre", "row of the presynaptic neuron", np.concatenate([e.source + starts[e.pre] for e in edges]).astype(np.uint32)),
        column("post", "row of the postsynaptic neuron", np.concatenate([e.target + starts[e.post] for e in edges]).astype(np.uint32)),
        column("weight", "weight", np.concatenate([e.weight for e in edges])),
    ]
    module.add(common.DynamicTable(name="synapses", description="one row a living synapse", columns=synapses))
    if records:
        _history(pynwb, file, records)
    with pynwb.NWBHDF5IO(str(path), "w") as out:
        out.write(file)


def _history(pynwb: Any, file: Any, records: Records) -> None:
    module = file.create_processing_module("development", "what was recorded while synapses were lost")
    times = np.array([float(r["time"]) for r in records])
    for name, value in records[0].items():
        if name not in ("time", "step") and all(isinstance(r.get(name), int | float | list) for r in records):
            data = np.array([r[name] for r in records], np.float64)
            about = "of each replicate" if isinstance(value, list) else ""
            module.add(pynwb.TimeSeries(name=name, data=data, timestamps=times, unit="1", description=about))


def _read(path: Path) -> Imported:
    import h5py

    pynwb = need("pynwb", "nwb")
    with h5py.File(path, "r") as file:  # a look at links and sizes before anything is built of them
        check(path, file)
        circuit = member(path, member(path, file, "processing"), "circuit")
        for table, columns in (("neurons", ("population", "index", "gain")), ("synapses", ("projection", "pre", "post", "weight"))):
            for column in columns:
                array(path, member(path, circuit, table), column)
    with pynwb.NWBHDF5IO(str(path), "r", load_namespaces=False) as source:
        file = source.read()
        module = file.processing["circuit"]
        about = json.loads(file.notes)
        neurons = {c: np.asarray(module["neurons"][c].data) for c in ("population", "index", "gain")}
        synapses = {c: np.asarray(module["synapses"][c].data) for c in ("projection", "pre", "post", "weight")}
    diagram = Diagram.of(about)
    if sum(diagram.sizes.values()) != len(neurons["gain"]):
        raise BiosimError(f"{path}: its table of neurons does not have as many rows as its populations have neurons")
    starts = dict(zip(diagram.sizes, np.cumsum([0, *diagram.sizes.values()]), strict=False))
    diagram.gains = {n: neurons["gain"][starts[n] : starts[n] + s] for n, s in diagram.sizes.items()}
    edges = []
    for k, (name, pre, post) in enumerate(about["projections"]):
        own = synapses["projection"] == k
        source, target = (synapses[c][own].astype(np.int64) - starts[n] for c, n in (("pre", pre), ("post", post)))
        edges.append(Edges(name, pre, post, source, target, synapses["weight"][own]))
    return from_edges(path, diagram, edges)


FORMAT = Format(
    "nwb",
    "tables of neurons and synapses and the development as time series; read by pynwb, MatNWB (needs the extra 'nwb')",
    "one replicate: populations, survivors, weights bit for bit, gains, settling, and of a run its records",
    ".nwb",
    _recognise,
    _write,
    _read,
    largest=LARGEST,
    because="pynwb holds and checks the whole table in memory; npz, safetensors and sonata carry more",
)
