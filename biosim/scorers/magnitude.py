"""Magnitude pruning at birth (Han et al. 2015, https://arxiv.org/abs/1506.02626): keep the largest weights.

    score = abs(w)

Undefined where all weights of a projection have one size (signed-constant births): there is nothing to rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import UndefinedError
from biosim.scorers.base import Progress
from biosim.scorers.keep import Scope
from biosim.synapses import Network


@dataclass(frozen=True)
class Scorer:
    """Absolute weight.

    Attributes
    ----------
    scope : {"neuron", "layer", "network"}
        ``network`` compares weights of different layers as they are: with births of variance 2/fan_in the
        layers with the smallest fan-in are then kept whole.
    """

    scope: Scope = "layer"
    frozen_note: ClassVar[str] = "made to be retrained: which weights are large at birth says nothing of the task"

    @property
    def level(self) -> str:
        """What the score reads: ranks among the edges of its scope."""
        return self.scope

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return abs(w).

        Raises
        ------
        UndefinedError
            When all weights of a projection have one size.
        """
        scores = {n: p.weight.abs() for n, p in network.projections.items()}
        for name, p in network.projections.items():
            smallest = torch.where(p.born, scores[name], torch.inf).flatten(1).amin(1)
            largest = torch.where(p.born, scores[name], -torch.inf).flatten(1).amax(1)
            if bool(((largest - smallest) <= 1e-6 * largest).any()):
                raise UndefinedError(f"all weights of {name} have the same size at birth, so magnitude cannot rank them", ("name",))
        return scores
