"""Files that are whole or not there: written aside, flushed to the disk, renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from biosim.errors import BiosimError

PART = ".part"  # how the name of a file ends that is being written


def refusal(path: Path, error: OSError) -> BiosimError:
    """Return what to tell of a file that could not be written."""
    return BiosimError(f"{path} cannot be written: {error.strerror or error}; what was written before is whole")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write to, which takes the place of ``path`` once all of it is on the disk.

    Raises
    ------
    BiosimError
        When it cannot be written (the disk is full, the folder is read-only); ``path`` is then what it was.
    """
    aside = path.with_name(f".{path.name}{PART}")
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        _settle(path.parent)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink()
        if isinstance(error, OSError):
            raise refusal(path, error) from None
        raise


def _settle(folder: Path) -> None:
    """Bring a rename to the disk, where the file system can be asked to."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with suppress(OSError):
        os.fsync(descriptor)
    os.close(descriptor)


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or not there."""
    with replacing(path) as file:
        file.write(content)
