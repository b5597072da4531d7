"""The life of a run's network as the viewer shows it: populations in order, edges by projection and replicate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.errors import BiosimError, UndefinedError
from biosim.graphs import Graph, communities
from biosim.report.packing import Edges, dense_edges
from biosim.store import Run

SORTED = 400_000  # survivors of a replicate that are searched for communities
STARTS = 2


@dataclass(frozen=True)
class Life:
    """What is known of a network from birth to the end of development.

    Attributes
    ----------
    populations : dict of int
        Sizes by name, in the order activity travels.
    projections : dict of (str, str)
        Pre- and postsynaptic population by name.
    replicates : int
    size : int
        Births of a replicate, or what they are at most.
    steps : int
        After which all that is on record has happened.
    seconds : float
        Of developmental time that ``clock`` steps take.
    clock : int
    edges : callable
        (projection, replicate) -> :class:`Edges`.
    weights : str
        What the weights on record are.
    notes : tuple of str
        What the record leaves out.
    recorded : tuple of (int, list of float)
        Steps and the density of each replicate then, where the edges on record do not give it.
    """

    populations: dict[str, int]
    projections: dict[str, tuple[str, str]]
    replicates: int
    size: int
    steps: int
    seconds: float
    clock: int
    edges: Callable[[str, int], Edges]
    weights: str
    notes: tuple[str, ...] = ()
    recorded: tuple[tuple[int, list[float]], ...] = ()

    def pixels(self, side: list[int] | None) -> dict[str, list[int]]:
        """Return the populations that are images, by name: height and width of each."""
        first, size = next(iter(self.populations.items()))
        return {first: side} if side is not None and len(side) == 2 and side[0] * side[1] == size else {}


def life_of(run: Run) -> Life | None:
    """Return the life of a run's network; None where the run has no network of its own."""
    if run.kind == "spiking":
        return _spiking(run)
    return _rates(run) if run.kind in ("development", "activity") else None


def _rates(run: Run) -> Life:
    circuit, history = run.circuit, run.history
    with run.dataset() as data:
        deaths = {name: data[f"death_step.{name}"].values for name, _, _ in circuit.projections}
        known = {name: data[f"formed_step.{name}"].values for name in deaths if f"formed_step.{name}" in data}
    for name, death in deaths.items():
        if death.shape != circuit.mask[name].shape:
            raise BiosimError(f"{run.folder}: the death steps of projection '{name}' do not fit its circuit")
    clock = int(history[-1]["step"])
    last = max(int(death.max(initial=-1)) for death in deaths.values())
    notes = []
    grows, regrows = "growth" in run.about, "regrow" in run.about["rule"]
    if grows and not known:
        notes.append("Synapses formed during development; the run has no record of when, so they are shown from the start.")
    if regrows:
        notes.append("Lost synapses could come back; only the last life of each is on record, so earlier moments show too few of them.")

    def edges(name: str, r: int) -> Edges:
        return dense_edges(deaths[name][r], known[name][r] if name in known else None, circuit.weight[name][r])

    weights = "at the end, or when the synapse died" if run.about.get("plastic") else "as born; they never change"
    sizes = {name: size for name, size, _ in circuit.populations}
    ends = {name: (pre, post) for name, pre, post in circuit.projections}
    seconds = float(history[-1]["time"])
    steps, short = max(clock, last + 1), regrows or (grows and not known)
    recorded = tuple((int(r["step"]), [float(d) for d in r["density"]]) for r in history) if short else ()
    size = sum(death[0].size for death in deaths.values())
    return Life(sizes, ends, circuit.replicates, size, steps, seconds, clock, edges, weights, tuple(notes), recorded)


def _spiking(run: Run) -> Life:
    circuit, history = run.spiking_circuit, run.history
    seconds = float(history[-1]["time"])
    clock = max(1, round(seconds / circuit.dt))
    names = circuit.plastic or tuple(circuit.projections)

    def edges(name: str, r: int) -> Edges:
        own, scale = circuit.wiring[name][r], circuit.projections[name][2]
        order = np.lexsort((own.post, own.pre))
        pre, post = own.pre[order].astype(np.int64), own.post[order].astype(np.int64)
        death = own.death_step[order].astype(np.int64)  # the steps that had been taken when it died: it is gone from then on
        died = np.where(death < 0, -1, np.maximum(death - 1, 0))
        return Edges(pre, post, np.full(len(pre), -1), died, scale * own.birth_weight[order], len(pre))

    sizes = {name: size for name, (size, _) in circuit.populations.items()}
    ends = {name: circuit.projections[name][:2] for name in names}
    rest = [name for name in circuit.projections if name not in names]
    notes = (f"Projections that no rule governed are not shown: {', '.join(rest)}.",) if rest else ()
    births = max(sum(len(circuit.wiring[n][r].pre) for n in names) for r in range(circuit.replicates))
    return Life(sizes, ends, circuit.replicates, births, clock, seconds, clock, edges, "at birth", notes)


def order_of(life: Life, edges: Mapping[str, Edges]) -> tuple[dict[str, npt.NDArray[np.int64]], dict[str, list[int]], float | None]:
    """Return the neurons of each population sorted by community, how many belong to each, and the modularity.

    Communities are those of the survivors of one replicate, all projections together; within one, neurons stand in order of
    degree. Where the survivors are too many, or none, there are no communities, and neurons stand in order of degree.
    """
    shift = dict(zip(life.populations, np.cumsum([0, *life.populations.values()]), strict=False))
    nodes = sum(life.populations.values())
    source, target = (np.concatenate(parts) for parts in zip(*_survivors(life, edges, shift), strict=True))
    degree = np.bincount(source, minlength=nodes) + np.bincount(target, minlength=nodes)
    labels, score = np.zeros(nodes, np.int64), None
    if 0 < len(source) <= SORTED:
        try:
            found = communities(Graph.from_edges(nodes, source, target, parallel="sum"), starts=STARTS)
            labels, score = found.labels, found.modularity
        except UndefinedError:
            pass
    orders, groups = {}, {}
    for name, size in life.populations.items():
        own = slice(shift[name], shift[name] + size)
        orders[name] = np.lexsort((-degree[own], labels[own]))
        groups[name] = [int(n) for n in np.bincount(labels[own]) if n]
    return orders, groups, score


def _survivors(
    life: Life, edges: Mapping[str, Edges], shift: dict[str, Any]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    for name, (pre, post) in life.projections.items():
        own = edges[name]
        kept = own.died == -1
        yield own.pre[kept] + shift[pre], own.post[kept] + shift[post]
