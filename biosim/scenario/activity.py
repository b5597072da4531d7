"""A scenario in which a network develops from activity of any kind, and a measure of its own says what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from biosim import __version__
from biosim.equations import Level, Rule
from biosim.equations.vocabulary import TAUGHT
from biosim.errors import InputError
from biosim.library import find
from biosim.scenario.base import NetworkScenario, checks_of
from biosim.scenario.options import Options, check_homeostasis, collect, read_rules, rule_data, rules_apart
from biosim.scenario.parts import DRIVE, DRIVEN_MODEL, MEASURE, Part, file_hash
from biosim.scenario.source import Source
from biosim.scenario.spec import ActivityDriveSpec, ActivitySpec
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
    drive : Part
        The drive file's ``drive(network, *, ...)``.
    measure : Part
        The measure file's ``measure(development, drive, *, ...)``.
    """

    spec: ActivitySpec
    rule: Rule
    options: Options
    drive: Part
    measure: Part

    @property
    def level(self) -> Level:
        """The highest locality level among the rules."""
        return self.options.level

    @property
    def measures(self) -> dict[str, str]:
        """What the measure finds, with one line on each; checks call them ``measure.NAME``."""
        return self.measure.metrics


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
    model = DRIVEN_MODEL.read(spec.model.name, spec.model.model_extra, errors)
    drive = _drive(spec.drive, errors)
    measure = MEASURE.read(spec.measure.name, spec.measure.model_extra, errors)
    known = [f"circuit.{name}" for name in METRICS] + [f"measure.{name}" for name in (measure.metrics if measure else ())]
    checks = () if measure is None else checks_of(spec, known, errors)
    if errors or rule is None or options is None or model is None or drive is None or measure is None:
        raise source.refusal(errors)
    resolved = {
        "scenario": spec.model_dump(),
        "rule": rule_data(rule, None),
        "model_source": model.sha256,
        "drive_source": drive.sha256,
        "measure_source": measure.sha256,
        "version": __version__,
    }
    resolved |= options.data() | _substrate(model, spec, source)
    return ActivityScenario(spec, checks, resolved, source, tuple(known), model, rule, options, drive, measure)


def _substrate(model: Part, spec: ActivitySpec, source: Source) -> dict[str, str]:
    """Return the hash of the file of the substrate that the births of one replicate name, if they name one."""
    first = spec.seed if spec.births_seed is None else spec.births_seed
    try:
        network = model((first,))
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


def _drive(spec: ActivityDriveSpec, errors: list[InputError]) -> Part | None:
    if spec.kind == "images":
        why = "a network that is shown images is judged by its accuracy: leave measure out, or name another drive"
        errors.append(InputError(why, ("drive", "kind")))
        return None
    return DRIVE.read(spec.kind, spec.model_extra, errors)
