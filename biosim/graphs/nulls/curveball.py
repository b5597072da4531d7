"""Curveball: masks with the same in- and out-degrees, drawn uniformly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.graphs.nulls.kernels import curveball_masks
from biosim.graphs.nulls.kernels import curveball_shared as _shared
from biosim.graphs.nulls.states import states

ROUNDS = 20

Mask = npt.NDArray[np.bool_]


def curveball(mask: Mask, nulls: int, seed: int, born: Mask | None = None, rounds: int = ROUNDS, first: int = 0) -> Mask:
    """Return randomised copies of a bipartite mask that keep every row sum and every column sum.

    Rows are paired at random; a pair pools the columns that only one of the two has and deals them out anew, each
    keeping its count; that is one round. The chain is symmetric, so its limit is uniform over all masks with these
    degrees (Strona et al. 2014, https://doi.org/10.1038/ncomms5114; Carstens, Hamann et al. 2018, "Parallel and
    I/O-efficient randomisation of massive networks using global curveball trades").

    Parameters
    ----------
    mask : ndarray
        (n_pre, n_post) bool.
    nulls : int
        How many.
    seed : int
    born : ndarray, optional
        (n_pre, n_post) bool: synapses may only be where one was born. Degrees are kept, births respected and the
        chain symmetric, but when births are very sparse some masks may not be reachable from the given one.
    rounds : int
        Trades of every row; after 20 an overlap with the start is at its expectation on all masks tried.
    first : int
        Number of the first null, to draw a long series in parts.

    Returns
    -------
    ndarray
        (nulls, n_pre, n_post) bool.

    Raises
    ------
    InputError
        When shapes differ, or ``mask`` holds a synapse that was not born.
    """
    own, births = _checked(mask, born)
    out = np.empty((nulls, *own.shape), np.uint8)
    curveball_masks(own, births, born is not None, rounds, states(seed, "graphs/curveball", range(first, first + nulls)), out)
    return out.view(np.bool_)


def curveball_shared(
    mask: Mask, other: Mask, nulls: int, seed: int, born: Mask | None = None, rounds: int = ROUNDS, first: int = 0
) -> npt.NDArray[np.int64]:
    """Return how many synapses each null of ``mask`` shares with ``other``: (nulls,).

    The same nulls as :func:`curveball` draws, none of them kept in memory.
    """
    own, births = _checked(mask, born)
    if np.shape(other) != own.shape:
        raise InputError(f"the masks have shapes {own.shape} and {np.shape(other)}: they are not of one projection")
    out = np.empty(nulls, np.int64)
    drawn = states(seed, "graphs/curveball", range(first, first + nulls))
    _shared(own, births, born is not None, rounds, drawn, np.ascontiguousarray(other, np.uint8), out)
    return out


def _checked(mask: Mask, born: Mask | None) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    own = np.ascontiguousarray(mask, np.uint8)
    if own.ndim != 2 or np.asarray(mask).dtype != np.bool_:
        raise InputError(f"a mask is (n_pre, n_post) truth values, not {np.asarray(mask).dtype} of shape {own.shape}")
    births = np.zeros((0, 0), np.uint8) if born is None else np.ascontiguousarray(born, np.uint8)
    if born is not None and births.shape != own.shape:
        raise InputError(f"the mask has shape {own.shape}, its births {births.shape}")
    if born is not None and (own & ~births & 1).any():
        raise InputError("the mask holds a synapse that was not born")
    return own, births
