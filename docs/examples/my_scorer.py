"""Wanda (Sun et al. 2023, https://arxiv.org/abs/2306.11695): a large weight counts only where something arrives.

    score = abs(w_ij) * sqrt(sum over samples of a_i**2)

compared among the inputs of one neuron. Here the samples are the first batch that the drive shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from biosim import Network
from biosim.drives import Drive
from biosim.scorers.base import Progress
from biosim.scorers.keep import Scope
from biosim.substrates import substrate_of


@dataclass(frozen=True)
class Scorer:
    """Weight times activity.

    Attributes
    ----------
    scope : {"neuron", "layer", "network"}
        Among whom synapses are compared; the published method takes those of one neuron.
    """

    scope: Scope = "neuron"
    frozen_note: ClassVar[str] = "made for trained networks: at birth it keeps the inputs that vary most"

    @property
    def level(self) -> str:
        """What the score reads: ranks among the edges of its scope."""
        return self.scope

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return (R, n_pre, n_post) scores by projection."""
        shown = next(iter(drive.presentations(seeds, network.device)))
        substrate = substrate_of(network)
        activity = substrate.respond(shown.inputs)
        return {name: p.weight.abs() * substrate.arriving(p, activity).norm(dim=1).unsqueeze(2) for name, p in network.projections.items()}
