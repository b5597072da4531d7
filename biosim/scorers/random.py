"""Random pruning: a uniform score for every birth edge. The control that every claim needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.scorers.base import Progress
from biosim.scorers.keep import Scope
from biosim.streams import generator
from biosim.synapses import Network


@dataclass(frozen=True)
class Scorer:
    """Uniform scores in [0, 1).

    Attributes
    ----------
    scope : {"neuron", "layer", "network"}
    """

    scope: Scope = "layer"

    @property
    def level(self) -> str:
        """What the score reads."""
        return "none"

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return one draw a birth edge; the drive is not looked at."""
        scores = {}
        for name, p in network.projections.items():
            draws = [generator(seed, f"random/{name}").random(p.shape[1:]) for seed in seeds]
            scores[name] = torch.stack([torch.from_numpy(d) for d in draws]).to(network.device, torch.float32)
        return scores
