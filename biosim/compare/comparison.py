"""Compare circuits of several methods, each found by several searches on the same births.

Pairs between methods give the observed value, pairs within a method its ceiling, nulls what chance gives. Everything is
paired within a birth: births are the units of every interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.compare import causal, characters, flow, function, overlap, profiles
from biosim.compare.estimate import Estimate
from biosim.compare.group import Floats, Group, Layers, Pairs, beside, same_births
from biosim.compare.nulls import STRUCTURAL, draw_null
from biosim.errors import InputError, did_you_mean
from biosim.streams import generator

SAMPLES = 500
FEW = 5  # what needs activity is dear and varies little between draws: its nulls take a fifth as many


@dataclass(frozen=True)
class Family:
    """Measures that are computed together.

    Attributes
    ----------
    compute : callable
        (group, pairs) -> layers.
    measures : tuple of str
    nulls : tuple of str
        The first is the one that effect and ratio refer to.
    undefined : str
        When its measures have no value.
    few : bool
        Whether it needs activity, and takes a fifth of the draws of a null.
    """

    compute: Callable[[Group, Pairs], Layers]
    measures: tuple[str, ...]
    nulls: tuple[str, ...]
    undefined: str
    few: bool = False


FAMILIES: dict[str, Family] = {
    "overlap": Family(overlap.compare_overlap, overlap.MEASURES, ("degree-preserving", "layer-shuffle"), "no synapses are left to share"),
    "profiles": Family(profiles.compare_profiles, profiles.MEASURES, ("layer-shuffle",), "a profile that is the same for all neurons has no correlation"),
    "flow": Family(flow.compare_flow, flow.MEASURES, ("layer-shuffle", "degree-preserving"), "no path is left, or all carry the same"),
    "function": Family(
        function.compare_function, function.MEASURES, ("layer-shuffle", "independent-errors"), "a population is silent, or every answer right",
        few=True,
    ),
    "causal": Family(causal.compare_causal, causal.MEASURES, ("random-synapses",), "activity runs away", few=True),
}
PRIMARY = {"function.agreement": "independent-errors", "function.error_consistency": "independent-errors"}


def primary_null(family: str, measure: str) -> str:
    """Return the null that effect and ratio of a measure refer to."""
    return PRIMARY.get(f"{family}.{measure}", FAMILIES[family].nulls[0])


@dataclass
class Comparison:
    """What a comparison found.

    Attributes
    ----------
    reference : str
        The method all others are compared with.
    estimates : dict of list of Estimate
        By the other method's name; for every measure and layer one estimate a null, the primary null first.
    characters : list of Character
        What each method's circuits are by themselves, next to the same circuits shuffled.
    interventions : dict of dict of (n,)
        Accuracy by method and intervention, one value a birth.
    cka : dict of (P, P)
        By the other method's name and, after a slash, by method where it was searched twice: CKA of every population but the
        input with every other, of the first search (of each); mean over births.
    births, searches, nulls : int
        ``searches`` is the least any method has.
    classes : int
    """

    reference: str
    estimates: dict[str, list[Estimate]]
    characters: list[characters.Character]
    interventions: dict[str, dict[str, Floats]]
    cka: dict[str, Floats]
    populations: list[str]
    births: int
    searches: dict[str, int]
    nulls: int
    classes: int

    def primary(self, other: str) -> list[Estimate]:
        """Return the estimates against their primary nulls."""
        return [e for e in self.estimates[other] if e.null_kind == primary_null(*e.measure.split(".", 1))]

    def data(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "reference": self.reference,
            "births": self.births,
            "searches": self.searches,
            "nulls": self.nulls,
            "pairs": {other: [e.data() for e in own] for other, own in self.estimates.items()},
            "characters": [c.data() for c in self.characters],
            "interventions": {m: {k: _plain(v) for k, v in own.items()} for m, own in self.interventions.items()},
            "cka": {"populations": self.populations, **{name: [_plain(row) for row in m] for name, m in self.cka.items()}},
            "chance": 1 / self.classes,
        }


def _plain(values: Floats) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]


@dataclass
class _Plan:
    """Which circuits of a group belong together."""

    names: list[str]
    owner: list[int]
    pairs: list[tuple[int, int]]
    between: dict[str, list[int]] = field(default_factory=dict)
    within: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, circuits: Mapping[str, Sequence[Circuit]], reference: str) -> _Plan:
        names = list(circuits)
        owner = [k for k, name in enumerate(names) for _ in circuits[name]]
        places = {name: [i for i, k in enumerate(owner) if names[k] == name] for name in names}
        plan = cls(names, owner, [])
        for name in names:
            plan.within[name] = plan._add(combinations(places[name], 2))
            if name != reference:
                plan.between[name] = plan._add(product(places[reference], places[name]))
        return plan

    def _add(self, pairs: Any) -> list[int]:
        start = len(self.pairs)
        self.pairs += list(pairs)
        return list(range(start, len(self.pairs)))


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
        When circuits do not share their births, hold weights that are not numbers, or a family is unknown.
    """
    reference = next(iter(circuits)) if reference is None else reference
    check_families(families)
    if nulls < 2:
        raise InputError(f"a null needs at least 2 draws, not {nulls}", ("nulls",))
    everyone = [c for own in circuits.values() for c in own]
    same_births(everyone, [name if len(own) == 1 else f"{name}, search {k}" for name, own in circuits.items() for k in range(len(own))])
    if len(seeds) != everyone[0].replicates:
        raise InputError(f"{everyone[0].replicates} births need as many seeds, not {len(seeds)}", ("seeds",))
    plan = _Plan.of(circuits, reference)
    chosen = np.sort(generator(0, "compare/samples").permutation(len(labels))[:samples])
    tally = _Tally(plan, families, nulls)
    for r, seed in enumerate(seeds):
        group = Group.of(beside(everyone, r), inputs[chosen], labels[chosen])
        tally.birth(group, seed, None if progress is None else (lambda k, r=r: progress(r * nulls + k, nulls * len(seeds))))  # type: ignore[misc]
    return tally.result(reference, {name: len(own) for name, own in circuits.items()}, group.classes)


def check_families(families: Sequence[str]) -> None:
    """Refuse measures that there are not."""
    for name in families:
        if name not in FAMILIES:
            raise InputError(f"there are no measures '{name}'{did_you_mean(name, list(FAMILIES))}; there are: {', '.join(FAMILIES)}", ("measures",))
    if not families:
        raise InputError(f"name at least one of: {', '.join(FAMILIES)}", ("measures",))


class _Tally:
    """Collects observed and null values birth by birth."""

    def __init__(self, plan: _Plan, families: Sequence[str], nulls: int) -> None:
        self.plan, self.families, self.nulls = plan, tuple(dict.fromkeys(families)), nulls
        self.few = max(2, nulls // FEW)
        self.between = [i for own in plan.between.values() for i in own]
        self.observed: list[Layers] = []  # by birth
        self.null: list[dict[str, list[Layers]]] = []  # by birth, null kind, draw
        self.traits: list[characters.Traits] = []
        self.shuffled: list[dict[str, list[characters.Traits]]] = []
        self.accuracy: list[dict[str, Floats]] = []
        self.cka: list[dict[str, Floats]] = []
        self.populations: list[str] = []

    def birth(self, group: Group, seed: int, tell: Callable[[int], None] | None) -> None:
        """Take in one birth."""
        values: Layers = {}
        for name in self.families:
            values |= {f"{name}.{key}": v for key, v in FAMILIES[name].compute(group, self.plan.pairs).items()}
        self.observed.append(values)
        self.null.append({})
        if "function" in self.families:
            self.populations = [n for n, _, _ in group.circuit.populations[1:]]
            chosen = {name: own[0] for name, own in self.plan.between.items()} | {f"/{n}": own[0] for n, own in self.plan.within.items() if own}
            self.cka.append({name: function.cka_matrix(group, *self.plan.pairs[i]) for name, i in chosen.items()})
        self.traits.append(characters.characters(group))
        self.shuffled.append({kind: [] for kind in STRUCTURAL})
        for draw in range(self.nulls):
            self._draw(group, seed, draw)
            if tell is not None:
                tell(draw + 1)
        if "causal" in self.families:
            self.accuracy.append(causal.interventions(group, seed, self.few))

    def _draw(self, group: Group, seed: int, draw: int) -> None:
        pairs = [self.plan.pairs[i] for i in self.between]
        drawn: dict[str, Layers] = {}
        for kind in STRUCTURAL:
            users = [n for n in self.families if kind in FAMILIES[n].nulls and (draw < self.few or not FAMILIES[n].few)]
            other = group.become(draw_null(kind, group.circuit, seed, draw))
            self.shuffled[-1][kind].append(characters.characters(other))
            for name in users:
                drawn.setdefault(kind, {}).update({f"{name}.{k}": v for k, v in FAMILIES[name].compute(other, pairs).items()})
        if "function" in self.families:
            dealt = function.independent_errors(group, pairs, generator(seed, f"compare/independent-errors/{draw}"))
            drawn["independent-errors"] = {f"function.{k}": v for k, v in dealt.items()}
        if "causal" in self.families and draw < self.few:
            made = causal.random_synapses(group, pairs, seed, draw)
            drawn["random-synapses"] = {f"causal.{k}": v for k, v in made.items()}
        for kind, values in drawn.items():
            self.null[-1].setdefault(kind, []).append(values)

    def result(self, reference: str, searches: dict[str, int], classes: int) -> Comparison:
        """Return the finished comparison."""
        estimates = {other: self._estimates(reference, other) for other in self.plan.between}
        owner, names = self.plan.owner, self.plan.names
        found = characters.summarise(names, owner, self.traits, self.shuffled)
        kinds = self.accuracy[0] if self.accuracy else {}
        interventions = {
            name: {k: np.array([birth[k][:, [o == i for o in owner]].mean() for birth in self.accuracy]) for k in kinds}
            for i, name in enumerate(names)
        } if self.accuracy else {}  # fmt: skip
        cka = {name: np.mean([birth[name] for birth in self.cka], 0) for name in (self.cka[0] if self.cka else {})}
        return Comparison(reference, estimates, found, interventions, cka, self.populations, len(self.observed), searches, self.nulls, classes)

    def _estimates(self, reference: str, other: str) -> list[Estimate]:
        own, spot = self.plan.between[other], {i: k for k, i in enumerate(self.between)}
        columns = [spot[i] for i in own]
        found = []
        for key in self.observed[0]:
            family, measure, *layer = key.split(".", 2)
            first = primary_null(family, measure)
            kinds = sorted((k for k in self.null[0] if key in self.null[0][k][0]), key=lambda k: k != first)
            for kind in kinds:
                drawn = [[d[key][columns].mean() for d in birth[kind] if key in d] for birth in self.null]
                draws = np.array(drawn)  # (births, draws)
                ceilings = [
                    np.array([v[key][self.plan.within[name]].mean() for v in self.observed]) if self.plan.within[name] else None
                    for name in (other, reference)
                ]
                observed = np.array([v[key][own].mean() for v in self.observed])
                found.append(
                    Estimate(
                        f"{family}.{measure}", layer[0] if layer else "", kind, observed, draws.mean(1), draws.mean(0), *ceilings,
                        undefined=FAMILIES[family].undefined,
                    )  # fmt: skip
                )
        return found
