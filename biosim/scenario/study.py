"""A scenario that puts a question to a study: a file of ``studies/`` that measures one thing, replicate by replicate."""

from __future__ import annotations

from dataclasses import dataclass

from biosim import __version__
from biosim.errors import InputError
from biosim.scenario.base import Scenario, checks_of
from biosim.scenario.parts import STUDY, Part
from biosim.scenario.source import Source
from biosim.scenario.spec import StudyScenarioSpec


@dataclass(frozen=True)
class StudyScenario(Scenario):
    """A study with its arguments.

    Attributes
    ----------
    spec : StudyScenarioSpec
    study : Part
        The file's ``run(seeds, *, ...)``, or ``run(seeds, *, ..., progress)``.
    """

    spec: StudyScenarioSpec
    study: Part

    @property
    def measures(self) -> dict[str, str]:
        """What the study measures, with one line on each; checks call them ``study.NAME``."""
        return self.study.metrics


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
    study = STUDY.read(spec.study.name, spec.study.model_extra, errors)
    known = [f"study.{name}" for name in (study.metrics if study else ())]
    checks = () if study is None else checks_of(spec, known, errors)
    if errors or study is None:
        raise source.refusal(errors)
    resolved = {"scenario": spec.model_dump(), "study_source": study.sha256, "version": __version__}
    return StudyScenario(spec, checks, resolved, source, tuple(known), study)
