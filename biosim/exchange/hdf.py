"""Reading HDF5 from somebody else: nothing outside the file, nothing larger than it may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from biosim.errors import BiosimError
from biosim.exchange.base import PAIRS


def check(path: Path, file: Any) -> int:
    """Look at every link and size in an open HDF5 file before anything is read of it; return the entries of all its data sets.

    Soft links are left alone: where no link leads out, they cannot either.

    Raises
    ------
    BiosimError
        When a link or a data set leads to another file, or a data set is larger than any that can be right.
    """
    import h5py

    total = 0

    def link(name: str, found: Any) -> str | None:
        return f"'/{name}' leads to another file, which is not followed" if isinstance(found, h5py.ExternalLink) else None

    def size(name: str, found: Any) -> str | None:
        nonlocal total
        if not isinstance(found, h5py.Dataset):
            return None
        if found.is_virtual or found.external:
            return f"'/{name}' keeps its numbers in another file, which is not read"
        total += found.size or 0
        return f"'/{name}' has {found.size} entries, more than the {PAIRS:.3g} that can be right" if (found.size or 0) > PAIRS else None

    if wrong := file.visititems_links(link) or file.visititems(size):  # a visitor that raises loses its message
        raise BiosimError(f"{path}: {wrong}")
    return total


def member(path: Path, group: Any, name: str) -> Any:
    """Return a member of an HDF5 group of a file that was checked; raises when it is missing."""
    found = group.get(name)
    if found is None:
        raise BiosimError(f"{path}: it has no '{group.name.rstrip('/')}/{name}'")
    return found


def array(path: Path, group: Any, name: str) -> npt.NDArray[Any]:
    """Return a data set of a file that was checked as an array of numbers."""
    import h5py

    data = member(path, group, name)
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "biuf":
        raise BiosimError(f"{path}: '{group.name}/{name}' is no array of numbers")
    if data.size is None:
        raise BiosimError(f"{path}: '{data.name}' is empty")
    whole: npt.NDArray[Any] = data[()]
    return whole
