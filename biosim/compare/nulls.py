"""What chance gives: circuits that keep some of a circuit and nothing else of it.

``layer-shuffle``          the synapses of each projection placed anew among its births: keeps how many
``degree-preserving``      Curveball trades within each projection: keeps every neuron's in- and out-degree as well
``independent-errors``     predictions dealt out anew among the samples of one true class: keeps each circuit's confusion matrix
``random-synapses``        of causal tests: the operation with synapses drawn at random in place of the other circuit's

Draw k of birth b comes from a stream of its own, so it is the same draw whatever else is computed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from biosim.circuit import Circuit
from biosim.compare.surgery import layer_shuffle
from biosim.graphs.nulls import curveball
from biosim.streams import generator

STRUCTURAL = ("layer-shuffle", "degree-preserving")


def degree_preserving(circuit: Circuit, seed: int, draw: int) -> Circuit:
    """Return each mask after Curveball trades that keep every in- and out-degree and respect births."""
    mask = {}
    for name, own in circuit.mask.items():
        parts = []
        for k, one in enumerate(own):
            born = circuit.born[name][k]
            bound = None if born.all() else born
            parts.append(curveball(one, 1, int(generator(seed, f"compare/{name}/{k}").integers(2**32)), born=bound, first=draw)[0])
        mask[name] = np.stack(parts)
    return replace(circuit, mask=mask)


def draw_null(kind: str, circuit: Circuit, seed: int, draw: int) -> Circuit:
    """Return draw number ``draw`` of a structural null of every circuit of a group, each drawn independently."""
    if kind == "degree-preserving":
        return degree_preserving(circuit, seed, draw)
    return layer_shuffle(circuit, generator(seed, f"compare/{kind}/{draw}"))
