"""Circuits of several methods and searches on one birth, side by side.

A :class:`Group` is a circuit whose replicate axis lists circuits instead of births, so that every measure and
every null runs on all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata

from biosim.circuit import Circuit
from biosim.effective import on_path
from biosim.errors import InputError
from biosim.synapses import Network

Floats = npt.NDArray[np.float64]
Pairs = Sequence[tuple[int, int]]
Layers = dict[str, Floats]
"""(P,) values, one a pair of circuits, by ``measure`` (whole circuit) and ``measure.LAYER``."""


def same_births(circuits: Sequence[Circuit], names: Sequence[str] | None = None) -> None:
    """Make sure that circuits were carved from the same births, so that their synapses can be matched.

    Raises
    ------
    InputError
        When populations, projections, birth edges or (of frozen circuits) birth weights differ, or a weight is not a number.
    """
    names = [f"circuit {k}" for k in range(len(circuits))] if names is None else names
    for name, circuit in zip(names, circuits, strict=True):
        for projection, weight in circuit.weight.items():
            bad = ~np.isfinite(weight).all((1, 2))
            if bad.any():
                raise InputError(f"{name}: weights of {projection} are not numbers (replicate {int(np.flatnonzero(bad)[0])})")
    first, own = circuits[0], names[0]
    for other, name in zip(circuits[1:], names[1:], strict=True):
        if _shape(first) != _shape(other):
            raise InputError(f"{own} and {name} do not share their births: their populations or projections differ")
        if first.replicates != other.replicates:
            raise InputError(f"{own} has {first.replicates} replicates and {name} has {other.replicates}; compare equal numbers")
        for projection in first.born:
            if (first.born[projection] != other.born[projection]).any():
                raise InputError(f"{own} and {name} do not share their births: birth edges of {projection} differ")
            trained = any(c.provenance.get("regime") == "retrained" or "plasticity" in c.provenance for c in (first, other))
            if not trained and not np.array_equal(first.weight[projection], other.weight[projection]):
                raise InputError(
                    f"{own} and {name} do not share their births: birth weights of {projection} differ; run both on one births_seed"
                )


def _shape(circuit: Circuit) -> tuple[object, ...]:
    """Return what births have to share: sizes and wiring; what neurons do with their inputs is the substrate's."""
    return [(name, size) for name, size, _ in circuit.populations], circuit.projections


def beside(circuits: Sequence[Circuit], replicate: int) -> Circuit:
    """Return one replicate of several circuits as a circuit with a replicate for each of them."""

    def stack(which: str) -> dict[str, npt.NDArray[Any]]:
        return {n: np.stack([getattr(c, which)[n][replicate] for c in circuits]) for n in getattr(circuits[0], which)}

    return replace(circuits[0], provenance={}, mask=stack("mask"), born=stack("born"), weight=stack("weight"), gain=stack("gain"))


def take(circuit: Circuit, chosen: npt.ArrayLike) -> Circuit:
    """Return some replicates of a circuit, in the order asked for."""
    index = np.asarray(chosen, np.int64)

    def of(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        return {n: values[index] for n, values in arrays.items()}

    return replace(circuit, mask=of(circuit.mask), born=of(circuit.born), weight=of(circuit.weight), gain=of(circuit.gain))


@dataclass(frozen=True)
class Group:
    """Circuits on one birth, and the samples they are shown.

    Attributes
    ----------
    circuit : Circuit
        (C, ...) a circuit a replicate.
    inputs : (n, inputs) float32
    labels : (n,) int64
    percentile : mapping
        (1 or C, n_pre, n_post) by projection: percentile, 0 to 1, of a weight's magnitude among those born; NaN
        where all have the same magnitude.
    diagram : Network
        Whose populations and projections tell paths.
    """

    circuit: Circuit
    inputs: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    percentile: dict[str, npt.NDArray[np.float32]]
    diagram: Network

    @classmethod
    def of(cls, circuit: Circuit, inputs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Group:
        """Return a group with its weights ranked."""
        ranks = {n: _percentiles(circuit.weight[n], circuit.born[n]) for n in circuit.weight}
        return cls(circuit, inputs, labels, ranks, take(circuit, [0]).network)

    def become(self, circuit: Circuit) -> Group:
        """Return the same group with other masks, weights or gains; the percentiles stay those of the births."""
        return replace(self, circuit=circuit)

    @property
    def size(self) -> int:
        """Number of circuits."""
        return self.circuit.replicates

    @cached_property
    def effective(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Synapses on an input-to-output path, (C, n_pre, n_post) by projection."""
        found = on_path(self.diagram, {n: torch.from_numpy(m) for n, m in self.circuit.mask.items()})
        return {n: np.asarray(m) for n, m in found.items()}

    @cached_property
    def activity(self) -> dict[str, npt.NDArray[np.float32]]:
        """Responses of each population to the samples, (C, n, size)."""
        return self.circuit.activity(self.inputs)

    @cached_property
    def predictions(self) -> npt.NDArray[np.int64]:
        """Predicted classes, (C, n)."""
        return np.asarray(self.activity[self.circuit.populations[-1][0]].argmax(-1))


def _percentiles(weight: npt.NDArray[np.float32], born: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    alike = all(np.array_equal(w, weight[0]) for w in weight[1:])
    found = np.full((1 if alike else len(weight), *weight.shape[1:]), np.nan, np.float32)
    for k in range(len(found)):
        sizes = np.abs(weight[k][born[k]])
        if sizes.size and sizes.min() < sizes.max():
            found[k][born[k]] = rankdata(sizes) / sizes.size
    return found


def correlation(first: Floats, second: Floats) -> float:
    """Return Pearson's correlation; NaN where one of the two is constant, or shorter than two."""
    if first.size < 2:
        return float("nan")
    a, b = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    if scale <= 1e-12 * max(float(first @ first), float(second @ second), 1e-300):
        return float("nan")
    return float(a @ b) / scale


def mean_of(layers: Layers, name: str) -> Layers:
    """Return ``layers`` with the mean over all layers of ``name`` put first, under ``name`` itself."""
    own = np.array([v for key, v in layers.items() if key.startswith(f"{name}.")])
    with np.errstate(invalid="ignore"):
        counted = np.isfinite(own).sum(0)
        mean = np.where(counted > 0, np.nansum(own, 0) / np.maximum(counted, 1), np.nan)
    return {name: mean, **layers}
