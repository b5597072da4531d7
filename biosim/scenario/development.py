"""A scenario in which a network develops under local rules, and score-based rivals prune the same births."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from biosim import __version__
from biosim.compare.naming import comparison_metrics
from biosim.equations import Level, Rule, parse_seconds
from biosim.errors import InputError, did_you_mean
from biosim.nursery.fitting import uncounted
from biosim.rundir.artefacts import LOCAL
from biosim.scenario.base import NetworkScenario, checks_of
from biosim.scenario.checks import known_metrics
from biosim.scenario.options import Options, check_homeostasis, collect, further_rules, read_rules, rule_data, rules_apart
from biosim.scenario.parts import MODEL
from biosim.scenario.roster import Rival, roster
from biosim.scenario.source import Source
from biosim.scenario.spec import ScenarioSpec
from biosim.schedule import Schedule


@dataclass(frozen=True)
class DevelopmentScenario(NetworkScenario):
    """A network, what it is shown, the rules it develops under, and its rivals.

    Attributes
    ----------
    spec : ScenarioSpec
    rule : Rule
        With the scenario's parameters.
    options : Options
        Feedback, plasticity, growth and neuron death.
    rules : mapping of (Rule, Options)
        Further local rules by label.
    rivals : mapping of Rival
        By the label that tables and checks use.
    """

    spec: ScenarioSpec
    rule: Rule
    options: Options
    rules: Mapping[str, tuple[Rule, Options]]
    rivals: Mapping[str, Rival]

    @property
    def feedback(self) -> str | None:
        """What carries teaching signals, where a rule reads them."""
        return self.options.feedback

    @property
    def level(self) -> Level:
        """The highest locality level among the rules."""
        return self.options.level


def read_development(source: Source) -> DevelopmentScenario:
    """Check all that a scenario of this kind says and that needs no data.

    Raises
    ------
    BiosimError
        With one line for every error found.
    """
    errors: list[InputError] = []
    spec = source.validate(ScenarioSpec, errors)
    if spec is None:
        rules_apart(source.document.data, errors)
        raise source.refusal(errors)
    rule, options = read_rules(spec, errors)
    collect(errors, ("schedule",), lambda: Schedule(**spec.schedule.model_dump()))
    collect(errors, ("drive", "presentation"), lambda: parse_seconds(spec.drive.presentation))
    check_homeostasis(spec, errors)
    model = MODEL.read(spec.model.name, spec.model.model_extra, errors)
    rivals = roster(spec, errors)
    rules = further_rules(spec, errors)
    for label in sorted(set(rules) & {*rivals}):
        errors.append(InputError(f"a rule and a rival are both called '{label}'; give one a label", ("rules",)))
    if len(set(spec.densities)) < len(spec.densities):
        errors.append(InputError(f"a density stands twice in {spec.densities}", ("densities",)))
    own = [(rule, options)] if rule is not None and options is not None else []
    _free(spec, [r for one, beside in (*own, *rules.values()) for r in beside.rules(one)], errors)
    known = known_metrics({label: rival.regimes for label, rival in rivals.items()}, spec.densities, spec.retrain is not None, list(rules))
    _comparisons(spec, rivals, errors)
    if spec.comparisons is not None:
        compared = [n for n in (spec.comparisons.rivals or rivals) if n in rivals]
        known += comparison_metrics(compared, spec.comparisons.measures)
    checks = checks_of(spec, known, errors)
    if errors or rule is None or options is None or model is None:
        raise source.refusal(errors)
    resolved = {
        "scenario": spec.model_dump(),
        "rule": rule_data(rule, options.feedback),
        "model_source": model.sha256,
        "version": __version__,
    }
    resolved |= options.data()
    if rules:
        resolved["rules"] = {label: {"rule": rule_data(r, o.feedback), **o.data()} for label, (r, o) in rules.items()}
    if users := {label: rival.sha256 for label, rival in rivals.items() if rival.sha256 is not None}:
        resolved["scorer_sources"] = users
    return DevelopmentScenario(spec, checks, resolved, source, tuple(known), model, rule, options, rules, rivals)


def _free(spec: ScenarioSpec, rules: Sequence[Rule], errors: list[InputError]) -> None:
    """File every rule whose synapses compete, where no schedule says how many stay."""
    for rule in rules:
        if rule.role != "growth" and (why := uncounted(rule, spec.schedule.kind)) is not None:
            errors.append(InputError(why, ("schedule", "kind")))


def _comparisons(spec: ScenarioSpec, rivals: Mapping[str, Rival], errors: list[InputError]) -> None:
    if spec.comparisons is None:
        return
    names = spec.comparisons.rivals
    for index, name in enumerate(names or []):
        if name not in rivals:
            known = f"there are: {', '.join(rivals) or 'none'}"
            errors.append(
                InputError(f"no rival is called '{name}'{did_you_mean(name, list(rivals))}; {known}", ("comparisons", "rivals", index))
            )
    if not rivals or names == []:
        errors.append(InputError("the local circuit is compared with rivals, and there are none", ("comparisons",)))
    if LOCAL in rivals:
        errors.append(InputError(f"'{LOCAL}' is what comparisons call the local circuit; give the rival another label", ("rivals",)))
