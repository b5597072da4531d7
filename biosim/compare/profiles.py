"""Do neurons keep as many synapses, and of the same kind, in two circuits? Correlations of profiles across neurons.

For projection masks m_ij (1 where a synapse survived) and weights w_ij, a population's profile is one number a neuron:

    out_degree       sum_j m_ij          over all projections that leave it
    in_degree        sum_i m_ij          over all that arrive
    out_strength     sum_j m_ij w_ij     net: excitation minus inhibition (for strengths by sign see Rubinov & Sporns 2011)
    in_strength      sum_i m_ij w_ij
    sign             share of surviving incoming synapses with w_ij > 0
    percentile       mean percentile of abs(w_ij) among births, over surviving incoming synapses

Two circuits are compared by Pearson's correlation of a profile, neuron i of one with neuron i of the other: on shared
births neurons are the same neurons. A correlation is undefined, NaN, for populations of one neuron and for profiles
that are the same everywhere (in-degrees under a quota for each neuron; percentiles of signed-constant weights).
Neurons without incoming synapses are left out of ``sign`` and ``percentile``. Without a layer: mean over layers.
"""

from __future__ import annotations

import numpy as np

from biosim.circuit import Circuit
from biosim.compare.group import Floats, Group, Layers, Pairs, correlation, mean_of

MEASURES = ("out_degree", "in_degree", "out_strength", "in_strength", "sign", "percentile")


def profiles(group: Group) -> dict[str, Floats]:
    """Return every profile of every population, (C, size) by ``profile.POPULATION``."""
    circuit, found = group.circuit, _empty(group.circuit)
    positive = {n: np.zeros((group.size, s)) for n, s, _ in circuit.populations}
    ranks = {n: np.zeros((group.size, s)) for n, s, _ in circuit.populations}
    for name, pre, post in circuit.projections:
        mask, weight = circuit.mask[name], circuit.weight[name]
        kept = mask * weight
        for profile, values, axis, population in (
            ("out_degree", mask, 2, pre), ("in_degree", mask, 1, post), ("out_strength", kept, 2, pre), ("in_strength", kept, 1, post),
        ):  # fmt: skip
            found[f"{profile}.{population}"] += values.sum(axis, dtype=np.float64)
        positive[post] += (kept > 0).sum(1)
        ranks[post] += np.where(mask, group.percentile[name], 0).sum(1)
    for post in [n for n, _, _ in circuit.populations[1:]]:
        degree = found[f"in_degree.{post}"]
        with np.errstate(invalid="ignore", divide="ignore"):
            found[f"sign.{post}"], found[f"percentile.{post}"] = positive[post] / degree, ranks[post] / degree
    return {key: found[key] for measure in MEASURES for key in found if key.startswith(f"{measure}.")}


def _empty(circuit: Circuit) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for name, size, _ in circuit.populations:
        for side, place in (("out", 1), ("in", 2)):
            if any(p[place] == name for p in circuit.projections):
                found |= {f"{side}_{what}.{name}": np.zeros((circuit.replicates, size)) for what in ("degree", "strength")}
    return found


def compare_profiles(group: Group, pairs: Pairs) -> Layers:
    """Return correlations of profiles for pairs of circuits, by population: (P,) each."""
    layers: Layers = {}
    for key, values in profiles(group).items():
        found = []
        for a, b in pairs:
            counted = np.isfinite(values[a]) & np.isfinite(values[b])
            found.append(correlation(values[a][counted], values[b][counted]))
        layers[key] = np.array(found)
    means: Layers = {}
    for measure in MEASURES:
        means |= mean_of({k: v for k, v in layers.items() if k.startswith(f"{measure}.")}, measure)
    return means
