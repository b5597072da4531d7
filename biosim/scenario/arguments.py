"""The files a scenario names, and the arguments it gives them."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from biosim.arguments import checked_arguments
from biosim.errors import InputError, Key
from biosim.library import find, load_module
from biosim.scenario.options import collect
from biosim.scenario.spec import ModelSpec


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file: part of a run's id."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def model_of(
    spec: ModelSpec, errors: list[InputError], takes: Sequence[str], kind: str = "a network that images are shown to"
) -> tuple[Any, dict[str, Any], str]:
    """Load a model; return its ``build``, the scenario's arguments checked against its signature, and the file's hash.

    ``takes`` names the positional arguments that ``build`` will be given, ``kind`` says what it is to return.
    """
    path = collect(errors, ("model",), lambda: find("models", spec.name))
    if path is None:
        return None, {}, ""
    build = function_of(load_module(path), path, "build", takes, kind, ("model", "name"), errors)
    if build is None:
        return None, {}, ""
    arguments, wrong = checked_arguments(build, spec.model_extra or {}, "model", spec.name)
    errors += wrong
    return build, arguments, file_hash(path)


def function_of(
    module: ModuleType, path: Path, name: str, takes: Sequence[str], kind: str, key: Key, errors: list[InputError]
) -> Callable[..., Any] | None:
    """Return a module's function of this name if it takes just these positional arguments; else file why not under ``key``."""
    function: Callable[..., Any] | None = getattr(module, name, None)
    if function is None:
        errors.append(InputError(f"{path} has no function {name}({', '.join(takes)}, *, ...)", key))
        return None
    parameters = inspect.signature(function).parameters.values()
    given = [p.name for p in parameters if p.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    if len(given) != len(takes):
        wanted = f"{kind} needs {name}({', '.join(takes)}, *, ...)"
        errors.append(InputError(f"{path} has {name}({', '.join(given)}, *, ...); {wanted}", key))
        return None
    return function
