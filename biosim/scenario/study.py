"""A scenario that puts a question to a study: a file of ``studies/`` that measures one thing, replicate by replicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from biosim import __version__
from biosim.arguments import checked_arguments
from biosim.errors import InputError
from biosim.library import find, load_module
from biosim.scenario.arguments import file_hash
from biosim.scenario.base import Scenario, checks_of
from biosim.scenario.options import collect
from biosim.scenario.source import Source
from biosim.scenario.spec import StudyScenarioSpec


@dataclass(frozen=True)
class StudyScenario(Scenario):
    """A study with its arguments.

    Attributes
    ----------
    spec : StudyScenarioSpec
    study : callable
        The file's ``run(seeds, *, ...)``, or ``run(seeds, *, ..., progress)``.
    arguments : mapping
    measures : mapping
        What the study measures, with one line on each; checks call them ``study.NAME``.
    """

    spec: StudyScenarioSpec
    study: Callable[..., Any]
    arguments: Mapping[str, Any]
    measures: Mapping[str, str]


def read_study(source: Source) -> StudyScenario:
    """Check all that a study's scenario says.

    Raises
    ------
    BiosimError
        With one line for every error found.
    """
    errors: list[InputError] = []
    spec = source.validate(StudyScenarioSpec, errors)
    if spec is None:
        raise source.refusal(errors)
    path = collect(errors, ("study",), lambda: find("studies", spec.study.name))
    if path is None:
        raise source.refusal(errors)
    module = load_module(path)
    study, metrics = getattr(module, "run", None), getattr(module, "METRICS", None)
    if study is None or not isinstance(metrics, Mapping):
        message = f"{path} needs a function run(seeds, *, ...) and METRICS, a mapping of what it measures to one line on each"
        raise source.refusal([InputError(message, ("study", "name"))])
    arguments, wrong = checked_arguments(study, spec.study.model_extra or {}, "study", spec.study.name)
    errors += wrong
    known = [f"study.{name}" for name in metrics]
    checks = checks_of(spec, known, errors)
    if errors:
        raise source.refusal(errors)
    resolved = {"scenario": spec.model_dump(), "study_source": file_hash(path), "version": __version__}
    return StudyScenario(spec, checks, resolved, source, tuple(known), study, arguments, metrics)
