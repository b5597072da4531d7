"""Reading HDF5 from somebody else: nothing outside the file, nothing larger than it may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from biosim.errors import BiosimError
from biosim.exchange.base import PAIRS


def member(path: Path, group: Any, name: str) -> Any:
    """Return a member of an HDF5 group that lies in the same file.

    Raises
    ------
    BiosimError
        When it is missing or leads to another file.
    """
    import h5py

    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        raise BiosimError(f"{path}: '{group.name}/{name}' leads to another file, which is not followed")
    found = group.get(name)
    if found is None:
        raise BiosimError(f"{path}: it has no '{group.name.rstrip('/')}/{name}'")
    return found


def array(path: Path, group: Any, name: str, longest: int = PAIRS) -> npt.NDArray[Any]:
    """Return a data set as an array of numbers; its size is checked before it is allocated."""
    import h5py

    data = member(path, group, name)
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "biuf":
        raise BiosimError(f"{path}: '{group.name}/{name}' is no array of numbers")
    if data.is_virtual or data.external:
        raise BiosimError(f"{path}: '{data.name}' keeps its numbers in another file, which is not read")
    if data.size is None or data.size > longest:
        raise BiosimError(f"{path}: '{data.name}' has {data.size} entries, more than the {longest:.3g} that can be right")
    whole: npt.NDArray[Any] = data[()]
    return whole
