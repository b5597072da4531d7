"""Sums over a step's samples: the expensive half of a rule.

``sum_s w_s * f_s,i * g_s,j`` for every synapse is ``(f * w)^T @ g``, a matrix product (:func:`biosim.tiles.outer_sum`); what does
not split into two sides is evaluated for every synapse and sample, a chunk at a time.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping

from torch import Tensor

from biosim.equations.evaluate import evaluate
from biosim.equations.places import Places

CHUNK = 1 << 24  # elements of the (replicate, sample, pre, post) block an unfactorisable term may take


class PerformanceWarning(UserWarning):
    """An equation runs, but far slower than it could."""


def side_values(node: ast.expr | None, values: Mapping[str, Tensor], like: Tensor, width: int) -> Tensor:
    """Evaluate a one-sided factor to (R, S, width); an absent factor is ones."""
    shape = (like.shape[0], like.shape[1], width)
    if node is None:
        return like.new_ones(()).expand(shape)
    return evaluate(node, values).expand(shape)


def weighted(values: Tensor, weights: Tensor | None) -> Tensor:
    """Multiply (R, S, n) by per-sample weights (S,)."""
    return values if weights is None else values * weights.view(1, -1, 1)


def sample_sum(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return the weighted sum (or the mean, without weights) over samples: (R, S, n) -> (R, n)."""
    return values.mean(1) if weights is None else weighted(values, weights).sum(1)


def chunked_sum(node: ast.expr, sampled: Mapping[str, Tensor], synaptic: Mapping[str, Tensor], weights: Tensor | None, out: Tensor) -> None:
    """Evaluate an unfactorisable term over every (sample, pre, post), a block of rows at a time.

    ``sampled`` holds (R, S, n) values by side, ``synaptic`` (R, n_pre, n_post) ones.
    """
    replicates, n_pre, n_post = out.shape
    samples = max(v.shape[1] for v in sampled.values())
    rows = max(1, CHUNK // (replicates * samples * n_post))
    scale = out.new_full((samples,), 1.0 / samples) if weights is None else weights
    for start in range(0, n_pre, rows):
        stop = min(n_pre, start + rows)
        values: dict[str, Tensor] = {}
        for name, value in sampled.items():
            presynaptic = name == "pre" or name.endswith("_pre")
            values[name] = value[:, :, start:stop, None] if presynaptic else value[:, :, None, :]
        values |= {n: v[:, None, start:stop, :] if v.dim() == 3 else v for n, v in synaptic.items()}
        block = evaluate(node, values).expand(replicates, samples, stop - start, n_post)
        out[:, start:stop] = (block * scale.view(1, -1, 1, 1)).sum(1)


def packed_sum(
    node: ast.expr, sampled: Mapping[str, Tensor], synaptic: Mapping[str, Tensor], weights: Tensor | None, out: Tensor, places: Places
) -> None:
    """Do what :func:`chunked_sum` does for (1, 1, N) packed synapses."""
    samples = max(v.shape[1] for v in sampled.values())
    size = max(1, CHUNK // samples)
    scale = out.new_full((samples,), 1.0 / samples) if weights is None else weights
    for start in range(0, out.shape[2], size):
        some = slice(start, min(out.shape[2], start + size))
        values = {n: v[..., some] if v.dim() == 3 else v for n, v in synaptic.items()}
        for name, value in sampled.items():
            presynaptic = name == "pre" or name.endswith("_pre")
            values[name] = value if value.shape[2] == 1 else places.per_synapse(value, presynaptic, some)  # one value serves all
        block = evaluate(node, values).expand(1, samples, some.stop - start)
        out[0, 0, some] = (block[0] * scale.view(-1, 1)).sum(0)


def warn_slow(rule: str, text: str) -> None:
    """Warn that ``text`` will run in chunks."""
    warnings.warn(
        f"rule '{rule}': '{text}' does not split into f(pre) x g(post); it is evaluated in chunks over every synapse and "
        "sample, typically 70-100 times slower than a matrix product",
        PerformanceWarning,
        stacklevel=3,
    )
