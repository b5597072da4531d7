"""Checksums of a run: a file that is not what was written is named, never read.

``run.json`` lists the SHA-256 of every file that results are read from, and carries its own over all the rest of itself.
A run that was written before there were checksums has neither, and is read as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biosim.errors import BiosimError, DamageError

OWN, FILES = "sha256", "files"
LONGEST = 1_000_000_000  # bytes of a run.json
KINDS: dict[str, type] = {"id": str, "status": str, "scenario": dict, "seeds": list, "versions": dict}  # what every run.json has


def of_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def of_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of_data(data: Mapping[str, Any]) -> str:
    rest = {k: v for k, v in data.items() if k != OWN}
    return of_bytes(json.dumps(rest, sort_keys=True).encode())


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain data with its own checksum."""
    return {**data, OWN: _of_data(data)}


def is_final(about: Mapping[str, Any]) -> bool:
    """Return whether ``run.json`` knows the checksums of all files: the run is done, and not from before there were any."""
    return about.get("status") == "done" and FILES in about


def read(path: Path) -> dict[str, Any]:
    """Read a ``run.json``.

    Raises
    ------
    FileNotFoundError
    BiosimError
        When it cannot be read, is damaged, or is no such file.
    """
    try:
        if path.stat().st_size > LONGEST:
            raise DamageError(f"{path}: {path.stat().st_size} bytes are more than a run.json has")
        about = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise DamageError(f"{path} cannot be read: {error}") from None
    if not isinstance(about, dict):
        raise BiosimError(f"{path} does not describe a run: it holds a {type(about).__name__}")
    if (OWN in about or FILES in about) and about.get(OWN) != _of_data(about):
        raise DamageError(f"{path} is damaged: its checksum is wrong; run the scenario again with --force")
    for key, kind in (KINDS | {k: dict for k in ("results", FILES, "conditions") if k in about}).items():
        if not isinstance(about.get(key), kind):
            raise BiosimError(f"{path} does not describe a run: its '{key}' is no {kind.__name__}")
    if not isinstance(about["scenario"].get("name"), str):
        raise BiosimError(f"{path} does not describe a run: its scenario has no name")
    return about


def confined(name: str) -> bool:
    """Return whether a name leads nowhere outside the folder it is looked up in."""
    return bool(name) and not Path(name).is_absolute() and ".." not in Path(name).parts


def whole(folder: Path, name: str, about: Mapping[str, Any]) -> Path:
    """Return the path of a file once it was found to be what the finished run wrote.

    Raises
    ------
    BiosimError
        When it is missing, damaged, or none of the run's.
    """
    path, known = folder / name, about.get(FILES, {})
    if not confined(name):
        raise BiosimError(f"{folder / 'run.json'} names a file outside its folder: {name}")
    if not path.is_file():
        raise DamageError(f"{path} is missing; run the scenario again with --force")
    if not is_final(about):
        return path
    if name not in known:
        raise BiosimError(f"{path} is none of this run's files")
    try:
        found = of_file(path)
    except OSError as error:
        raise BiosimError(f"{path} cannot be read: {error.strerror}") from None
    if found != known[name]:
        raise DamageError(f"{path} is damaged: its checksum is not the one in run.json; run the scenario again with --force")
    return path
