"""What outlives an elimination around a Brian2 ``Synapses``: its monitors and its stored states.

Three things beside the synapses hold synapse numbers: a ``StateMonitor`` that records them, the delays of its
pathways (which Brian2 leaves out of ``store``, because without elimination they never change size), and states
stored before.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from brian2 import Network, StateMonitor
from brian2.synapses.synapses import SynapticPathway

from biosim.errors import InputError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class EliminatedRecording:
    """What a ``StateMonitor`` had recorded of the synapses that one elimination removed.

    Attributes
    ----------
    index : (n,) int
        Their synapse numbers just before that elimination.
    i, j : (n,) int
        Their pre- and postsynaptic neurons.
    t : (T,) float
        Times of the recording, in seconds.
    values : dict of (n, T) arrays
        What was recorded, by variable, in SI units.
    """

    index: Array
    i: Array
    j: Array
    t: Array
    values: dict[str, Array]


_ELIMINATED: weakref.WeakKeyDictionary[Any, list[EliminatedRecording]] = weakref.WeakKeyDictionary()


def eliminated_recordings(monitor: Any) -> list[EliminatedRecording]:
    """Return what ``monitor`` had recorded of synapses since eliminated, one item an elimination, oldest first."""
    return list(_ELIMINATED.get(monitor, []))


def replace(variable: Any, values: Array) -> None:
    """Give a Brian2 array variable other values of another length; the memory of the old ones is freed."""
    variable.size = values.shape if values.ndim > 1 else len(values)
    variable.device.add_array(variable)
    variable.set_value(values)


def keep(variable: Any, which: Array) -> None:
    """Keep only the values at ``which`` of a Brian2 array variable."""
    values = variable.get_value()
    variable.size = len(which)
    variable.device.add_array(variable)
    np.take(values, which, out=variable.get_value(), mode="clip")  # straight into place


def monitors_of(synapses: Any) -> list[Any]:
    """Return every living ``StateMonitor`` that records ``synapses``."""
    found = (reference() for reference in list(StateMonitor.__instances__()))
    return [m for m in found if m is not None and getattr(m, "source", None) is synapses]


def follow(monitor: Any, alive: Array, renumbered: Array) -> None:
    """Let ``monitor`` go on with the survivors among the synapses it records; set the rest aside.

    Parameters
    ----------
    monitor : StateMonitor
    alive : (N,) bool
    renumbered : (N,) int
        New number of each survivor.
    """
    record, source = monitor.record, monitor.source
    kept = alive[record]
    values = {name: variable.get_value() for name, variable in monitor.recorded_variables.items()}
    if not kept.all():
        gone = record[~kept]
        _ELIMINATED.setdefault(monitor, []).append(
            EliminatedRecording(
                index=gone.copy(), i=np.array(source.i[gone]), j=np.array(source.j[gone]), t=monitor.variables["t"].get_value().copy(),
                values={name: columns[:, ~kept].T.copy() for name, columns in values.items()},
            )
        )  # fmt: skip
    for name, columns in values.items():
        replace(monitor.variables[name], columns[:, kept])
    _rename(monitor, renumbered[record[kept]].astype(record.dtype))
    monitor._full_state = partial(_state_of_monitor, weakref.proxy(monitor))
    monitor._restore_from_full_state = partial(_restore_monitor, weakref.proxy(monitor))


def _rename(monitor: Any, record: Array) -> None:
    monitor.record, monitor.n_indices = record, len(record)
    replace(monitor.variables["_indices"], record)
    monitor.codeobj = None  # it points at the old arrays; record_single_timestep would use it before the next run


def _state_of_monitor(monitor: Any) -> dict[str, Any]:
    return {**StateMonitor._full_state(monitor), "_eliminated": eliminated_recordings(monitor.__repr__.__self__)}


def _restore_monitor(monitor: Any, state: dict[str, Any]) -> None:
    """Restore a monitor that may have recorded other synapses when its state was stored."""
    state = dict(state)
    _ELIMINATED[monitor.__repr__.__self__] = list(state.pop("_eliminated", []))
    _rename(monitor, state["_indices"][0].copy())
    for name in monitor.recorded_variables:
        replace(monitor.variables[name], state[name][0])
    StateMonitor._restore_from_full_state(monitor, state)


def keep_delays(synapses: Any) -> None:
    """Make states stored before and after this elimination hold the delays of each synapse, as ``restore`` will need them."""
    for pathway in synapses._pathways:
        delay = pathway.variables["delay"]
        if delay.scalar:
            continue
        for state in _stored_states(synapses):
            state[pathway.name].setdefault("delay", (delay.get_value().copy(), delay.size))
        object.__setattr__(pathway, "_full_state", partial(_state_of_pathway, weakref.proxy(pathway)))
        object.__setattr__(pathway, "_restore_from_full_state", partial(_restore_pathway, weakref.proxy(pathway)))


def _stored_states(synapses: Any) -> list[dict[str, Any]]:
    """Return the states in memory that hold ``synapses`` as they are before this elimination, or already hold their delays."""
    networks = [n for n in (reference() for reference in list(Network.__instances__())) if n is not None]
    # the magic network forgets its objects between runs: there the name must do
    own = [n for n in networks if not n.objects or any(item is synapses for item in n.objects)]
    return [state for network in own for state in network._stored_state.values() if synapses.name in state]


def _state_of_pathway(pathway: Any) -> dict[str, Any]:
    delay = pathway.variables["delay"]
    return {**SynapticPathway._full_state(pathway), "delay": (delay.get_value().copy(), delay.size)}


def _restore_pathway(pathway: Any, state: dict[str, Any]) -> None:
    if "delay" not in state:
        raise InputError(
            f"the state to restore was stored in a file before synapses of '{pathway.synapses.name}' were eliminated, and such files hold"
            " no delays: build the network anew and restore it there, or store without a filename"
        )
    SynapticPathway._restore_from_full_state(pathway, state)
