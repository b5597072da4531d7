"""Do two circuits keep the same synapses? Observed overlap, next to what chance gives.

For masks a and b over the same n births, with s shared and a + b - s kept by either,

    Jaccard  J = s / (a + b - s)
    Cohen's kappa  k = (p_o - p_e) / (1 - p_e),   p_o = (n - a - b + 2 s)/n,   p_e = (a b + (n - a)(n - b))/n**2

(Cohen 1960, https://doi.org/10.1177/001316446002000104). *Direct* masks hold every surviving synapse, *effective*
masks those on an input-to-output path. Chance: the same counts anywhere (s is then hypergeometric, mean a*b/n), or
the same in- and out-degrees (Curveball). Undefined, NaN, where neither circuit has a synapse, or both have all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.compare.group import Floats, Group, Layers, Pairs
from biosim.errors import InputError
from biosim.graphs.nulls import shared_by_chance

MEASURES = ("jaccard", "kappa", "effective_jaccard", "effective_kappa")


@dataclass(frozen=True)
class Overlap:
    """Overlap of two masks over one projection's births; every field is (R,).

    Attributes
    ----------
    jaccard : ndarray
        Shared synapses over synapses in either.
    chance : ndarray
        Jaccard at the mean shared count of two independent random masks with the same counts: with a and b kept of n, that is
        a*b/n, and chance = (a*b/n) / (a + b - a*b/n). The exact mean: :func:`biosim.graphs.nulls.hypergeometric`.
    deviation : ndarray
        Standard deviation of the shared count under that null, as a Jaccard difference (first order).
    kappa : ndarray
        Cohen's kappa: agreement on keep or drop beyond chance; 0 is chance, 1 identity.
    """

    jaccard: Floats
    chance: Floats
    deviation: Floats
    kappa: Floats


def overlap(first: Circuit, second: Circuit) -> dict[str, Overlap]:
    """Return the overlap of each projection, replicate by replicate.

    Raises
    ------
    InputError
        When the two circuits were not carved from the same births.

    Examples
    --------
    >>> from biosim import ImageDrive, Network, load_images, load_scorer, overlap, prune
    >>> drive = ImageDrive(load_images("digits", train_size=200), batch=50, epochs=1)
    >>> births, random = Network.layered([64, 20, 10], seeds=[0]), load_scorer("random")
    >>> first, second = (prune("random", random, births, drive, 0.5, (seed,)) for seed in (1, 2))
    >>> shared = overlap(first, second)["input-hidden1"]
    >>> abs(shared.jaccard - shared.chance) < 4*shared.deviation
    array([ True])
    >>> overlap(first, first)["input-hidden1"].kappa
    array([1.])
    """
    if first.projections != second.projections or any((first.born[n] != second.born[n]).any() for n in first.born):
        raise InputError("the two circuits do not share their births, so their synapses cannot be matched")
    return {name: _overlap(first.mask[name], second.mask[name], first.born[name]) for name in first.mask}


def _overlap(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_], born: npt.NDArray[np.bool_]) -> Overlap:
    n, kept_a, kept_b, shared = (m.sum((1, 2)).astype(np.float64) for m in (born, a, b, a & b))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected, variance = shared_by_chance(n, kept_a, kept_b)
        union = kept_a + kept_b - expected
        slope = (kept_a + kept_b) / union**2
        return Overlap(jaccard(kept_a, kept_b, shared), expected / union, np.sqrt(variance) * slope, kappa(kept_a, kept_b, shared, n))


def jaccard(first: Floats, second: Floats, shared: Floats) -> Floats:
    """Return Jaccard indices from synapses kept by each and shared; NaN where nothing is kept."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(shared / (first + second - shared))


def kappa(first: Floats, second: Floats, shared: Floats, born: Floats) -> Floats:
    """Return Cohen's kappas from synapses kept by each, shared and born; NaN where chance agreement is complete."""
    with np.errstate(invalid="ignore", divide="ignore"):
        agree = (born - first - second + 2 * shared) / born
        by_chance = (first * second + (born - first) * (born - second)) / born**2
        return np.asarray(np.where(by_chance < 1, (agree - by_chance) / (1 - by_chance), np.nan))


def compare_overlap(group: Group, pairs: Pairs) -> Layers:
    """Return the overlap of pairs of circuits, whole and by projection: (P,) each."""
    found: Layers = {}
    for prefix, masks in (("", group.circuit.mask), ("effective_", group.effective)):
        found |= _of_masks(prefix, masks, group.circuit, pairs)
    return found


def _of_masks(prefix: str, masks: Mapping[str, npt.NDArray[np.bool_]], circuit: Circuit, pairs: Pairs) -> Layers:
    first, second = (np.array([p[side] for p in pairs], np.int64) for side in (0, 1))
    counts: dict[str, tuple[Floats, Floats, Floats, Floats]] = {}
    for name, mask in masks.items():
        flat = mask.reshape(len(mask), -1).astype(np.float32)  # exact up to 2**24 synapses
        shared = (flat @ flat.T if flat.shape[1] < 1 << 24 else flat.astype(np.float64) @ flat.T.astype(np.float64)).astype(np.float64)
        kept = shared.diagonal()
        born = circuit.born[name].sum((1, 2)).astype(np.float64)
        counts[name] = kept[first], kept[second], shared[first, second], born[first]
    whole = tuple(sum(c[i] for c in counts.values()) for i in range(4))
    found: Layers = {}
    for what in ("jaccard", "kappa"):
        for name, own in {"": whole, **counts}.items():
            value = jaccard(*own[:3]) if what == "jaccard" else kappa(*own)  # type: ignore[arg-type]
            found[f"{prefix}{what}.{name}".rstrip(".")] = value
    return found
