"""The numba kernels of plasticity: programs on blocks of synapses, and potentiation deferred to the next arrival.

``w`` is a :class:`~biosim.spiking.world.World`; ``k`` a part of the postsynaptic neurons, ``p`` a projection, ``i`` a presynaptic neuron (a
row), ``n`` the step. The columns of the tables are named in :mod:`biosim.spiking.world`.

**Deferral.** Where ``on_post`` is ``bounds(weight + P(pre)*G(post))`` with ``P*G >= 0``, and ``P`` decays at a rate ``r`` between arrivals, the updates of a row
since its last visit at step ``f`` add up to ``P(f) * sum_k G_k*exp(-r*(t_k - f))`` over the spikes ``t_k > f`` of the target: nobody
reads the weight in between. The sums are kept for all targets from boundaries every ``span`` steps (``ring``); the spikes of
the two unfinished spans come from a log. So a postsynaptic spike touches no synapse at all.
"""

from __future__ import annotations

import numba
import numpy as np

from biosim.spiking import fields
from biosim.equations.kernel import apply
from biosim.streams import hash32, unit

BLOCK = 512  # synapses worked on at a time
STACK = 24
SLOTS = 20  # values a program may load
SHORT = 4  # a row shorter than a fraction of all targets takes its sums one by one


@numba.njit(cache=True, error_model="numpy")
def execute(w, k, program, n):  # type: ignore[no-untyped-def]
    """Run a program on the first ``n`` entries of the part's loaded values; stores go back to them."""
    reg_, loc_, program_, code_ = fields.reg(w), fields.loc(w), fields.program(w), fields.code(w)
    constant_ = fields.constant(w)
    reg, loc = reg_[k], loc_[k]
    top = 0
    for line in range(program_[program, 0], program_[program, 1]):
        op, argument = code_[line, 0], code_[line, 1]
        if op == 0:
            source, target = loc[argument], reg[top]
            for q in range(n):
                target[q] = source[q]
            top += 1
        elif op == 3:
            for q in range(n):
                reg[top, q] = constant_[argument]
            top += 1
        elif op >= 30:
            target, value = reg[top - 1], constant_[argument]
            if op == 30:
                for q in range(n):
                    target[q] = target[q] + value
            elif op == 31:
                for q in range(n):
                    target[q] = target[q] - value
            elif op == 32:
                for q in range(n):
                    target[q] = target[q] * value
            else:
                for q in range(n):
                    target[q] = target[q] / value
        elif op == 27:
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
            source = proj_[p, 12] + slot_[slot, 1] * proj_[p, 26] + at
            for q in range(n):
                here[q] = post_trace_[source + q]
        execute(w, k, program, n)
        for q in range(n):
            out[at + q] = reg_[k, 0, q]


@numba.njit(cache=True, error_model="numpy")
def on_row(w, k, p, i, lo, hi, program, step):  # type: ignore[no-untyped-def]
    """Run a program on the synapses ``lo`` to ``hi`` of presynaptic neuron ``i``."""
    program_, loc_, slot_, weight_ = fields.program(w), fields.loc(w), fields.slot(w), fields.weight(w)
    state_, pre_trace_, proj_, post_trace_ = fields.state(w), fields.pre_trace(w), fields.proj(w), fields.post_trace(w)
    target_, dt_, stream_ = fields.target(w), fields.dt(w), fields.stream(w)
    first, last = program_[program, 2], program_[program, 3]
    for at in range(lo, hi, BLOCK):
        n = min(BLOCK, hi - at)
        for slot in range(first, last):
            here, kind, index = loc_[k, slot - first], slot_[slot, 0], slot_[slot, 1]
            if kind == 0:
                for q in range(n):
                    here[q] = weight_[at + q]
            elif kind == 1:
                for q in range(n):
                    here[q] = state_[index, at + q]
            elif kind == 2:
                value = pre_trace_[k, proj_[p, 10] + index * proj_[p, 3] + i]
                for q in range(n):
                    here[q] = value
            elif kind == 3:
                source = proj_[p, 12] + index * proj_[p, 26]
                for q in range(n):
                    here[q] = post_trace_[source + np.int64(target_[at + q])]
            elif kind == 4:
                value = step * dt_[0]
                for q in range(n):
                    here[q] = value
            else:
                for q in range(n):
                    edge = np.uint64(i * proj_[p, 26] + np.int64(target_[at + q]))
                    here[q] = unit(hash32(stream_[p, index], np.uint32(step), edge))
        execute(w, k, program, n)
        for slot in range(first, last):
            if slot_[slot, 2]:
                here = loc_[k, slot - first]
                if slot_[slot, 0] == 0:
                    for q in range(n):
                        weight_[at + q] = here[q]
                else:
                    for q in range(n):
                        state_[slot_[slot, 1], at + q] = here[q]


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
        for slot in range(first, last):
            here, kind, index = loc_[k, slot - first], slot_[slot, 0], slot_[slot, 1]
            if kind == 0:
                for q in range(n):
                    here[q] = weight_[column_synapse_[at + q]]
            elif kind == 1:
                for q in range(n):
                    here[q] = state_[index, column_synapse_[at + q]]
            elif kind == 2:
                source = proj_[p, 10] + index * proj_[p, 3]
                for q in range(n):
                    here[q] = pre_trace_[k, source + np.int64(column_source_[at + q])]
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
                    edge = np.uint64(np.int64(column_source_[at + q]) * proj_[p, 26] + j)
                    here[q] = unit(hash32(stream_[p, index], np.uint32(step), edge))
        execute(w, k, program, n)
        for slot in range(first, last):
            if slot_[slot, 2]:
                here = loc_[k, slot - first]
                if slot_[slot, 0] == 0:
                    for q in range(n):
                        weight_[column_synapse_[at + q]] = here[q]
                else:
                    for q in range(n):
                        state_[slot_[slot, 1], column_synapse_[at + q]] = here[q]


@numba.njit(cache=True, error_model="numpy")
def transmit(w, lo, hi, out):  # type: ignore[no-untyped-def]
    """Add the weights of synapses ``lo`` to ``hi`` to what arrives at their targets."""
    weight_, target_, active_ = fields.weight(w), fields.target(w), fields.active(w)
    weight, target = weight_, target_
    if active_.size:
        for q in range(lo, hi):
            if active_[q]:
                out[target[q]] += weight[q]
    else:
        for q in range(lo, hi):
            out[target[q]] += weight[q]


# -- deferral -----------------------------------------------------------------------------------
@numba.njit(cache=True, error_model="numpy")
def _add_logged(w, k, p, span, f, n, factor, sums):  # type: ignore[no-untyped-def]
    """Add to ``sums`` the spikes of one span that fell after step ``f``, up to step ``n``."""
    proj_, log_step_, log_first_, log_last_ = fields.proj(w), fields.log_step(w), fields.log_first(w), fields.log_last(w)
    log_neuron_, log_gain_, decay_table_ = fields.log_neuron(w), fields.log_gain(w), fields.decay_table(w)
    d, mask = proj_[p, 31], log_step_.shape[2] - 1
    slot = span % log_first_.shape[2]
    for at in range(log_first_[d, k, slot], log_last_[d, k, slot]):
        t = log_step_[d, k, at & mask]
        if t > f:
            sums[log_neuron_[d, k, at & mask]] += factor * log_gain_[d, k, at & mask] * decay_table_[d, t - f]


@numba.njit(cache=True, error_model="numpy")
def _clear_logged(w, k, p, span, sums):  # type: ignore[no-untyped-def]
    proj_, log_step_, log_first_, log_last_ = fields.proj(w), fields.log_step(w), fields.log_first(w), fields.log_last(w)
    log_neuron_ = fields.log_neuron(w)
    d, mask = proj_[p, 31], log_step_.shape[2] - 1
    slot = span % log_first_.shape[2]
    for at in range(log_first_[d, k, slot], log_last_[d, k, slot]):
        sums[log_neuron_[d, k, at & mask]] = 0


@numba.njit(cache=True, error_model="numpy")
def _fused(weight, target, sums, gain, out, lo, hi, top, scale, shift, low, high):  # type: ignore[no-untyped-def]
    """Potentiate, transmit, depress: one pass over a row, one read and one write a synapse."""
    for q in range(lo, hi):
        t = target[q]
        value = weight[q] + sums[t]
        value = value if value < top else top
        out[t] += value
        value = value + (scale * gain[t] + shift)
        value = value if value > low else low
        weight[q] = value if value < high else high


@numba.njit(cache=True, error_model="numpy")
def _fused_short(weight, target, ring, sums, factor, gain, out, lo, hi, top, scale, shift, low, high):  # type: ignore[no-untyped-def]
    """Do what :func:`_fused` does, for so few synapses that summing for all targets would cost more."""
    for q in range(lo, hi):
        t = target[q]
        value = weight[q] + (factor * ring[t] + sums[t])
        value = value if value < top else top
        out[t] += value
        value = value + (scale * gain[t] + shift)
        value = value if value > low else low
        weight[q] = value if value < high else high


@numba.njit(cache=True, error_model="numpy")
def visit(w, k, p, i, n, arrives):  # type: ignore[no-untyped-def]
    """Bring row ``i`` up to the spikes of step ``n``; when a spike ``arrives``, transmit and run ``on_pre`` too."""
    proj_, weight_, row_lo_, row_hi_ = fields.proj(w), fields.weight(w), fields.row_lo(w), fields.row_hi(w)
    since_, row_value_, span_, part_ = fields.since(w), fields.row_value(w), fields.span(w), fields.part(w)
    sums_, ring_, decay_table_, x_ = fields.sums(w), fields.ring(w), fields.decay_table(w), fields.x(w)
    proj_real_, total_, active_, target_ = fields.proj_real(w), fields.total(w), fields.active(w), fields.target(w)
    gain_ = fields.gain(w)
    d, real = proj_[p, 31], w.real.dtype.type
    lo, hi = row_lo_[k, proj_[p, 2] + i], row_hi_[k, proj_[p, 2] + i]
    row = proj_[p, 30] + i
    f, value = np.int64(since_[k, row]), row_value_[k, row]
    length = span_[d]
    then, now = f // length, (n if arrives else n + 1) // length  # a span is closed after its last step
    first, last = part_[k, proj_[p, 1], 0], part_[k, proj_[p, 1], 1]
    sums, ring = sums_[d, k], ring_[d, (then + 1) % ring_.shape[1]]
    factor = real(0)
    pending = value != 0 and lo < hi
    if pending:
        _add_logged(w, k, p, then, f, n, value, sums)
        if then < now:
            if then + 1 < now:  # no span has been closed since the last boundary
                factor = real(value * decay_table_[d, (then + 1) * length - f])
            _add_logged(w, k, p, now, f, n, value, sums)
    out = x_[proj_[p, 4] : proj_[p, 4] + proj_[p, 26]]
    top = real(proj_real_[p, 1])
    short = (hi - lo) * SHORT < last - first
    total = total_[k]
    if not short and lo < hi:
        for j in range(first, last):
            total[j] = factor * ring[j] + sums[j]
    if arrives and proj_[p, 16] >= -1 and not active_.size:
        scale = real(of_neuron(w, k, p, proj_[p, 16], i, 2)) if proj_[p, 16] >= 0 else real(0)
        shift = real(of_neuron(w, k, p, proj_[p, 18], i, 2)) if proj_[p, 18] >= 0 else real(0)
        low, high = real(proj_real_[p, 2]), real(proj_real_[p, 3])
        if short:
            _fused_short(weight_, target_, ring, sums, factor, gain_[d], out, lo, hi, top, scale, shift, low, high)
        else:
            _fused(weight_, target_, total, gain_[d], out, lo, hi, top, scale, shift, low, high)
    else:
        if pending:
            for q in range(lo, hi):
                t = target_[q]
                weight_[q] = min(weight_[q] + (factor * ring[t] + sums[t]), top)
        if arrives:
            transmit(w, lo, hi, out)
            if proj_[p, 14] >= 0:
                on_row(w, k, p, i, lo, hi, proj_[p, 14], n)
    if pending:
        _clear_logged(w, k, p, then, sums)
        _clear_logged(w, k, p, now, sums)
    since_[k, row] = n
    row_value_[k, row] = value * decay_table_[d, n - f] if n - f < decay_table_.shape[1] else 0.0


@numba.njit(cache=True, error_model="numpy")
def flush(w, k, p, n):  # type: ignore[no-untyped-def]
    """Bring all rows of a part up to the spikes of step ``n``."""
    proj_, since_ = fields.proj(w), fields.since(w)
    for i in range(proj_[p, 3]):
        if since_[k, proj_[p, 30] + i] < n:
            visit(w, k, p, i, n, False)


@numba.njit(cache=True, error_model="numpy")
def note_spikes(w, k, p, fired, n):  # type: ignore[no-untyped-def]
    """Log the postsynaptic spikes of step ``n``; ``fired`` are the part's neurons."""
    proj_, log_step_, span_, log_first_ = fields.proj(w), fields.log_step(w), fields.span(w), fields.log_first(w)
    log_last_, log_neuron_, log_gain_ = fields.log_last(w), fields.log_neuron(w), fields.log_gain(w)
    d, mask = proj_[p, 31], log_step_.shape[2] - 1
    slot = (n // span_[d]) % log_first_.shape[2]
    at = log_last_[d, k, slot]
    for j in fired:
        log_step_[d, k, at & mask] = n
        log_neuron_[d, k, at & mask] = j
        log_gain_[d, k, at & mask] = of_neuron(w, k, p, proj_[p, 20], j, 3) if proj_[p, 20] >= 0 else 1.0
        at += 1
    log_last_[d, k, slot] = at


@numba.njit(cache=True, error_model="numpy")
def close_span(w, k, p, n):  # type: ignore[no-untyped-def]
    """After the last step ``n`` of a span: add its spikes to the sums from all earlier boundaries, open the next one."""
    proj_, log_step_, span_, ring_ = fields.proj(w), fields.log_step(w), fields.span(w), fields.ring(w)
    log_first_, part_, log_last_, burst_ = fields.log_first(w), fields.part(w), fields.log_last(w), fields.burst(w)
    since_, log_gain_, decay_table_, log_neuron_ = fields.since(w), fields.log_gain(w), fields.decay_table(w), fields.log_neuron(w)
    d, mask = proj_[p, 31], log_step_.shape[2] - 1
    length, kept, slots = span_[d], ring_.shape[1], log_first_.shape[2]
    span = n // length
    first, last = part_[k, proj_[p, 1], 0], part_[k, proj_[p, 1], 1]
    begin, end = log_first_[d, k, span % slots], log_last_[d, k, span % slots]
    for b in range(max(0, span + 1 - kept), span + 1):
        sums = ring_[d, b % kept]
        for at in range(begin, end):
            gain = log_gain_[d, k, at & mask] * decay_table_[d, log_step_[d, k, at & mask] - b * length]
            sums[log_neuron_[d, k, at & mask]] += gain
    log_first_[d, k, (span + 1) % slots] = log_last_[d, k, (span + 1) % slots] = end
    oldest = log_first_[d, k, max(0, span + 1 - kept) % slots]
    if end - oldest > mask + 1 - (last - first) * burst_[d]:  # the log is nearly full: after this nobody needs it
        flush(w, k, p, n)
        for slot in range(slots):
            log_first_[d, k, slot] = log_last_[d, k, slot] = end
    else:
        for i in range(proj_[p, 3]):  # rows not visited since the boundary that is to be forgotten
            f = np.int64(since_[k, proj_[p, 30] + i])
            if f // length + 1 <= span + 1 - kept:
                visit(w, k, p, i, n, False)
    sums = ring_[d, (span + 1) % kept]
    for j in range(first, last):
        sums[j] = 0
