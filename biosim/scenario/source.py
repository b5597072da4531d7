"""A scenario file and the settings applied to it: what was asked for, and where each key of it stands."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from biosim.errors import BiosimError, InputError, Key, did_you_mean, dotted
from biosim.yamlfile import Document, plain, read_yaml

Spec = TypeVar("Spec", bound=BaseModel)
NAMED = ("rule", "plasticity", "readout", "model", "study", "measure")  # sections that may be no more than a name


@dataclass(frozen=True)
class Source:
    """A document, and which of its keys were set from elsewhere: by a ``--set`` text, or at another key of the file."""

    document: Document
    overrides: Mapping[Key, str | Key]

    def locate(self, error: InputError) -> str:
        """Return the error's message behind the place its key stands: ``file:line: key``, or the setting."""
        for key, place in self.overrides.items():
            if error.key[: len(key)] == key:
                if isinstance(place, str):
                    return f"--set {place}: {dotted(error.key)}: {error.message}"
                return f"{self.document.locate(place)}: {error.message}"
        return f"{self.document.locate(error.key)}: {error.message}"

    def refusal(self, errors: Sequence[InputError]) -> BiosimError:
        """Return one error with a line for each of several."""
        return BiosimError("\n".join(self.locate(e) for e in errors))

    def validate(self, model: type[Spec], errors: list[InputError]) -> Spec | None:
        """Return the document as a ``model``, or None with every mistake filed under ``errors``."""
        data = self.document.data
        try:
            return model.model_validate(data)
        except ValidationError as failure:
            for e in failure.errors():
                key = _real_key(e["loc"], data)
                if e["type"] == "extra_forbidden":
                    known = _known_keys(model, key[:-1])
                    message = f"unknown key{did_you_mean(str(key[-1]), known)}; keys here: {', '.join(known)}"
                elif e["type"] == "missing":
                    message = "is missing"
                else:
                    message = f"{e['msg'][0].lower()}{e['msg'][1:]}, not {e['input']!r}"
                error = InputError(message, key)
                if all(known_error.key != error.key for known_error in errors):
                    errors.append(error)
            return None


def read_source(path: Path, settings: Sequence[str] = ()) -> Source:
    """Read a scenario file and apply ``a.b=value`` settings to its data; values are YAML.

    Raises
    ------
    BiosimError
        When the file is no YAML mapping, or a setting sets nothing.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    document = read_yaml(path)
    applied: dict[Key, str | Key] = {}
    for text in settings:
        place, equals, raw = text.partition("=")
        if not equals or not place.strip():
            raise BiosimError(f"--set {text}: expected key=value, such as rule.rate=2000")
        parts: list[str | int] = [int(p) if p.isdigit() else p for p in place.strip().split(".")]
        try:
            value = plain(YAML(typ="rt").load(raw)) if raw.strip() else ""
        except YAMLError:
            value = raw
        try:
            put(document.data, parts, value)
        except InputError as error:
            raise BiosimError(f"--set {text}: {error.message}") from None
        applied[tuple(parts)] = text
    return Source(document, applied)


def put(node: Any, parts: Sequence[str | int], value: Any) -> None:
    """Set the value at a path of keys, in place.

    Raises
    ------
    InputError
        When the path leads nowhere.
    """
    for depth, part in enumerate(parts[:-1]):
        if isinstance(node, dict) and isinstance(node.get(str(part)), str) and part in NAMED:
            node[str(part)] = {"name": node[str(part)]}
        if isinstance(node, dict):
            node = node.setdefault(str(part), {})
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            raise InputError(f"there is no '{dotted(tuple(parts[: depth + 1]))}' to set")
    last = parts[-1]
    if isinstance(node, list) and isinstance(last, int) and last < len(node):
        node[last] = value
    elif isinstance(node, dict):
        node[str(last)] = value
    else:
        raise InputError(f"there is no '{dotted(tuple(parts))}' to set")


def _real_key(loc: tuple[str | int, ...], data: Any) -> Key:
    """Drop from pydantic's location the tags of unions, which no file contains."""
    key: list[str | int] = []
    node: Any = data
    for place, part in enumerate(loc):
        inside = (isinstance(node, dict) and part in node) or (isinstance(node, list) and isinstance(part, int) and part < len(node))
        if inside:
            node = node[cast(Any, part)]
            key.append(part)
        elif place == len(loc) - 1 and isinstance(node, dict) and "[" not in str(part) and not str(part).endswith("Spec"):
            key.append(part)
    return tuple(key)


def _known_keys(model: type[BaseModel], key: Key) -> list[str]:
    """Return the keys that the section at ``key`` may have."""
    for part in key:
        if isinstance(part, str) and part in model.model_fields:
            inner = _model_within(model.model_fields[part].annotation)
            if inner is None:
                break
            model = inner
    return list(model.model_fields)


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in typing.get_args(annotation):
        if (found := _model_within(inner)) is not None:
            return found
    return None
