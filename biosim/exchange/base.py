"""What a format is, and the steps that several formats share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.lif import SpikingDynamics
from biosim.rundir.circuit_file import dynamics_of

PAIRS = 1_000_000_000  # (pre, post) pairs a circuit that is read may have: 6 bytes each
BLOCK = 4_000_000  # pairs looked at in one go
LONGEST = 2_000_000_000  # bytes of a text that is read
BEGINNING = 1 << 20  # letters that tell what a text is
Records = Sequence[Mapping[str, Any]]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Imported:
    """A circuit read from a file, and what a user should know of how it was read."""

    circuit: Circuit
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """One way a circuit travels.

    Attributes
    ----------
    name : str
        What ``--to`` and ``--as`` call it.
    about : str
        One line: what it is and who reads it.
    carries : str
        What survives the round trip.
    ending : str
        Of the file; empty where a folder is written.
    recognise : callable
        Whether a file is of this format; looks at no more than a beginning.
    write : callable, optional
        (circuit, path, records of the development) -> None.
    read : callable, optional
    replicates : bool
        Whether all replicates travel in one file.
    parts : tuple of str
        Names in the folder it writes, if it writes one; a folder that holds others is never overwritten.
    largest : int, optional
        Synapses it can carry; ``because`` says why no more.
    """

    name: str
    about: str
    carries: str
    ending: str
    recognise: Callable[[Path], bool]
    write: Callable[[Circuit, Path, Records], None] | None = None
    read: Callable[[Path], Imported] | None = None
    replicates: bool = False
    parts: tuple[str, ...] = ()
    largest: int | None = None
    because: str = ""


@dataclass(frozen=True)
class Edges:
    """The synapses of one projection as they stand in a file: neurons counted from 0, one weight each."""

    name: str
    pre: str
    post: str
    source: Index
    target: Index
    weight: npt.NDArray[Any]


@dataclass
class Diagram:
    """What a file says of populations: sizes, and where it says so activations, gains and settling."""

    sizes: dict[str, int]
    activations: Mapping[str, str] = field(default_factory=dict)
    gains: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    leak: Mapping[str, float] = field(default_factory=dict)
    steps: int = 1
    provenance: Mapping[str, Any] = field(default_factory=dict)
    spiking: SpikingDynamics | None = None
    ordered: bool = False  # whether sizes stand in the order activity travels

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> Diagram:
        """Return the diagram that :func:`biosim.rundir.circuit_file.describe` wrote."""
        populations = [(str(n), int(s), str(a)) for n, s, a in about["populations"]]
        sizes, activations = {n: s for n, s, _ in populations}, {n: a for n, _, a in populations}
        steps, leak, spiking = dynamics_of(about)
        return cls(sizes, activations, {}, leak, steps, dict(about["provenance"]), spiking, True)


def single(circuit: Circuit, k: int) -> Circuit:
    """Return replicate ``k`` alone."""

    def own(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        return {n: a[k : k + 1] for n, a in arrays.items()}

    provenance = dict(circuit.provenance)
    for name in ("seeds", "births_seeds"):
        if isinstance(provenance.get(name), list | tuple) and len(provenance[name]) == circuit.replicates:
            provenance[name] = [provenance[name][k]]
    return replace(
        circuit, mask=own(circuit.mask), born=own(circuit.born), weight=own(circuit.weight), gain=own(circuit.gain), provenance=provenance
    )


def synapses(circuit: Circuit) -> int:
    """Return how many synapses live in the replicate that has most."""
    return max(sum(int(np.count_nonzero(m[k])) for m in circuit.mask.values()) for k in range(circuit.replicates))


def survivors(circuit: Circuit, projection: str) -> Iterator[tuple[Index, Index, npt.NDArray[np.float32]]]:
    """Yield (pre, post, weight) of the first replicate's live synapses in blocks, by post and then by pre."""
    mask, weight = circuit.mask[projection][0], circuit.weight[projection][0]
    step = max(1, BLOCK // mask.shape[0])
    for start in range(0, mask.shape[1], step):
        post, pre = np.nonzero(mask[:, start : start + step].T)
        yield pre, post + start, weight[pre, post + start]


def edges_of(circuit: Circuit) -> list[Edges]:
    """Return the first replicate's live synapses, projection by projection."""
    found = []
    for name, pre, post in circuit.projections:
        source, target, weight = (np.concatenate(parts) for parts in zip(*survivors(circuit, name), strict=True))
        found.append(Edges(name, pre, post, source, target, weight))
    return found


def check_text(path: Path) -> None:
    """Refuse a text that is too long to be read."""
    if path.stat().st_size > LONGEST:
        raise BiosimError(f"{path}: a text of more than {LONGEST:.3g} bytes is not read; give the circuit as npz or sonata")


def check_pairs(path: Path, sizes: Mapping[str, int], ends: Sequence[tuple[str, str]]) -> None:
    """Refuse a circuit that would not fit in memory, before anything is allocated."""
    for name, size in sizes.items():
        if not 1 <= size <= PAIRS:
            raise BiosimError(f"{path}: population '{name}' has {size} neurons")
    pairs = 0
    for pre, post in ends:
        if pre not in sizes or post not in sizes:
            raise BiosimError(f"{path}: a projection leads from '{pre}' to '{post}', and one of them is no population of it")
        pairs += sizes[pre] * sizes[post]
    if pairs > PAIRS:
        raise BiosimError(f"{path}: {pairs:.3g} pairs of neurons are more than the {PAIRS:.3g} that a circuit here can hold")


def check_described(path: Path, about: Mapping[str, Any]) -> None:
    """Refuse a described circuit that would not fit in memory: see :func:`check_pairs`."""
    check_pairs(path, {str(n): int(s) for n, s, _ in about["populations"]}, [(str(a), str(b)) for _, a, b in about["projections"]])


def from_edges(path: Path, diagram: Diagram, edges: Sequence[Edges], notes: Sequence[str] = ()) -> Imported:
    """Return the circuit of one replicate that has these synapses; only they count as born.

    Parallel synapses of a pair are summed, and a note says so.
    """
    check_pairs(path, diagram.sizes, [(e.pre, e.post) for e in edges])
    if not edges:
        raise BiosimError(f"{path}: it holds no synapses")
    told = list(notes)
    mask: dict[str, npt.NDArray[np.bool_]] = {}
    weight: dict[str, npt.NDArray[np.float32]] = {}
    for e in edges:
        if e.name in mask:
            raise BiosimError(f"{path}: two projections are called '{e.name}'")
        mask[e.name], weight[e.name], own = _filled(path, e, diagram.sizes[e.pre], diagram.sizes[e.post])
        told += own
    order = list(diagram.sizes) if diagram.ordered else _order(list(diagram.sizes), [(e.pre, e.post) for e in edges])
    loops = any(order.index(e.pre) >= order.index(e.post) for e in edges)
    default = {n: "linear" if n == order[0] and not loops else "relu" for n in order}
    populations = tuple((n, diagram.sizes[n], diagram.activations.get(n, default[n])) for n in order)
    steps = max(diagram.steps, 2 if loops else 1)
    gain = {n: np.ones((1, s), np.float32) for n, s, _ in populations}
    gain |= {n: np.asarray(g, np.float32).reshape(1, -1) for n, g in diagram.gains.items()}
    projections = tuple((e.name, e.pre, e.post) for e in edges)
    provenance = dict(diagram.provenance) or {"scorer": "imported", "locality": "unknown", "file": path.name}
    born = {n: m.copy() for n, m in mask.items()}
    made = Circuit(populations, projections, mask, born, weight, gain, provenance, steps, dict(diagram.leak), diagram.spiking)
    return Imported(made, tuple(told))


def _filled(path: Path, e: Edges, pre: int, post: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32], list[str]]:
    """Return mask and weights of a projection, and what is to be said of them."""
    notes = []
    if not len(e.source) == len(e.target) == len(e.weight):
        raise BiosimError(f"{path}: projection '{e.name}' does not have as many sources as targets and weights")
    for what, ends, size in (("source", e.source, pre), ("target", e.target, post)):
        if len(ends) and not 0 <= int(ends.min()) <= int(ends.max()) < size:
            raise BiosimError(f"{path}: projection '{e.name}' has a {what} outside the {size} neurons of its population")
    with np.errstate(over="ignore"):
        values = e.weight.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise BiosimError(f"{path}: projection '{e.name}' has weights that are not finite, or too large for float32")
    mask, weight = np.zeros((1, pre, post), np.bool_), np.zeros((1, pre, post), np.float32)
    mask[0, e.source, e.target] = True
    merged = len(e.source) - int(np.count_nonzero(mask))
    if merged:
        np.add.at(weight[0], (e.source, e.target), values)
        notes.append(f"projection '{e.name}': {merged} parallel synapses were added to those between the same two neurons")
    else:
        weight[0, e.source, e.target] = values
    if e.weight.dtype != np.float32 and not merged and not np.array_equal(values, e.weight):
        notes.append(f"projection '{e.name}': weights were rounded to float32")
    return mask, weight, notes


def _order(names: list[str], ends: Sequence[tuple[str, str]]) -> list[str]:
    """Return populations in the order activity travels; as they stand where there are loops."""
    import networkx as nx

    graph: Any = nx.DiGraph()
    graph.add_nodes_from(names)
    graph.add_edges_from(ends)
    if not nx.is_directed_acyclic_graph(graph):
        return names
    place = {n: k for k, n in enumerate(names)}
    return list(nx.lexicographical_topological_sort(graph, key=place.__getitem__))
