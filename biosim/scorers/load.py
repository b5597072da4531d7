"""A scorer by its name: built with options that are checked against its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from biosim.errors import InputError, did_you_mean
from biosim.scorer_sources import Source, find_source, sources
from biosim.scorers.base import REGIMES, Maker, Scorer, regimes
from biosim.scorers.keep import SCOPES, Scope


def scorer_names() -> list[str]:
    """Return the names of all scorers, as scenarios write them."""
    return list(sources())


def load_scorer(name: str, options: Mapping[str, Any] | None = None) -> Scorer | Maker:
    """Build a scorer by name, or by the path of its file.

    Raises
    ------
    InputError
        On an unknown name or option, or a file that holds no scorer.

    Examples
    --------
    >>> from biosim import load_scorer
    >>> load_scorer("edge-popup").level
    'gradient'
    >>> load_scorer("magnitude", {"scope": "neuron"}).level
    'neuron'
    """
    source, given = find_source(name), dict(options or {})
    build = source.load().Scorer
    signature = inspect.signature(build)
    allowed = list(signature.parameters)
    for key in given:
        if key not in allowed:
            listing = f"it has: {', '.join(allowed)}" if allowed else "it has none"
            raise InputError(f"rival '{source.name}' has no option '{key}'{did_you_mean(key, allowed)}; {listing}", (key,))
    given = _typed(source, build, given)
    try:
        signature.bind(**given)
    except TypeError as error:
        raise InputError(f"rival '{source.name}' cannot be built: {error}", ("name",)) from None
    try:
        scorer: Scorer | Maker = build(**given)
    except TypeError as error:  # an option met a comparison it cannot take part in
        raise InputError(f"rival '{source.name}' cannot be built: an option has the wrong type: {error}", ("name",)) from None
    parts = ("level", "make") if hasattr(scorer, "make") else ("scope", "level", "score")
    if missing := [part for part in parts if not hasattr(scorer, part)]:
        raise InputError(f"the Scorer of {source.path} lacks {', '.join(missing)}", ("name",))
    if not regimes(scorer) or not set(regimes(scorer)) <= set(REGIMES):
        raise InputError(f"the regimes of {source.path} must be a tuple of {' and '.join(REGIMES)}", ("name",))
    return scorer


def _typed(source: Source, build: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as the annotations of a scorer have them; one without annotation, or with one of its own making, as it is."""
    try:
        hints = get_type_hints(build)
    except (NameError, TypeError):
        return dict(given)
    found = dict(given)
    for key, value in given.items():
        if key == "scope" and value not in (scopes := SCOPES if source.own else get_args(Scope)):
            raise InputError(f"unknown scope '{value}'; there are: {', '.join(scopes)}", (key,))
        try:
            found[key] = TypeAdapter(hints.get(key, Any)).validate_python(value, strict=True)
        except ValidationError as error:
            if get_origin(hints[key]) is Literal:
                known = ", ".join(map(str, get_args(hints[key])))
                raise InputError(f"unknown {key} {value!r}; there are: {known}", (key,)) from None
            what = error.errors()[0]["msg"].removeprefix("Input should be ")
            raise InputError(f"of rival '{source.name}' should be {what}, not {value!r}", (key,)) from None
        except PydanticUserError:
            continue
    return found


def variants(name: str) -> dict[str, dict[str, Any]]:
    """Return what ``rivals: [all]`` runs of one scorer: options by label."""
    own = getattr(load_scorer(name), "variants", {name: {}})
    if not isinstance(own, Mapping) or not all(isinstance(options, Mapping) for options in own.values()):
        raise InputError(f"the variants of scorer '{name}' must map labels to options", ("name",))
    return {str(label): dict(options) for label, options in own.items()}
