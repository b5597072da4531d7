"""The errors biosim raises on bad input: one clear message, and where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Key = tuple[str | int, ...]
T = TypeVar("T")


class BiosimError(Exception):
    """Anything a user can mend: bad scenario, rule, data or file."""


class Interrupted(BaseException):
    """A run was asked to stop, by SIGTERM or Ctrl-C; ``folder`` is its run directory, where it has one."""

    folder: Any = None


class InputError(BiosimError):
    """A value that cannot be used, with the path of the key that holds it.

    Parameters
    ----------
    message : str
        What is wrong and what would be right.
    key : tuple of str or int
        Path of the offending key inside the mapping that was read, outermost first.
    """

    def __init__(self, message: str, key: Key = ()) -> None:
        super().__init__(message)
        self.message = message
        self.key = key

    def __str__(self) -> str:
        return f"{dotted(self.key)}: {self.message}" if self.key else self.message

    def under(self, *prefix: str | int) -> InputError:
        """Return the same error with ``prefix`` put in front of its key."""
        return type(self)(self.message, (*prefix, *self.key))


class UndefinedError(InputError):
    """A method that has no answer for what it is asked; a table says n/a and gives this message as the reason."""


class DisconnectedWarning(UserWarning):
    """A mask that leaves no path from the input to the readout, with the layer where it breaks."""


class EquationError(InputError):
    """A rule whose equations cannot be read, checked or compiled."""


class LocalityError(EquationError):
    """A rule that reads more than a local rule may sense."""


class DataError(InputError):
    """A data set that is missing, truncated or not what it says it is."""


class DamageError(BiosimError):
    """A file of a run that is missing or not what was written."""


class Notice(UserWarning):
    """Something a user should know of a run that goes on all the same."""


class NumericalError(BiosimError):
    """NaN or runaway activity during a run, with the layer and the step."""


def first_line(error: BaseException) -> str:
    """Return the first line of what somebody else's error says, or its kind when it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def under(key: str, read: Callable[[Any], T], value: Any) -> T:
    """Return ``read(value)``; an InputError is told of as one in ``key``."""
    try:
        return read(value)
    except InputError as error:
        raise InputError(error.message, (key,)) from None


def at_least(least: float, **values: float) -> None:
    """Raise an InputError, in its key, where a value is smaller."""
    for name, value in values.items():
        if not value >= least:
            raise InputError(f"needs at least {least:g}, not {value}", (name,))


def dotted(key: Key) -> str:
    """Return ``("rule", "synapse", 0)`` as ``rule.synapse[0]``."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def did_you_mean(word: str, known: list[str]) -> str:
    """Return `` (did you mean 'x'?)`` when one of ``known`` is close to ``word``, else nothing."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""
