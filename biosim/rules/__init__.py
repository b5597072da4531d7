"""Local rules: one file of equations each, found by name, by path or through a plugin.

The folder itself holds the rules that decide which synapses are lost. Rules with another role have a
folder each: ``plasticity/`` changes weights, ``growth/`` forms synapses, ``feedback/`` changes feedback wiring. Pruning rules
with spike events, which only a spiking network can run, are in ``spiking/``.
"""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from biosim.equations import Rule, parse_rule
from biosim.equations.rule import ROLES
from biosim.errors import BiosimError, InputError, did_you_mean
from biosim.yamlfile import read_yaml


def rule_paths(role: str = "pruning", *, spiking: bool = False) -> dict[str, Path]:
    """Return the file of every rule with a role, by name: biosim's own and those of ``biosim.rules`` entry points.

    With ``spiking`` those pruning rules that need spikes, else those that run on rates.

    An entry point names a module or package whose folder holds ``NAME.yaml`` files, and those of another
    role in a folder of that name.
    """
    if spiking and role != "pruning":
        return {}
    inside = "spiking" if spiking else "" if role == "pruning" else role
    found = {p.stem: p for p in sorted((Path(str(files("biosim.rules"))) / inside).glob("*.yaml"))}
    for point in entry_points(group="biosim.rules"):
        try:
            folder = Path(str(files(point.value))) / inside
            found |= {p.stem: p for p in sorted(folder.glob("*.yaml"))}
        except Exception as error:  # a broken plugin must not break everybody else
            owner = point.dist.name if point.dist else "unknown"
            warnings.warn(f"plugin '{point.name}' of distribution '{owner}' cannot be loaded: {error}", stacklevel=2)
    return found


def find_rule(name: str, role: str = "pruning") -> Path:
    """Return the file of a rule, given by name or as a path to a YAML file."""
    paths = rule_paths(role) | rule_paths(role, spiking=True)
    if name in paths:
        return paths[name]
    if name.endswith((".yaml", ".yml")):
        if Path(name).is_file():
            return Path(name)
        raise InputError(f"there is no rule file {name}", ("name",))
    others = [r for r in ROLES if r != role and name in rule_paths(r)]
    if others:
        raise InputError(f"'{name}' is a rule for {others[0]}, not for {role}; for {role} there are: {', '.join(paths)}", ("name",))
    kind = "rule" if role == "pruning" else f"{role} rule"
    raise InputError(
        f"unknown {kind} '{name}'{did_you_mean(name, list(paths))}; there are: {', '.join(paths)}, or a path ending in .yaml", ("name",)
    )


def load_rule(name: str, role: str = "pruning") -> Rule:
    """Read a rule of a role (``pruning``, ``plasticity``, ``growth``, ``feedback``) by name or path.

    Examples
    --------
    >>> from biosim import load_rule
    >>> load_rule("hebbian-trace").level().name
    'synapse'
    >>> load_rule("three-factor").level().name
    'broadcast'
    >>> load_rule("bcm-weights", "plasticity").plastic
    True
    """
    path = find_rule(name, role)
    document = read_yaml(path)
    try:
        rule = parse_rule(document.data, path.stem)
    except InputError as error:
        raise BiosimError(f"{document.locate(error.key)}: {error.message}") from None
    if rule.role != role:
        raise BiosimError(f"{document.locate(())}: this is a rule for {rule.role}, not for {role}")
    return rule
