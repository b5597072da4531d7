"""Times on the command line."""

from __future__ import annotations

from biosim.errors import BiosimError


def seconds_of(text: str) -> float:
    """Return what ``--checkpoint-every`` says, in seconds."""
    from biosim.equations import parse_time
    from biosim.errors import InputError

    try:
        time = parse_time(text)
    except InputError as error:
        raise BiosimError(f"--checkpoint-every {text}: {error.message}") from None
    if time.relative or time.value < 0:
        raise BiosimError(f"--checkpoint-every {text}: a time such as 30s, or 0s for after every step")
    return float(time.value)
