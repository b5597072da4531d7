"""Births: the weights a projection is born with, drawn once and never by the search.

Every distribution has zero mean and, unless ``scale`` says otherwise, variance ``2 / fan_in``
(He et al. 2015, https://arxiv.org/abs/1502.01852), so that activity keeps its size through ReLU layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.streams import generator

WeightKind = Literal["kaiming-normal", "signed-constant", "uniform", "log-normal"]
CHUNK = 1 << 20  # weights drawn at a time: float64 draws of a whole projection would be twice its size
_Shape = tuple[int, int]
_Draw = Callable[[np.random.Generator, npt.NDArray[np.float32], float, int, slice], None]


def _blocks(kept: npt.NDArray[Any], n_post: int) -> Iterator[tuple[npt.NDArray[Any], _Shape]]:
    """Yield (n_pre, columns) values a few rows at a time, in the order its values are drawn, with the shape to draw for each."""
    rows = max(1, CHUNK // n_post)
    for i in range(0, len(kept), rows):
        block = kept[i : i + rows]
        yield block, (len(block), n_post)


def _kaiming_normal(random: np.random.Generator, weight: npt.NDArray[np.float32], deviation: float, n_post: int, columns: slice) -> None:
    for block, shape in _blocks(weight, n_post):
        block[:] = (random.standard_normal(shape) * deviation)[:, columns]


def _signed_constant(random: np.random.Generator, weight: npt.NDArray[np.float32], deviation: float, n_post: int, columns: slice) -> None:
    for block, shape in _blocks(weight, n_post):
        block[:] = np.where(random.random(shape)[:, columns] < 0.5, -deviation, deviation)


def _uniform(random: np.random.Generator, weight: npt.NDArray[np.float32], deviation: float, n_post: int, columns: slice) -> None:
    bound = math.sqrt(3) * deviation
    for block, shape in _blocks(weight, n_post):
        block[:] = random.uniform(-bound, bound, shape)[:, columns]


def _log_normal(random: np.random.Generator, weight: npt.NDArray[np.float32], deviation: float, n_post: int, columns: slice) -> None:
    """Magnitudes log-normal with sigma 1 (Song et al. 2005 report .94 for cortex), signs even."""
    for block, shape in _blocks(weight, n_post):
        block[:] = (np.exp(random.standard_normal(shape) - 1.0) * deviation)[:, columns]  # E[exp(2z - 2)] = 1 for z ~ N(0, 1)
    for block, shape in _blocks(weight, n_post):  # all magnitudes are drawn before the first sign
        block[random.random(shape)[:, columns] < 0.5] *= -1


DISTRIBUTIONS: dict[str, _Draw] = {
    "kaiming-normal": _kaiming_normal,
    "signed-constant": _signed_constant,
    "uniform": _uniform,
    "log-normal": _log_normal,
}


def draw_weights(
    seeds: tuple[int, ...],
    component: str,
    n_pre: int,
    n_post: int,
    kind: WeightKind = "kaiming-normal",
    *,
    probability: float = 1.0,
    dale: float | None = None,
    scale: float = 1.0,
    columns: slice | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Draw weights and birth edges of one projection, one replicate a seed.

    Parameters
    ----------
    seeds : tuple of int
        One births seed a replicate.
    component : str
        Name of the stream, usually the projection's name.
    n_pre, n_post : int
    kind : str
        ``kaiming-normal`` N(0, 2/fan_in), ``signed-constant`` +-sqrt(2/fan_in), ``uniform``, ``log-normal``.
    probability : float
        Chance that an edge is born; ``fan_in`` is then ``probability * n_pre``.
    dale : float, optional
        Fraction of excitatory presynaptic neurons; each neuron's outgoing weights share one sign
        (Dale's law). Without it signs are free.
    scale : float
        Factor on every weight.
    columns : slice, optional
        Keep only these postsynaptic neurons' weights, the same as among all of them; n_post below is then how many they are.

    Returns
    -------
    weight : (R, n_pre, n_post) float32, zero where no edge was born
    born : (R, n_pre, n_post) bool
    """
    if not 0 < probability <= 1:
        raise InputError(f"the probability of a birth edge must lie in (0, 1], not {probability}", ("probability",))
    if dale is not None and not 0 <= dale <= 1:
        raise InputError(f"dale is the fraction of excitatory neurons, in [0, 1], not {dale}", ("dale",))
    if kind not in DISTRIBUTIONS:
        raise InputError(f"unknown weights '{kind}'; there are: {', '.join(DISTRIBUTIONS)}", ("weights",))
    deviation = scale * math.sqrt(2.0 / max(1.0, probability * n_pre))
    kept = range(n_post)[columns or slice(None)]
    within = slice(kept.start, kept.stop)
    weight = np.empty((len(seeds), n_pre, len(kept)), np.float32)
    born = np.ones(weight.shape, np.bool_)
    for r, seed in enumerate(seeds):
        random = generator(seed, f"births/{component}")
        DISTRIBUTIONS[kind](random, weight[r], deviation, n_post, within)
        if dale is not None:
            excitatory = generator(seed, f"dale/{component}").random(n_pre) < dale
            np.abs(weight[r], out=weight[r])
            weight[r] *= np.where(excitatory, np.float32(1), np.float32(-1))[:, None]
        if probability < 1:
            random = generator(seed, f"edges/{component}")
            for (values, shape), (edges, _) in zip(_blocks(weight[r], n_post), _blocks(born[r], n_post), strict=True):
                edges[:] = random.random(shape)[:, within] < probability
                values *= edges
    return weight, born
