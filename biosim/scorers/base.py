"""What a scorer is, and how one turns births into a circuit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from biosim.circuit import Circuit
from biosim.drives.base import Drive
from biosim.errors import UndefinedError
from biosim.progress import Progress as Progress
from biosim.scorers.keep import Scope, gains_after, keep
from biosim.scorers.training import Training
from biosim.synapses import Network

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

    @property
    def scope(self) -> Scope:
        """Among whom edges compete, as for :func:`keep`; an option (a field) of most scorers."""
        ...

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
