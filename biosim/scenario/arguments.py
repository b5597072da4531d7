"""The arguments a scenario gives to a file's function, checked against the function's signature."""

from __future__ import annotations

import hashlib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from biosim.errors import InputError, did_you_mean
from biosim.library import find, load_module
from biosim.options import collect
from biosim.spec import ModelSpec


def checked_arguments(
    function: Callable[..., Any], values: Mapping[str, Any], section: str, name: str
) -> tuple[dict[str, Any], list[InputError]]:
    """Return the keyword arguments in ``values`` that ``function`` takes, as its type hints want them, and what is wrong."""
    hints = typing.get_type_hints(function)
    allowed = [n for n, p in inspect.signature(function).parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY and n != "progress"]
    arguments, errors = {}, []
    for argument, value in values.items():
        if argument not in allowed:
            listing = ", ".join(allowed) or "none"
            message = f"{section} '{name}' has no argument '{argument}'{did_you_mean(argument, allowed)}; it has: {listing}"
            errors.append(InputError(message, (section, argument)))
            continue
        try:
            arguments[argument] = TypeAdapter(hints.get(argument, Any)).validate_python(value)
        except ValidationError as failure:
            first = failure.errors()[0]
            errors.append(InputError(f"{first['msg'][0].lower()}{first['msg'][1:]}, not {value!r}", (section, argument)))
    return arguments, errors


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file: part of a run's id."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def model_of(spec: ModelSpec, errors: list[InputError], takes: Sequence[str]) -> tuple[Any, dict[str, Any], str]:
    """Load a model; return its ``build``, the scenario's arguments checked against its signature, and the file's hash.

    ``takes`` names the positional arguments that ``build`` will be given.
    """
    path = collect(errors, ("model",), lambda: find("models", spec.name))
    if path is None:
        return None, {}, ""
    build = getattr(load_module(path), "build", None)
    if build is None:
        errors.append(InputError(f"{path} has no function build({', '.join(takes)}, *, ...)", ("model", "name")))
        return None, {}, ""
    parameters = inspect.signature(build).parameters.values()
    given = [p.name for p in parameters if p.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    if len(given) != len(takes):
        kind = "a network that images are shown to" if len(takes) > 1 else "a spiking network"
        message = f"model '{spec.name}' has build({', '.join(given)}, *, ...); {kind} needs build({', '.join(takes)}, *, ...)"
        errors.append(InputError(message, ("model", "name")))
        return None, {}, ""
    arguments, wrong = checked_arguments(build, spec.model_extra or {}, "model", spec.name)
    errors += wrong
    return build, arguments, file_hash(path)
