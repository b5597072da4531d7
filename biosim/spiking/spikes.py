"""The spikes that a simulation records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.spiking.world import World
from biosim.state import State, array

Steps = npt.NDArray[np.int64]
KINDS = {"step": np.int64, "emitter": np.int32, "neuron": np.int32}  # of a record's three columns


@dataclass
class Spikes:
    """Recorded spikes of one replicate of a population: times in seconds, ascending, and neurons."""

    times: npt.NDArray[np.float64]
    neurons: npt.NDArray[np.int64]


@dataclass
class RecordedSpikes:
    """The spikes of all recorded populations of one replicate, in the chunks in which they were taken from its world."""

    chunks: list[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]] = field(default_factory=list)

    def take(self, world: World) -> None:
        """Take what the world has recorded; there is room in it for more then."""
        n = int(world.cursor[0])
        if n:
            self.chunks.append((world.out_step[:n].copy(), world.out_emitter[:n].copy(), world.out_neuron[:n].copy()))
            world.cursor[0] = 0

    def of(self, emitter: int, first: int = 0) -> tuple[Steps, Steps]:
        """Return steps and neurons of one population's spikes, from chunk ``first`` on."""
        parts = [(s[e == emitter], i[e == emitter]) for s, e, i in self.chunks[first:]]
        steps = np.concatenate([np.zeros(0, np.int64), *[s for s, _ in parts]])
        return steps, np.concatenate([np.zeros(0, np.int64), *[i for _, i in parts]]).astype(np.int64)

    def state(self) -> State:
        """Return all of them, one array a column."""
        columns = ([c[k] for c in self.chunks] for k in range(len(KINDS)))
        return {n: np.asarray(np.concatenate([np.zeros(0, t), *c]), t) for (n, t), c in zip(KINDS.items(), columns, strict=True)}

    def restore(self, state: State, step: int, populations: int) -> None:
        """Take a state over, of a network with so many populations at this step."""
        length = len(state["step"])
        highs = {"step": step, "emitter": populations - 1, "neuron": None}
        steps, emitters, neurons = (array(state[n], kind, (length,), f"record of {n}", 0, highs[n]).copy() for n, kind in KINDS.items())
        self.chunks = [(steps, emitters, neurons)] if length else []
