"""How many synapses each neuron may keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from biosim.synapses import Projection


@dataclass(frozen=True)
class Quotas:
    """What each neuron of a projection was born with, and what it keeps in the end, on either side; (R, n) int64."""

    births: dict[str, Tensor]
    final: dict[str, Tensor]

    @classmethod
    def of(cls, projection: Projection, final: float) -> Self:
        """Return the quotas of a projection that is left with the density ``final``."""
        births = {"post": projection.fan_in, "pre": projection.fan_out}
        return cls(births, {within: projection.quota(final, within) for within in births})

    def at(self, density: float, within: str = "post") -> Tensor:
        """Return how many synapses each neuron may keep while the target is ``density``, (R, n).

        ``max(final quota, floor(density * births))``: never below what the neuron keeps in the end, and
        never growing as the target falls, so that the final count is exact.
        """
        now = torch.floor(self.births[within].to(torch.float64) * density).to(torch.int64)
        return torch.maximum(now, self.final[within])

    def replicate(self, r: int) -> Self:
        """Return those of replicate ``r`` alone."""
        births, final = ({n: v[r : r + 1] for n, v in counts.items()} for counts in (self.births, self.final))
        return type(self)(births, final)
