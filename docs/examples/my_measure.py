"""How pure a cell's inputs are: the share of its synapses that come from its most frequent group."""

from __future__ import annotations

import numpy as np

from biosim import Development
from biosim.drives import Drive
from biosim.findings import Findings

METRICS = {
    "purity": "share of a cell's synapses that come from its most frequent group, mean over cells that have any",
    "purity_at_birth": "the same at birth",
}


def measure(development: Development, drive: Drive) -> Findings:
    """Return one value a replicate for each name in METRICS.

    Parameters
    ----------
    development : Development
    drive : Drive
        Must have ``groups``.
    """
    circuit = development.circuit
    groups = drive.groups
    (name, _, _) = circuit.projections[0]
    return Findings({}, {}, {"purity": _purity(circuit.mask[name], groups), "purity_at_birth": _purity(circuit.born[name], groups)})


def _purity(mask: np.ndarray, groups: int) -> list[float]:
    counts = np.stack([mask[:, k::groups].sum(1) for k in range(groups)])  # (group, replicate, cell)
    total = counts.sum(0)
    return [float((own.max(0)[n > 0] / n[n > 0]).mean()) for own, n in zip(counts.swapaxes(0, 1), total, strict=True)]
