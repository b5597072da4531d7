"""The arguments that a file's function is given, checked against the function's signature."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from biosim.errors import InputError, did_you_mean

GIVEN = ("progress", "team")  # what biosim gives a file's function itself, where it takes it


def checked_arguments(
    function: Callable[..., Any], values: Mapping[str, Any], section: str, name: str
) -> tuple[dict[str, Any], list[InputError]]:
    """Return the keyword arguments in ``values`` that ``function`` takes, as its type hints want them, and what is wrong."""
    hints = typing.get_type_hints(function, include_extras=True)  # constraints such as Annotated[float, Field(gt=0)] count
    allowed = [n for n, p in inspect.signature(function).parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY and n not in GIVEN]
    arguments, errors = {}, []
    for argument, value in values.items():
        if argument not in allowed:
            listing = ", ".join(allowed) or "none"
            message = f"{section} '{name}' has no argument '{argument}'{did_you_mean(argument, allowed)}; it has: {listing}"
            errors.append(InputError(message, (section, argument)))
            continue
        try:
            arguments[argument] = TypeAdapter(hints.get(argument, Any)).validate_python(value)
            if not _finite(arguments[argument]):
                errors.append(InputError(f"needs finite numbers, not {value!r}", (section, argument)))
        except ValidationError as failure:
            first = failure.errors()[0]
            errors.append(InputError(f"{first['msg'][0].lower()}{first['msg'][1:]}, not {value!r}", (section, argument)))
    return arguments, errors


def _finite(value: Any) -> bool:
    """Return whether no number in a value, or in lists of it, is infinite or NaN."""
    return all(map(_finite, value)) if isinstance(value, (list, tuple)) else not isinstance(value, float) or math.isfinite(value)
