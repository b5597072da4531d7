"""The numba kernels of a step: neurons and arrivals; and the loop over steps.

``w`` is the :class:`~biosim.spiking.fields.Handle` of a world, one replicate. Spikes take at least ``window`` steps to arrive
anywhere, so a part ``k`` of the postsynaptic neurons runs a whole window by itself, and results are the same for any number of parts.
Compiled kernels are kept on disk by file: after a change in one of the files they are imported from, empty ``__pycache__``.
"""

from __future__ import annotations

import numba
import numpy as np

from biosim.spiking import fields
from biosim.spiking.deferral_kernels import close_span, flush, note_spikes, visit
from biosim.spiking.input_kernels import cross, drive, inputs, order
from biosim.spiking.row_kernels import of_neuron, of_targets, on_column, on_row, transmit


@numba.njit(cache=True, error_model="numpy")
def _integrate(v, free_at, step, rest, keep, threshold, flag):  # type: ignore[no-untyped-def]
    """Advance potentials that only leak; flag those that spike."""
    for j in range(len(v)):
        free = free_at[j] <= step
        value = rest + (v[j] - rest) * keep
        value = value if free else v[j]
        v[j] = value
        flag[j] = free & (value > threshold)


@numba.njit(cache=True, error_model="numpy")
def _integrate_driven(v, free_at, step, base, leak, rate, threshold, flag):  # type: ignore[no-untyped-def]
    """Advance potentials under currents and conductances: ``tau dv/dt = base - leak*v``, ``rate = dt/tau``."""
    for j in range(len(v)):
        free = free_at[j] <= step
        rest = base[j] / leak[j]
        value = rest + (v[j] - rest) * np.exp(-rate * leak[j])
        value = value if free else v[j]
        v[j] = value
        flag[j] = free & (value > threshold)


@numba.njit(cache=True, error_model="numpy")
def _gather_drive(w, p, lo, hi):  # type: ignore[no-untyped-def]
    """Sum currents and conductances of a population's neurons into ``base`` and ``leak``, and let them decay."""
    pop_, base_, leak_ = fields.pop(w), fields.base(w), fields.leak(w)
    pop_real_, channel_, x_, channel_real_ = fields.pop_real(w), fields.channel(w), fields.x(w), fields.channel_real(w)
    real, at = w.real.dtype.type, pop_[p, 0]
    base, leak = base_[at : at + hi], leak_[at : at + hi]
    for j in range(lo, hi):
        base[j], leak[j] = real(pop_real_[p, 1]), real(1)
    for c in range(pop_[p, 4], pop_[p, 5]):
        kind, offset = channel_[c, 0], channel_[c, 1]
        if kind == 0:
            continue
        x = x_[offset : offset + hi]
        keep, reversal, scale = real(channel_real_[c, 0]), real(channel_real_[c, 1]), real(channel_real_[c, 2])
        if kind == 1:
            for j in range(lo, hi):
                base[j] += scale * x[j]
                x[j] *= keep
        else:
            for j in range(lo, hi):
                base[j] += scale * x[j] * reversal
                leak[j] += scale * x[j]
                x[j] *= keep


@numba.njit(cache=True, error_model="numpy")
def _mark(flag, free_at, lo, free, fired, count):  # type: ignore[no-untyped-def]
    """Append the flagged neurons to ``fired``, refractory until ``free``; unsigned numbers, which cannot count from the end."""
    size, width = np.uint64(len(flag)), np.uint64(64)
    for block in range(np.uint64(0), size, width):
        end = min(block + width, size)
        total = np.uint8(0)
        for j in range(block, end):
            total |= flag[j]
        if total:
            for j in range(block, end):
                if flag[j]:
                    fired[count] = lo + j
                    free_at[j] = free
                    count += 1
    return count


@numba.njit(cache=True, error_model="numpy")
def _step_neurons(w, k, p, step, fired, count):  # type: ignore[no-untyped-def]
    """Integrate the part's neurons of a population; append those that spike to ``fired``; return the new count."""
    part_, pop_, v_, free_at_ = fields.part(w), fields.pop(w), fields.v(w), fields.free_at(w)
    flag_, base_, leak_, pop_real_ = fields.flag(w), fields.base(w), fields.leak(w), fields.pop_real(w)
    lo, hi, at, real = part_[k, p, 0], part_[k, p, 1], pop_[p, 0], w.real.dtype.type
    v, free_at, flag = v_[at + lo : at + hi], free_at_[at + lo : at + hi], flag_[at + lo : at + hi]
    if pop_[p, 6]:
        _gather_drive(w, p, lo, hi)
        base, leak = base_[at + lo : at + hi], leak_[at + lo : at + hi]
        _integrate_driven(v, free_at, np.int32(step), base, leak, real(pop_real_[p, 4]), real(pop_real_[p, 3]), flag)
    else:
        _integrate(v, free_at, np.int32(step), real(pop_real_[p, 1]), real(pop_real_[p, 0]), real(pop_real_[p, 3]), flag)
    return _mark(flag, free_at, lo, np.int32(step + pop_[p, 2]), fired, count)


@numba.njit(cache=True, error_model="numpy")
def _apply_jumps(w, k, p, step, fired):  # type: ignore[no-untyped-def]
    """Add what arrived through delta synapses, then reset the neurons that spiked."""
    part_, pop_, v_, free_at_ = fields.part(w), fields.pop(w), fields.v(w), fields.free_at(w)
    channel_, x_, channel_real_, pop_real_ = fields.channel(w), fields.x(w), fields.channel_real(w), fields.pop_real(w)
    lo, hi, at, real = part_[k, p, 0], part_[k, p, 1], pop_[p, 0], w.real.dtype.type
    v, free_at = v_[at + lo : at + hi], free_at_[at + lo : at + hi]
    for c in range(pop_[p, 4], pop_[p, 5]):
        if channel_[c, 0] == 0:
            x, scale = x_[channel_[c, 1] + lo : channel_[c, 1] + hi], real(channel_real_[c, 2])
            now = np.int32(step)
            for j in range(len(v)):
                value = v[j] + scale * x[j]
                v[j] = value if free_at[j] <= now else v[j]
                x[j] = 0
    for j in fired:
        v_[at + j] = real(pop_real_[p, 2])


@numba.njit(cache=True, error_model="numpy")
def _arrive(w, k, p, step):  # type: ignore[no-untyped-def]
    """Process the spikes that arrive through a projection at this step."""
    proj_, queued_, part_, x_ = fields.proj(w), fields.queued(w), fields.part(w), fields.x(w)
    gain_, queue_, row_lo_, row_hi_ = fields.gain(w), fields.queue(w), fields.row_lo(w), fields.row_hi(w)
    slot = step % proj_[p, 7]
    count, first = queued_[proj_[p, 6] + slot], proj_[p, 5] + slot * proj_[p, 3]
    if count == 0:
        return
    lo, hi = part_[k, proj_[p, 1], 0], part_[k, proj_[p, 1], 1]
    out = x_[proj_[p, 4] : proj_[p, 4] + proj_[p, 26]]
    if proj_[p, 8] == 1 and proj_[p, 17] >= 0:
        of_targets(w, k, p, proj_[p, 17], lo, hi, gain_[proj_[p, 31]])
    for at in range(first, first + count):
        i = np.int64(queue_[at])
        if proj_[p, 8] == 1:
            visit(w, k, p, i, step, True)
        else:
            begin, end = row_lo_[k, proj_[p, 2] + i], row_hi_[k, proj_[p, 2] + i]
            transmit(w, begin, end, out)
            if proj_[p, 14] >= 0:
                on_row(w, k, p, i, begin, end, proj_[p, 14], step)


@numba.njit(cache=True, error_model="numpy")
def _increments(w, k, p, step, fired):  # type: ignore[no-untyped-def]
    """Raise post traces at this step's spikes and pre traces at its arrivals; then let all decay to the next step."""
    proj_, fresh_, rise_, post_trace_ = fields.proj(w), fields.fresh(w), fields.rise(w), fields.post_trace(w)
    queued_, queue_, pre_trace_, row_value_ = fields.queued(w), fields.queue(w), fields.pre_trace(w), fields.row_value(w)
    part_, fade_ = fields.part(w), fields.fade(w)
    n_pre, n_post, fresh = proj_[p, 3], proj_[p, 26], fresh_[k]
    for j in fired:
        for t in range(proj_[p, 13]):
            program = rise_[proj_[p, 29] + t]
            fresh[t] = of_neuron(w, k, p, program, j, 3) if program >= 0 else post_trace_[proj_[p, 12] + t * n_post + j]
        for t in range(proj_[p, 13]):
            post_trace_[proj_[p, 12] + t * n_post + j] = fresh[t]
    slot = step % proj_[p, 7]
    first = proj_[p, 5] + slot * n_pre
    for at in range(first, first + queued_[proj_[p, 6] + slot]):
        i = np.int64(queue_[at])
        for t in range(proj_[p, 11]):
            program = rise_[proj_[p, 28] + t]
            fresh[t] = of_neuron(w, k, p, program, i, 2) if program >= 0 else pre_trace_[k, proj_[p, 10] + t * n_pre + i]
        for t in range(proj_[p, 11]):
            pre_trace_[k, proj_[p, 10] + t * n_pre + i] = fresh[t]
        if proj_[p, 8] == 1:
            row_value_[k, proj_[p, 30] + i] = of_neuron(w, k, p, proj_[p, 19], i, 2)
    lo, hi = part_[k, proj_[p, 1], 0], part_[k, proj_[p, 1], 1]
    for t in range(proj_[p, 13]):
        keep, add = fade_[proj_[p, 29] + t, 0], fade_[proj_[p, 29] + t, 1]
        trace = post_trace_[proj_[p, 12] + t * n_post + lo : proj_[p, 12] + t * n_post + hi]
        for j in range(len(trace)):
            trace[j] = trace[j] * keep + add
    for t in range(proj_[p, 11]):
        keep, add = fade_[proj_[p, 28] + t, 0], fade_[proj_[p, 28] + t, 1]
        trace = pre_trace_[k, proj_[p, 10] + t * n_pre : proj_[p, 10] + (t + 1) * n_pre]
        for j in range(len(trace)):
            trace[j] = trace[j] * keep + add


@numba.njit(cache=True, error_model="numpy")
def _run_part(w, k, start, stop):  # type: ignore[no-untyped-def]
    """Run a window of steps for one part; its spikes are left in ``w.fired`` by step and population."""
    pop_, fired_, fired_at_, proj_ = fields.pop(w), fields.fired(w), fields.fired_at(w), fields.proj(w)
    span_ = fields.span(w)
    populations, fired, begin = len(pop_), fired_[k], fired_at_[k]
    count = 0
    for step in range(start, stop):
        for p in range(populations):
            begin[(step - start) * populations + p] = count
            count = _step_neurons(w, k, p, step, fired, count)
        begin[(step - start + 1) * populations] = count
        for p in range(len(proj_)):
            place = (step - start) * populations + proj_[p, 1]
            own = fired[begin[place] : begin[place + 1]]
            if proj_[p, 8] == 1 and len(own):
                note_spikes(w, k, p, own, step)
            elif proj_[p, 8] == 2 and proj_[p, 15] >= 0:
                for j in own:
                    on_column(w, k, p, j, proj_[p, 15], step)
        for p in range(len(proj_)):
            _arrive(w, k, p, step)
        drive(w, k, step)
        for p in range(populations):
            place = (step - start) * populations + p
            _apply_jumps(w, k, p, step, fired[begin[place] : begin[place + 1]])
        for p in range(len(proj_)):
            if proj_[p, 8]:
                place = (step - start) * populations + proj_[p, 1]
                _increments(w, k, p, step, fired[begin[place] : begin[place + 1]])
                if proj_[p, 8] == 1 and (step + 1) % span_[proj_[p, 31]] == 0:
                    close_span(w, k, p, step)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def advance(w, start, stop, window):  # type: ignore[no-untyped-def]
    """Run from step ``start`` towards ``stop``; return the step reached, less where the record of spikes filled up."""
    out_step_, room_, cursor_, fired_ = fields.out_step(w), fields.room(w), fields.cursor(w), fields.fired(w)
    room = len(out_step_) - room_[0] * window
    while start < stop and cursor_[0] <= room:
        end = min(stop, start + window)
        inputs(w, start, end)
        order(w, start, end)
        for k in range(len(fired_)):
            _run_part(w, k, start, end)
        cross(w, start, end)
        start = end
    return start


@numba.njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def advance_together(w, start, stop, window):  # type: ignore[no-untyped-def]
    """Do what :func:`advance` does, with every part on a thread of its own."""
    out_step_, room_, cursor_, fired_ = fields.out_step(w), fields.room(w), fields.cursor(w), fields.fired(w)
    room = len(out_step_) - room_[0] * window
    while start < stop and cursor_[0] <= room:
        end = min(stop, start + window)
        inputs(w, start, end)
        order(w, start, end)
        for k in numba.prange(len(fired_)):
            _run_part(w, k, start, end)
        cross(w, start, end)
        start = end
    return start


@numba.njit(cache=True, nogil=True, error_model="numpy")
def settle(w, step):  # type: ignore[no-untyped-def]
    """Bring all deferred weights up to ``step``, the last one that was run."""
    proj_, fired_ = fields.proj(w), fields.fired(w)
    for p in range(len(proj_)):
        if proj_[p, 8] == 1:
            for k in range(len(fired_)):
                flush(w, k, p, step)
