"""What a scorer is, where scorers are found, and how one turns births into a circuit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from biosim.circuit import Circuit
from biosim.drives.base import Drive
from biosim.errors import InputError, did_you_mean
from biosim.scorers.keep import Scope, gains_after, keep
from biosim.scorers.sources import Source, find_source, sources
from biosim.synapses import Network

Progress = Callable[[int, int, dict[str, float]], None]


@runtime_checkable
class Scorer(Protocol):
    """Scores every birth edge.

    A scorer is a dataclass named ``Scorer`` in a module of its own; its fields are the options a
    scenario may set, and the module's docstring says what it is and where it comes from.
    """

    scope: Scope

    @property
    def level(self) -> str:
        """What the score reads, on the locality ladder: ``gradient``, ``network``, ``layer``; ``none`` for chance."""

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return (R, n_pre, n_post) scores by projection; must leave ``network`` untouched."""


def scorer_names() -> list[str]:
    """Return the names of all scorers, as scenarios write them."""
    return list(sources())


def load_scorer(name: str, options: Mapping[str, Any] | None = None) -> Scorer:
    """Build a scorer by name, or by the path of its file.

    Raises
    ------
    InputError
        On an unknown name or option, or a file that holds no scorer.
    """
    source = find_source(name)
    made = source.load().Scorer
    allowed = list(inspect.signature(made).parameters)
    for key in options or {}:
        if key not in allowed:
            raise InputError(
                f"rival '{source.name}' has no option '{key}'{did_you_mean(key, allowed)}; it has: {', '.join(allowed) or 'none'}", (key,)
            )
    try:
        scorer = made(**(options or {}))
    except TypeError as error:
        raise InputError(f"rival '{source.name}' cannot be built: {error}", ("name",)) from None
    missing = [part for part in ("scope", "level", "score") if not hasattr(scorer, part)]
    if missing:
        raise InputError(f"the Scorer of {source.path} lacks {', '.join(missing)}", ("name",))
    found: Scorer = scorer
    return found


def check_scorers(wanted: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[list[Source], list[tuple[int, InputError]]]:
    """Build every scorer of a list once; return where they come from, and the errors with their places in the list."""
    found: list[Source] = []
    errors = []
    for index, (name, options) in enumerate(wanted):
        try:
            load_scorer(name, options)
            source = find_source(name)
            if any(s.name == source.name and s.path != source.path for s in found):
                raise InputError(f"two rivals are called '{source.name}'; give one of the files another name", ("name",))
            found.append(source)
        except InputError as error:
            errors.append((index, error))
    return found, errors


def for_epochs(drive: Drive, epochs: int | None) -> Drive:
    """Return a drive shown for another number of epochs, or as it is for None."""
    if epochs is None:
        return drive
    if not hasattr(drive, "epochs"):
        raise InputError("this drive has no epochs to set", ("epochs",))
    return replace(drive, epochs=epochs)  # type: ignore[type-var]


def prune(
    name: str, scorer: Scorer, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
) -> Circuit:
    """Score the births, keep the best, and return the circuit that is left (frozen regime).

    Every population's summed input is scaled by ``1/sqrt(density)``, so that its size does not depend
    on how many synapses were kept (Ramanujan et al. 2020, section 5).
    """
    scores = scorer.score(network, drive, density, seeds, progress)
    masks = keep(scores, network, density, scorer.scope, seeds)
    gains = gains_after(network, density, scorer.scope)
    return Circuit.of(network, {"scorer": name, "locality": scorer.level, "seeds": list(seeds)}, masks, gains)
