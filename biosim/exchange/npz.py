"""numpy's ``.npz``: one array a tensor, and the description as JSON bytes. Nothing in it is pickled."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.exchange.base import PAIRS, Format, Imported, Records, check_described
from biosim.npz import read_arrays
from biosim.rundir.circuit_file import assemble, describe, tensors

ABOUT = "biosim"  # the array that holds the description
LONGEST = 8 * PAIRS  # bytes that are read


def members(path: Path) -> list[str]:
    """Return the names of a ``.npz`` file's arrays; none when it is no such file."""
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return [n.removesuffix(".npy") for n in archive.namelist()]


def _write(circuit: Circuit, path: Path, records: Records) -> None:
    about = np.frombuffer(json.dumps(describe(circuit), sort_keys=True).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{ABOUT: about}, **tensors(circuit))


def _read(path: Path) -> Imported:
    arrays = read_arrays(path, LONGEST)
    if ABOUT not in arrays:
        raise BiosimError(f"{path}: it has no description (an array '{ABOUT}'); --as adjacency reads a matrix")
    about = json.loads(arrays.pop(ABOUT).tobytes())
    check_described(path, about)
    return Imported(assemble(about, arrays))


FORMAT = Format(
    "npz",
    "numpy's archive of arrays, uncompressed; read by numpy.load(PATH) without pickle",
    "everything: all replicates, births, masks, weights, gains, settling",
    ".npz",
    lambda path: ABOUT in members(path),
    _write,
    _read,
    replicates=True,
)
