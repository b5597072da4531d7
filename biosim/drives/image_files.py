"""Image files of anybody's: folders of IDX files, raw or gzipped, and ``.npz`` archives."""

from __future__ import annotations

import gzip
import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.errors import BiosimError, DataError, did_you_mean
from biosim.npz import read_arrays

_NAMED = {"fashion-mnist": "fashion-mnist", "mnist": "mnist"}
NPZ = ("train_images", "train_labels", "test_images", "test_labels")
RawImages = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64], tuple[int, int], str]


def read_files(dataset: str) -> RawImages:
    """Return training images and labels, test images and labels, side and source of a data set by name, folder or ``.npz`` file.

    Raises
    ------
    DataError
        When it is not found, is damaged, or its parts do not belong together.
    """
    return _npz(Path(dataset).expanduser()) if dataset.endswith(".npz") else _folder(dataset)


def _npz(path: Path) -> RawImages:
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    try:
        arrays = read_arrays(path, _LONGEST)
    except BiosimError as error:
        raise DataError(str(error)) from None
    if missing := [name for name in NPZ if name not in arrays]:
        guess = did_you_mean(missing[0], list(arrays))
        raise DataError(f"{path} has no array '{missing[0]}'{guess}; it needs {', '.join(NPZ)} and has {', '.join(arrays) or 'none'}")
    if odd := [name for name in NPZ if arrays[name].dtype.kind not in "buif"]:
        raise DataError(f"{path}: '{odd[0]}' holds {arrays[odd[0]].dtype}, not numbers")
    for name in NPZ[1::2]:
        if not np.isfinite(arrays[name]).all() or not np.array_equal(arrays[name], np.floor(arrays[name])):
            raise DataError(f"{path}: '{name}' must hold whole numbers, the classes from 0 on")
    train, train_labels, test, test_labels = (arrays[name] for name in NPZ)
    return _together(str(path), (train, train_labels), (test, test_labels))


def _together(source: str, train: tuple[npt.NDArray[Any], npt.NDArray[Any]], test: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> RawImages:
    for part, (values, labels) in (("training", train), ("test", test)):
        if values.ndim != 3 or labels.ndim != 1 or len(values) != len(labels):
            raise DataError(
                f"{source}: the {part} images {values.shape} and labels {labels.shape} do not belong together; "
                "images are (n, height, width), labels (n,)"
            )
        if values.size == 0:
            raise DataError(f"{source}: the {part} images {values.shape} are none, or have no pixels")
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(f"{source}: training images are {train[0].shape[1:]} and test images {test[0].shape[1:]} pixels")
    side = (int(train[0].shape[1]), int(train[0].shape[2]))
    shown, judged = (np.ascontiguousarray(x.reshape(len(x), -1), np.float32) for x in (train[0], test[0]))
    return shown, train[1].astype(np.int64), judged, test[1].astype(np.int64), side, source


def _candidates(dataset: str) -> list[Path]:
    if dataset not in _NAMED:
        return [Path(dataset).expanduser()]
    import platformdirs

    places = [os.environ["BIOSIM_DATA_DIR"]] if os.environ.get("BIOSIM_DATA_DIR") else []
    places += [platformdirs.user_cache_dir("biosim"), "/usr/share/datasets"]
    return [Path(place) / _NAMED[dataset] for place in places]


def _folder(dataset: str) -> RawImages:
    tried = _candidates(dataset)
    folder = next((path for path in tried if path.is_dir()), None)
    if folder is None:
        hint = "; on Debian: apt-get install dataset-fashion-mnist" if dataset == "fashion-mnist" else ""
        where = ", ".join(str(path) for path in tried)
        raise DataError(
            f"no data set '{dataset}': tried the folder {where}; known names: digits, teacher, {', '.join(_NAMED)}, or an .npz file{hint}"
        )
    train, test = (
        (read_idx(_find(folder, prefix, "images", 3)), read_idx(_find(folder, prefix, "labels", 1))) for prefix in ("train", "t10k")
    )
    return _together(str(folder), train, test)


def _find(folder: Path, prefix: str, what: str, rank: int) -> Path:
    prefixes = [prefix, "test"] if prefix == "t10k" else [prefix]
    names = [f"{p}-{what}{dot}idx{rank}-ubyte{end}" for p in prefixes for dot in "-." for end in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder} has no {prefix} {what}: tried {', '.join(names)}")


_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_LONGEST = 8_000_000_000  # bytes


def read_idx(path: Path) -> npt.NDArray[np.generic]:
    """Read an IDX file (http://yann.lecun.com/exdb/mnist/), raw or gzipped: what its header promises, and no more."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _read_idx(path, file)
    except DataError:
        raise
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    except Exception as error:  # zlib.error has no common base with the above
        raise DataError(f"{path} is damaged: {error}") from None


def _read_idx(path: Path, file: Any) -> npt.NDArray[np.generic]:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _IDX_TYPES or not 1 <= start[3] <= 4:
        raise DataError(f"{path} is not an IDX file: it starts with {start.hex() or 'nothing'}")
    kind, rank = np.dtype(_IDX_TYPES[start[2]]), start[3]
    head = file.read(4 * rank)
    if len(head) < 4 * rank:
        raise DataError(f"{path} is truncated inside its header")
    shape = struct.unpack(f">{rank}I", head)
    promised = math.prod(shape) * kind.itemsize
    if promised > _LONGEST:
        raise DataError(f"{path}: its header promises {promised:.3g} bytes for shape {shape}; more than {_LONGEST:.3g} are not read")
    raw = file.read(promised + 1)  # a compressed file may unpack to any length
    if len(raw) != promised:
        state, there = ("truncated", str(len(raw))) if len(raw) < promised else ("too long", "more")
        raise DataError(f"{path} is {state}: its header promises {promised} bytes for shape {shape}, it has {there}")
    return np.frombuffer(raw, kind).reshape(shape).astype(kind.newbyteorder("="))
