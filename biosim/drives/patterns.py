"""Memories as cues: a network is shown degraded versions of what it was born with, in random order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from biosim.drives.base import Presentation
from biosim.equations import Clock
from biosim.memories import MemoryNetwork, degraded, memories_of
from biosim.streams import generator
from biosim.synapses import Network


@dataclass(frozen=True)
class PatternDrive:
    """Shows cues of the memories that every population of the network stores.

    Attributes
    ----------
    network : MemoryNetwork
    cue : float
        Overlap of a cue with its memory.
    clock : Clock
    """

    network: MemoryNetwork
    cue: float
    clock: Clock
    outputs: None = None

    @property
    def inputs(self) -> int:
        """Neurons of a population."""
        return self.network.input.size

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield ``clock.steps`` presentations; replicate k depends on its memories and ``seeds[k]`` alone."""
        common = min(self.network.memories.values(), key=lambda m: m.shape[1])
        streams = [generator(seed, "patterns/cues") for seed in seeds]
        for _ in range(self.clock.steps):
            shown = []
            for memories, random in zip(common, streams, strict=True):
                chosen = random.integers(0, len(memories), self.clock.samples)
                shown.append(degraded(memories[chosen], self.cue, self.network.coding, random))
            yield Presentation(torch.from_numpy(np.stack(shown)).to(device), None)


def drive(
    network: Network,
    *,
    cue: Annotated[float, Field(ge=0, le=1)] = 0.8,
    samples: Annotated[int, Field(ge=1)] = 4,
    steps: Annotated[int, Field(ge=1)] = 40,
    presentation: Annotated[float, Field(gt=0)] = 1.0,
) -> PatternDrive:
    """Return the drive.

    Parameters
    ----------
    network : Network
        One that was born with memories.
    cue : float
        Overlap of a cue with its memory, in [0, 1].
    samples : int
        Cues shown in a step.
    steps : int
        Steps of development.
    presentation : float
        Seconds that a cue is shown, retrieval included.
    """
    return PatternDrive(memories_of(network), cue, Clock(presentation, samples, steps))
