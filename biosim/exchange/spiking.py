"""Spiking survivors as a circuit that travels: populations, births, masks and signed weights, without the neurons' dynamics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biosim.circuit import Circuit
from biosim.exchange.base import check_pairs

if TYPE_CHECKING:
    from biosim.spiking.survivor import SpikingCircuit


def as_circuit(path: Path, survivors: SpikingCircuit) -> Circuit:
    """Return the wiring of a spiking network as dense arrays.

    The weight of a synapse is ``scale * weight`` (signed, in the unit of the network), rounded to float32; of a dead one it
    is that at birth. Populations have the activation ``spiking``: such a circuit travels, and is not run as a rate circuit.
    """
    sizes = {name: size for name, (size, _) in survivors.populations.items()}
    ends = [(pre, post) for pre, post, _ in survivors.projections.values()]
    check_pairs(path, sizes, ends * survivors.replicates)
    mask, born, weight = {}, {}, {}
    for name, (pre, post, scale) in survivors.projections.items():
        shape = (survivors.replicates, sizes[pre], sizes[post])
        mask[name], born[name], weight[name] = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_), np.zeros(shape, np.float32)
        for r, wiring in enumerate(survivors.wiring[name]):
            alive = wiring.alive
            born[name][r, wiring.pre, wiring.post] = True
            mask[name][r, wiring.pre[alive], wiring.post[alive]] = True
            np.add.at(weight[name][r], (wiring.pre, wiring.post), scale * np.where(alive, wiring.weight, wiring.birth_weight))
    order = list(sizes)
    loops = any(order.index(pre) >= order.index(post) for pre, post in ends)
    signs = {name: sign for name, (_, sign) in survivors.populations.items()}
    about = {"kind": "spiking", "locality": "unknown", "dt": survivors.dt, "plastic": list(survivors.plastic), "signs": signs}
    return Circuit(
        tuple((name, size, "spiking") for name, size in sizes.items()),
        tuple((name, pre, post) for name, (pre, post, _) in survivors.projections.items()),
        mask, born, weight,
        {name: np.ones((survivors.replicates, size), np.float32) for name, size in sizes.items()},
        about,
        2 if loops else 1,
    )  # fmt: skip
