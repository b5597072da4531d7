"""Which rivals a scenario runs: names, options and labels, ``all`` written out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biosim.errors import InputError
from biosim.scenario.spec import RivalSpec, ScenarioSpec
from biosim.scorer_sources import find_source
from biosim.scorers import load_scorer, regimes, scorer_names, variants

ALL = "all"


@dataclass(frozen=True)
class Rival:
    """A scorer with its options.

    Attributes
    ----------
    name : str
        Of the scorer, or the path of its file.
    options : mapping
    regimes : tuple of str
        ``frozen`` and ``retrained``; only the latter for a method that trains weights.
    sha256 : str, optional
        Of the scorer's file, where biosim does not ship it.
    """

    name: str
    options: Mapping[str, Any]
    regimes: tuple[str, ...]
    sha256: str | None = None


def roster(spec: ScenarioSpec, errors: list[InputError]) -> dict[str, Rival]:
    """Return the rivals of a scenario by label; what is wrong goes to ``errors``.

    ``all`` stands for every scorer and every variant of it, plugins and those in ./scorers/ among them; a rival
    written out beside it under the same label takes its place.
    """
    found: dict[str, Rival] = {}
    from_all: set[str] = set()
    for index, given in enumerate(spec.rivals):
        one = RivalSpec(name=given, label=None) if isinstance(given, str) else given
        options = dict(one.model_extra or {})
        if one.name == ALL:
            for key in ([*options] + ["label"] * (one.label is not None))[:1]:
                errors.append(InputError(f"'{ALL}' takes no {key}; write the rival out beside it", ("rivals", index, key)))
            for label, rival in _everyone(index, errors).items():
                if label not in found:
                    found[label] = rival
                    from_all.add(label)
            continue
        try:
            label = one.label or find_source(one.name).name
            rival = _rival(one.name, options)
        except InputError as error:
            errors.append(InputError(error.message, ("rivals", index, *(() if isinstance(given, str) else error.key))))
            continue
        if label in found and label not in from_all:
            errors.append(InputError(f"two rivals are called '{label}'; give one a label", ("rivals", index)))
            continue
        found[label] = rival
        from_all.discard(label)
    return found


def _everyone(index: int, errors: list[InputError]) -> dict[str, Rival]:
    """Return every scorer with its variants, by label."""
    found: dict[str, Rival] = {}
    for name in scorer_names():
        try:
            for label, options in variants(name).items():
                if label in found:
                    raise InputError(f"two rivals are called '{label}': variants of {found[label].name} and of {name}")
                found[label] = _rival(name, options)
        except InputError as error:
            errors.append(InputError(error.message, ("rivals", index)))
    return found


def _rival(name: str, options: Mapping[str, Any]) -> Rival:
    source = find_source(name)
    return Rival(name, options, regimes(load_scorer(name, options)), None if source.own else source.sha256)
