"""What every scenario has, whatever kind of experiment it describes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from biosim.errors import BiosimError, InputError
from biosim.scenario.checks import Check, parse_check
from biosim.scenario.options import collect
from biosim.scenario.parts import Part
from biosim.scenario.source import Source
from biosim.scenario.spec import ExperimentSpec, NetworkSpec


@dataclass(frozen=True)
class Scenario:
    """A scenario read and checked; each kind of experiment adds what is its own.

    Attributes
    ----------
    spec : ExperimentSpec
        The file's content.
    checks : tuple of Check
    resolved : mapping
        Everything that decides the result, as plain data: what the run's id is the hash of.
    source : Source
    metrics : tuple of str
        Dotted names of what a run will measure: checks may refer to them.
    """

    spec: ExperimentSpec
    checks: tuple[Check, ...]
    resolved: Mapping[str, Any]
    source: Source
    metrics: tuple[str, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Search seed of each replicate."""
        return tuple(self.spec.seed + k for k in range(self.spec.replicates))

    @cached_property
    def id(self) -> str:
        """Ten hexadecimal digits: hash of the resolved scenario, biosim's version and the files used."""
        text = json.dumps(self.resolved, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    def error(self, error: InputError) -> BiosimError:
        """Return an error that says where in the scenario its key stands."""
        return BiosimError(self.source.locate(error))


@dataclass(frozen=True)
class NetworkScenario(Scenario):
    """A scenario with a model whose network is born and develops.

    Attributes
    ----------
    spec : NetworkSpec
    model : Part
        The model's ``build``.
    """

    spec: NetworkSpec
    model: Part

    @property
    def birth_seeds(self) -> tuple[int, ...]:
        """Births seed of each replicate."""
        first = self.spec.seed if self.spec.births_seed is None else self.spec.births_seed
        return tuple(first + k for k in range(self.spec.replicates))


def checks_of(spec: ExperimentSpec, known: Sequence[str], errors: list[InputError]) -> tuple[Check, ...]:
    """Return a file's checks, read against the names of what will be measured; file every error under its key."""
    read = [collect(errors, ("checks", k), lambda c=c: parse_check(c.name, c.value, c.needs, known)) for k, c in enumerate(spec.checks)]
    return tuple(check for check in read if check is not None)
