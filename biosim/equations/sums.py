"""The sums over a step's samples that a rule's lines need, taken as matrix products where they split into two sides."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim import backend
from biosim.equations.clock import Clock, Clockwork
from biosim.equations.expression import names_in
from biosim.equations.held import Held
from biosim.equations.linear import decay, sample_weights
from biosim.equations.plan import Sum
from biosim.equations.products import chunked_sum, packed_sum, sample_sum, side_values, weighted
from biosim.equations.sensed import Sensed
from biosim.streams import Span, edge_uniform
from biosim.tiles import outer_sum


class Sums:
    """The planned sums of one rule on one projection.

    Parameters
    ----------
    items : sequence of Sum
        In the order in which they are taken.
    clock : Clock
    clockwork : Clockwork
        Spells out the times that an expression reads.
    span : Span
        Which columns of the projection these are.
    """

    def __init__(self, items: Sequence[Sum], clock: Clock, clockwork: Clockwork, span: Span) -> None:
        self.items, self.clock, self.clockwork, self.span = items, clock, clockwork, span
        self._weights: dict[tuple[float, int], Tensor] = {}

    @property
    def chunked(self) -> bool:
        """Whether some expression does not split into two sides and is evaluated in chunks."""
        return any(item.whole is not None for item in self.items)

    def weights(self, rate: float | None, samples: int, like: Tensor) -> Tensor | None:
        """Return the weight of each sample, (S,), in the linear equation with this rate; None for a mean."""
        if rate is None:
            return None
        if (rate, samples) not in self._weights:
            weights = sample_weights(rate, self.clock.presentation, samples)
            self._weights[rate, samples] = torch.from_numpy(weights).to(like.device, like.dtype)
        return self._weights[rate, samples]

    def take(self, sampled: Mapping[str, Tensor], sensed: Sensed, held: Held, streams: npt.NDArray[np.uint32]) -> None:
        """Take every sum of a step, into what is ``held``; ``sampled`` has all that they read of neurons and parameters."""
        for item in self.items:
            weights = self.weights(item.rate, sensed.pre.shape[1], sensed.pre)
            if item.whole is not None:
                self._in_chunks(item, item.whole, sampled, sensed, held, weights, streams)
                continue
            if item.pre_side is not None and item.post_side is not None:
                self._product(item, sampled, sensed, held, weights)
                continue
            node, width = (item.pre_side, held.whole[1]) if item.post_side is None else (item.post_side, held.whole[2])
            held.vectors[item.name] = sample_sum(side_values(node, sampled, sensed.pre, width), weights)

    def _product(self, item: Sum, sampled: Mapping[str, Tensor], sensed: Sensed, held: Held, weights: Tensor | None) -> None:
        sides = zip((item.pre_side, item.post_side), held.whole[1:], strict=True)
        left, right = (side_values(node, sampled, sensed.pre, width) for node, width in sides)
        unread = sensed.teach_pre is None and item.reads_teach_pre and item.target is None
        if unread and backend.fused(left.device) and not bool(left.any()):
            held.arrays[item.name].zero_()  # inputs are not taught: no need to multiply zeros
            return
        if left.shape[2] < right.shape[2]:
            left = weighted(left, weights)
        else:
            right = weighted(right, weights)
        scale = item.scale if weights is not None else item.scale / left.shape[1]
        keep = decay(item.rate or 0.0, self.clock.dt) if item.target else 0.0
        out = held.array(item.target or item.name, sensed.synapses)
        if held.places is None:
            outer_sum(left, right, scale, out, keep)
        else:
            held.places.sample(left[0], right[0], scale, out, keep)

    def _in_chunks(
        self,
        item: Sum,
        whole: ast.expr,
        sampled: Mapping[str, Tensor],
        sensed: Sensed,
        held: Held,
        weights: Tensor | None,
        streams: npt.NDArray[np.uint32],
    ) -> None:
        node, out, places = self.clockwork.spell(whole), held.arrays[item.name], held.places
        used = names_in(node)
        synaptic = {n: v for n, v in (*held.arrays.items(), *sensed.synapses.items()) if n in used}
        synaptic |= {n: v for n, v in sampled.items() if n in used and v.dim() == 0}
        if "random" in used:
            size = held.whole[1:]
            draws = (
                places.uniform(streams, sensed.step)
                if places
                else edge_uniform(streams, sensed.step, size, slice(None), out.device, self.span)
            )
            synaptic["random"] = draws.to(out.dtype)
        sides = {n: v for n, v in sampled.items() if n in used and v.dim() == 3} or {"pre": sensed.pre}
        if places is None:
            chunked_sum(node, sides, synaptic, weights, out)
        else:
            packed_sum(node, sides, synaptic, weights, out, places)
