"""What a scorer is, where scorers are found, and how one turns births into a circuit."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints, runtime_checkable

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from torch import Tensor

from biosim.circuit import Circuit
from biosim.drives.base import Drive
from biosim.errors import InputError, UndefinedError, did_you_mean
from biosim.scorers.keep import SCOPES, Scope, gains_after, keep
from biosim.scorers.sources import Source, find_source, sources
from biosim.scorers.training import Training
from biosim.synapses import Network

Progress = Callable[[int, int, dict[str, float]], None]
Masks = Mapping[str, Tensor]
REGIMES = ("frozen", "retrained")


@dataclass(frozen=True)
class Task:
    """What a method is asked for.

    Attributes
    ----------
    network : Network
        The births; to be left untouched.
    drive : Drive
    densities : tuple of float
        One circuit is wanted at each.
    seeds : tuple of int
        One a replicate.
    training : Training
        How weights are trained, for methods that train them.
    like : callable, optional
        ``like(method, density)`` returns the masks another method of the run left, or None.
    progress : callable, optional
    """

    network: Network
    drive: Drive
    densities: tuple[float, ...]
    seeds: tuple[int, ...]
    training: Training = field(default_factory=Training)
    like: Callable[[str, float], Masks | None] | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class Made:
    """A circuit that a method made, or the reason why it has none.

    Attributes
    ----------
    target : float or None
        The density asked for; None where density cannot be asked for.
    masks : tuple of mapping
        (R, n_pre, n_post) bool by projection. A method that draws its masks at random gives several draws.
    gains : mapping or tuple of mapping, optional
        (R, size) by population, of all draws or of each; ``1/sqrt(target)`` when left out.
    start : mapping, optional
        (R, n_pre, n_post) weights, where they are not those at birth.
    seconds : float
        What it took to make this circuit alone.
    note : str
        Said in the table, of the frozen circuit.
    undefined : str
        Why there is no such circuit; the other fields are then empty.
    """

    target: float | None
    masks: tuple[Masks, ...] = ()
    gains: Masks | tuple[Masks, ...] | None = None
    start: Mapping[str, Tensor] | None = None
    seconds: float = 0.0
    note: str = ""
    undefined: str = ""

    def circuits(self, name: str, level: str, network: Network, seeds: tuple[int, ...]) -> list[Circuit]:
        """Return each draw as a frozen circuit."""
        about = provenance(name, level, seeds) | {"regime": "frozen"}
        gains = gains_after(network, self.target or 1.0, "layer") if self.gains is None else self.gains
        each = gains if isinstance(gains, tuple) else (gains,) * len(self.masks)
        return [Circuit.of(network, about, masks, own, self.start) for masks, own in zip(self.masks, each, strict=True)]


def provenance(name: str, level: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Return what a circuit says of the method that made it."""
    return {"scorer": name, "locality": level, "seeds": list(seeds)}


@runtime_checkable
class Scorer(Protocol):
    """Scores every birth edge; :func:`keep` turns scores into masks.

    A scorer is a dataclass named ``Scorer`` in a module of its own; its fields are the options a
    scenario may set, and the module's docstring says what it is and where it comes from. Class attributes
    it may add: ``variants`` (label -> options, what ``rivals: [all]`` runs), ``frozen_note`` (said of its
    frozen circuits in tables), ``regimes`` (``("retrained",)`` for a method that trains weights).
    """

    scope: Scope

    @property
    def level(self) -> str:
        """What the score reads, on the locality ladder: ``gradient``, ``network``, ``layer``; ``none`` for chance."""
        ...

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return (R, n_pre, n_post) scores by projection; must leave ``network`` untouched."""
        ...


@runtime_checkable
class Maker(Protocol):
    """Makes circuits itself, where a method is no ranking of edges at one density."""

    @property
    def level(self) -> str:
        """What it reads, as for a :class:`Scorer`."""
        ...

    def make(self, task: Task) -> Iterator[Made]:
        """Yield circuits, work they share done once; must leave ``task.network`` untouched."""
        ...


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


def regimes(scorer: Scorer | Maker) -> tuple[str, ...]:
    """Return the regimes a method has an answer in: a method that trains weights has no frozen circuit."""
    own = getattr(scorer, "regimes", REGIMES)
    return own if isinstance(own, tuple) else ()


def make(scorer: Scorer | Maker, task: Task) -> Iterator[Made]:
    """Yield the circuits a method makes, each with what it would have taken alone.

    Of a :class:`Maker`, whose circuits share their work, that is the time since it began.
    """
    if isinstance(scorer, Maker):
        yield from _timed(scorer, task)
        return
    note = str(getattr(scorer, "frozen_note", ""))
    for density in task.densities:
        began = time.perf_counter()
        try:
            scores = scorer.score(task.network, task.drive, density, task.seeds, task.progress)
            masks = keep(scores, task.network, density, scorer.scope, task.seeds)
        except UndefinedError as error:
            yield Made(density, undefined=error.message)
            continue
        gains = gains_after(task.network, density, scorer.scope)
        yield Made(density, (masks,), gains, seconds=time.perf_counter() - began, note=note)


def _timed(maker: Maker, task: Task) -> Iterator[Made]:
    spent, made = 0.0, maker.make(task)
    while True:
        began = time.perf_counter()
        try:
            one = next(made)
        except StopIteration:
            return
        spent += time.perf_counter() - began
        yield replace(one, seconds=spent)


def prune(
    name: str,
    scorer: Scorer | Maker,
    network: Network,
    drive: Drive,
    density: float,
    seeds: tuple[int, ...],
    progress: Progress | None = None,
) -> Circuit:
    """Return the circuit a method leaves of the births at a density (frozen regime).

    Summed inputs are scaled so that their size does not depend on how many synapses were kept (Ramanujan et al. 2020, section 5).

    Raises
    ------
    UndefinedError
        When the method has none.

    Examples
    --------
    >>> from biosim import ImageDrive, Network, load_images, load_scorer, prune
    >>> drive = ImageDrive(load_images("digits", train_size=200), batch=50, epochs=1)
    >>> network = Network.layered([64, 20, 10], seeds=[0, 1], weights="kaiming-normal")
    >>> prune("magnitude", load_scorer("magnitude"), network, drive, 0.25, (0, 1)).density()
    array([0.25, 0.25])
    """
    reason = "it made no circuit"
    for made in make(scorer, Task(network, drive, (density,), seeds, progress=progress)):
        if not made.undefined:
            return made.circuits(name, scorer.level, network, seeds)[0]
        reason = made.undefined
    raise UndefinedError(f"{name}: {reason}")
