"""The numba kernels of plasticity on the general path: programs on blocks of synapses.

``w`` is the :class:`~biosim.spiking.fields.Handle` of a world; ``k`` a part of the postsynaptic neurons, ``p`` a projection,
``i`` a presynaptic neuron (a row), ``j`` a postsynaptic one (a column). The columns of the tables are named in
:mod:`biosim.spiking.world`; ``NAME_`` is the array ``NAME`` described there.
"""

from __future__ import annotations

import numba
import numpy as np

from biosim.equations.kernel import apply, apply_constant
from biosim.equations.opcodes import Op
from biosim.spiking import fields
from biosim.streams import hash32, unit

BLOCK = 512  # synapses worked on at a time
SLOTS = 20  # values a program may load


@numba.njit(cache=True, error_model="numpy")
def execute(w, k, program, n):  # type: ignore[no-untyped-def]
    """Run a program on the first ``n`` entries of the part's loaded values; stores go back to them."""
    reg_, loc_, program_, code_ = fields.reg(w), fields.loc(w), fields.program(w), fields.code(w)
    constant_ = fields.constant(w)
    reg, loc = reg_[k], loc_[k]
    top = 0
    for line in range(program_[program, 0], program_[program, 1]):
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
    """Return the value of a program over one neuron's own traces; ``side`` is 2 for pre, 3 for post."""
    program_, loc_, pre_trace_, proj_ = fields.program(w), fields.loc(w), fields.pre_trace(w), fields.proj(w)
    slot_, post_trace_ = fields.slot(w), fields.post_trace(w)
    for slot in range(program_[program, 2], program_[program, 3]):
        here = loc_[k, slot - program_[program, 2]]
        if side == 2:
            here[0] = pre_trace_[k, proj_[p, 10] + slot_[slot, 1] * proj_[p, 3] + neuron]
        else:
            here[0] = post_trace_[proj_[p, 12] + slot_[slot, 1] * proj_[p, 26] + neuron]
    return execute(w, k, program, 1)


@numba.njit(cache=True, error_model="numpy")
def of_targets(w, k, p, program, lo, hi, out):  # type: ignore[no-untyped-def]
    """Set ``out[lo:hi]`` to a program over post traces, for the part's postsynaptic neurons."""
    program_, loc_, proj_, slot_ = fields.program(w), fields.loc(w), fields.proj(w), fields.slot(w)
    post_trace_, reg_ = fields.post_trace(w), fields.reg(w)
    for at in range(lo, hi, BLOCK):
        n = min(BLOCK, hi - at)
        for slot in range(program_[program, 2], program_[program, 3]):
            here = loc_[k, slot - program_[program, 2]]
            first = proj_[p, 12] + slot_[slot, 1] * proj_[p, 26] + at
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
    program_, loc_, slot_, weight_ = fields.program(w), fields.loc(w), fields.slot(w), fields.weight(w)
    state_, pre_trace_, proj_, post_trace_ = fields.state(w), fields.pre_trace(w), fields.proj(w), fields.post_trace(w)
    target_, dt_, stream_ = fields.target(w), fields.dt(w), fields.stream(w)
    first, last = program_[program, 2], program_[program, 3]
    for at in range(lo, hi, BLOCK):
        n = min(BLOCK, hi - at)
        weight, target = weight_[at : at + n], target_[at : at + n]  # slices: see deferral_kernels
        for slot in range(first, last):
            here, kind, index = loc_[k, slot - first], slot_[slot, 0], slot_[slot, 1]
            if kind == 0:
                for q in range(n):
                    here[q] = weight[q]
            elif kind == 1:
                own = state_[index, at : at + n]
                for q in range(n):
                    here[q] = own[q]
            elif kind == 2:
                value = pre_trace_[k, proj_[p, 10] + index * proj_[p, 3] + i]
                for q in range(n):
                    here[q] = value
            elif kind == 3:
                source = post_trace_[proj_[p, 12] + index * proj_[p, 26] :]
                for q in range(n):
                    here[q] = source[target[q]]
            elif kind == 4:
                value = step * dt_[0]
                for q in range(n):
                    here[q] = value
            else:
                for q in range(n):
                    edge = np.uint64(i * proj_[p, 26] + np.int64(target[q]))
                    here[q] = unit(hash32(stream_[p, index], np.uint32(step), edge))
        execute(w, k, program, n)
        for slot in range(first, last):
            if slot_[slot, 2]:
                here = loc_[k, slot - first]
                if slot_[slot, 0] == 0:
                    for q in range(n):
                        weight[q] = here[q]
                else:
                    own = state_[slot_[slot, 1], at : at + n]
                    for q in range(n):
                        own[q] = here[q]


@numba.njit(cache=True, error_model="numpy")
def on_column(w, k, p, j, program, step):  # type: ignore[no-untyped-def]
    """Run a program on all synapses of postsynaptic neuron ``j``, found through the columns."""
    program_, column_, proj_, loc_ = fields.program(w), fields.column(w), fields.proj(w), fields.loc(w)
    slot_, weight_, column_synapse_, state_ = fields.slot(w), fields.weight(w), fields.column_synapse(w), fields.state(w)
    pre_trace_, column_source_, post_trace_, dt_ = fields.pre_trace(w), fields.column_source(w), fields.post_trace(w), fields.dt(w)
    stream_ = fields.stream(w)
    first, last = program_[program, 2], program_[program, 3]
    lo, hi = column_[proj_[p, 27] + j], column_[proj_[p, 27] + j + 1]
    for at in range(lo, hi, BLOCK):
        n = min(BLOCK, hi - at)
        synapse, neuron = column_synapse_[at : at + n], column_source_[at : at + n]
        for slot in range(first, last):
            here, kind, index = loc_[k, slot - first], slot_[slot, 0], slot_[slot, 1]
            if kind == 0:
                for q in range(n):
                    here[q] = weight_[synapse[q]]
            elif kind == 1:
                for q in range(n):
                    here[q] = state_[index, synapse[q]]
            elif kind == 2:
                source = pre_trace_[k, proj_[p, 10] + index * proj_[p, 3] :]
                for q in range(n):
                    here[q] = source[neuron[q]]
            elif kind == 3:
                value = post_trace_[proj_[p, 12] + index * proj_[p, 26] + j]
                for q in range(n):
                    here[q] = value
            elif kind == 4:
                value = step * dt_[0]
                for q in range(n):
                    here[q] = value
            else:
                for q in range(n):
                    edge = np.uint64(np.int64(neuron[q]) * proj_[p, 26] + j)
                    here[q] = unit(hash32(stream_[p, index], np.uint32(step), edge))
        execute(w, k, program, n)
        for slot in range(first, last):
            if slot_[slot, 2]:
                here = loc_[k, slot - first]
                if slot_[slot, 0] == 0:
                    for q in range(n):
                        weight_[synapse[q]] = here[q]
                else:
                    for q in range(n):
                        state_[slot_[slot, 1], synapse[q]] = here[q]


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
