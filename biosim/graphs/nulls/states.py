"""The random state each null starts from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biosim.streams import stable_hash


def states(seed: int, component: str, nulls: range) -> npt.NDArray[np.uint64]:
    """Return one 64-bit state a null: a function of the seed, the component and the null's number alone."""
    key = stable_hash(component)
    words = [np.random.SeedSequence(seed, spawn_key=(key, k)).generate_state(1, np.uint64)[0] for k in nulls]
    return np.array(words, np.uint64)


def null_generator(seed: int, component: str, null: int) -> np.random.Generator:
    """Return the random stream of one null."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stable_hash(component), null)))
