"""numpy's ``.npz``: one array a tensor, and the description as JSON bytes. Nothing in it is pickled."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.exchange.base import PAIRS, Format, Imported, Records, check_pairs
from biosim.store import assemble, describe, tensors

ABOUT = "biosim"  # the array that holds the description


def members(path: Path) -> list[str]:
    """Return the names of a ``.npz`` file's arrays; none when it is no such file."""
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return [n.removesuffix(".npy") for n in archive.namelist()]


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a ``.npz`` file, each one's size checked before it is allocated; pickled ones are refused."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > 8 * PAIRS:
                raise BiosimError(f"{path}: it would unpack to more than {8 * PAIRS:.3g} bytes")
            for member in archive.infolist():
                with archive.open(member) as file:
                    found[member.filename.removesuffix(".npy")] = read_array(path, file, member.file_size, member.filename)
    except zipfile.BadZipFile as error:
        raise BiosimError(f"{path}: cannot be read as npz: {error}") from None
    return found


def read_array(path: Path, file: Any, length: int, name: str = "array") -> npt.NDArray[Any]:
    """Return the array of an ``.npy`` stream of so many bytes.

    Raises
    ------
    BiosimError
        Before anything is allocated: when it is pickled, or its header promises anything but the bytes that follow, or too many.
    """
    version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = reader(file)  # type: ignore[no-untyped-call]
    if kind.hasobject:
        raise BiosimError(f"{path}: '{name}' holds pickled objects, which are never read")
    promised, there = kind.itemsize * math.prod(shape), length - file.tell()
    if promised != there:
        raise BiosimError(f"{path}: '{name}' promises {promised} bytes and has {there}")
    if promised > 8 * PAIRS:
        raise BiosimError(f"{path}: '{name}' has {promised:.3g} bytes, more than {8 * PAIRS:.3g}")
    file.seek(0)
    array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)  # type: ignore[no-untyped-call]
    return array


def _write(circuit: Circuit, path: Path, records: Records) -> None:
    about = np.frombuffer(json.dumps(describe(circuit), sort_keys=True).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{ABOUT: about}, **tensors(circuit))


def _read(path: Path) -> Imported:
    arrays = read_arrays(path)
    if ABOUT not in arrays:
        raise BiosimError(f"{path}: it has no description (an array '{ABOUT}'); --as adjacency reads a matrix")
    about = json.loads(arrays.pop(ABOUT).tobytes())
    check_pairs(path, {str(n): int(s) for n, s, _ in about["populations"]}, [(str(a), str(b)) for _, a, b in about["projections"]])
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
