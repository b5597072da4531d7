"""Connectomes: the sheets of C. elegans, files of every kind, and the analyses that use graphs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import h5py
import networkx as nx
import numpy as np
import openpyxl
import pytest

from biosim import connectomes
from biosim.connectomes import STAGES, celegans, missing_edges, read_graph
from biosim.errors import BiosimError, InputError
from biosim.graphs import Graph, bifans, bipartite_clustering, from_circuit, projection_matrix, reciprocity
from biosim.library import find, load_module
from biosim.store import open_run

SHEET = [
    ("ADAL", "AVB01", "chemical", 2),
    ("AVB01", "ADAL", "chemical", 1),
    ("ADAL", "RIML", "electrical", 3),
    ("RIML", "BWM-DL01", "chemical", 1),
]


@pytest.fixture
def sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight sheets laid out as the package cect has them, each with one connection more than the last."""
    folder = tmp_path / "site" / "cect" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('never imported')\n")
    (folder / "IndividualNeurons.csv").write_text("# names\nADAL; a neuron\nAVB1; another\nRIML; a third\nRIMR; a fourth\n")
    more = [
        ("AVB01", "RIML", "chemical", 1),
        ("RIML", "AVB01", "chemical", 1),
        ("RIML", "ADAL", "chemical", 1),
        ("ADAL", "ADAL", "chemical", 1),
    ]
    for k, stage in enumerate(STAGES):
        book = openpyxl.Workbook()
        for row in [("pre", "post", "type", "synapses"), *SHEET, *more[: k // 2], *([("RIMR", "ADAL", "chemical", 1)] if k == 7 else [])]:
            book.active.append(row)
        book.save(folder / f"witvliet_2020_{stage}.xlsx")
    monkeypatch.setattr(connectomes, "_sheets", lambda: folder)
    return folder


def test_the_stages_of_celegans_are_read_and_matched(sheets: Path) -> None:
    stages = celegans()
    assert tuple(stages) == STAGES
    first, last = stages["1 L1"], stages["8 adult"]
    assert first.names == last.names == ("ADAL", "AVB1", "RIML")  # RIMR is not in all, BWM-DL01 is muscle
    assert first.dense().tolist() == [[0, 2, 0], [1, 0, 0], [0, 0, 0]]
    assert reciprocity(first) == 1 and last.edges == 5
    assert celegans("electrical")["1 L1"].dense().tolist() == [[0, 0, 3], [0, 0, 0], [3, 0, 0]]
    assert celegans("both")["1 L1"].edges == 4
    assert celegans(shared=False)["8 adult"].names == ("ADAL", "AVB1", "RIML", "RIMR")
    assert missing_edges(last, first) == pytest.approx(3 / 5) and missing_edges(last, first, most=1) == pytest.approx(3 / 4)
    assert missing_edges(first, last) == 0
    with pytest.raises(InputError, match="chemical"):
        celegans("gap")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="same nodes"):
        missing_edges(last, celegans(shared=False)["8 adult"])


def test_a_missing_package_or_sheet_is_named(sheets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sheets / "witvliet_2020_5 L2.xlsx").unlink()
    with pytest.raises(BiosimError, match="5 L2"):
        celegans()
    monkeypatch.undo()
    monkeypatch.setattr(connectomes, "find_spec", lambda name: None)
    with pytest.raises(BiosimError, match=r"pip install 'biosim\[connectome\]'"):
        celegans()


@pytest.mark.slow
def test_the_brain_of_celegans_becomes_modular_against_its_null() -> None:
    """The package itself, which `make test-all` installs."""
    pytest.importorskip("cect")
    stages = celegans()
    counts = [g.edges for g in stages.values()]
    assert counts[0] == 675 and counts[-1] == 1625 and {g.nodes for g in stages.values()} == {161}
    found = load_module(find("analysis", "connectome_comparison")).stages(stages, nulls=5, starts=5)
    rows = found.tables["stages"]
    assert rows[0]["reciprocity"] == pytest.approx(0.172, abs=1e-3) and rows[7]["reciprocity"] == pytest.approx(0.299, abs=1e-3)
    assert rows[7]["modularity"] < rows[6]["modularity"] + 0.03 < rows[0]["modularity"]
    assert rows[0]["modularity_over_null"] == pytest.approx(1.43, abs=0.08) and rows[7]["modularity_over_null"] == pytest.approx(
        1.75, abs=0.1
    )
    assert missing_edges(stages["7 adult"], stages["8 adult"], most=1) == pytest.approx(0.57, abs=0.01)


MATRIX = np.array([[0, 2.5, 0, 0], [0, 1, 0, -1], [0, 0, 0, 3], [4, 0, 0, 0]])


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_every_kind_of_file_gives_the_same_graph(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    edges = [(names[i], names[j], MATRIX[i, j]) for i, j in np.argwhere(MATRIX)]
    graph = nx.DiGraph()
    graph.add_weighted_edges_from(edges)
    nx.write_graphml(graph, tmp_path / "g.graphml")
    listed = "\n".join(f"{a},{b},{w}" for a, b, w in edges)
    cells = [[str(x) for x in row] for row in MATRIX]
    labelled = "\n".join([",".join(["", *names]), *(",".join([n, *row]) for n, row in zip(names, cells, strict=True))])
    files = [
        tmp_path / "g.graphml",
        write(tmp_path / "list.csv", listed),
        write(tmp_path / "headed.csv", "pre,post,synapses\n" + listed),
        write(tmp_path / "list.tsv", "# a comment\n" + listed.replace(",", "\t")),
        write(tmp_path / "list.txt", listed.replace(",", " ")),
        write(tmp_path / "matrix.csv", labelled),
        write(tmp_path / "bare.csv", "\n".join(",".join(r) for r in cells)),
        write(tmp_path / "headed_matrix.csv", "\n".join([",".join(names), *(",".join(r) for r in cells)])),
        write(tmp_path / "blanks.csv", labelled.replace(",0.0", ",")),
    ]
    for file in files:
        found = read_graph(file)
        if found.names:
            order = np.argsort(found.names)
            assert sorted(found.names) == names
            assert (found.dense()[np.ix_(order, order)] == MATRIX).all(), file.name
        else:
            assert (found.dense() == MATRIX).all(), file.name
    assert read_graph(write(tmp_path / "small.csv", "0,1\n1,0"), "matrix").edges == 2
    plain = read_graph(write(tmp_path / "numbers.csv", "10,2\n2,10\n10,2"))
    assert plain.names == ("2", "10") and plain.dense().tolist() == [[0, 1], [2, 0]]  # parallel edges are summed


def test_sonata_edges(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "edges.h5", "w") as file:
        for name, pre, post, weights in (("inner", "v1", "v1", [0.5, 0.25, 1.0]), ("outer", "lgn", "v1", None)):
            own = file.create_group(f"edges/{name}")
            for key, ids, population in (("source_node_id", [0, 0, 2], pre), ("target_node_id", [1, 1, 0], post)):
                own.create_dataset(key, data=ids).attrs["node_population"] = population
            if weights:
                own.create_dataset("0/syn_weight", data=weights)
    assert read_graph(tmp_path / "edges.h5", population="inner").dense().tolist() == [[0, 0.75, 0], [0, 0, 0], [1, 0, 0]]
    outer = read_graph(tmp_path / "edges.h5", population="outer")
    assert outer.names == ("lgn:0", "lgn:1", "lgn:2", "v1:0", "v1:1") and outer.dense()[0, 4] == 2 and outer.dense()[2, 3] == 1
    assert outer.group.tolist() == [0, 0, 0, 1, 1]  # type: ignore[union-attr]
    for population, words in ((None, "name one"), ("x", "no edge population")):
        with pytest.raises(BiosimError, match=words):
            read_graph(tmp_path / "edges.h5", population=population)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "a,b,1\nb,c,x", "edge 2, 'x', is not a number"),
        ("a.csv", "a,b,nan\nb,c,1", "NaN"),
        ("a.csv", "", "empty"),
        ("a.csv", "a,b,1\nb,c", "all need the same"),
        ("a.csv", "0,1,0,0\n0,0,1,1", "square"),
        ("a.csv", ",p,q,r\nq,0,1,0\np,0,0,0\nr,0,0,0", "same names"),
        ("a.csv", "0,1,0,0\n0,x,1,1\n0,0,0,0\n0,0,0,0", "not a number"),
        ("a.graphml", "not xml", "cannot be read"),
        ("a.graphml", "<page>no graph</page>", "cannot be read as .graphml"),
        ("a.csv", "a,b,1\nb," + 200_000 * "c" + ",1", "cannot be read as .csv"),
        ("a.h5", "not hdf5", "cannot be read"),
        ("a.png", "", "ends in"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(BiosimError, match=words) as error:
        read_graph(write(tmp_path / name, text))
    assert name in str(error.value)
    with pytest.raises(BiosimError, match="cannot be read"):
        read_graph(tmp_path / "none.csv")


def test_bifans_and_bipartite_clustering_are_those_of_networkx() -> None:
    random = np.random.default_rng(0)
    for shape in ((7, 9), (9, 4)):
        mask = random.random(shape) < 0.5
        graph = nx.from_edgelist([(("pre", i), ("post", j)) for i, j in np.argwhere(mask).tolist()])
        assert bipartite_clustering(mask) == pytest.approx(nx.bipartite.robins_alexander_clustering(graph))
        pairs = [(a & b).sum() for i, a in enumerate(mask) for b in mask[i + 1 :]]
        assert bifans(mask) == sum(s * (s - 1) // 2 for s in pairs)
    with pytest.raises(InputError, match="truth values"):
        bifans(mask * 1.0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not defined"):
        bipartite_clustering(np.zeros((3, 3), bool))


RECURRENT = """\
name: tiny-recurrent
model: {name: recurrent, hidden: 16, steps: 3}
drive: {kind: images, dataset: digits, batch: 64, epochs: 1, train_size: 128}
rule: {name: three-factor, feedback: random}
schedule: {kind: decreasing-rate, density: 0.4}
rivals: [random]
replicates: 2
moments: 4
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from conftest import TINY

    from biosim.runner import run
    from biosim.scenario import read_scenario

    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, text in (("layered", TINY), ("recurrent", RECURRENT)):
        write(folder / f"{name}.yaml", text)
        found[name] = run(read_scenario(folder / f"{name}.yaml"), out=folder / name, report=False)[0].folder
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_circuit_as_a_graph(runs: dict[str, Path]) -> None:
    for folder in runs.values():
        circuit = open_run(folder).circuit
        whole = from_circuit(circuit, 1)
        peer = circuit.to_networkx(1)
        assert whole.nodes == peer.number_of_nodes() and whole.edges == peer.number_of_edges()
        assert {(whole.names[i], whole.names[j]) for i, j in zip(whole.source, whole.target, strict=True)} == {
            (f"{a}:{i}", f"{b}:{j}") for (a, i), (b, j) in peer.edges
        }
        for name, pre, post in circuit.projections:
            part, matrix = from_circuit(circuit, 1, name), projection_matrix(circuit, name, 1)
            assert part.nodes == (matrix.shape[0] if pre == post else sum(matrix.shape)) and part.edges == (circuit.mask[name][1]).sum()
            block = part.dense() if pre == post else part.dense()[: matrix.shape[0], matrix.shape[0] :]
            assert (block == matrix).all()
        for call, words in (
            (lambda c=circuit: from_circuit(c, 5), "replicates 0 to 1"),
            (lambda c=circuit: from_circuit(c, 0, "inputt"), "no projection"),
            (lambda c=circuit: projection_matrix(c, "x"), "projections"),
        ):
            with pytest.raises(InputError, match=words):
                call()


def test_motifs_degrees_and_small_worlds_of_a_run(cli: Callable[..., tuple[int, str, str]], runs: dict[str, Path]) -> None:
    for kind, folder in runs.items():
        circuit = open_run(folder).circuit
        for name in ("motifs", "degrees", "small-world"):
            code, _, err = cli("analyse", name, str(folder))
            assert code == 0, err
        motifs = rows_of(folder / "analysis" / "motifs" / "motifs.csv")
        (local,) = {r["method"] for r in motifs} - {"edge-popup", "random"}
        for row in motifs:
            if row["motif"] == "bi-fan" and row["method"] == local:
                assert float(row["count"]) == bifans(circuit.mask[row["projection"]][int(row["replicate"])])
        assert ("030T" in {r["motif"] for r in motifs}) == (kind == "recurrent")
        for row in rows_of(folder / "analysis" / "degrees" / "degrees.csv"):
            if row["method"] == local and row["way"] == "in":
                degree = circuit.mask[row["projection"]][int(row["replicate"])].sum(0)
                assert float(row["mean"]) == pytest.approx(degree.mean()) and int(row["without"]) == (degree == 0).sum()
        worlds = rows_of(folder / "analysis" / "small_world" / "small_world.csv")
        for name, _, _ in circuit.projections:
            densities = [float(r["density"]) for r in worlds if r["projection"] == name and r["replicate"] == "0"]
            assert densities == sorted(densities, reverse=True)
            assert densities[-1] == pytest.approx(circuit.mask[name][0].sum() / circuit.born[name][0].sum())
        assert any(r["omega"] != "nan" for r in worlds) == (kind == "recurrent")


def test_the_dispersion_of_random_degrees_is_one() -> None:
    dispersion = load_module(find("analysis", "degrees")).dispersion
    random = np.random.default_rng(0)
    born = random.random((300, 40)) < np.linspace(0.2, 0.9, 300)[:, None]
    values = []
    for _ in range(20):
        mask = np.zeros(born.shape, bool)
        mask[tuple(random.permutation(np.argwhere(born))[:1500].T)] = True
        values.append(dispersion(mask.sum(1), born.sum(1)))
    assert np.mean(values) == pytest.approx(1, abs=0.05)
    assert np.isnan(dispersion(np.zeros(3, int), np.ones(3, int)))


def test_a_circuit_beside_a_connectome(runs: dict[str, Path], tmp_path: Path, sheets: Path) -> None:
    comparison = load_module(find("analysis", "connectome_comparison"))
    random = np.random.default_rng(0)
    made = write(tmp_path / "worm.csv", "\n".join(",".join(map(str, row)) for row in (random.random((30, 30)) < 0.2).astype(int)))
    rows = comparison.analyse(open_run(runs["layered"]), made, nulls=2).tables["connectome_comparison"]
    assert {r["graph"] for r in rows} >= {"worm", "random"}
    layered = [r for r in rows if r["graph"] == "random" and r["measure"] == "reciprocity"]
    assert [r["value"] for r in layered] == [0, 0] and all(r["normalised"] == -1 for r in layered)
    with_worms = comparison.analyse(open_run(runs["recurrent"]), nulls=1).tables["connectome_comparison"]
    assert "C. elegans 8 adult" in {r["graph"] for r in with_worms}


def test_stages_report_the_variation_between_adults() -> None:
    random = np.random.default_rng(0)
    block = np.kron(np.eye(4), np.ones((10, 10)))
    graphs = {stage: Graph.from_matrix((random.random((40, 40)) < 0.1 + 0.05 * k * block) * 1.0) for k, stage in enumerate(STAGES)}
    rows = load_module(find("analysis", "connectome_comparison")).stages(graphs, nulls=3, starts=3).tables["stages"]
    assert [r["stage"] for r in rows] == [*STAGES, "range of the adults"]
    assert rows[7]["modularity_over_null"] > rows[0]["modularity_over_null"] + 0.2
    assert rows[8]["reciprocity"] == pytest.approx(abs(rows[7]["reciprocity"] - rows[6]["reciprocity"]))
