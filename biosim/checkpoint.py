"""A state as one file, and the checkpoints of a run: what is finished, and what is at work.

The file is safetensors: arrays, and JSON in its metadata. It holds its own SHA-256 (taken with zeros in that place), so a file that
was cut off or changed is known by itself. It is data: nothing in it is executed, and no array is made before its size was
found to be within the file. Of a run it is

    checkpoints/STAGE.done.safetensors     a stage that is finished: never done again
    checkpoints/work.safetensors           the stage at work, and before.safetensors, its checkpoint before that

Times are taken on the monotonic clock: setting the computer's clock changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from biosim import interrupts
from biosim.errors import BiosimError, DamageError, Interrupted, Notice
from biosim.files import refusal, replacing
from biosim.state import State

FORMAT = 1
EVERY = 30.0  # seconds between two checkpoints
RARER = 25  # a checkpoint that takes long is made so much more rarely: never more than a twenty-fifth of the time goes there
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


# -- one file -------------------------------------------------------------------------------------
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


# -- the checkpoints of a run ---------------------------------------------------------------------
class Checkpoints:
    """What a run has finished and what it is at.

    Parameters
    ----------
    folder : Path
        Made when the first checkpoint is.
    run : str
        The run's id; a checkpoint of another run is none of this one's.
    every : float
        Seconds between two checkpoints of the stage at work; 0: after every step.
    loaded : callable, optional
        Called with the records that went with a checkpoint when one is loaded.

    Attributes
    ----------
    lines : list of str
        Records of the run so far, one a line; kept with every checkpoint.
    """

    def __init__(self, folder: Path, run: str, every: float = EVERY, loaded: Callable[[list[str]], None] | None = None) -> None:
        self.folder, self.run, self.every, self.loaded = folder, run, every, loaded
        self.lines: list[str] = []
        self.whole = False  # whether ``work`` is known to be what was written
        self.began, self.earlier = time.monotonic(), 0.0
        self.work, self.before = folder / "work.safetensors", folder / "before.safetensors"

    def seconds(self) -> float:
        """Return the seconds this run has worked, those before it was stopped too, as far as they count for its results."""
        return self.earlier + time.monotonic() - self.began

    def path(self, stage: str) -> Path:
        """Return where the result of a finished stage is kept."""
        return self.folder / f"{re.sub('[^A-Za-z0-9.]+', '-', stage)[:60]}.{zlib.crc32(stage.encode()):08x}.done.safetensors"

    def done(self, stage: str) -> State | None:
        """Return what a stage came to when it is finished, else None; a damaged file is named, and the stage is done again."""
        path = self.path(stage)
        return self._read(path, stage, "that stage is done again") if path.exists() else None

    def finish(self, stage: str, state: State) -> None:
        """Keep what a stage came to."""
        self._write(self.path(stage), stage, state)
        self.whole = False
        for path in (self.work, self.before):
            with suppress(OSError):
                path.unlink()

    def steps(self, stage: str, work: Callable[[AtWork], State]) -> State:
        """Return what a stage comes to that goes on in steps: kept from before, or by ``work``, from where it was."""
        found = self.done(stage)
        if found is None:
            with interrupts.postponed():
                found = work(AtWork(self, stage))
                self.finish(stage, found)
        return found

    def clear(self) -> None:
        """Remove all of it: the run is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- what AtWork asks for -------------------------------------------------------------------
    def latest(self, stage: str) -> Iterator[tuple[State, float]]:
        """Yield the states in which a stage was, with the seconds it had taken: the newest first, damaged ones left out."""
        for path, instead in ((self.work, "the one before it is used"), (self.before, "the stage begins anew")):
            if path.exists():
                state = self._read(path, stage, instead)
                if state is not None:
                    self.whole = path == self.work
                    yield state["state"], float(state["seconds"])

    def keep(self, stage: str, state: State, seconds: float) -> None:
        """Write a checkpoint of the stage at work; the last one becomes the one before."""
        if self.whole:  # a damaged one makes way only for a whole one
            self.whole = False
            try:
                self.work.replace(self.before)
            except OSError as error:
                raise refusal(self.work, error) from None
        self._write(self.work, stage, {"state": state, "seconds": seconds})
        self.whole = True

    def _write(self, path: Path, stage: str, state: State) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refusal(self.folder, error) from None
        about = {"run": self.run, "stage": stage, "seconds": self.seconds(), "lines": self.lines}
        try:
            write_state(path, about, state)
        except BiosimError as error:
            raise BiosimError(f"{error}. Make room, then: biosim resume {self.folder.parent}") from None

    def _read(self, path: Path, stage: str, instead: str) -> State | None:
        """Return the state in a file; None when it is damaged (which a notice says) or another stage's."""
        try:
            about, state = read_state(path)
            own = (str(about["run"]), str(about["stage"]))
            lines, seconds = [str(line) for line in about["lines"]], float(about["seconds"])
        except (DamageError, KeyError, TypeError, ValueError) as error:
            why = str(error) if isinstance(error, DamageError) else f"{path} is damaged: it lacks {error}"
            warnings.warn(f"{why}; {instead}", Notice, stacklevel=3)
            return None
        if own != (self.run, stage):
            return None
        self.lines[:] = lines
        self.earlier = max(self.earlier, seconds)
        if self.loaded is not None:
            self.loaded(self.lines)
        return state


class AtWork:
    """The keeper of a stage at work: :class:`biosim.state.Keeper`."""

    def __init__(self, checkpoints: Checkpoints, stage: str) -> None:
        self.checkpoints, self.stage = checkpoints, stage
        self.began, self.earlier = time.monotonic(), 0.0
        self.due = self.began + checkpoints.every
        self.spent = 0.0  # seconds on checkpoints

    def seconds(self) -> float:
        """Return the seconds that the stage has taken, those before the run was stopped too."""
        return self.earlier + time.monotonic() - self.began

    def load(self, restore: Callable[[State], None]) -> bool:
        """Give what was kept to ``restore``; return whether there was anything."""
        for state, seconds in self.checkpoints.latest(self.stage):
            try:
                restore(state)
            except (DamageError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                why = f"{self.checkpoints.folder} holds no state of this run: {str(error) or type(error).__name__}"
                raise DamageError(f"{why}; --force begins anew") from None
            self.earlier, self.began = seconds, time.monotonic()
            return True
        return False

    def offer(self, state: Callable[[], State]) -> None:
        """Keep the state when it is time to, or when a signal asks to stop: then raise Interrupted."""
        now, stop = time.monotonic(), interrupts.asked()
        if not stop and now < self.due:
            return
        self.checkpoints.keep(self.stage, state(), self.seconds())
        took = time.monotonic() - now
        self.spent += took
        self.due = now + took + (max(self.checkpoints.every, RARER * took) if self.checkpoints.every else 0.0)
        if stop:
            raise Interrupted(stop)
