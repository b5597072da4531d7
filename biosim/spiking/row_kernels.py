"""The numba kernels of plasticity on the general path: programs on blocks of synapses.

``w`` is the :class:`~biosim.spiking.world.Handle` of a world; ``k`` a part of the postsynaptic neurons, ``p`` a projection,
``i`` a presynaptic neuron (a row), ``j`` a postsynaptic one (a column). ``NAME_`` is the array ``NAME`` of :mod:`biosim.spiking.world`,
``proj`` the row of one projection (:mod:`biosim.spiking.tables`).
"""

from __future__ import annotations

import numba
import numpy as np

from biosim.equations.kernel import apply, apply_constant
from biosim.equations.opcodes import Op
from biosim.spiking import fields
from biosim.spiking.tables import AGE, POST, PRE, STATE, WEIGHT
from biosim.streams import hash32, unit

BLOCK = 512  # synapses worked on at a time
SLOTS = 20  # values a program may load


@numba.njit(cache=True, error_model="numpy")
def execute(w, k, program, n):  # type: ignore[no-untyped-def]
    """Run a program on the first ``n`` entries of the part's loaded values; stores go back to them."""
    reg_, loc_, entry, code_ = fields.reg(w), fields.loc(w), fields.program(w)[program], fields.code(w)
    constant_ = fields.constant(w)
    reg, loc = reg_[k], loc_[k]
    top = 0
    for line in range(entry.lines, entry.lines_end):
        op, argument = code_[line, 0], code_[line, 1]
        if op == Op.synapse:
            source, target = loc[argument], reg[top]
            for q in range(n):
                target[q] = source[q]
            top += 1
        elif op == Op.constant:
            for q in range(n):
                reg[top, q] = constant_[argument]
            top += 1
        elif op >= Op.add_constant:
            apply_constant(op, reg[top - 1], constant_[argument], n)
        elif op == Op.store:
            top -= 1
            source, target = reg[top], loc[argument]
            for q in range(n):
                target[q] = source[q]
        else:
            top = apply(op, top, reg, n)
    return reg[0, 0]


@numba.njit(cache=True, error_model="numpy")
def of_neuron(w, k, p, program, neuron, side):  # type: ignore[no-untyped-def]
    """Return the value of a program over one neuron's own traces; ``side`` is PRE or POST."""
    entry, loc_, pre_trace_, proj = fields.program(w)[program], fields.loc(w), fields.pre_trace(w), fields.proj(w)[p]
    slot_, post_trace_ = fields.slot(w), fields.post_trace(w)
    for slot in range(entry.slots, entry.slots_end):
        here = loc_[k, slot - entry.slots]
        if side == PRE:
            here[0] = pre_trace_[k, proj.pre_traces + slot_[slot].index * proj.n_pre + neuron]
        else:
            here[0] = post_trace_[proj.post_traces + slot_[slot].index * proj.n_post + neuron]
    return execute(w, k, program, 1)


@numba.njit(cache=True, error_model="numpy")
def of_targets(w, k, p, program, lo, hi, out):  # type: ignore[no-untyped-def]
    """Set ``out[lo:hi]`` to a program over post traces, for the part's postsynaptic neurons."""
    entry, loc_, proj, slot_ = fields.program(w)[program], fields.loc(w), fields.proj(w)[p], fields.slot(w)
    post_trace_, reg_ = fields.post_trace(w), fields.reg(w)
    for at in range(lo, hi, BLOCK):
        n = min(BLOCK, hi - at)
        for slot in range(entry.slots, entry.slots_end):
            here = loc_[k, slot - entry.slots]
            first = proj.post_traces + slot_[slot].index * proj.n_post + at
            source = post_trace_[first : first + n]
            for q in range(n):
                here[q] = source[q]
        execute(w, k, program, n)
        result, target = reg_[k, 0], out[at : at + n]
        for q in range(n):
            target[q] = result[q]


@numba.njit(cache=True, error_model="numpy")
def on_row(w, k, p, i, lo, hi, program, step):  # type: ignore[no-untyped-def]
    """Run a program on the synapses ``lo`` to ``hi`` of presynaptic neuron ``i``."""
    entry, loc_, slot_, weight_ = fields.program(w)[program], fields.loc(w), fields.slot(w), fields.weight(w)
    state_, pre_trace_, proj, post_trace_ = fields.state(w), fields.pre_trace(w), fields.proj(w)[p], fields.post_trace(w)
    target_, dt_, stream_ = fields.target(w), fields.dt(w), fields.stream(w)
    first, last = entry.slots, entry.slots_end
    for at in range(lo, hi, BLOCK):
        n = min(BLOCK, hi - at)
        weight, target = weight_[at : at + n], target_[at : at + n]  # slices: see deferral_kernels
        for slot in range(first, last):
            here, kind, index = loc_[k, slot - first], slot_[slot].source, slot_[slot].index
            if kind == WEIGHT:
                for q in range(n):
                    here[q] = weight[q]
            elif kind == STATE:
                own = state_[index, at : at + n]
                for q in range(n):
                    here[q] = own[q]
            elif kind == PRE:
                value = pre_trace_[k, proj.pre_traces + index * proj.n_pre + i]
                for q in range(n):
                    here[q] = value
            elif kind == POST:
                source = post_trace_[proj.post_traces + index * proj.n_post :]
                for q in range(n):
                    here[q] = source[target[q]]
            elif kind == AGE:
                value = step * dt_[0]
                for q in range(n):
                    here[q] = value
            else:
                for q in range(n):
                    edge = np.uint64(i * proj.n_post + np.int64(target[q]))
                    here[q] = unit(hash32(stream_[p, index], np.uint32(step), edge))
        execute(w, k, program, n)
        for slot in range(first, last):
            if slot_[slot].stored:
                here = loc_[k, slot - first]
                if slot_[slot].source == WEIGHT:
                    for q in range(n):
                        weight[q] = here[q]
                else:
                    own = state_[slot_[slot].index, at : at + n]
                    for q in range(n):
                        own[q] = here[q]


@numba.njit(cache=True, error_model="numpy")
def on_column(w, k, p, j, program, step):  # type: ignore[no-untyped-def]
    """Run a program on all synapses of postsynaptic neuron ``j``, found through the columns."""
    entry, column_, proj, loc_ = fields.program(w)[program], fields.column(w), fields.proj(w)[p], fields.loc(w)
    slot_, weight_, column_synapse_, state_ = fields.slot(w), fields.weight(w), fields.column_synapse(w), fields.state(w)
    pre_trace_, column_source_, post_trace_, dt_ = fields.pre_trace(w), fields.column_source(w), fields.post_trace(w), fields.dt(w)
    stream_ = fields.stream(w)
    first, last = entry.slots, entry.slots_end
    lo, hi = column_[proj.columns + j], column_[proj.columns + j + 1]
    for at in range(lo, hi, BLOCK):
        n = min(BLOCK, hi - at)
        synapse, neuron = column_synapse_[at : at + n], column_source_[at : at + n]
        for slot in range(first, last):
            here, kind, index = loc_[k, slot - first], slot_[slot].source, slot_[slot].index
            if kind == WEIGHT:
                for q in range(n):
                    here[q] = weight_[synapse[q]]
            elif kind == STATE:
                for q in range(n):
                    here[q] = state_[index, synapse[q]]
            elif kind == PRE:
                source = pre_trace_[k, proj.pre_traces + index * proj.n_pre :]
                for q in range(n):
                    here[q] = source[neuron[q]]
            elif kind == POST:
                value = post_trace_[proj.post_traces + index * proj.n_post + j]
                for q in range(n):
                    here[q] = value
            elif kind == AGE:
                value = step * dt_[0]
                for q in range(n):
                    here[q] = value
            else:
                for q in range(n):
                    edge = np.uint64(np.int64(neuron[q]) * proj.n_post + j)
                    here[q] = unit(hash32(stream_[p, index], np.uint32(step), edge))
        execute(w, k, program, n)
        for slot in range(first, last):
            if slot_[slot].stored:
                here = loc_[k, slot - first]
                if slot_[slot].source == WEIGHT:
                    for q in range(n):
                        weight_[synapse[q]] = here[q]
                else:
                    for q in range(n):
                        state_[slot_[slot].index, synapse[q]] = here[q]


@numba.njit(cache=True, error_model="numpy")
def transmit(w, lo, hi, out):  # type: ignore[no-untyped-def]
    """Add the weights of synapses ``lo`` to ``hi`` to what arrives at their targets."""
    weight_, target_, active_ = fields.weight(w), fields.target(w), fields.active(w)
    weight, target = weight_[lo:hi], target_[lo:hi]
    if active_.size:
        active = active_[lo:hi]
        for q in range(len(target)):
            if active[q]:
                out[target[q]] += weight[q]
    else:
        for q in range(len(target)):
            out[target[q]] += weight[q]
