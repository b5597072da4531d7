"""An adjacency matrix, as connectomes are often given: ``.npy``, ``.npz`` (dense or scipy.sparse), or numbers as text.

Row i, column j is the weight of the synapse from neuron i to neuron j; 0 is none. The neurons are one population.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.errors import BiosimError
from biosim.exchange.base import BEGINNING, Diagram, Edges, Format, Imported, check_text, from_edges
from biosim.exchange.npz import ABOUT, LONGEST, members
from biosim.npz import read_array, read_arrays

SPARSE = {"format", "shape", "data", "indices", "indptr"}


def _recognise(path: Path) -> bool:
    names = members(path)
    if path.suffix == ".npy" or (names and ABOUT not in names):
        return True
    if path.suffix not in (".csv", ".tsv", ".txt"):
        return False
    try:
        with path.open() as file:
            first = file.readline(BEGINNING).strip()
        numbers = [float(x) for x in first.replace(",", " ").split()]
    except (OSError, ValueError):
        return False
    return len(numbers) > 3


def _matrix(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], tuple[int, ...]]:
    """Return rows, columns and weights of the entries that are not 0, and the matrix's shape."""
    if path.suffix == ".npz":
        arrays = read_arrays(path, LONGEST)
        if set(arrays) >= SPARSE:
            return _sparse(path, arrays)
        if len(arrays) != 1:
            raise BiosimError(
                f"{path}: it holds {len(arrays)} arrays ({', '.join(list(arrays)[:5])}); a matrix alone, or scipy's five, can be read"
            )
        dense = next(iter(arrays.values()))
    elif path.suffix == ".npy":
        with path.open("rb") as file:
            dense = read_array(path, file, path.stat().st_size, LONGEST)
    else:
        check_text(path)
        with path.open() as file:
            dense = np.loadtxt((line.replace(",", " ") for line in file), np.float64, ndmin=2)
    if dense.ndim != 2 or dense.dtype.kind not in "biuf":
        raise BiosimError(f"{path}: a matrix of numbers is wanted, not {dense.dtype} of shape {dense.shape}")
    rows, columns = np.nonzero(dense)
    return rows, columns, dense[rows, columns], dense.shape


def _sparse(
    path: Path, arrays: dict[str, npt.NDArray[Any]]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], tuple[int, ...]]:
    kind = arrays["format"].tobytes().strip(b"\0").decode() if arrays["format"].dtype.kind == "S" else str(arrays["format"])
    if kind not in ("csr", "csc"):
        raise BiosimError(f"{path}: a sparse matrix in '{kind}' form; save it as csr or csc")
    shape = tuple(int(n) for n in arrays["shape"])
    minor, data = arrays["indices"].astype(np.int64), arrays["data"]
    pointers = arrays["indptr"].astype(np.int64)
    lengths = np.diff(pointers)
    lost = len(shape) != 2 or len(lengths) != shape[kind == "csc"] or len(minor) != len(data)
    if lost or (lengths < 0).any() or int(lengths.sum()) != len(data) or data.dtype.kind not in "biuf":
        raise BiosimError(f"{path}: the parts of the sparse matrix do not fit together")
    major = np.repeat(np.arange(len(lengths)), lengths)
    kept = data != 0  # an entry that is stored may be 0
    major, minor, data = major[kept], minor[kept], data[kept]
    return (major, minor, data, shape) if kind == "csr" else (minor, major, data, shape)


def _read(path: Path) -> Imported:
    rows, columns, weight, shape = _matrix(path)
    if shape[0] == shape[1]:
        diagram, edges = Diagram({"neurons": shape[0]}), Edges("neurons-neurons", "neurons", "neurons", rows, columns, weight)
    else:
        diagram = Diagram({"input": shape[0], "output": shape[1]}, {"output": "linear"})
        edges = Edges("input-output", "input", "output", rows, columns, weight)
    return from_edges(path, diagram, [edges])


FORMAT = Format(
    "adjacency",
    "one matrix, [i, j] the weight from neuron i to neuron j: .npy, .npz (dense, or scipy.sparse csr and csc), .csv, .tsv",
    "read only: synapses and weights; one population of neurons, or input and output where it is not square",
    "",
    _recognise,
    read=_read,
)
