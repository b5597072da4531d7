"""A scenario under several conditions: the same file with some keys changed, on the same seeds, compared by its checks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from biosim import __version__
from biosim.errors import BiosimError, InputError, Key
from biosim.scenario.base import Scenario, checks_of
from biosim.scenario.source import Source, put
from biosim.scenario.spec import ConditionsSpec


@dataclass(frozen=True)
class ConditionsScenario(Scenario):
    """The same scenario under each of its conditions.

    Attributes
    ----------
    spec : ConditionsSpec
    conditions : mapping of Scenario
        By name, in the file's order; their checks are this scenario's own.
    """

    spec: ConditionsSpec
    conditions: Mapping[str, Scenario]


def read_conditions(source: Source, read: Callable[[Source], Scenario]) -> ConditionsScenario:
    """Read the scenario under each condition with ``read``, and the checks over all of them.

    Raises
    ------
    BiosimError
        With one line for every error found.
    """
    errors: list[InputError] = []
    data = source.document.data
    shared = {key: data[key] for key in ConditionsSpec.model_fields if key in data}
    spec = replace(source, document=replace(source.document, data=shared)).validate(ConditionsSpec, errors)
    if spec is None:
        raise source.refusal(errors)
    conditions: dict[str, Scenario] = {}
    lines: list[str] = []
    for name, changes in spec.conditions.items():
        try:
            conditions[name] = read(_under(source, name, changes))
        except BiosimError as error:
            lines += [line for line in str(error).splitlines() if line not in lines]
    if lines:
        raise BiosimError("\n".join(lines))
    for name, scenario in conditions.items():
        if (scenario.spec.seed, scenario.spec.replicates) != (spec.seed, spec.replicates):
            errors.append(InputError("conditions are compared on the same seeds: leave seed and replicates out", ("conditions", name)))
    known = [f"{name}.{metric}" for name, scenario in conditions.items() for metric in scenario.metrics]
    checks = checks_of(spec, known, errors)
    if errors:
        raise source.refusal(errors)
    resolved = {"scenario": spec.model_dump(), "conditions": {n: dict(s.resolved) for n, s in conditions.items()}, "version": __version__}
    return ConditionsScenario(spec, checks, resolved, source, tuple(known), conditions)


def _under(source: Source, name: str, changes: Mapping[str, Any]) -> Source:
    """Return the source with the keys of one condition changed; an error in one is told of where the condition stands."""
    data = copy.deepcopy({k: v for k, v in source.document.data.items() if k not in ("conditions", "checks")})
    places: dict[Key, str | Key] = dict(source.overrides)
    for path, value in changes.items():
        parts: list[str | int] = [int(p) if p.isdigit() else p for p in path.split(".")]
        place: Key = ("conditions", name, path)
        try:
            put(data, parts, copy.deepcopy(value))
        except InputError as error:
            raise BiosimError(source.locate(InputError(error.message, place))) from None
        places[tuple(parts)] = place
    return Source(replace(source.document, data=data), places)
