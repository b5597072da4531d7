"""Graphs for hypothesis to draw, and how a measure is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from biosim.errors import UndefinedError
from biosim.graphs import Graph


@st.composite
def drawn(draw: st.DrawFn, least: int = 0, most: int = 8, symmetric: bool | None = False, positive: bool = False) -> Graph:
    n = draw(st.integers(least, most))
    density, seed = draw(st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0])), draw(st.integers(0, 2**16))
    loops, undirected = draw(st.booleans()), draw(st.booleans()) if symmetric is None else symmetric
    random = np.random.default_rng(seed)
    weights = random.lognormal(size=(n, n)) * (1.0 if positive else random.choice([-1.0, 1.0], (n, n)))
    matrix = (random.random((n, n)) < density) * weights
    if not loops:
        np.fill_diagonal(matrix, 0)
    if undirected:
        matrix = np.triu(matrix) + np.triu(matrix, 1).T
    return Graph.from_matrix(matrix)


graph_of = settings(max_examples=60)


def defined(measure: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The measure, or None where it says it is not defined."""
    try:
        return measure(*args, **options)
    except UndefinedError:
        return None


def equal(ours: Any, wanted: Any) -> bool:
    return bool(np.allclose(ours, wanted, rtol=1e-9, atol=1e-9))
