"""Motor axons on muscle fibres: at birth every axon has a terminal on every fibre."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from biosim.errors import InputError
from biosim.streams import generator
from biosim.synapses import Network, Population, Projection


def build(seeds: Sequence[int], *, axons: int = 8, fibres: int = 60, probability: float = 1.0, spread: float = 0.5) -> Network:
    """Build the births of one muscle a seed.

    An axon has the resource 1 to maintain terminals with and at birth spends half of it: a terminal's weight is
    ``u / (2 * fibres)``, u uniform in [1 - spread, 1 + spread].

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    axons, fibres : int
    probability : float
        Chance that an axon has a terminal on a fibre at birth; every fibre has at least one.
    spread : float
        Of the weights at birth, in [0, 1).
    """
    for name, count in (("axons", axons), ("fibres", fibres)):
        if count < 1:
            raise InputError(f"a muscle needs at least one of its {name}, not {count}", (name,))
    if not 0 < probability <= 1:
        raise InputError(f"the chance of a terminal must lie in (0, 1], not {probability}", ("probability",))
    if not 0 <= spread < 1:
        raise InputError(f"the spread of the weights must lie in [0, 1), not {spread}", ("spread",))
    weight, born = np.zeros((len(seeds), axons, fibres), np.float32), np.zeros((len(seeds), axons, fibres), np.bool_)
    for r, seed in enumerate(seeds):
        weight[r] = generator(seed, "births/terminals").uniform(1 - spread, 1 + spread, (axons, fibres)) / (2 * fibres)
        born[r] = generator(seed, "edges/terminals").random((axons, fibres)) < probability
        first = generator(seed, "edges/first").integers(0, axons, fibres)
        born[r, first, np.arange(fibres)] |= ~born[r].any(0)
    nerve, muscle = Population("axons", axons, "linear"), Population("fibres", fibres, "linear")
    terminals = Projection("axons-fibres", nerve, muscle, torch.from_numpy(weight * born), torch.from_numpy(born))
    return Network([nerve, muscle], [terminals])
