"""One process at a time works on a run directory.

The lock is the operating system's (flock): it goes with the process that holds it, however that ends, so a run that was killed
is free at once. The file says who holds it, for the message that the others get.
"""

from __future__ import annotations

import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from biosim.errors import BiosimError, Notice
from biosim.rundir.files import refusal

LOCK = ".lock"
LONGEST = 1000  # characters of a lock file


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of a run directory, which is made where there is none.

    Raises
    ------
    BiosimError
        When another process holds it, naming process and host, or the folder cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _taken(path)
    except OSError as error:
        raise refusal(path, error) from None
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        file.close()


def _taken(path: Path) -> IO[str]:
    """Return the open file that holds the lock."""
    import fcntl

    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            text = file.read(LONGEST)
            file.close()
            raise BiosimError(f"{path.parent} is at work: {_holder(text)}; two processes cannot work on one run") from None
        except OSError as error:
            why = f"{path.parent}: this file system locks nothing ({error.strerror}); see that no other process works on this run"
            warnings.warn(why, Notice, stacklevel=4)
        if _same(path, file):
            break
        file.close()  # its holder removed it between opening and locking
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}) + "\n")
    file.flush()
    return file


def _same(path: Path, file: IO[str]) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    own = os.fstat(file.fileno())
    return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)


def _holder(text: str) -> str:
    """Return who holds a lock by what its file says."""
    try:
        about = json.loads(text)
        return f"process {int(about['pid'])} on {str(about['host'])[:100]} has it since {str(about['since'])[:30]}"
    except (ValueError, KeyError, TypeError):
        return "another process has it"
