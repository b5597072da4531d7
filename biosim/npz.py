"""numpy's ``.npy`` and ``.npz``, read without pickle: every size is checked before anything is allocated."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.errors import BiosimError, first_line


def read_arrays(path: Path, most: int) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a ``.npz`` file, at most ``most`` bytes; pickled ones are refused."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > most:
                raise BiosimError(f"{path}: it would unpack to more than {most:.3g} bytes")
            for member in archive.infolist():
                with archive.open(member) as file:
                    found[member.filename.removesuffix(".npy")] = read_array(path, file, member.file_size, most, member.filename)
    except BiosimError:
        raise
    except Exception as error:  # zipfile, zlib, numpy and the system each have errors of their own for damage
        raise BiosimError(f"{path}: cannot be read as npz: {first_line(error)}") from None
    return found


def read_array(path: Path, file: Any, length: int, most: int, name: str = "array") -> npt.NDArray[Any]:
    """Return the array of an ``.npy`` stream of ``length`` bytes.

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
    if promised > most:
        raise BiosimError(f"{path}: '{name}' has {promised:.3g} bytes, more than {most:.3g}")
    file.seek(0)
    array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)  # type: ignore[no-untyped-call]
    return array
