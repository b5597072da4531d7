"""Operations on a circuit that keep some of it and destroy the rest: the nulls and the causal tests.

Each takes a circuit of C replicates and returns one of C replicates. Where an operation changes how much arrives at
a population, its gains are scaled so that the mean of ``gain**2 * sum of squared incoming weights`` over its neurons
stays as it was: what an operation does is then never an effect of loudness alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit

Masks = dict[str, npt.NDArray[np.bool_]]


def layer_shuffle(circuit: Circuit, random: np.random.Generator) -> Circuit:
    """Place the synapses of each projection anew among its births, all places alike; counts and weights at birth stay.

    Two circuits shuffled so share a hypergeometric number of synapses.
    """
    return replace(
        circuit, mask={n: np.stack([_anywhere(m[k], circuit.born[n][k], random) for k in range(len(m))]) for n, m in circuit.mask.items()}
    )


def _anywhere(mask: npt.NDArray[np.bool_], born: npt.NDArray[np.bool_], random: np.random.Generator) -> npt.NDArray[np.bool_]:
    places = np.flatnonzero(born)
    found = np.zeros(mask.size, np.bool_)
    found[random.choice(places, int(mask.sum()), replace=False, shuffle=False)] = True
    return found.reshape(mask.shape)


def redraw_weights(circuit: Circuit, random: np.random.Generator) -> Circuit:
    """Deal the birth weights of each projection out anew among its births; the masks stay. The distribution is kept exactly."""
    weight = {}
    for name, old in circuit.weight.items():
        new = old.copy()
        for k in range(len(old)):
            places = circuit.born[name][k]
            new[k][places] = random.permutation(old[k][places])
        weight[name] = new
    return replace(circuit, weight=weight)


def flip_signs(circuit: Circuit, random: np.random.Generator) -> Circuit:
    """Change the sign of every weight or not, by the toss of a coin; masks and sizes stay.

    Changing all of them would cancel from layer to layer: relu(u) - relu(-u) = u.
    """
    weight = {n: np.where(random.random(w.shape) < 0.5, w, -w).astype(np.float32) for n, w in circuit.weight.items()}
    return replace(circuit, weight=weight)


def transplant(recipient: Circuit, donor: Circuit, population: str) -> Circuit:
    """Give the neurons of ``population`` the incoming synapses, weights and gains they have in the donor."""
    incoming = {n for n, _, post in recipient.projections if post == population}
    return replace(
        recipient,
        mask={n: donor.mask[n] if n in incoming else m for n, m in recipient.mask.items()},
        weight={n: donor.weight[n] if n in incoming else w for n, w in recipient.weight.items()},
        gain={n: donor.gain[n] if n == population else g for n, g in recipient.gain.items()},
    )


def union(first: Circuit, second: Circuit) -> Circuit:
    """Return the synapses that either has, with the weights of the first."""
    return with_masks(first, {n: m | second.mask[n] for n, m in first.mask.items()})


def intersection(first: Circuit, second: Circuit) -> Circuit:
    """Return the synapses that both have, with the weights of the first."""
    return with_masks(first, {n: m & second.mask[n] for n, m in first.mask.items()})


def random_union(first: Circuit, second: Circuit, random: np.random.Generator) -> Circuit:
    """Add to the first as many of its lost birth edges, drawn at random, as the second would add: the null of :func:`union`."""
    return with_masks(first, {n: m | _like(second.mask[n] & ~m, first.born[n] & ~m, random) for n, m in first.mask.items()})


def random_intersection(first: Circuit, second: Circuit, random: np.random.Generator) -> Circuit:
    """Keep of the first as many synapses, drawn at random, as it shares with the second: the null of :func:`intersection`."""
    return with_masks(first, {n: _like(second.mask[n] & m, m, random) for n, m in first.mask.items()})


def _like(counted: npt.NDArray[np.bool_], places: npt.NDArray[np.bool_], random: np.random.Generator) -> npt.NDArray[np.bool_]:
    return np.stack([_anywhere(c & p, p, random) for c, p in zip(counted, places, strict=True)])


def with_masks(circuit: Circuit, mask: Masks) -> Circuit:
    """Return the circuit with other masks, its gains scaled as the module says."""
    before, after = (_loudness(circuit, m) for m in (dict(circuit.mask), mask))
    gain = {}
    for name, old in circuit.gain.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            factor = np.sqrt(before[name] / after[name])
        factor = np.where(np.isfinite(factor) & (factor > 0), factor, 1.0)
        gain[name] = (old * factor[:, None]).astype(np.float32)
    return replace(circuit, mask=mask, gain=gain)


def _loudness(circuit: Circuit, mask: Masks) -> dict[str, npt.NDArray[np.float64]]:
    """Return the mean over neurons of gain**2 * sum of squared incoming weights, (C,) by population; 0 for the input."""
    total = {n: np.zeros(g.shape) for n, g in circuit.gain.items()}
    for name, _, post in circuit.projections:
        total[post] += np.einsum("kij,kij->kj", np.square(circuit.weight[name]), mask[name])
    return {n: (np.square(circuit.gain[n], dtype=np.float64) * t).mean(1) for n, t in total.items()}
