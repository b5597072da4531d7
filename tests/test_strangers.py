"""Files from strangers are data: hostile and damaged ones are named, and nothing is overwritten that is not ours."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse
from exchanged import RECORDS, connectome, made

from biosim.errors import BiosimError
from biosim.exchange import formats, read, write

Cli = Callable[..., tuple[int, str, str]]
WRITERS = [n for n, f in formats().items() if f.write is not None]


def header_of(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    text = repr({"descr": kind, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def hostile(kind: str, folder: Path) -> Path:
    """Return a file that would harm a careless reader."""
    path = folder / f"bad.{kind.split()[0]}"
    if kind == "npz that promises a terabyte":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", header_of((10**6, 10**6)))
    elif kind == "npz of pickles":
        np.savez(path, np.array([{1: 2}], object), allow_pickle=True)
    elif kind == "npy that promises a terabyte":
        path.write_bytes(header_of((10**6, 10**6)))
    elif kind == "graphml that laughs":
        path.write_text('<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><graphml><graph edgedefault="directed"/></graphml>')
    elif kind == "graphml that laughs in another encoding":
        path.write_text('<!DOCTYPE x [<!ENTITY a "ha">]><graphml><graph edgedefault="directed"/></graphml>', encoding="utf-16")
    elif kind.startswith("h5"):
        with h5py.File(folder / "secret.hdf5", "w") as other:
            other["ids"] = np.arange(3)
            other["ids"].attrs["node_population"] = "n"
        with h5py.File(path, "w") as file:
            group = file.create_group("edges/e")
            if "vast" in kind:
                for end in ("source", "target"):
                    group.create_dataset(f"{end}_node_id", (10**13,), np.uint64, chunks=(1 << 20,))
            elif "soft" in kind:
                file["beside"] = h5py.ExternalLink(str(folder / "secret.hdf5"), "/")
                group["source_node_id"] = h5py.SoftLink("/beside/ids")
                group["target_node_id"] = np.arange(3)
            elif "virtual" in kind:
                layout = h5py.VirtualLayout((3,), int)
                layout[:] = h5py.VirtualSource(folder / "secret.hdf5", "ids", (3,))
                group.create_virtual_dataset("source_node_id", layout)
                group["target_node_id"] = np.arange(3)
            else:
                group["source_node_id"] = h5py.ExternalLink(str(folder / "secret.hdf5"), "/ids")
                group["target_node_id"] = np.arange(3)
            for end in ("source", "target"):
                group[f"{end}_node_id"].attrs["node_population"] = "n"
    elif kind.startswith("nir"):
        write(made(), path, "nir")
        with h5py.File(path, "a") as file:
            if "vast" in kind:
                file["node"].create_dataset("aside", (10**13,), np.uint8, chunks=(1 << 20,))
            else:
                file["node"]["aside"] = h5py.ExternalLink(str(path), "/node")
    elif kind == "json that looks elsewhere":
        path = folder / "circuit_config.json"
        path.write_text(json.dumps({"networks": {"nodes": [], "edges": [{"edges_file": "../../etc/passwd"}]}}))
    elif kind == "json that multiplies":
        path = folder / "circuit_config.json"
        manifest = {f"${k}": f"${k + 1}" * 30 for k in range(10)} | {"$10": "x" * 1000}
        path.write_text(json.dumps({"manifest": manifest, "networks": {"edges": [{"edges_file": "$0"}]}}))
    elif kind == "safetensors with a huge header":
        path.write_bytes((2**63 - 1).to_bytes(8, "little") + b"{}")
    elif kind == "csv of a vast population":
        about = {"populations": [["a", 10**9, "relu"]], "projections": [["a-a", "a", "a"]], "provenance": {}}
        path.write_text(f"# biosim {json.dumps(about)}\nprojection,pre_population,pre,post_population,post,weight\na-a,a,0,a,1,1\n")
    return path


HOSTILE = {
    "npz that promises a terabyte": "promises 8000000000000 bytes and has 0", "npz of pickles": "pickled objects",
    "npy that promises a terabyte": "promises 8000000000000 bytes and has 0", "graphml that laughs": "entities of its own",
    "graphml that laughs in another encoding": "entities of its own", "h5 with external links": "leads to another file",
    "h5 with soft links that lead out": "leads to another file", "h5 of virtual arrays": "another file", "h5 of vast arrays": "entries, more than",
    "nir with external links": "leads to another file", "nir of vast arrays": "entries, more than", "json that looks elsewhere": "outside its folder",
    "json that multiplies": "makes a path of more than", "safetensors with a huge header": "not a circuit", "csv of a vast population": "pairs of neurons",
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_files_from_strangers_are_data(kind: str, cli: Cli, tmp_path: Path) -> None:
    path = hostile(kind, tmp_path)
    named = {"safetensors": ("--as", "safetensors"), "graphml": ("--as", "graphml")}.get(kind.split()[0], ())
    code, out, err = cli("import", str(path), *named)
    assert code == 2 and str(path) in err and HOSTILE[kind] in err, err
    assert "Traceback" not in err + out and len(err.strip().splitlines()) == 1, err
    assert not list(tmp_path.glob("*.circuit.safetensors"))


def test_tensors_that_do_not_fit_are_named_with_their_file(tmp_path: Path) -> None:
    write(made(), tmp_path / "c.npz", "npz")
    with np.load(tmp_path / "c.npz") as archive:
        arrays = dict(archive)
    np.savez(tmp_path / "c.npz", **(arrays | {"input-hidden1.mask": arrays["input-hidden1.mask"][:, :2]}))
    with pytest.raises(BiosimError, match=f"{tmp_path / 'c.npz'}: the tensors of projection 'input-hidden1'"):
        read(tmp_path / "c.npz")
    (tmp_path / "list.csv").write_text("pre,post,weight\na,b,1e300\n")
    with pytest.raises(BiosimError, match="too large for float32"):
        read(tmp_path / "list.csv")


def test_force_overwrites_what_it_wrote_and_no_other_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write(made(), folder, "sonata")
    write(made(seed=1), folder, "sonata", force=True)
    assert np.array_equal(read(folder)[0].circuit.mask["input-hidden1"][0], made(seed=1).mask["input-hidden1"][0])
    (folder / "thesis.tex").write_text("precious")
    for name in ("sonata", "npz"):
        with pytest.raises(BiosimError, match=r"holds other files, such as (thesis\.tex|circuit_config\.json)"):
            write(made(), folder, name, force=True)
    assert (folder / "thesis.tex").read_text() == "precious" and len(list(folder.iterdir())) == 6


def test_entries_of_a_sparse_matrix_that_are_0_are_no_synapses(tmp_path: Path) -> None:
    matrix = scipy.sparse.csr_matrix(connectome())
    matrix.data[:5] = 0
    scipy.sparse.save_npz(tmp_path / "m.npz", matrix)
    assert np.array_equal(read(tmp_path / "m.npz")[0].circuit.mask["neurons-neurons"][0], matrix.toarray() != 0)


@pytest.mark.parametrize("name", [n for n in WRITERS if n != "sonata"])
def test_damaged_files_never_end_in_a_traceback(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"c{formats()[name].ending}"
    write(made(), path, name, records=RECORDS)
    whole, random = path.read_bytes(), np.random.default_rng(1)
    for k in range(12):
        harmed = bytearray(whole[: random.integers(len(whole))] if k % 3 == 0 else whole)
        for _ in range(8):
            if harmed:
                harmed[random.integers(len(harmed))] = random.integers(256)
        path.write_bytes(bytes(harmed))
        for told in (name, None):
            try:
                read(path, told)
            except BiosimError as error:
                assert str(path) in str(error)


WRITER = """\
from biosim.exchange import Format
def write(circuit, path, records):
    {}
FORMAT = Format("own", "a", "b", ".own", lambda path: False, write)
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("path.write_text('half'); raise ValueError('boo\\nand more')", "cannot be written as own: boo"),
        ("pass", "the format 'own' left nothing at the path that it was given"),
        ("raise SystemExit(7)\nraise SystemExit(7)", "own.py:4: cannot be imported: SystemExit: 7"),
    ],
)
def test_a_writer_that_fails_leaves_what_was_there(body: str, words: str, cli: Cli, tmp_path: Path) -> None:
    write(made(), tmp_path / "c.npz", "npz")
    (tmp_path / "own.py").write_text(WRITER.format(body))
    (tmp_path / "kept.own").write_text("precious")
    where = ["--out", str(tmp_path / "kept.own"), "--force"]
    code, _, err = cli("export", str(tmp_path / "c.npz"), "--to", str(tmp_path / "own.py"), *where)
    assert code == 2 and words in err and len(err.strip().splitlines()) == 1, err
    assert (tmp_path / "kept.own").read_text() == "precious" and not list(tmp_path.glob(".part*"))


def test_a_pipe_is_not_overwritten_even_by_force(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BiosimError, match="pipe is a device or a pipe"):
        write(made(), tmp_path / "pipe", "npz", force=True)
    assert (tmp_path / "pipe").is_fifo()
