"""What a circuit is by itself, next to the same circuit shuffled.

    density            synapses left / born
    effective_share    effective synapses / synapses left
    excitatory         share of surviving synapses with positive weight
    percentile         mean percentile of abs(weight) among births, of the survivors; undefined where all have one size
    concentration      share of the path mass that starts in the tenth of the inputs with the most
    out_degree_spread  coefficient of variation of out-degrees over a population; in_degree_spread of in-degrees
    in_use             share of a hidden population's neurons that have inputs and outputs left
    two_paths          two-paths of each pair of signs through a hidden population, over all of its two-paths

Nulls: ``layer-shuffle`` and ``degree-preserving``, as for pairs. The effect is observed minus null, in the character's own unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from biosim.compare.estimate import hedges_g, student
from biosim.compare.flow import SIGNS, path_mass, two_paths
from biosim.compare.group import Floats, Group

Traits = dict[str, Floats]


@dataclass(frozen=True)
class Character:
    """A character of one method's circuits.

    Attributes
    ----------
    method, name, layer, null_kind : str
    observed, null : (n,)
        By birth, means over searches (and draws).
    between_searches : float or None
        Standard deviation over the searches of a birth, mean over births.
    """

    method: str
    name: str
    layer: str
    null_kind: str
    observed: Floats
    null: Floats
    between_searches: float | None

    def data(self) -> dict[str, Any]:
        """Return the character as plain data; what is undefined is None."""
        effect = self.observed - self.null
        whole = bool(np.isfinite(effect).all())
        return {
            "method": self.method,
            "character": self.name,
            "layer": self.layer,
            "null_kind": self.null_kind,
            "observed": float(self.observed.mean()) if np.isfinite(self.observed).all() else None,
            "observed_interval": student(self.observed),
            "null": float(self.null.mean()) if np.isfinite(self.null).all() else None,
            "effect": float(effect.mean()) if whole else None,
            "effect_interval": student(effect),
            "hedges_g": hedges_g(effect),
            "between_searches": self.between_searches,
        }


def characters(group: Group) -> Traits:
    """Return every character of every circuit of a group, (C,) by ``character`` or ``character.LAYER``."""
    circuit = group.circuit
    kept = sum(m.sum((1, 2)) for m in circuit.mask.values()) * np.ones(group.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Traits = {"density": circuit.density(), "effective_share": sum(m.sum((1, 2)) for m in group.effective.values()) / kept}
        for name, mask in circuit.mask.items():
            count = mask.sum((1, 2))
            found[f"excitatory.{name}"] = (mask & (circuit.weight[name] > 0)).sum((1, 2)) / count
            found[f"percentile.{name}"] = np.where(mask, group.percentile[name], 0).sum((1, 2), dtype=np.float64) / count
        found["concentration"] = _concentration(path_mass(circuit).sum(2))
        for name, pre, post in circuit.projections:
            for what, axis, population in (("out", 2, pre), ("in", 1, post)):
                degree = circuit.mask[name].sum(axis)
                found[f"{what}_degree_spread.{population} of {name}"] = degree.std(1) / degree.mean(1)
        for name, counts in two_paths(circuit).items():
            found[f"in_use.{name}"] = (counts.sum(1) > 0).mean(1)
            total = counts.sum((1, 2))
            found |= {f"two_paths_{signs}.{name}": counts[:, k].sum(1) / total for k, signs in enumerate(SIGNS)}
    return found


def _concentration(mass: Floats) -> Floats:
    top = max(1, round(0.1 * mass.shape[1]))
    total = mass.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sort(mass, 1)[:, -top:].sum(1) / total)


def summarise(
    names: Sequence[str], owner: Sequence[int], observed: Sequence[Traits], null: Sequence[dict[str, list[Traits]]]
) -> list[Character]:
    """Gather characters by method: ``observed`` by birth, ``null`` by birth, kind and draw."""
    found = []
    for k, method in enumerate(names):
        own = np.array([o == k for o in owner])
        for key in observed[0]:
            name, _, layer = key.partition(".")
            values = np.array([birth[key][own] for birth in observed])  # (births, searches)
            spread = float(values.std(1, ddof=1).mean()) if values.shape[1] > 1 and np.isfinite(values).all() else None
            for kind in null[0]:
                drawn = np.array([np.mean([d[key][own].mean() for d in birth[kind]]) for birth in null])
                found.append(Character(method, name, layer, kind, np.asarray(values.mean(1)), np.asarray(drawn, np.float64), spread))
    return found
