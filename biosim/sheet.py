"""A square sheet of neurons, one a place, joined at its edges: a torus, so that no neuron lies at a border.

Neuron ``k`` of a sheet of side ``n`` lies in row ``k // n`` and column ``k % n``; distances are in neurons.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError

Array = npt.NDArray[np.float64]


def side_of(neurons: int, key: tuple[str, ...] = ()) -> int:
    """Return the side of a sheet of so many neurons; an InputError in ``key`` where they make no square."""
    side = math.isqrt(neurons)
    if side * side != neurons:
        raise InputError(f"{neurons} neurons make no square sheet", key)
    return side


def distances(side: int) -> Array:
    """Return the distance of every two neurons the short way round, (side**2, side**2)."""
    place = np.arange(side)
    apart = np.abs(place[:, None] - place)
    squared = np.minimum(apart, side - apart).astype(np.float64) ** 2
    both = squared[:, None, :, None] + squared[None, :, None, :]  # (row, column, row, column)
    return np.asarray(np.sqrt(both.reshape(side**2, side**2)))


def by_nearness(side: int) -> npt.NDArray[np.int64]:
    """Return the neurons in the order of their distance to the middle of the sheet, nearest first; equals by their number."""
    middle = (side - 1) / 2
    rows, columns = np.divmod(np.arange(side * side), side)
    return np.argsort((rows - middle) ** 2 + (columns - middle) ** 2, kind="stable")
