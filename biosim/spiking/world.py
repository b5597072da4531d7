"""The arrays of one replicate, laid out flat for the kernels: neurons, spikes on their way, synapses, plasticity.

Columns of the tables of whole numbers (``w.TABLE[row, column]``):

- ``pop``: 0 first neuron among all, 2 refractory steps, 3 emitter, 4 and 5 first channel and the one after the last, 6 whether currents
  or conductances flow.  ``pop_real``: 0 decay a step, 1 v_rest + bias, 2 v_reset, 3 v_threshold, 4 dt/tau_m.
- ``channel`` (a receptor and scale of a population): 0 kind (delta, current, conductance), 1 where its values begin in ``x``.
  ``channel_real``: 0 decay a step, 1 reversal, 2 scale.
- ``drive``: 0 population, 1 where its channel begins in ``x``, 2 where its hashes begin, 3 how many limits.
- ``source``: 0 emitter, 1 size, 2 kind (Poisson, given), 3 first neuron, 4 groups, 5 first group, 6 end of the given spikes.
- ``proj``: 0 emitter, 1 postsynaptic population, 2 and 30 first row, 3 n_pre, 4 where its channel begins in ``x``, 5 queue, 6 queue
  lengths, 7 slots of the queue, 8 path (static, deferred, general), 9 whether delays differ, 10 and 11 pre traces (where, how many),
  12 and 13 post traces, 14 to 20 programs (on_pre, on_post, scale, post, shift, row, gain), 26 n_post, 27 first column, 28 and 29
  first of its pre and post traces in ``rise`` and ``fade``, 31 its place among the deferred.  ``proj_real``: 0 and 1 bounds of
  on_post, 2 and 3 of on_pre.
- ``program``: 0 to 1 its lines in ``code``, 2 to 3 its values in ``slot`` (source, index, whether stored).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.spiking.fields import FIELDS, Handle

Whole = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint32]
Real = npt.NDArray[Any]  # float32 or float64, the precision of the simulation
Double = npt.NDArray[np.float64]


@dataclass
class World:
    """One replicate. The leading axis T, where there is one, is the part of the postsynaptic neurons (a thread's share)."""

    dt: Double
    # neurons
    pop: Whole
    pop_real: Double
    part: Whole  # (T, P, 2): first neuron of each population, and the one after the last
    v: Real
    free_at: npt.NDArray[np.int32]  # step from which a neuron is no longer refractory
    flag: npt.NDArray[np.uint8]
    base: Real
    leak: Real
    channel: Whole
    channel_real: Double
    x: Real
    # noise and inputs
    drive: Whole
    drive_limit: Bits
    drive_key: Bits
    drive_hash: Bits
    drive_weight: Double
    source: Whole
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
    proj: Whole
    proj_real: Double
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
    program: Whole
    code: Whole
    constant: Real
    slot: Whole
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
            assert kind in ("real", "target", "source") or array.dtype == kind, name
            table[row, : axes + 1] = array.ctypes.data, *array.shape
        return Handle(table, self.weight[:0], self.target[:0], self.column_source[:0])

    def with_arrays(self, **arrays: Any) -> World:
        """Return a world with some arrays in place of those it has; it takes the others over."""
        return replace(self, **arrays)
