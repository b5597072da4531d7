"""Layers of spiking neurons for tests."""

from __future__ import annotations

from typing import Any

from biosim.lif import Encoding, SpikingDynamics
from biosim.synapses import Network

DYNAMICS = SpikingDynamics(encoding=Encoding("regular", window=0.02, peak=500.0))


def spiking(seeds: tuple[int, ...] = (0, 1), hidden: tuple[int, ...] = (20,), **options: Any) -> Network:
    options.setdefault("weights", "signed-constant")
    return Network.layered([36, *hidden, 4], seeds, spiking=options.pop("dynamics", DYNAMICS), **options)
