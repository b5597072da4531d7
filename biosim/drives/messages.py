"""Messages between two patches of a graph: who wants to talk to whom.

Sources lie in one patch, targets in the other, every pair equally likely: the *2-patch* demand of Navlakha, Barth & Bar-Joseph
2015, https://doi.org/10.1371/journal.pcbi.1004347. A share of the messages may run between any two nodes instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from biosim.drives.base import TICKETS, Presentation
from biosim.equations import Clock
from biosim.equations.units import parse_seconds
from biosim.errors import InputError, at_least, under
from biosim.streams import generator
from biosim.synapses import Network


@dataclass(frozen=True)
class MessageDrive:
    """Sends ``messages`` messages a step, each with time for ``hops`` hops.

    Attributes
    ----------
    nodes : int
    messages, hops, steps : int
    patch : int
        The first ``patch`` nodes are sources, all others targets.
    anywhere : float
        Share of the messages whose source and target are any two nodes.
    hop : float
        Seconds a hop takes.
    """

    nodes: int
    messages: int
    hops: int
    steps: int
    patch: int
    anywhere: float
    hop: float
    outputs: None = None

    @property
    def clock(self) -> Clock:
        """One presentation is one hop."""
        return Clock(self.hop, self.messages * self.hops, self.steps)

    @property
    def inputs(self) -> int:
        """Source, target and ticket."""
        return 3

    @property
    def sources(self) -> npt.NDArray[np.int64]:
        """Nodes of the patch that sends."""
        return np.arange(self.patch)

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """Nodes of the patch that receives."""
        return np.arange(self.patch, self.nodes)

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield ``steps`` presentations, (R, messages * hops, 3); replicate k depends on ``seeds[k]`` alone."""
        streams = [generator(seed, "messages") for seed in seeds]
        for _ in range(self.steps):
            shown = np.full((len(seeds), self.messages, self.hops, 3), -1, np.float32)
            shown[:, :, 0] = np.stack([self._draw(stream) for stream in streams])
            yield Presentation(torch.from_numpy(shown.reshape(len(seeds), -1, 3)).to(device), None)

    def _draw(self, stream: np.random.Generator) -> npt.NDArray[np.float64]:
        """Return source, target and ticket of one step's messages, (messages, 3)."""
        source = stream.integers(self.patch, size=self.messages)
        target = stream.integers(self.patch, self.nodes, size=self.messages)
        first = stream.integers(self.nodes, size=self.messages)
        second = (first + stream.integers(1, self.nodes, size=self.messages)) % self.nodes
        free = stream.random(self.messages) < self.anywhere
        ticket = stream.integers(TICKETS, size=self.messages)
        return np.stack([np.where(free, first, source), np.where(free, second, target), ticket], 1).astype(np.float64)


def drive(
    network: Network,
    *,
    messages: int = 128,
    hops: int = 16,
    steps: int = 60,
    sources: float = 0.5,
    anywhere: float = 0.0,
    hop: str = "10 ms",
) -> MessageDrive:
    """Return the demand on a graph.

    Parameters
    ----------
    network : Network
        Only its size is read.
    messages : int
        Messages a step.
    hops : int
        Hops a message has time for before it is lost.
    steps : int
        Steps of development.
    sources : float
        Share of the nodes that lie in the patch that sends.
    anywhere : float
        Share of the messages between any two nodes.
    hop : str
        Time a hop takes.
    """
    nodes = network.input.size
    patch = round(sources * nodes)
    at_least(1, messages=messages, hops=hops, steps=steps)
    if not 0 < patch < nodes:
        raise InputError(f"both patches need a node: a share of {sources} of {nodes} nodes leaves one empty", ("sources",))
    if not 0 <= anywhere <= 1:
        raise InputError(f"a share lies between 0 and 1, not {anywhere}", ("anywhere",))
    return MessageDrive(nodes, messages, hops, steps, patch, anywhere, under("hop", parse_seconds, hop))
