"""A scenario in which a network develops from activity of any kind, and a measure of its own says what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from biosim import __version__
from biosim.arguments import checked_arguments
from biosim.equations import Level, Rule
from biosim.equations.vocabulary import TAUGHT
from biosim.errors import InputError, Key
from biosim.library import find, load_module
from biosim.scenario.arguments import file_hash, function_of, model_of
from biosim.scenario.base import NetworkScenario, checks_of
from biosim.scenario.options import Options, check_homeostasis, collect, read_rules, rule_data, rules_apart
from biosim.scenario.source import Source
from biosim.scenario.spec import ActivityDriveSpec, ActivitySpec, MeasureSpec
from biosim.schedule import Schedule
from biosim.synapses import Network

METRICS = ("density", "effective_density", "synapses", "neurons", "final_cut", "peak_density")


@dataclass(frozen=True)
class ActivityScenario(NetworkScenario):
    """A network, what drives it, the rules it develops under, and what is measured in the end.

    Attributes
    ----------
    spec : ActivitySpec
    rule : Rule
        With the scenario's parameters.
    options : Options
        Plasticity, growth and neuron death.
    drive : callable
        The drive file's ``drive(network, *, ...)``.
    drive_arguments : mapping
    measure : module
        The measure's file.
    measure_arguments : mapping
    """

    spec: ActivitySpec
    rule: Rule
    options: Options
    drive: Callable[..., Any]
    drive_arguments: Mapping[str, Any]
    measure: ModuleType
    measure_arguments: Mapping[str, Any]

    @property
    def level(self) -> Level:
        """The highest locality level among the rules."""
        return self.options.level

    @property
    def measures(self) -> dict[str, str]:
        """What the measure finds, with one line on each; checks call them ``measure.NAME``."""
        return dict(self.measure.METRICS)


def read_activity(source: Source) -> ActivityScenario:
    """Check all that a scenario of this kind says and that needs no network.

    Raises
    ------
    BiosimError
        With one line for every error found.
    """
    errors: list[InputError] = []
    spec = source.validate(ActivitySpec, errors)
    if spec is None:
        rules_apart(source.document.data, errors)
        raise source.refusal(errors)
    rule, options = read_rules(spec, errors)
    for key, one in (("rule", rule), ("plasticity", options.plasticity if options else None)):
        if one is not None and TAUGHT & one.names:
            errors.append(
                InputError(f"'{one.name}' reads a teaching signal, and only a readout that is shown labelled images has one", (key,))
            )
    collect(errors, ("schedule",), lambda: Schedule(**spec.schedule.model_dump()))
    check_homeostasis(spec, errors)
    build, arguments, model_hash = model_of(spec.model, errors, ("seeds",), "a network that such a drive runs")
    drive, drive_arguments, drive_hash = _drive(spec.drive, errors)
    measure, measure_arguments, measure_hash = _measure(spec.measure, errors)
    known = [f"circuit.{name}" for name in METRICS] + [f"measure.{name}" for name in getattr(measure, "METRICS", ())]
    checks = () if measure is None else checks_of(spec, known, errors)
    if errors or rule is None or options is None or drive is None or measure is None:
        raise source.refusal(errors)
    resolved = {
        "scenario": spec.model_dump(),
        "rule": rule_data(rule, None),
        "model_source": model_hash,
        "drive_source": drive_hash,
        "measure_source": measure_hash,
        "version": __version__,
    }
    resolved |= options.data() | _substrate(build, spec, arguments, source)
    own = drive, drive_arguments, measure, measure_arguments
    return ActivityScenario(spec, checks, resolved, source, tuple(known), build, arguments, rule, options, *own)


def _substrate(build: Callable[..., Any], spec: ActivitySpec, arguments: Mapping[str, Any], source: Source) -> dict[str, str]:
    """Return the hash of the file of the substrate that the births of one replicate name, if they name one."""
    first = spec.seed if spec.births_seed is None else spec.births_seed
    try:
        network = build((first,), **arguments)
    except InputError as error:
        raise source.refusal([error.under("model")]) from None
    if not isinstance(network, Network):
        raise source.refusal([InputError(f"build() returned {type(network).__name__}, not a Network", ("model", "name"))])
    if network.substrate is None:
        return {}
    try:
        return {"substrate_source": file_hash(find("substrates", network.substrate))}
    except InputError as error:
        raise source.refusal([InputError(error.message, ("model", "name"))]) from None


def _drive(spec: ActivityDriveSpec, errors: list[InputError]) -> tuple[Callable[..., Any] | None, dict[str, Any], str]:
    """Load a drive; return its ``drive``, the scenario's arguments checked against its signature, and the file's hash."""
    key: Key = ("drive", "kind")
    if spec.kind == "images":
        errors.append(InputError("a network that is shown images is judged by its accuracy: leave measure out, or name another drive", key))
        return None, {}, ""
    try:
        path = find("drives", spec.kind)
    except InputError as error:
        errors.append(InputError(f"{error.message}; and images", key))
        return None, {}, ""
    function = function_of(load_module(path), path, "drive", ("network",), "a drive", key, errors)
    if function is None:
        return None, {}, ""
    arguments, wrong = checked_arguments(function, spec.model_extra or {}, "drive", spec.kind)
    errors += wrong
    return function, arguments, file_hash(path)


def _measure(spec: MeasureSpec, errors: list[InputError]) -> tuple[ModuleType | None, dict[str, Any], str]:
    """Load a measure; return its module, the scenario's arguments checked against its signature, and the file's hash."""
    path = collect(errors, ("measure",), lambda: find("measures", spec.name))
    if path is None:
        return None, {}, ""
    module, key = load_module(path), ("measure", "name")
    function = function_of(module, path, "measure", ("development", "drive"), "a measure", key, errors)
    if not isinstance(getattr(module, "METRICS", None), Mapping):
        errors.append(InputError(f"{path} has no METRICS, a mapping of what it measures to one line on each", key))
        return None, {}, ""
    if function is None:
        return None, {}, ""
    arguments, wrong = checked_arguments(function, spec.model_extra or {}, "measure", spec.name)
    errors += wrong
    return module, arguments, file_hash(path)
