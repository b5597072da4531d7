"""The numba kernels of a step: neurons and arrivals; and the loop over steps.

``w`` is the :class:`~biosim.spiking.world.Handle` of a world, one replicate. Spikes take at least ``window`` steps to arrive
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
from biosim.spiking.tables import CURRENT, DEFERRED, DELTA, GENERAL, POST, PRE, STATIC


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
    pop, base_, leak_ = fields.pop(w)[p], fields.base(w), fields.leak(w)
    channel_, x_ = fields.channel(w), fields.x(w)
    real, at = w.real.dtype.type, pop.first
    base, leak = base_[at : at + hi], leak_[at : at + hi]
    for j in range(lo, hi):
        base[j], leak[j] = real(pop.rest), real(1)
    for c in range(pop.channels, pop.channels_end):
        kind, offset = channel_[c].kind, channel_[c].first
        if kind == DELTA:
            continue
        x = x_[offset : offset + hi]
        keep, reversal, scale = real(channel_[c].keep), real(channel_[c].reversal), real(channel_[c].scale)
        if kind == CURRENT:
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
    part_, pop, v_, free_at_ = fields.part(w), fields.pop(w)[p], fields.v(w), fields.free_at(w)
    flag_, base_, leak_ = fields.flag(w), fields.base(w), fields.leak(w)
    lo, hi, at, real = part_[k, p, 0], part_[k, p, 1], pop.first, w.real.dtype.type
    v, free_at, flag = v_[at + lo : at + hi], free_at_[at + lo : at + hi], flag_[at + lo : at + hi]
    if pop.flows:
        _gather_drive(w, p, lo, hi)
        base, leak = base_[at + lo : at + hi], leak_[at + lo : at + hi]
        _integrate_driven(v, free_at, np.int32(step), base, leak, real(pop.rate), real(pop.threshold), flag)
    else:
        _integrate(v, free_at, np.int32(step), real(pop.rest), real(pop.keep), real(pop.threshold), flag)
    return _mark(flag, free_at, lo, np.int32(step + pop.refractory), fired, count)


@numba.njit(cache=True, error_model="numpy")
def _apply_jumps(w, k, p, step, fired):  # type: ignore[no-untyped-def]
    """Add what arrived through delta synapses, then reset the neurons that spiked."""
    part_, pop, v_, free_at_ = fields.part(w), fields.pop(w)[p], fields.v(w), fields.free_at(w)
    channel_, x_ = fields.channel(w), fields.x(w)
    lo, hi, at, real = part_[k, p, 0], part_[k, p, 1], pop.first, w.real.dtype.type
    v, free_at = v_[at + lo : at + hi], free_at_[at + lo : at + hi]
    for c in range(pop.channels, pop.channels_end):
        if channel_[c].kind == DELTA:
            x, scale = x_[channel_[c].first + lo : channel_[c].first + hi], real(channel_[c].scale)
            now = np.int32(step)
            for j in range(len(v)):
                value = v[j] + scale * x[j]
                v[j] = value if free_at[j] <= now else v[j]
                x[j] = 0
    for j in fired:
        v_[at + j] = real(pop.reset)


@numba.njit(cache=True, error_model="numpy")
def _arrive(w, k, p, step):  # type: ignore[no-untyped-def]
    """Process the spikes that arrive through a projection at this step."""
    proj, queued_, part_, x_ = fields.proj(w)[p], fields.queued(w), fields.part(w), fields.x(w)
    gain_, queue_, row_lo_, row_hi_ = fields.gain(w), fields.queue(w), fields.row_lo(w), fields.row_hi(w)
    slot = step % proj.slots
    count, first = queued_[proj.queued + slot], proj.queue + slot * proj.n_pre
    if count == 0:
        return
    lo, hi = part_[k, proj.population, 0], part_[k, proj.population, 1]
    out = x_[proj.out : proj.out + proj.n_post]
    if proj.path == DEFERRED and proj.post >= 0:
        of_targets(w, k, p, proj.post, lo, hi, gain_[proj.deferred])
    for at in range(first, first + count):
        i = np.int64(queue_[at])
        if proj.path == DEFERRED:
            visit(w, k, p, i, step, True)
        else:
            begin, end = row_lo_[k, proj.rows + i], row_hi_[k, proj.rows + i]
            transmit(w, begin, end, out)
            if proj.on_pre >= 0:
                on_row(w, k, p, i, begin, end, proj.on_pre, step)


@numba.njit(cache=True, error_model="numpy")
def _increments(w, k, p, step, fired):  # type: ignore[no-untyped-def]
    """Raise post traces at this step's spikes and pre traces at its arrivals; then let all decay to the next step."""
    proj, fresh_, rise_, post_trace_ = fields.proj(w)[p], fields.fresh(w), fields.rise(w), fields.post_trace(w)
    queued_, queue_, pre_trace_, row_value_ = fields.queued(w), fields.queue(w), fields.pre_trace(w), fields.row_value(w)
    part_, fade_ = fields.part(w), fields.fade(w)
    n_pre, n_post, fresh = proj.n_pre, proj.n_post, fresh_[k]
    for j in fired:
        for t in range(proj.n_post_traces):
            program = rise_[proj.post_fade + t]
            fresh[t] = of_neuron(w, k, p, program, j, POST) if program >= 0 else post_trace_[proj.post_traces + t * n_post + j]
        for t in range(proj.n_post_traces):
            post_trace_[proj.post_traces + t * n_post + j] = fresh[t]
    slot = step % proj.slots
    first = proj.queue + slot * n_pre
    for at in range(first, first + queued_[proj.queued + slot]):
        i = np.int64(queue_[at])
        for t in range(proj.n_pre_traces):
            program = rise_[proj.pre_fade + t]
            fresh[t] = of_neuron(w, k, p, program, i, PRE) if program >= 0 else pre_trace_[k, proj.pre_traces + t * n_pre + i]
        for t in range(proj.n_pre_traces):
            pre_trace_[k, proj.pre_traces + t * n_pre + i] = fresh[t]
        if proj.path == DEFERRED:
            row_value_[k, proj.rows + i] = of_neuron(w, k, p, proj.row, i, PRE)
    lo, hi = part_[k, proj.population, 0], part_[k, proj.population, 1]
    for t in range(proj.n_post_traces):
        keep, add = fade_[proj.post_fade + t, 0], fade_[proj.post_fade + t, 1]
        trace = post_trace_[proj.post_traces + t * n_post + lo : proj.post_traces + t * n_post + hi]
        for j in range(len(trace)):
            trace[j] = trace[j] * keep + add
    for t in range(proj.n_pre_traces):
        keep, add = fade_[proj.pre_fade + t, 0], fade_[proj.pre_fade + t, 1]
        trace = pre_trace_[k, proj.pre_traces + t * n_pre : proj.pre_traces + (t + 1) * n_pre]
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
            place = (step - start) * populations + proj_[p].population
            own = fired[begin[place] : begin[place + 1]]
            if proj_[p].path == DEFERRED and len(own):
                note_spikes(w, k, p, own, step)
            elif proj_[p].path == GENERAL and proj_[p].on_post >= 0:
                for j in own:
                    on_column(w, k, p, j, proj_[p].on_post, step)
        for p in range(len(proj_)):
            _arrive(w, k, p, step)
        drive(w, k, step)
        for p in range(populations):
            place = (step - start) * populations + p
            _apply_jumps(w, k, p, step, fired[begin[place] : begin[place + 1]])
        for p in range(len(proj_)):
            if proj_[p].path != STATIC:
                place = (step - start) * populations + proj_[p].population
                _increments(w, k, p, step, fired[begin[place] : begin[place + 1]])
                if proj_[p].path == DEFERRED and (step + 1) % span_[proj_[p].deferred] == 0:
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
        if proj_[p].path == DEFERRED:
            for k in range(len(fired_)):
                flush(w, k, p, step)
