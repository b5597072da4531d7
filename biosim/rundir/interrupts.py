"""SIGTERM and Ctrl-C: at once where nothing is to be saved, at the next safe moment where something is.

Python runs a signal's handler between any two operations, in the middle of a step of development too. Whoever is at work in
steps says so with :func:`postponed`, asks :func:`asked` between them, saves, and raises :class:`~biosim.errors.Interrupted`. A second
signal does not wait.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from biosim.errors import Interrupted


class _Waiting:
    """What is known of signals, in this process."""

    depth = 0  # how many are at work in steps, one inside the other
    name = ""  # the signal that waits


def handle(number: int, frame: FrameType | None) -> None:
    """Take a signal in; for :func:`signal.signal`."""
    name = signal.Signals(number).name
    if _Waiting.depth and not _Waiting.name:
        _Waiting.name = name
        return
    raise Interrupted(name)


def asked() -> str:
    """Return the name of the signal that waits, or nothing."""
    return _Waiting.name


@contextmanager
def postponed() -> Iterator[None]:
    """Let the first signal wait, until whoever is at work asks for it, or is done."""
    _Waiting.depth += 1
    try:
        yield
    finally:
        _Waiting.depth -= 1
        waiting = _Waiting.name if not _Waiting.depth else ""
        if waiting:
            _Waiting.name = ""
    if waiting:
        raise Interrupted(waiting)
