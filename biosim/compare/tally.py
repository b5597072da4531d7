"""Collects observed values and nulls birth by birth, and turns them into estimates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import numpy as np

from biosim.circuit import Circuit
from biosim.compare import causal, characters, function
from biosim.compare.comparison import Comparison
from biosim.compare.estimate import Estimate
from biosim.compare.families import FAMILIES, primary_null
from biosim.compare.group import Floats, Group, Layers
from biosim.compare.nulls import STRUCTURAL, draw_null
from biosim.streams import generator

FEW = 5  # what needs activity is dear and varies little between draws: its nulls take a fifth as many


@dataclass
class Plan:
    """Which circuits of a group belong together."""

    names: list[str]
    owner: list[int]
    pairs: list[tuple[int, int]]
    between: dict[str, list[int]] = field(default_factory=dict)
    within: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, circuits: Mapping[str, Sequence[Circuit]], reference: str) -> Plan:
        """Pair the circuits of ``reference`` with those of every other method, and those of each method among themselves."""
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


class Tally:
    """Collects observed and null values birth by birth."""

    def __init__(self, plan: Plan, families: Sequence[str], nulls: int) -> None:
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
            chosen = {name: own[0] for name, own in self.plan.between.items()} | {
                f"/{n}": own[0] for n, own in self.plan.within.items() if own
            }
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
        return Comparison(
            reference, estimates, found, interventions, cka, self.populations, len(self.observed), searches, self.nulls, classes
        )

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
                observed = np.array([v[key][own].mean() for v in self.observed])
                ceiling, own_ceiling = self._ceiling(key, other), self._ceiling(key, reference)
                place, reason = (layer[0] if layer else ""), FAMILIES[family].undefined
                against = (draws.mean(1), draws.mean(0), ceiling, own_ceiling)
                found.append(Estimate(f"{family}.{measure}", place, kind, observed, *against, reason))
        return found

    def _ceiling(self, key: str, method: str) -> Floats | None:
        """Return a measure between searches by one method, (births,); None for a method that was searched once."""
        pairs = self.plan.within[method]
        return np.array([v[key][pairs].mean() for v in self.observed]) if pairs else None
