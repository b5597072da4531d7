"""The arrays of one replicate, laid out flat for the kernels: neurons, spikes on their way, synapses, plasticity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, NamedTuple, get_type_hints

import numpy as np
import numpy.typing as npt

from biosim.spiking import tables

Array = npt.NDArray[Any]
VARYING = ("real", "target", "source")  # kinds that differ from world to world


class Handle(NamedTuple):
    """What a kernel is given: where every array lies, and empty arrays of the types that vary."""

    table: npt.NDArray[np.int64]  # (fields, 4): address, shape
    real: Array
    target: Array
    source: Array


@dataclass
class World:
    """One replicate. The leading axis T, where there is one, is the part of the postsynaptic neurons (a thread's share).

    Every array is declared with its type, and how many axes it has where that is not one. ``real`` is the precision of the simulation,
    ``target`` and ``source`` the types that postsynaptic and presynaptic neurons are named in.
    """

    dt: Annotated[Array, "float64"]
    # neurons
    pop: Annotated[Array, tables.POPULATION]
    part: Annotated[Array, "int64", 3]  # (T, P, 2): first neuron of each population, and the one after the last
    v: Annotated[Array, "real"]
    free_at: Annotated[Array, "int32"]  # step from which a neuron is no longer refractory
    flag: Annotated[Array, "uint8"]
    base: Annotated[Array, "real"]
    leak: Annotated[Array, "real"]
    channel: Annotated[Array, tables.CHANNEL]
    x: Annotated[Array, "real"]
    # noise and inputs
    drive: Annotated[Array, tables.DRIVE]
    drive_limit: Annotated[Array, "uint32", 2]
    drive_key: Annotated[Array, "uint32"]
    drive_hash: Annotated[Array, "uint32"]
    source: Annotated[Array, tables.SOURCE]
    source_key: Annotated[Array, "uint32"]
    source_hash: Annotated[Array, "uint32"]
    source_limit: Annotated[Array, "uint32"]
    group: Annotated[Array, "int32"]
    mother: Annotated[Array, "bool"]
    mother_limit: Annotated[Array, "uint32"]
    position: Annotated[Array, "int64"]
    given_step: Annotated[Array, "int64"]
    given_neuron: Annotated[Array, "int64"]
    # spikes
    recorded: Annotated[Array, "bool"]
    spikes: Annotated[Array, "int64"]
    out_step: Annotated[Array, "int64"]
    out_emitter: Annotated[Array, "int32"]
    out_neuron: Annotated[Array, "int32"]
    cursor: Annotated[Array, "int64"]
    room: Annotated[Array, "int64"]
    fired: Annotated[Array, "int32", 2]
    fired_at: Annotated[Array, "int64", 2]
    # synapses
    proj: Annotated[Array, tables.PROJECTION]
    delay: Annotated[Array, "int32"]
    queue: Annotated[Array, "uint32"]
    queued: Annotated[Array, "int64"]
    stream: Annotated[Array, "uint32", 2]
    row_lo: Annotated[Array, "int64", 2]
    row_hi: Annotated[Array, "int64", 2]
    target: Annotated[Array, "target"]
    weight: Annotated[Array, "real"]
    state: Annotated[Array, "real", 2]
    active: Annotated[Array, "bool"]  # empty while no synapse is silent
    column: Annotated[Array, "int64"]
    column_synapse: Annotated[Array, "uint32"]
    column_source: Annotated[Array, "source"]
    # plasticity
    pre_trace: Annotated[Array, "float64", 2]
    post_trace: Annotated[Array, "float64"]
    fade: Annotated[Array, "float64", 2]
    rise: Annotated[Array, "int64"]
    program: Annotated[Array, tables.PROGRAM]
    code: Annotated[Array, "int64", 2]
    constant: Annotated[Array, "real"]
    slot: Annotated[Array, tables.SLOT]
    since: Annotated[Array, "int32", 2]
    row_value: Annotated[Array, "float64", 2]
    span: Annotated[Array, "int64"]
    burst: Annotated[Array, "int64"]
    ring: Annotated[Array, "real", 3]
    sums: Annotated[Array, "real", 3]
    total: Annotated[Array, "real", 2]
    gain: Annotated[Array, "real", 2]
    log_first: Annotated[Array, "int64", 3]
    log_last: Annotated[Array, "int64", 3]
    log_step: Annotated[Array, "int32", 3]
    log_neuron: Annotated[Array, "int32", 3]
    log_gain: Annotated[Array, "real", 3]
    decay_table: Annotated[Array, "real", 2]
    reg: Annotated[Array, "real", 3]
    loc: Annotated[Array, "real", 3]
    fresh: Annotated[Array, "float64", 2]

    @cached_property
    def handle(self) -> Handle:
        """What kernels are given; it lives no longer than this world, whose arrays it points at."""
        table = np.zeros((len(FIELDS), 4), np.int64)
        for row, (name, (kind, axes)) in enumerate(FIELDS.items()):
            array = getattr(self, name)
            assert array.ndim == axes and array.flags.c_contiguous, name
            assert kind in VARYING or array.dtype == kind, name
            table[row, : axes + 1] = array.ctypes.data, *array.shape
        return Handle(table, self.weight[:0], self.target[:0], self.column_source[:0])

    def with_arrays(self, **arrays: Any) -> World:
        """Return a world with some arrays in place of those it has; it takes the others over."""
        return replace(self, **arrays)


def _declared(kind: Any, axes: int = 1) -> tuple[Any, int]:
    return kind, axes


FIELDS = {  # type and number of axes of every array, in the order of the table of a handle
    name: _declared(*hint.__metadata__) for name, hint in get_type_hints(World, include_extras=True).items()
}
