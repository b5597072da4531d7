"""Compare circuits of several methods, each found by several searches on the same births.

Pairs between methods give the observed value, pairs within a method its ceiling, nulls what chance gives. Everything is
paired within a birth: births are the units of every interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.compare.comparison import Comparison
from biosim.compare.families import FAMILIES, check_families
from biosim.compare.group import Group, beside, same_births
from biosim.compare.tally import Plan, Tally
from biosim.errors import InputError
from biosim.streams import generator

SAMPLES = 500


def compare(
    circuits: Mapping[str, Sequence[Circuit]],
    inputs: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    *,
    seeds: Sequence[int],
    reference: str | None = None,
    families: Sequence[str] = tuple(FAMILIES),
    nulls: int = 100,
    samples: int = SAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare the circuits of several methods.

    Parameters
    ----------
    circuits : mapping
        By method, one circuit of R births a search.
    inputs, labels : (n, inputs) float32, (n,) int64
        Of which at most ``samples``, drawn once, are shown.
    seeds : sequence of int
        One a birth; of the nulls.
    reference : str, optional
        The method that all others are compared with; the first when left out.
    families : sequence of str
    nulls : int
        Draws of each null; those that need activity (function but for independent errors, causal, interventions) take a fifth.

    Raises
    ------
    InputError
        When circuits do not share their births, hold weights that are not numbers, or a family or the reference is unknown.
    """
    if not circuits or not all(circuits.values()):
        raise InputError("there is nothing to compare: every method needs at least one circuit", ("circuits",))
    reference = next(iter(circuits)) if reference is None else reference
    if reference not in circuits:
        raise InputError(f"there is no method '{reference}' to refer to; there are: {', '.join(circuits)}", ("reference",))
    check_families(families)
    if nulls < 2:
        raise InputError(f"a null needs at least 2 draws, not {nulls}", ("nulls",))
    everyone = [c for own in circuits.values() for c in own]
    same_births(everyone, [name if len(own) == 1 else f"{name}, search {k}" for name, own in circuits.items() for k in range(len(own))])
    if len(seeds) != everyone[0].replicates:
        raise InputError(f"{everyone[0].replicates} births need as many seeds, not {len(seeds)}", ("seeds",))
    plan = Plan.of(circuits, reference)
    chosen = np.sort(generator(0, "compare/samples").permutation(len(labels))[:samples])
    tally = Tally(plan, families, nulls)
    for r, seed in enumerate(seeds):
        group = Group.of(beside(everyone, r), inputs[chosen], labels[chosen])
        tally.birth(group, seed, None if progress is None else (lambda k, r=r: progress(r * nulls + k, nulls * len(seeds))))  # type: ignore[misc]
    return tally.result(reference, {name: len(own) for name, own in circuits.items()}, everyone[0].populations[-1][1])
