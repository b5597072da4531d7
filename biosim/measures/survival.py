"""Who survived: density, inputs left on each neuron, and the weights of the survivors, by projection."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.develop import Development
from biosim.drives import Drive
from biosim.errors import InputError, did_you_mean
from biosim.findings import Findings
from biosim.synapses import Network

METRICS = {
    "density": "synapses left over synapses born",
    "in_degree": "synapses left on a postsynaptic neuron, mean",
    "in_degree_at_birth": "the same at birth",
    "fewest_inputs": "synapses left on the neuron that has fewest",
    "most_inputs": "synapses left on the neuron that has most",
    "weight": "mean weight of the synapses left",
}


def check(network: Network, drive: Drive, *, projection: str | None = None) -> None:
    """Refuse a projection that the network does not have."""
    known = list(network.projections)
    if projection is not None and projection not in known:
        message = f"the network has no projection '{projection}'{did_you_mean(projection, known)}; it has: {', '.join(known)}"
        raise InputError(message, ("projection",))


def measure(development: Development, drive: Drive, *, projection: str | None = None) -> Findings:
    """Count and weigh the survivors.

    Parameters
    ----------
    development : Development
    drive : Drive
        Not asked.
    projection : str, optional
        The metrics are of this one; of all together when left out. The table has a row for each in either case.
    """
    circuit = development.circuit
    names = [name for name, _, _ in circuit.projections]
    rows = []
    for name in names:
        own = _survivors(circuit, [name])
        for r in range(circuit.replicates):
            rows.append({"projection": name, "replicate": r} | {metric: float(values[r]) for metric, values in own.items()})
    return Findings({}, {"survival": rows}, {n: v.tolist() for n, v in _survivors(circuit, [projection] if projection else names).items()})


def _survivors(circuit: Circuit, names: list[str]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the metrics of these projections together, (R,) each; a weight is NaN where nothing is left."""
    left = np.concatenate([circuit.mask[n].sum(1) for n in names], 1)
    born = np.concatenate([circuit.born[n].sum(1) for n in names], 1)
    total: Any = sum((circuit.weight[n] * circuit.mask[n]).sum((1, 2), dtype=np.float64) for n in names)
    count = left.sum(1)
    return {
        "density": count / born.sum(1),
        "in_degree": left.mean(1),
        "in_degree_at_birth": born.mean(1),
        "fewest_inputs": left.min(1).astype(np.float64),
        "most_inputs": left.max(1).astype(np.float64),
        "weight": np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0),
    }
