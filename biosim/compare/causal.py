"""What a circuit's parts do: accuracy after an operation on its wiring, its weights, or its neighbours'.

One circuit (:func:`interventions`), its gains and counts kept:

    intact               as it is
    layer-shuffle        synapses placed anew within each projection
    degree-preserving    the same, every neuron's degrees kept (Curveball)
    redrawn-weights      birth weights dealt out anew within each projection; the wiring stays
    flipped-signs        every weight negated or not, by the toss of a coin; sizes and wiring stay

Two circuits (:func:`compare_causal`), each value the mean over both directions:

    transplant.POPULATION    the population gets the incoming synapses, weights and gains it has in the other circuit
    union, intersection      the synapses that either, or both, have

Their null, ``random-synapses``, transplants a layer-shuffled population, adds as many random births as the other circuit
would add, or keeps a random part as large as what is shared. An accuracy is undefined, NaN, where activity runs away.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from biosim.circuit import Circuit
from biosim.compare.function import circuit_accuracy
from biosim.compare.group import Floats, Group, Layers, Pairs, mean_of, take
from biosim.compare.nulls import draw_null
from biosim.compare.surgery import flip_signs, intersection, random_intersection, random_union, redraw_weights, transplant, union
from biosim.errors import NumericalError
from biosim.streams import generator

MEASURES = ("transplant", "union", "intersection")
INTERVENTIONS = ("intact", "layer-shuffle", "degree-preserving", "redrawn-weights", "flipped-signs")
AT_ONCE = 12  # circuits held in memory at a time

Operation = Callable[[Circuit, Circuit], Circuit]


def measured_accuracy(circuit: Circuit, group: Group) -> Floats:
    """Return the accuracy of every replicate on the group's samples; NaN where activity runs away."""
    try:
        return circuit_accuracy(circuit, group.inputs, group.labels)
    except NumericalError:
        if circuit.replicates == 1:
            return np.array([np.nan])
        return np.concatenate([measured_accuracy(take(circuit, [k]), group) for k in range(circuit.replicates)])


def interventions(group: Group, seed: int, draws: int) -> dict[str, Floats]:
    """Return accuracies by intervention, (draws, C); one draw where nothing is drawn."""
    circuit = group.circuit
    found = {"intact": measured_accuracy(circuit, group)[None]}
    for kind in ("layer-shuffle", "degree-preserving"):
        found[kind] = np.stack([measured_accuracy(draw_null(kind, circuit, seed, k), group) for k in range(draws)])
    for kind, change in (("redrawn-weights", redraw_weights), ("flipped-signs", flip_signs)):
        changed = (change(circuit, generator(seed, f"compare/{kind}/{k}")) for k in range(draws))
        found[kind] = np.stack([measured_accuracy(c, group) for c in changed])
    return found


def compare_causal(group: Group, pairs: Pairs) -> Layers:
    """Return accuracies after transplant, union and intersection for pairs of circuits: (P,) each."""
    return _both_ways(group, group.circuit, pairs, union, intersection)


def random_synapses(group: Group, pairs: Pairs, seed: int, draw: int) -> Layers:
    """Return the same with random synapses in place of the other circuit's."""
    random = generator(seed, f"compare/random-synapses/{draw}")
    donor = draw_null("layer-shuffle", group.circuit, seed, draw)
    return _both_ways(group, donor, pairs, partial(random_union, random=random), partial(random_intersection, random=random))


def _both_ways(group: Group, donor: Circuit, pairs: Pairs, either: Operation, both: Operation) -> Layers:
    """Run the operations with each circuit of a pair as the recipient; transplants come from ``donor``."""
    into, out_of = ([p[k] for p in pairs] + [p[1 - k] for p in pairs] for k in (0, 1))
    names = [n for n, _, _ in group.circuit.populations[1:]]
    jobs: dict[str, Callable[[list[int], list[int]], Circuit]] = {}
    for name in names:
        jobs[f"transplant.{name}"] = lambda a, b, name=name: transplant(take(group.circuit, a), take(donor, b), name)  # type: ignore[misc]
    jobs["union"] = lambda a, b: either(take(group.circuit, a), take(group.circuit, b))
    jobs["intersection"] = lambda a, b: both(take(group.circuit, a), take(group.circuit, b))
    found: Layers = {}
    for key, job in jobs.items():
        parts = []
        for start in range(0, len(into), AT_ONCE):
            parts.append(measured_accuracy(job(into[start : start + AT_ONCE], out_of[start : start + AT_ONCE]), group))
        found[key] = np.concatenate(parts).reshape(2, len(pairs)).mean(0)
    moved = {k: v for k, v in found.items() if k.startswith("transplant.")}
    return mean_of(moved, "transplant") | {k: found[k] for k in ("union", "intersection")}
