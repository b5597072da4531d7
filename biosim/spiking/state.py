"""The state of a spiking network at work, between two stretches of time.

Tables and layout are never read from a checkpoint: they are made anew from the births, and the synapses that had died are
removed from them. Only values are taken over, and those that kernels use as an index are found to be one first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from biosim.errors import DamageError
from biosim.spiking.compaction import without
from biosim.spiking.simulation import Simulation
from biosim.spiking.tables import DEFERRED
from biosim.spiking.world import World
from biosim.state import State, array, part

VALUES = (
    "v", "free_at", "base", "leak", "x", "source_limit", "mother_limit", "spikes", "pre_trace", "post_trace", "row_value", "ring", "sums",
    "total", "gain", "log_gain",
)  # fmt: skip
INDICES = ("position", "queue", "queued", "since", "log_first", "log_last", "log_step", "log_neuron")


def state(simulation: Simulation) -> State:
    """Return all that has changed since birth."""
    kept: State = {"step": simulation.step}
    for r, world in enumerate(simulation.worlds):
        own: State = {name: getattr(world, name) for name in (*VALUES, *INDICES, "weight", "state", "active")}
        own["deaths"] = {name: death for (name, k), death in simulation.deaths.items() if k == r}
        own["record"] = simulation.recorded[r].state()
        kept[str(r)] = own
    return kept


def restore(simulation: Simulation, kept: State) -> None:
    """Take a state over into a simulation as born.

    Raises
    ------
    DamageError
        When it does not fit the network, or an index leads outside of it.
    """
    step = int(kept["step"])
    if not 0 <= step < 2**31:
        raise DamageError(f"step {step} is none")
    for r in range(len(simulation.worlds)):
        own = part(kept, str(r))
        _remove_dead(simulation, r, part(own, "deaths"), step)
        world = simulation.worlds[r]
        for name in VALUES:
            now = getattr(world, name)
            now[...] = array(own.get(name), now.dtype, now.shape, name)
        _take_synapses(simulation, r, own)
        _take_indices(simulation, simulation.worlds[r], own, step)
        simulation.recorded[r].restore(part(own, "record"), step, len(simulation.network.populations))
    simulation.step = step


def _remove_dead(simulation: Simulation, r: int, deaths: State, step: int) -> None:
    for name, saved in deaths.items():
        live = simulation.live[name]
        born = len(live.projection.births.targets[r])
        death = array(saved, np.int32, (born,), f"deaths of {name}", -1, step).copy()
        simulation.deaths[name, r] = death
        simulation.worlds[r] = without(simulation.layout, simulation.worlds[r], live.place, death == -1)


def _take_synapses(simulation: Simulation, r: int, own: State) -> None:
    world = simulation.worlds[r]
    for name in ("weight", "state"):
        now = getattr(world, name)
        now[...] = array(own.get(name), now.dtype, now.shape, name)
    saved = own.get("active")
    if isinstance(saved, np.ndarray) and saved.size:
        active = array(saved, np.bool_, world.target.shape, "active").copy()
        simulation.worlds[r] = world.with_arrays(active=active)


def _take_indices(simulation: Simulation, w: World, own: State, step: int) -> None:
    """Take over what kernels use as an index, once each was found to lie within what it leads into."""
    found = {}
    for name in INDICES:
        now = getattr(w, name)
        found[name] = array(own.get(name), now.dtype, now.shape, name)
    array(found["since"], np.int32, w.since.shape, "since", -1, max(-1, step - 1))
    for k, p in enumerate(simulation.network.projections):
        row = w.proj[k]
        n_pre, slots, queue, queued = (int(row[column]) for column in ("n_pre", "slots", "queue", "queued"))
        array(found["queue"][queue : queue + slots * n_pre], np.uint32, (slots * n_pre,), f"queue of {p.name}", 0, n_pre - 1)
        array(found["queued"][queued : queued + slots], np.int64, (slots,), f"queue of {p.name}", 0, n_pre)
        if row["path"] == DEFERRED:
            own_rows = found["since"][:, row["rows"] : row["rows"] + n_pre]
            array(own_rows, np.int32, own_rows.shape, f"since of {p.name}", step - 1 if step else -1)  # all are up to date: settle()
            _check_log(found, int(row["deferred"]), int(row["n_post"]), int(w.span[row["deferred"]]), step)
    first = np.concatenate([[0], w.source["given_end"][:-1]])[: len(w.source)]
    if ((found["position"] < first) | (found["position"] > w.source["given_end"])).any():
        raise DamageError("'position' leads outside the given spikes")
    for name, values in found.items():
        getattr(w, name)[...] = values


def _check_log(found: dict[str, Any], d: int, n_post: int, span: int, step: int) -> None:
    """Check the log of postsynaptic spikes of one projection: no entry beyond the neurons, the capacity, or the present span."""
    first, last = found["log_first"][d], found["log_last"][d]
    capacity = found["log_step"].shape[2]
    shape = found["log_neuron"][d].shape
    array(found["log_neuron"][d], np.int32, shape, "log_neuron", 0, n_post - 1)
    array(found["log_step"][d], np.int32, shape, "log_step", 0, max(0, step - 1))
    if (first < 0).any() or (last < first).any() or (last - first > capacity).any():
        raise DamageError("'log_first' and 'log_last' do not delimit a log")
    now = step // span
    for k in range(len(first)):
        slot = now % first.shape[1]
        at = np.arange(first[k, slot], last[k, slot]) & (capacity - 1)
        if (found["log_step"][d, k, at] < now * span).any():
            raise DamageError("'log_step' holds spikes of another span")
