"""Which rivals a scenario runs: names, options and labels, ``all`` written out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biosim.errors import InputError
from biosim.spec import RivalSpec, ScenarioSpec

ALL = "all"


@dataclass(frozen=True)
class Rival:
    """A scorer with its options.

    Attributes
    ----------
    name : str
    options : mapping
    regimes : tuple of str
        ``frozen`` and ``retrained``; only the latter for a method that trains weights.
    """

    name: str
    options: Mapping[str, Any]
    regimes: tuple[str, ...]


def roster(spec: ScenarioSpec, errors: list[InputError]) -> dict[str, Rival]:
    """Return the rivals of a scenario by label; what is wrong goes to ``errors``.

    ``all`` stands for every scorer and every variant of it; a rival written out beside it under the same
    label takes its place.
    """
    from biosim.scorers import scorer_names, variants

    found: dict[str, Rival] = {}
    from_all: set[str] = set()
    for index, given in enumerate(spec.rivals):
        one = RivalSpec(name=given, label=None) if isinstance(given, str) else given
        options = dict(one.model_extra or {})
        if one.name == ALL:
            for key in ([*options] + ["label"] * (one.label is not None))[:1]:
                errors.append(InputError(f"'{ALL}' takes no {key}; write the rival out beside it", ("rivals", index, key)))
            for name in scorer_names():
                for label, preset in variants(name).items():
                    if label not in found:
                        found[label] = _rival(name, preset, ())
                        from_all.add(label)
            continue
        label = one.label or one.name
        try:
            rival = _rival(one.name, options, () if isinstance(given, str) else ("name",))
        except InputError as error:
            errors.append(InputError(error.message, ("rivals", index, *(() if isinstance(given, str) else error.key))))
            continue
        if label in found and label not in from_all:
            errors.append(InputError(f"two rivals are called '{label}'; give one a label", ("rivals", index)))
            continue
        found[label] = rival
        from_all.discard(label)
    return found


def _rival(name: str, options: Mapping[str, Any], key: tuple[str, ...]) -> Rival:
    from biosim.scorers import load_scorer, regimes

    try:
        scorer = load_scorer(name, options)
    except TypeError as error:  # an option of the wrong type met a comparison
        raise InputError(f"rival '{name}': an option has the wrong type: {error}", key) from None
    return Rival(name, options, regimes(scorer))
