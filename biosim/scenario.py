"""Read a scenario file and turn it into the parts of a run.

Reading reports every error at once as ``file:line: key: what is wrong``. Nothing is written before a
scenario has been read, its data loaded and its network built.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from biosim.checks import Check, known_metrics, parse_check
from biosim.equations import Level, Rule, parse_time
from biosim.errors import BiosimError, InputError, Key, did_you_mean, dotted
from biosim.options import Options, collect, further_rules, read_rules, rule_data
from biosim.roster import Rival, roster
from biosim.schedule import Schedule
from biosim.spec import CheckSpec, DriveSpec, GrowthSpec, HomeostasisSpec, NeuronDeathSpec, RetrainSpec, ScenarioSpec, ScheduleSpec
from biosim.yamlfile import Document, plain, read_yaml


@dataclass(frozen=True)
class Scenario:
    """A scenario read and checked.

    Attributes
    ----------
    spec : ScenarioSpec
    rule : Rule
        With the scenario's parameters.
    options : Options
        Feedback, plasticity, growth and neuron death.
    rules : dict of (Rule, Options)
        Further local rules by label.
    rivals : dict of Rival
        By the label that tables and checks use.
    checks : tuple of Check
    build : callable
        The model's ``build``.
    model_arguments : dict
    resolved : dict
        Everything above as plain data: what the run's id is the hash of.
    document : Document
    overrides : dict
        ``--set`` texts by key.
    """

    spec: ScenarioSpec
    rule: Rule
    options: Options
    rules: Mapping[str, tuple[Rule, Options]]
    rivals: Mapping[str, Rival]
    checks: tuple[Check, ...]
    build: Any
    model_arguments: dict[str, Any]
    resolved: dict[str, Any]
    document: Document
    overrides: Mapping[Key, str]

    @property
    def feedback(self) -> str | None:
        """What carries teaching signals, where a rule reads them."""
        return self.options.feedback

    @property
    def level(self) -> Level:
        """The highest locality level among the rules."""
        return self.options.level

    @property
    def seeds(self) -> tuple[int, ...]:
        """Search seed of each replicate."""
        return tuple(self.spec.seed + k for k in range(self.spec.replicates))

    @property
    def birth_seeds(self) -> tuple[int, ...]:
        """Births seed of each replicate."""
        first = self.spec.seed if self.spec.births_seed is None else self.spec.births_seed
        return tuple(first + k for k in range(self.spec.replicates))

    @property
    def id(self) -> str:
        """Ten hexadecimal digits: hash of the resolved scenario, biosim's version and the files used."""
        text = json.dumps(self.resolved, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    def error(self, error: InputError) -> BiosimError:
        """Return an error that says where in the scenario its key stands."""
        return BiosimError(_locate(self.document, self.overrides, error))


def read_scenario(path: Path, settings: Sequence[str] = ()) -> Scenario:
    """Read a scenario file, apply ``key=value`` settings, and check all that needs no data.

    Raises
    ------
    BiosimError
        With one line for every error found.
    """
    document = read_yaml(path)
    overrides = _apply(document, settings)
    errors: list[InputError] = []
    spec = _validate(document, errors)
    if spec is None:
        raise BiosimError("\n".join(_locate(document, overrides, e) for e in errors))
    rule, options = read_rules(spec, errors)
    collect(errors, ("schedule",), lambda: Schedule(**spec.schedule.model_dump()))
    collect(errors, ("drive", "presentation"), lambda: _presentation(spec))
    for index, mechanism in enumerate(spec.homeostasis):
        for option in sorted(mechanism.model_fields_set & {"target", "tau"}):
            if mechanism.kind != "synaptic-scaling":
                errors.append(InputError(f"{mechanism.kind} has no {option}; synaptic-scaling has", ("homeostasis", index, option)))
    build, arguments, source = _model(spec, errors)
    rivals = roster(spec, errors)
    rules = further_rules(spec, errors)
    for label in sorted(set(rules) & {*rivals}):
        errors.append(InputError(f"a rule and a rival are both called '{label}'; give one a label", ("rules",)))
    if len(set(spec.densities)) < len(spec.densities):
        errors.append(InputError(f"a density stands twice in {spec.densities}", ("densities",)))
    known = known_metrics({label: rival.regimes for label, rival in rivals.items()}, spec.densities, spec.retrain is not None, list(rules))
    checks = []
    for index, c in enumerate(spec.checks):
        checks.append(collect(errors, ("checks", index), lambda c=c: parse_check(c.name, c.value, c.needs, known)))
    if errors or rule is None or options is None:
        raise BiosimError("\n".join(_locate(document, overrides, e) for e in errors))
    resolved = {"scenario": spec.model_dump(), "rule": rule_data(rule, options.feedback), "model_source": source, "version": _version()}
    resolved |= options.data()
    if rules:
        resolved["rules"] = {label: {"rule": rule_data(r, o.feedback), **o.data()} for label, (r, o) in rules.items()}
    if users := {label: rival.sha256 for label, rival in rivals.items() if rival.sha256 is not None}:
        resolved["scorer_sources"] = users
    return Scenario(spec, rule, options, rules, rivals, tuple(c for c in checks if c), build, arguments, resolved, document, overrides)


def _version() -> str:
    from biosim import __version__

    return __version__


def _locate(document: Document, overrides: Mapping[Key, str], error: InputError) -> str:
    for key, text in overrides.items():
        if error.key[: len(key)] == key:
            return f"--set {text}: {dotted(error.key)}: {error.message}"
    return f"{document.locate(error.key)}: {error.message}"


# -- --set ----------------------------------------------------------------------------------------
def _apply(document: Document, settings: Sequence[str]) -> dict[Key, str]:
    """Apply ``a.b=value`` settings to the document's data; values are YAML."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    applied: dict[Key, str] = {}
    for text in settings:
        path, equals, raw = text.partition("=")
        if not equals or not path.strip():
            raise BiosimError(f"--set {text}: expected key=value, such as rule.rate=2000")
        parts: list[str | int] = [int(p) if p.isdigit() else p for p in path.strip().split(".")]
        try:
            value = plain(YAML(typ="rt").load(raw)) if raw.strip() else ""
        except YAMLError:
            value = raw
        _put(document.data, parts, value, text)
        applied[tuple(parts)] = text
    return applied


def _put(node: Any, parts: list[str | int], value: Any, text: str) -> None:
    for depth, part in enumerate(parts[:-1]):
        if isinstance(node, dict) and isinstance(node.get(str(part)), str) and part in ("rule", "plasticity", "readout", "model"):
            node[str(part)] = {"name": node[str(part)]}
        if isinstance(node, dict):
            node = node.setdefault(str(part), {})
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            raise BiosimError(f"--set {text}: there is no '{dotted(tuple(parts[: depth + 1]))}' to set")
    last = parts[-1]
    if isinstance(node, list) and isinstance(last, int) and last < len(node):
        node[last] = value
    elif isinstance(node, dict):
        node[str(last)] = value
    else:
        raise BiosimError(f"--set {text}: there is no '{dotted(tuple(parts))}' to set")


# -- the pieces -----------------------------------------------------------------------------------
def _validate(document: Document, errors: list[InputError]) -> ScenarioSpec | None:
    try:
        return ScenarioSpec.model_validate(document.data)
    except ValidationError as failure:
        for e in failure.errors():
            key = _real_key(e["loc"], document.data)
            if e["type"] == "extra_forbidden":
                known = _known_keys(key[:-1])
                message = f"unknown key{did_you_mean(str(key[-1]), known)}; keys here: {', '.join(known)}"
            elif e["type"] == "missing":
                message = "is missing"
            else:
                message = f"{e['msg'][0].lower()}{e['msg'][1:]}, not {e['input']!r}"
            error = InputError(message, key)
            if all(known_error.key != error.key for known_error in errors):
                errors.append(error)
        return None


def _real_key(loc: tuple[str | int, ...], data: Any) -> Key:
    """Drop from pydantic's location the tags of unions, which no file contains."""
    key: list[str | int] = []
    node = data
    for place, part in enumerate(loc):
        inside = (isinstance(node, dict) and part in node) or (isinstance(node, list) and isinstance(part, int) and part < len(node))
        if inside:
            node = node[part]
            key.append(part)
        elif place == len(loc) - 1 and isinstance(node, dict) and "[" not in str(part) and not str(part).endswith("Spec"):
            key.append(part)
    return tuple(key)


def _known_keys(key: Key) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "drive": DriveSpec, "schedule": ScheduleSpec, "homeostasis": HomeostasisSpec, "checks": CheckSpec,
        "growth": GrowthSpec, "retrain": RetrainSpec, "neuron_death": NeuronDeathSpec,
    }  # fmt: skip
    return list((sections.get(str(key[0]), ScenarioSpec) if key else ScenarioSpec).model_fields)


def _presentation(spec: ScenarioSpec) -> float:
    quantity = parse_time(spec.drive.presentation)
    if quantity.relative or quantity.value <= 0:
        raise InputError(f"must be a positive time such as 50 ms, not {spec.drive.presentation!r}")
    return quantity.value


def _model(spec: ScenarioSpec, errors: list[InputError]) -> tuple[Any, dict[str, Any], str]:
    """Load the model and check the scenario's arguments against the signature of its ``build``."""
    from biosim.library import find, load_module

    path = collect(errors, ("model",), lambda: find("models", spec.model.name))
    if path is None:
        return None, {}, ""
    build = getattr(load_module(path), "build", None)
    if build is None:
        errors.append(InputError(f"{path} has no function build(inputs, outputs, seeds, ...)", ("model", "name")))
        return None, {}, ""
    import typing

    hints = typing.get_type_hints(build)
    allowed = [n for n, p in inspect.signature(build).parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    arguments = {}
    for name, value in (spec.model.model_extra or {}).items():
        if name not in allowed:
            listing = ", ".join(allowed)
            message = f"model '{spec.model.name}' has no argument '{name}'{did_you_mean(name, allowed)}; it has: {listing}"
            errors.append(InputError(message, ("model", name)))
            continue
        try:
            arguments[name] = TypeAdapter(hints.get(name, Any)).validate_python(value)
        except ValidationError as failure:
            first = failure.errors()[0]
            errors.append(InputError(f"{first['msg'][0].lower()}{first['msg'][1:]}, not {value!r}", ("model", name)))
    return build, arguments, hashlib.sha256(path.read_bytes()).hexdigest()
