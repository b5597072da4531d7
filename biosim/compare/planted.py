"""Did a method find the subnetwork that was hidden in the births?

With F the synapses kept and P those planted, n_l births, f_l kept and p_l planted in layer l,

    precision = |F & P| / |F|        recall = |F & P| / |P|

    by chance: the same with |F & P| replaced by its mean sum_l f_l p_l / n_l, were each layer's synapses kept anywhere

Chance depends on how a method spreads its synapses over layers, so it stands beside every value.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.graphs.nulls import shared_by_chance


def precision_and_recall(circuit: Circuit, planted: Mapping[str, npt.NDArray[np.bool_]]) -> dict[str, npt.NDArray[np.float64]]:
    """Return precision and recall of every replicate, and what chance gives; precision is NaN where nothing is kept."""
    kept, hidden, shared, expected = np.zeros((4, circuit.replicates))
    for name, own in planted.items():
        f, p, n = (x.sum((1, 2)) for x in (circuit.mask[name], own, circuit.born[name]))
        kept, hidden, shared = kept + f, hidden + p, shared + (circuit.mask[name] & own).sum((1, 2))
        expected = expected + shared_by_chance(n, f, p)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": shared / kept,
            "recall": shared / hidden,
            "chance_precision": expected / kept,
            "chance_recall": expected / hidden,
        }
