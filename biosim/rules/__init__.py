"""Local rules: one file of equations each, found by name, by path or through a plugin."""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from biosim.equations import Rule, parse_rule
from biosim.errors import BiosimError, InputError, did_you_mean
from biosim.yamlfile import read_yaml


def rule_paths() -> dict[str, Path]:
    """Return the file of every rule, by name: biosim's own and those of ``biosim.rules`` entry points.

    An entry point names a module or package whose folder holds ``NAME.yaml`` files.
    """
    found = {p.stem: p for p in sorted(Path(str(files("biosim.rules"))).glob("*.yaml"))}
    for point in entry_points(group="biosim.rules"):
        try:
            folder = Path(str(files(point.value)))
            found |= {p.stem: p for p in sorted(folder.glob("*.yaml"))}
        except Exception as error:  # a broken plugin must not break everybody else
            owner = point.dist.name if point.dist else "unknown"
            warnings.warn(f"plugin '{point.name}' of distribution '{owner}' cannot be loaded: {error}", stacklevel=2)
    return found


def find_rule(name: str) -> Path:
    """Return the file of a rule, given by name or as a path to a YAML file."""
    paths = rule_paths()
    if name in paths:
        return paths[name]
    if name.endswith((".yaml", ".yml")):
        if Path(name).is_file():
            return Path(name)
        raise InputError(f"there is no rule file {name}", ("name",))
    raise InputError(
        f"unknown rule '{name}'{did_you_mean(name, list(paths))}; there are: {', '.join(paths)}, or a path ending in .yaml", ("name",)
    )


def load_rule(name: str) -> Rule:
    """Read a rule by name or path."""
    path = find_rule(name)
    document = read_yaml(path)
    try:
        return parse_rule(document.data, path.stem)
    except InputError as error:
        raise BiosimError(f"{document.locate(error.key)}: {error.message}") from None
