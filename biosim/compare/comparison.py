"""What a comparison found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from biosim.compare.characters import Character
from biosim.compare.estimate import Estimate
from biosim.compare.families import primary_null
from biosim.compare.group import Floats


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
    populations : list of str
        Rows and columns of ``cka``; empty without function.
    searches : dict of int
        By method.
    births, nulls, classes : int
    """

    reference: str
    estimates: dict[str, list[Estimate]]
    characters: list[Character]
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
