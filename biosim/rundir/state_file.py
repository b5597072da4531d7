"""A state as one file: safetensors, sealed by its own checksum, which is taken with zeros in its place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from biosim.errors import DamageError
from biosim.rundir.files import replacing
from biosim.state import State

FORMAT = 1
LONGEST = 1 << 28  # bytes of a header
CHUNK = 1 << 24  # bytes hashed at a time
START = b'{"__metadata__":{"sha256":"'
NONE = b"0" * 64
KINDS = {
    "BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I16": np.int16, "U32": np.uint32, "I32": np.int32,
    "U64": np.uint64, "I64": np.int64, "F32": np.float32, "F64": np.float64,
}  # fmt: skip
CODES = {np.dtype(kind): code for code, kind in KINDS.items()}
Array = npt.NDArray[Any]


def _divide(state: Mapping[str, Any], path: str, arrays: dict[str, Array]) -> State:
    """Return the plain part of a state; its arrays go to ``arrays`` by their path (RFC 6901)."""
    plain: State = {}
    for key, value in state.items():
        own = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
        if isinstance(value, Tensor):
            value = value.detach().cpu().numpy()
        if isinstance(value, np.ndarray):
            arrays[own] = value
        else:
            plain[str(key)] = _divide(value, own, arrays) if isinstance(value, Mapping) else value
    return plain


def _simple(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a state holds arrays and plain values, not {type(value).__name__}")


def write_state(path: Path, about: Mapping[str, Any], state: State) -> None:
    """Write a state, and what is to be known of it, atomically.

    Raises
    ------
    BiosimError
        When it cannot be written; what was there before stays.
    """
    arrays: dict[str, Array] = {}
    plain = _divide(state, "", arrays)
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # so that each begins at a multiple of its item's size
    text = json.dumps({"format": FORMAT, "about": about, "state": plain}, default=_simple)
    header: dict[str, Any] = {"__metadata__": {"sha256": NONE.decode(), "biosim": text}}
    at = 0
    for name in order:
        own = arrays[name]
        header[name] = {"dtype": CODES[own.dtype], "shape": list(own.shape), "data_offsets": [at, at + own.nbytes]}
        at += own.nbytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    digest = hashlib.sha256()
    with replacing(path) as file:
        file.write(len(head).to_bytes(8, "little") + head)
        digest.update(len(head).to_bytes(8, "little") + head)
        for name in order:
            file.write(_bytes(arrays[name]))
            digest.update(_bytes(arrays[name]))
        file.seek(8 + len(START))
        file.write(digest.hexdigest().encode())


def _bytes(own: Array) -> memoryview:
    return memoryview(np.ascontiguousarray(own).reshape(-1).view(np.uint8).data)


def read_state(path: Path) -> tuple[dict[str, Any], State]:
    """Read what :func:`write_state` wrote: what is to be known, and the state. Arrays are views of the file, changed by nobody else.

    Raises
    ------
    DamageError
        When the file is missing, cut off, changed, or no state.
    """
    try:
        content = np.memmap(path, np.uint8, "c")
        header, start = _header(content)
        if _digest(content) != header["__metadata__"]["sha256"]:
            raise DamageError("its checksum is wrong")
        data = json.loads(header["__metadata__"]["biosim"])
        if data["format"] != FORMAT:
            raise DamageError(f"it is of format {data['format']}; this version reads {FORMAT}")
        about, state = dict(data["about"]), dict(data["state"])
        for name, entry in header.items():
            if name != "__metadata__":
                _put(state, name, _view(content, start, entry))
        return about, state
    except DamageError as error:
        raise DamageError(f"{path} is damaged: {error}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise DamageError(f"{path} is damaged: {str(error) or type(error).__name__}") from None


def _header(content: Array) -> tuple[dict[str, Any], int]:
    """Return the header and where the arrays begin; arrays must fill the rest of the file, one after the other."""
    length = int.from_bytes(content[:8].tobytes(), "little")
    if len(content) < 8 or not len(START) + 64 <= length <= min(len(content) - 8, LONGEST):
        raise DamageError("it is cut off, or no checkpoint")
    text = content[8 : 8 + length].tobytes()
    if not text.startswith(START):
        raise DamageError("it is no checkpoint")
    header: dict[str, Any] = json.loads(text)
    at = 0
    for entry in sorted((e for n, e in header.items() if n != "__metadata__"), key=lambda e: list(e["data_offsets"])):
        begin, end = entry["data_offsets"]
        if begin != at or end < begin:
            raise DamageError("its arrays do not follow each other")
        at = end
    if 8 + length + at != len(content):
        raise DamageError(f"it has {len(content)} bytes, not {8 + length + at}")
    return header, 8 + length


def _digest(content: Array) -> str:
    digest, first = hashlib.sha256(content[: 8 + len(START)].data), 8 + len(START) + len(NONE)
    digest.update(NONE)
    for at in range(first, len(content), CHUNK):
        digest.update(content[at : at + CHUNK].data)
    return digest.hexdigest()


def _view(content: Array, start: int, entry: Mapping[str, Any]) -> Array:
    kind, shape = np.dtype(KINDS[entry["dtype"]]), tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    size = kind.itemsize
    for n in shape:
        if not isinstance(n, int) or n < 0:
            raise DamageError(f"an array has the shape {shape}")
        size *= n
    if size != end - begin:
        raise DamageError(f"an array of shape {shape} has {end - begin} bytes, not {size}")
    raw = np.asarray(content[start + begin : start + end])
    if kind == np.bool_ and raw.size and raw.max() > 1:
        raise DamageError("a truth value is neither 0 nor 1")
    return raw.view(kind).reshape(shape) if size else np.zeros(shape, kind)


def _put(state: State, path: str, value: Array) -> None:
    *above, last = [p.replace("~1", "/").replace("~0", "~") for p in path.removeprefix("/").split("/")]
    for name in above:
        state = state.setdefault(name, {})
    state[last] = value
