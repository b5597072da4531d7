"""The synapses that live, as the engine holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.spiking.births import Edges
from biosim.spiking.compaction import birth_edges, own_rows, place_of
from biosim.spiking.network import Projection
from biosim.spiking.plan import EventPlan
from biosim.spiking.world import World


@dataclass(frozen=True)
class LiveSynapses:
    """The live synapses of one projection, in rows of presynaptic neurons, targets ascending.

    Attributes
    ----------
    projection : Projection
    place : int
        Of the projection in the network.
    plan : EventPlan or None
        How its rule runs; none where its weights stay.
    worlds : sequence of World
        The simulation's own: a replicate's is another one after an elimination.
    """

    projection: Projection
    place: int
    plan: EventPlan | None
    worlds: Sequence[World]

    @property
    def states(self) -> tuple[str, ...]:
        """Names of what each has beside its weight."""
        return () if self.plan is None else self.plan.states

    def at(self, r: int) -> slice:
        """Return where they lie in the arrays of a replicate."""
        return place_of(self.worlds[r], self.place)

    def counts(self) -> npt.NDArray[np.int64]:
        """Return how many live, (R,)."""
        places = [self.at(r) for r in range(len(self.worlds))]
        return np.array([p.stop - p.start for p in places], np.int64)

    def edges(self, r: int) -> Edges:
        """Return presynaptic neuron, postsynaptic neuron and weight of each."""
        world, at = self.worlds[r], self.at(r)
        lo, hi = own_rows(world, self.place)
        return np.repeat(np.arange(lo.shape[1]), hi[-1] - lo[0]), world.target[at].astype(np.int64), world.weight[at].copy()

    def weights(self, r: int) -> npt.NDArray[Any]:
        """Return their weights, a view."""
        return self.worlds[r].weight[self.at(r)]

    def state(self, name: str, r: int) -> npt.NDArray[Any]:
        """Return a per-synapse state of the rule, a view."""
        if name not in self.states:
            raise InputError(f"synapses of '{self.projection.name}' have no state '{name}'", ("name",))
        return self.worlds[r].state[self.states.index(name), self.at(r)]

    def active(self, r: int) -> npt.NDArray[np.bool_]:
        """Return which are not silent."""
        active, at = self.worlds[r].active, self.at(r)
        return active[at].copy() if active.size else np.ones(at.stop - at.start, np.bool_)

    def birth_edges(self, r: int) -> npt.NDArray[np.int64]:
        """Return the place of each among the birth edges."""
        return birth_edges(self.projection.births, self.worlds[r], r, self.place)

    def memory(self) -> dict[str, float]:
        """Return the bytes that one takes, by what they hold."""
        world = self.worlds[0]
        held = {"target": world.target.itemsize, "weight": world.weight.itemsize, "state": world.state.shape[0] * world.state.itemsize}
        if self.plan is not None and self.plan.path == "general":
            held["column"] = world.column_synapse.itemsize + world.column_source.itemsize
        if world.active.size:
            held["active"] = 1
        return {k: float(v) for k, v in held.items()}
