"""The arrays of one replicate, laid out flat for the kernels: neurons, spikes on their way, synapses, plasticity.

The columns of the tables are named in :mod:`biosim.spiking.tables`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.spiking.fields import FIELDS, VARYING, Handle

Table = npt.NDArray[np.void]
Whole = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint32]
Real = npt.NDArray[Any]  # float32 or float64, the precision of the simulation
Double = npt.NDArray[np.float64]


@dataclass
class World:
    """One replicate. The leading axis T, where there is one, is the part of the postsynaptic neurons (a thread's share)."""

    dt: Double
    # neurons
    pop: Table
    part: Whole  # (T, P, 2): first neuron of each population, and the one after the last
    v: Real
    free_at: npt.NDArray[np.int32]  # step from which a neuron is no longer refractory
    flag: npt.NDArray[np.uint8]
    base: Real
    leak: Real
    channel: Table
    x: Real
    # noise and inputs
    drive: Table
    drive_limit: Bits
    drive_key: Bits
    drive_hash: Bits
    source: Table
    source_key: Bits
    source_hash: Bits
    source_limit: Bits
    group: npt.NDArray[np.int32]
    mother: npt.NDArray[np.bool_]
    mother_limit: Bits
    position: Whole
    given_step: Whole
    given_neuron: Whole
    # spikes
    recorded: npt.NDArray[np.bool_]
    spikes: Whole
    out_step: npt.NDArray[np.int64]
    out_emitter: npt.NDArray[np.int32]
    out_neuron: npt.NDArray[np.int32]
    cursor: Whole
    room: Whole
    fired: npt.NDArray[np.int32]
    fired_at: Whole
    # synapses
    proj: Table
    delay: npt.NDArray[np.int32]
    queue: Bits
    queued: Whole
    stream: Bits
    row_lo: Whole
    row_hi: Whole
    target: npt.NDArray[Any]  # uint16 or uint32
    weight: Real
    state: Real
    active: npt.NDArray[np.bool_]  # empty while no synapse is silent
    column: Whole
    column_synapse: Bits
    column_source: npt.NDArray[Any]
    # plasticity
    pre_trace: Double
    post_trace: Double
    fade: Double
    rise: Whole
    program: Table
    code: Whole
    constant: Real
    slot: Table
    since: npt.NDArray[np.int32]
    row_value: Double
    span: Whole
    burst: Whole
    ring: Real
    sums: Real
    total: Real
    gain: Real
    log_first: Whole
    log_last: Whole
    log_step: npt.NDArray[np.int32]
    log_neuron: npt.NDArray[np.int32]
    log_gain: Real
    decay_table: Real
    reg: Real
    loc: Real
    fresh: Double

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
