"""The smallest motif of a projection: two presynaptic neurons that share two postsynaptic ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError, UndefinedError

Mask = npt.NDArray[np.bool_]


def bifans(mask: Mask) -> int:
    """Return the number of bi-fans of a (n_pre, n_post) mask: pairs of rows times the pairs of columns that both have.

    ``sum_{i < j} s_ij (s_ij - 1) / 2`` with ``s = A A^T``. Three-node motifs say nothing of a projection between two
    populations: its degrees fix how many there are. The bi-fan is the least that they leave open.

    Raises
    ------
    InputError
        When it is not a matrix of truth values.
    """
    own = _checked(mask)
    own = own if own.shape[0] <= own.shape[1] else own.T
    shared = own @ own.T
    np.fill_diagonal(shared, 0)
    counts = shared.astype(np.float64)
    return round(float((counts * (counts - 1)).sum()) / 4)


def bipartite_clustering(mask: Mask) -> float:
    """Return the share of three-step paths that close to a square: ``4 bifans / paths``.

    Robins & Alexander 2004, https://doi.org/10.1023/B:CMOT.0000032580.12184.c0; paths are i - j - k - l through
    ``sum_ij a_ij (d_i - 1)(d_j - 1)``. It stands for clustering where there are no triangles.

    Raises
    ------
    InputError
        When it is not a matrix of truth values.
    UndefinedError
        When there are no such paths.
    """
    own = _checked(mask).astype(np.float64)
    rows, columns = own.sum(1), own.sum(0)
    paths = float((rows - 1) @ own @ (columns - 1))
    if paths == 0:
        raise UndefinedError("bipartite clustering is not defined without paths of three synapses")
    return 4 * bifans(mask) / paths


def _checked(mask: Mask) -> npt.NDArray[np.float32]:
    if np.ndim(mask) != 2 or np.asarray(mask).dtype != np.bool_:
        raise InputError(f"a mask is (n_pre, n_post) truth values, not {np.asarray(mask).dtype} of shape {np.shape(mask)}")
    return np.asarray(mask).astype(np.float32)
