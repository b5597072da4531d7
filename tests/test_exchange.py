"""Circuits travel and come back the same; the format's own reader says what arrived."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import torch
from exchanged import RECORDS, connectome, living, made, same_bits
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import prune

from biosim import exchange
from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.exchange import formats, read, write
from biosim.exchange.base import single

Cli = Callable[..., tuple[int, str, str]]
WRITERS = [n for n, f in formats().items() if f.write is not None]


@pytest.mark.parametrize("loops", [False, True], ids=["forward", "with loops"])
@pytest.mark.parametrize("name", WRITERS)
def test_round_trips_are_exact(name: str, loops: bool, tmp_path: Path) -> None:
    circuit, path = made(loops=loops), tmp_path / f"circuit{formats()[name].ending}"
    if name == "torch-prune" and loops:
        with pytest.raises(BiosimError, match="settles over several steps"):
            write(circuit, path, name)
        assert not list(tmp_path.iterdir())
        return
    whole = formats()[name].replicates
    assert write(circuit, path, name, records=RECORDS) == (None if whole else 0)
    imported, form = read(path)
    back, sent = imported.circuit, circuit if whole else single(circuit, 0)
    assert form.name == name and imported.notes == ()
    assert back.populations == sent.populations and back.projections == sent.projections
    assert (back.steps, dict(back.leak)) == (sent.steps, dict(sent.leak))
    for n in sent.mask:
        assert same_bits(back.mask[n], sent.mask[n])
        gain = sent.gain[sent.projections[[p for p, _, _ in sent.projections].index(n)][2]][:, None, :]
        wanted = living(sent, n) * gain if name == "torch-prune" else living(sent, n)
        assert same_bits(living(back, n), wanted)
        if whole:
            assert same_bits(back.born[n], sent.born[n]) and same_bits(back.weight[n], sent.weight[n])
    for n in sent.gain:
        assert same_bits(back.gain[n], np.ones_like(sent.gain[n]) if name == "torch-prune" else sent.gain[n])
    if name != "torch-prune":
        assert back.provenance == sent.provenance
    again = tmp_path / f"again{formats()[name].ending}"
    write(circuit, again, name, records=RECORDS)
    if again.is_file() and name not in ("nwb", "nir"):  # HDF5 libraries put object ids and dates of their own in
        assert again.read_bytes() == path.read_bytes()


def test_every_replicate_can_be_sent(tmp_path: Path) -> None:
    circuit = made()
    assert write(circuit, tmp_path / "a.npz", "npz", 1) == 1
    back = read(tmp_path / "a.npz")[0].circuit
    assert same_bits(back.mask["input-hidden1"], circuit.mask["input-hidden1"][1:])
    with pytest.raises(BiosimError, match="--replicate 2: the circuit has 2"):
        write(circuit, tmp_path / "b.npz", "npz", 2)


def test_libsonata_reads_the_edges(tmp_path: Path) -> None:
    import libsonata

    circuit = made(loops=True)
    write(circuit, tmp_path / "out", "sonata")
    nodes = libsonata.NodeStorage(tmp_path / "out" / "nodes.h5")
    assert {n: nodes.open_population(n).size for n in nodes.population_names} == {n: s for n, s, _ in circuit.populations}
    gains = nodes.open_population("hidden1").get_attribute("gain", libsonata.Selection([(0, 7)]))
    assert same_bits(np.asarray(gains, np.float32), circuit.gain["hidden1"][0])
    edges = libsonata.EdgeStorage(tmp_path / "out" / "edges.h5")
    assert edges.population_names == set(circuit.mask)
    for name, pre, post in circuit.projections:
        population = edges.open_population(name)
        assert (population.source, population.target) == (pre, post)
        matrix = np.zeros(circuit.mask[name][0].shape, np.float32)
        every = population.select_all()
        matrix[population.source_nodes(every), population.target_nodes(every)] = population.get_attribute("syn_weight", every)
        assert same_bits(matrix, living(circuit, name)[0])
        for j in range(matrix.shape[1]):
            arriving = population.source_nodes(population.afferent_edges(j))
            assert set(arriving) == set(np.flatnonzero(circuit.mask[name][0][:, j]))
        for i in range(matrix.shape[0]):
            leaving = population.target_nodes(population.efferent_edges(i))
            assert set(leaving) == set(np.flatnonzero(circuit.mask[name][0][i]))


def test_what_bmtk_expects_of_sonata_is_there(tmp_path: Path) -> None:
    import pandas as pd

    circuit = made()
    write(circuit, tmp_path / "out", "sonata")
    with h5py.File(tmp_path / "out" / "edges.h5") as file:
        assert file.attrs["magic"] == 0x0A7A and list(file.attrs["version"]) == [0, 1]
        for name in circuit.mask:
            group = file["edges"][name]
            count = len(group["source_node_id"])
            assert list(group["edge_group_index"]) == list(range(count)) and set(group["edge_group_id"][()]) == {0}
            for direction in ("target_to_source", "source_to_target"):
                index = group["indices"][direction]
                assert (index["node_id_to_range"][()] == index["node_id_to_ranges"][()]).all()
                assert np.diff(index["range_to_edge_id"][()].astype(int), axis=1).sum() == count
    types = pd.read_csv(tmp_path / "out" / "edge_types.csv", sep=" ")
    assert {"edge_type_id", "model_template", "delay"} <= set(types) and len(types) == 2
    types = pd.read_csv(tmp_path / "out" / "node_types.csv", sep=" ")
    assert list(types["model_type"]) == ["virtual", "point_neuron", "point_neuron"]


def test_networkx_and_igraph_read_the_graph(tmp_path: Path) -> None:
    import igraph

    circuit = made()
    write(circuit, tmp_path / "c.graphml", "graphml", 1)
    expected = circuit.to_networkx(1)
    graph = nx.read_graphml(tmp_path / "c.graphml")
    assert nx.utils.graphs_equal(nx.DiGraph(graph.edges), nx.DiGraph([(f"{a}/{i}", f"{b}/{j}") for (a, i), (b, j) in expected.edges]))
    for a, b, data in expected.edges(data=True):
        assert graph.edges["/".join(map(str, a)), "/".join(map(str, b))]["weight"] == data["weight"]
    other = igraph.Graph.Read_GraphML(str(tmp_path / "c.graphml"))
    assert other.is_directed() and (other.vcount(), other.ecount()) == (graph.number_of_nodes(), graph.number_of_edges())
    found = {(other.vs[e.source]["id"], other.vs[e.target]["id"]): np.float32(e["weight"]) for e in other.es}
    assert found == {(a, b): np.float32(d["weight"]) for a, b, d in graph.edges(data=True)}


def test_nir_reads_the_graph(tmp_path: Path) -> None:
    import nir

    circuit = made()
    write(circuit, tmp_path / "c.nir", "nir")
    graph = nir.read(tmp_path / "c.nir")
    graph.check_types()
    for name in circuit.mask:
        assert same_bits(np.asarray(graph.nodes[f"projection {name}"].weight), np.ascontiguousarray(living(circuit, name)[0].T))
    assert ("drive", "population input") in graph.edges and ("population output", "readout") in graph.edges
    circuit.weight["input-hidden1"][0][np.nonzero(circuit.mask["input-hidden1"][0])] = 0
    with pytest.raises(BiosimError, match="have the weight 0"):
        write(circuit, tmp_path / "zero.nir", "nir")


def test_pynwb_reads_tables_and_history(tmp_path: Path) -> None:
    import pynwb

    circuit = made()
    write(circuit, tmp_path / "c.nwb", "nwb", 0, RECORDS)
    with pynwb.NWBHDF5IO(str(tmp_path / "c.nwb"), "r") as source:
        file = source.read()
        assert not list(pynwb.validate(io=source))
        synapses = file.processing["circuit"]["synapses"].to_dataframe()
        neurons = file.processing["circuit"]["neurons"].to_dataframe()
        assert len(neurons) == 15 and len(synapses) == sum(int(m[0].sum()) for m in circuit.mask.values())
        own = synapses[synapses["projection"] == 1]
        matrix = np.zeros((7, 3), np.float32)
        matrix[own["pre"] - 5, own["post"] - 12] = own["weight"]
        assert same_bits(matrix, living(circuit, "hidden1-output")[0])
        density = file.processing["development"]["density"]
        assert density.data[:].tolist() == [[1.0, 1.0], [0.5, 0.25]] and density.timestamps[:].tolist() == [0.0, 2.5]


def test_torch_loads_the_state_dict(tmp_path: Path) -> None:
    circuit = made()
    circuit = Circuit(circuit.populations, circuit.projections, circuit.mask, circuit.born,
                      {n: np.sign(w) * np.float32(0.3) for n, w in circuit.weight.items()}, circuit.gain, circuit.provenance)  # fmt: skip
    write(circuit, tmp_path / "c.safetensors", "torch-prune", 1)
    module = nn.Sequential(nn.Linear(5, 7, bias=False), nn.Tanh(), nn.Linear(7, 3, bias=False))
    for layer in (module[0], module[2]):
        prune.identity(layer, "weight")
    module.load_state_dict(load_file(tmp_path / "c.safetensors"), strict=True)
    inputs = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(module(inputs).detach().numpy(), circuit.respond(inputs)[1], rtol=1e-4, atol=1e-6)


def test_numpy_loads_the_archive_without_pickle(tmp_path: Path) -> None:
    circuit = made()
    write(circuit, tmp_path / "c.npz", "npz")
    with np.load(tmp_path / "c.npz", allow_pickle=False) as archive:
        assert same_bits(archive["input-hidden1.mask"], circuit.mask["input-hidden1"])
        assert json.loads(archive["biosim"].tobytes())["populations"][1] == ["hidden1", 7, "tanh"]


@pytest.mark.parametrize(
    "kind", ["csv", "tsv", "npy", "dense npz", "sparse npz", "csc npz", "edges", "edges without header", "graphml", "sonata"]
)
def test_a_connectome_comes_in(kind: str, cli: Cli, tmp_path: Path) -> None:
    matrix = connectome()
    rows, columns = np.nonzero(matrix)
    path = tmp_path / f"matrix.{'npz' if 'npz' in kind else kind.split()[0]}"
    if kind in ("csv", "tsv"):
        np.savetxt(path, matrix, delimiter="," if kind == "csv" else "\t")
    elif kind == "npy":
        np.save(path, matrix)
    elif kind == "dense npz":
        np.savez_compressed(path, matrix)
    elif "npz" in kind:
        scipy.sparse.save_npz(path, (scipy.sparse.csc_matrix if "csc" in kind else scipy.sparse.csr_matrix)(matrix))
    elif "edges" in kind:
        path = path.with_suffix(".tsv")
        names = np.arange(720575940000000000, 720575940000000000 + 30)  # ids too large for a double
        lines = [f"{names[i]}\t{names[j]}\t{matrix[i, j]:g}" for i, j in zip(rows, columns, strict=True)]
        path.write_text("\n".join(([] if "without" in kind else ["pre_root_id\tpost_root_id\tsyn_count"]) + lines) + "\n")
    elif kind == "graphml":
        nx.write_graphml(nx.from_numpy_array(matrix, create_using=nx.DiGraph), path)
    else:
        path = tmp_path / "network_edges.h5"
        with h5py.File(path, "w") as file:
            group = file.create_group("edges/v1")
            group["source_node_id"], group["target_node_id"], group["0/syn_weight"] = rows, columns, matrix[rows, columns]
            for end in ("source", "target"):
                group[f"{end}_node_id"].attrs["node_population"] = "v1"
            group["edge_group_id"], group["edge_group_index"] = np.zeros(len(rows), int), np.arange(len(rows))
    code, out, err = cli("import", str(path), "--out", str(tmp_path / "in.safetensors"))
    assert code == 0, err
    circuit = read(tmp_path / "in.safetensors")[0].circuit
    (name,) = circuit.weight
    assert np.array_equal(circuit.weight[name][0], matrix) and np.array_equal(circuit.mask[name][0], matrix != 0), out
    assert f"{len(rows)} synapses" in out and circuit.steps == 2


def test_parallel_synapses_and_rounding_are_told(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("from,to,weight\na,b,0.1\na,b,0.2\nb,c,1\n")
    imported, form = read(path)
    assert form.name == "edges" and imported.circuit.weight["neurons-neurons"][0, 0, 1] == np.float32(0.1) + np.float32(0.2)
    assert any("1 parallel synapses" in n for n in imported.notes)
    assert imported.circuit.provenance["labels"] == {"neurons": ["a", "b", "c"]}
    path.write_text("from,to,weight\na,b,0.1\nb,c,1\n")
    assert any("rounded to float32" in n for n in read(path)[0].notes)
    path.write_text("source_population,source,target_population,target\nV1,x,V2,y\nV2,y,V4,z\n")
    assert [n for n, _, _ in read(path)[0].circuit.populations] == ["V1", "V2", "V4"]


def test_a_run_is_sent_by_the_command_line(cli: Cli, tmp_path: Path) -> None:
    from biosim.rundir.run_writer import RunWriter
    from biosim.store import open_run

    folder = tmp_path / "run"
    writer = RunWriter(folder, {"id": "0", "kind": "development", "scenario": {"name": "tiny"}, "seeds": [0, 1], "versions": {}})
    writer.circuit(made())
    writer.circuit(made(seed=1), "random")
    for record in RECORDS:
        writer.record(record)
    writer.status("done", results={})
    run = open_run(folder)
    for name in ("graphml", "nwb", "sonata"):
        code, out, err = cli(
            "export", str(folder), "--to", name, "--circuit", "random", "--replicate", "1", "--out", str(tmp_path / f"x-{name}.{name}")
        )
        assert code == 0 and "replicate 1 of 2" in out, err
        back = read(tmp_path / f"x-{name}.{name}")[0].circuit
        for n, mask in run.rivals["random"].mask.items():
            assert np.array_equal(back.mask[n][0], mask[1])
    assert cli("export", str(folder), "--to", "npz")[0] == 0
    assert same_bits(read(folder / "exported" / "local.npz.npz")[0].circuit.weight["hidden1-output"], run.circuit.weight["hidden1-output"])
    for arguments, words in (
        (("--to", "npz"), "is there already"),
        (("--to", "sonatta"), "did you mean 'sonata'"),
        (("--to", "npz", "--circuit", "radnom"), "did you mean 'random'"),
        (("--to", "nir", "--replicate", "9"), "--replicate 9"),
    ):
        code, _, err = cli("export", str(folder), *arguments)
        assert code == 2 and words in err and len(err.strip().splitlines()) == 1
    assert cli("import", str(tmp_path / "nothing.csv"))[0] == 2
    (tmp_path / "odd.bin").write_bytes(b"?")
    code, _, err = cli("import", str(tmp_path / "odd.bin"))
    assert code == 2 and "no format known here fits" in err


def test_a_missing_package_says_what_adds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(BiosimError, match=r"pip install 'biosim\[nir\]'"):
        write(made(), tmp_path / "c.nir", "nir")
    assert not list(tmp_path.iterdir())


def test_a_format_that_cannot_carry_so_many_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    known = exchange._own()
    for name in ("graphml", "edges", "nwb"):
        monkeypatch.setitem(known, name, replace(known[name], largest=10))
        with pytest.raises(BiosimError, match=rf"--to {name}: \d+ synapses are more than the 10 it can carry: .*sonata"):
            write(made(), tmp_path / "c", name)


def test_formats_say_what_they_carry() -> None:
    assert set(WRITERS) >= {"sonata", "graphml", "npz", "safetensors", "torch-prune", "nir", "nwb"}
    for form in formats().values():
        assert form.about and form.carries and (form.largest is None) == (not form.because)
        assert form.write is not None or form.read is not None


def test_spiking_survivors_travel(tmp_path: Path) -> None:
    from biosim.exchange.spiking import as_circuit
    from biosim.spiking.survivor import SpikingCircuit, Wiring

    pre, post = np.array([0, 0, 1, 2]), np.array([1, 2, 0, 0])
    birth, now = np.full(4, 0.5), np.array([0.25, np.nan, 0.75, 1.5])
    death = np.array([-1, 7, -1, -1], np.int32)
    wiring = {"exc-exc": (Wiring(pre, post, birth, now, death),), "inh-exc": (Wiring(pre[:2], post[:2], birth[:2], now[2:], death[2:]),)}
    survivors = SpikingCircuit(
        {"exc": (3, "+"), "inh": (1, "-")}, {"exc-exc": ("exc", "exc", 1.0), "inh-exc": ("inh", "exc", -2.0)}, wiring, 1e-4, ("exc-exc",)
    )
    circuit = as_circuit(tmp_path, survivors)
    expected = survivors.to_networkx(0)
    for name in ("npz", "sonata", "graphml", "nwb"):
        path = tmp_path / f"s{formats()[name].ending}"
        write(circuit, path, name)
        back = read(path)[0].circuit
        found = back.to_networkx(0)
        assert {e: d["weight"] for e, d in expected.edges.items()} == {e: d["weight"] for e, d in found.edges.items()}
        assert [n for n, _, _ in back.populations] == ["exc", "inh"] and back.provenance["dt"] == 1e-4
    assert circuit.born["exc-exc"].sum() == 4 and circuit.weight["exc-exc"][0, 0, 2] == 0.5
