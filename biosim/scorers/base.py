"""What a scorer is, where scorers are found, and how one turns births into a circuit."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from biosim.circuit import Circuit
from biosim.drives.base import Drive
from biosim.errors import InputError, UndefinedError, did_you_mean
from biosim.scorers.keep import Scope, keep
from biosim.scorers.training import Training
from biosim.synapses import Network

Progress = Callable[[int, int, dict[str, float]], None]
Masks = Mapping[str, Tensor]
_PRIVATE = {"base", "keep", "training"}


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
    gains : mapping, optional
        (R, size) by population; ``1/sqrt(target)`` when left out.
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
    gains: Mapping[str, Tensor] | None = None
    start: Mapping[str, Tensor] | None = None
    seconds: float = 0.0
    note: str = ""
    undefined: str = ""

    def circuits(self, name: str, level: str, network: Network, seeds: tuple[int, ...]) -> list[Circuit]:
        """Return each draw as a frozen circuit."""
        about = {"scorer": name, "locality": level, "seeds": list(seeds), "regime": "frozen"}
        gains = density_gains(network, self.target or 1.0) if self.gains is None else self.gains
        return [Circuit.of(network, about, masks, gains, self.start) for masks in self.masks]


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

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return (R, n_pre, n_post) scores by projection; must leave ``network`` untouched."""


@runtime_checkable
class Maker(Protocol):
    """Makes circuits itself, where a method is no ranking of edges at one density."""

    @property
    def level(self) -> str:
        """What it reads, as for a :class:`Scorer`."""

    def make(self, task: Task) -> Iterator[Made]:
        """Yield circuits, work they share done once; must leave ``task.network`` untouched."""


def scorer_names() -> list[str]:
    """Return the names of all scorers, as scenarios write them."""
    import biosim.scorers as package

    return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(package.__path__) if m.name not in _PRIVATE)


def load_scorer(name: str, options: Mapping[str, Any] | None = None) -> Scorer | Maker:
    """Build a scorer by name.

    Raises
    ------
    InputError
        On an unknown name or option.
    """
    if name not in scorer_names():
        raise InputError(f"unknown rival '{name}'{did_you_mean(name, scorer_names())}; there are: {', '.join(scorer_names())}", ("name",))
    module = importlib.import_module(f"biosim.scorers.{name.replace('-', '_')}")
    allowed = list(inspect.signature(module.Scorer).parameters)
    for key in options or {}:
        if key not in allowed:
            listing = f"it has: {', '.join(allowed)}" if allowed else "it has none"
            raise InputError(f"rival '{name}' has no option '{key}'{did_you_mean(key, allowed)}; {listing}", (key,))
    scorer: Scorer | Maker = module.Scorer(**(options or {}))
    return scorer


def variants(name: str) -> dict[str, dict[str, Any]]:
    """Return what ``rivals: [all]`` runs of one scorer: options by label."""
    own: Mapping[str, Mapping[str, Any]] = getattr(load_scorer(name), "variants", {name: {}})
    return {label: dict(options) for label, options in own.items()}


def regimes(scorer: Scorer | Maker) -> tuple[str, ...]:
    """Return the regimes a method has an answer in: a method that trains weights has no frozen circuit."""
    return tuple(getattr(scorer, "regimes", ("frozen", "retrained")))


def density_gains(network: Network, density: float) -> dict[str, Tensor]:
    """Return gains that hold summed inputs at their size at birth: ``1/sqrt(density)``.

    So that it does not depend on how many synapses were kept (Ramanujan et al. 2020, section 5).
    """
    gains = {n: torch.full_like(p.gain, 1 / math.sqrt(density)) for n, p in network.populations.items()}
    gains[next(iter(gains))].fill_(1.0)
    return gains


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
        yield Made(density, (masks,), seconds=time.perf_counter() - began, note=note)


def _timed(maker: Maker, task: Task) -> Iterator[Made]:
    spent, made = 0.0, maker.make(task)
    while True:
        began = time.perf_counter()
        try:
            one = next(made)
        except StopIteration:
            return
        spent += time.perf_counter() - began
        yield Made(one.target, one.masks, one.gains, one.start, spent, one.note, one.undefined)


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

    Raises
    ------
    UndefinedError
        When the method has none.
    """
    for made in make(scorer, Task(network, drive, (density,), seeds, progress=progress)):
        if not made.undefined:
            return made.circuits(name, scorer.level, network, seeds)[0]
        reason = made.undefined
    raise UndefinedError(f"{name}: {reason}")
