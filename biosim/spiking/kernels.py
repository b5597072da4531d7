"""The numba kernels of a step: neurons, inputs, arrivals; and the loop over steps.

``w`` is a :class:`~biosim.spiking.world.World`, one replicate. Spikes take at least ``window`` steps to arrive anywhere, so a part
``k`` of the postsynaptic neurons runs a whole window by itself, and results are the same for any number of parts.
"""

from __future__ import annotations

import numba
import numpy as np

from biosim.spiking import fields
from biosim.spiking.plastic_kernels import close_span, flush, note_spikes, of_neuron, of_targets, on_column, on_row, transmit, visit
from biosim.streams import hash32


@numba.njit(cache=True, inline="always")
def _mix(x):  # type: ignore[no-untyped-def]
    """Return the "lowbias32" finaliser of 32 bits (C. Wellons, hash-prospector), kept here so that loops over it vectorise."""
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


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
    v_, pop_, base_, leak_ = fields.v(w), fields.pop(w), fields.base(w), fields.leak(w)
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
    for block in range(0, hi - lo, 64):
        end = min(block + 64, hi - lo)
        total = 0
        for j in range(block, end):
            total += flag[j]
        if total:
            for j in range(block, end):
                if flag[j]:
                    fired[count] = lo + j
                    free_at[j] = step + pop_[p, 2]
                    count += 1
    return count


@numba.njit(cache=True, error_model="numpy")
def _noise(out, hashes, key, first, second, limits, weight):  # type: ignore[no-untyped-def]
    """Add ``weight`` times a Poisson count to every neuron: how many ``limits`` its random bits reach."""
    zero = weight * 0
    for block in range(0, len(out), 256):
        end = min(block + 256, len(out))
        most = np.uint32(0)
        for j in range(block, end):
            bits = _mix(np.uint32(hashes[j] ^ key))
            out[j] += (weight if bits >= first else zero) + (weight if bits >= second else zero)
            most = max(most, bits)
        if len(limits) > 2 and most >= limits[2]:
            for j in range(block, end):
                bits = _mix(np.uint32(hashes[j] ^ key))
                q = 2
                while q < len(limits) and bits >= limits[q]:
                    out[j] += weight
                    q += 1


@numba.njit(cache=True, error_model="numpy")
def _drive(w, k, step):  # type: ignore[no-untyped-def]
    v_, drive_, part_, drive_limit_ = fields.v(w), fields.drive(w), fields.part(w), fields.drive_limit(w)
    drive_key_, x_, drive_hash_, drive_weight_ = fields.drive_key(w), fields.x(w), fields.drive_hash(w), fields.drive_weight(w)
    real = w.real.dtype.type
    for d in range(len(drive_)):
        p, offset, hashes, count = drive_[d, 0], drive_[d, 1], drive_[d, 2], drive_[d, 3]
        if count == 0:
            continue
        lo, hi = part_[k, p, 0], part_[k, p, 1]
        limits = drive_limit_[d, :count]
        second = limits[1] if count > 1 else np.uint32(0xFFFFFFFF)
        key = hash32(drive_key_[d], np.uint32(step), np.uint64(0))
        out = x_[offset + lo : offset + hi]
        _noise(out, drive_hash_[hashes + lo : hashes + hi], key, limits[0], second, limits, real(drive_weight_[d]))


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


# -- spikes on their way ------------------------------------------------------------------------
@numba.njit(cache=True)
def _send(w, emitter, i, step):  # type: ignore[no-untyped-def]
    """Put a spike on its way through every projection of its population; record it."""
    recorded_, cursor_, out_step_, out_emitter_ = fields.recorded(w), fields.cursor(w), fields.out_step(w), fields.out_emitter(w)
    out_neuron_, spikes_, proj_, delay_ = fields.out_neuron(w), fields.spikes(w), fields.proj(w), fields.delay(w)
    queued_, queue_ = fields.queued(w), fields.queue(w)
    if recorded_[emitter]:
        at = cursor_[0]
        out_step_[at], out_emitter_[at], out_neuron_[at] = step, emitter, i
        cursor_[0] = at + 1
    spikes_[emitter] += 1
    for p in range(len(proj_)):
        if proj_[p, 0] == emitter:
            slot = (step + delay_[proj_[p, 2] + i]) % proj_[p, 7]
            count = queued_[proj_[p, 6] + slot]
            queue_[proj_[p, 5] + slot * proj_[p, 3] + count] = i
            queued_[proj_[p, 6] + slot] = count + 1


@numba.njit(cache=True)
def _inputs(w, start, stop):  # type: ignore[no-untyped-def]
    """Let the input populations spike during a window."""
    source_, position_, given_step_, given_neuron_ = fields.source(w), fields.position(w), fields.given_step(w), fields.given_neuron(w)
    source_key_, mother_, mother_limit_, group_ = fields.source_key(w), fields.mother(w), fields.mother_limit(w), fields.group(w)
    source_hash_, source_limit_ = fields.source_hash(w), fields.source_limit(w)
    for s in range(len(source_)):
        emitter, size, kind, at, groups = source_[s, 0], source_[s, 1], source_[s, 2], source_[s, 3], source_[s, 4]
        for step in range(start, stop):
            if kind == 1:
                while position_[s] < source_[s, 6] and given_step_[position_[s]] <= step:
                    if given_step_[position_[s]] == step:
                        _send(w, emitter, given_neuron_[position_[s]], step)
                    position_[s] += 1
                continue
            key = hash32(source_key_[s], np.uint32(step), np.uint64(0))
            for g in range(groups):
                bits = hash32(source_key_[s], np.uint32(step), np.uint64(1 + g))
                mother_[source_[s, 5] + g] = bits < mother_limit_[s]
            for i in range(size):
                group = group_[at + i]
                if _mix(np.uint32(source_hash_[at + i] ^ key)) < source_limit_[at + i] and (group < 0 or mother_[group]):
                    _send(w, emitter, i, step)


@numba.njit(cache=True)
def _order(w, start, stop):  # type: ignore[no-untyped-def]
    """Put the arrivals of a window in ascending order of neurons where delays mixed them."""
    proj_, queue_, queued_ = fields.proj(w), fields.queue(w), fields.queued(w)
    for p in range(len(proj_)):
        if proj_[p, 9]:
            for step in range(start, stop):
                slot = step % proj_[p, 7]
                first = proj_[p, 5] + slot * proj_[p, 3]
                for at in range(first + 1, first + queued_[proj_[p, 6] + slot]):
                    own, q = queue_[at], at
                    while q > first and queue_[q - 1] > own:
                        queue_[q] = queue_[q - 1]
                        q -= 1
                    queue_[q] = own


# -- a step of one part -------------------------------------------------------------------------
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
        _drive(w, k, step)
        for p in range(populations):
            place = (step - start) * populations + p
            _apply_jumps(w, k, p, step, fired[begin[place] : begin[place + 1]])
        for p in range(len(proj_)):
            if proj_[p, 8]:
                place = (step - start) * populations + proj_[p, 1]
                _increments(w, k, p, step, fired[begin[place] : begin[place + 1]])
                if proj_[p, 8] == 1 and (step + 1) % span_[proj_[p, 31]] == 0:
                    close_span(w, k, p, step)


@numba.njit(cache=True)
def _cross(w, start, stop):  # type: ignore[no-untyped-def]
    """After a window: clear what has arrived, and send the spikes of all parts, in order of step and neuron."""
    proj_, queued_, pop_, fired_ = fields.proj(w), fields.queued(w), fields.pop(w), fields.fired(w)
    fired_at_ = fields.fired_at(w)
    for p in range(len(proj_)):
        for step in range(start, stop):
            queued_[proj_[p, 6] + step % proj_[p, 7]] = 0
    populations = len(pop_)
    for step in range(start, stop):
        for p in range(populations):
            place = (step - start) * populations + p
            for k in range(len(fired_)):
                for at in range(fired_at_[k, place], fired_at_[k, place + 1]):
                    _send(w, pop_[p, 3], np.int64(fired_[k, at]), step)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def advance(w, start, stop, window):  # type: ignore[no-untyped-def]
    """Run from step ``start`` towards ``stop``; return the step reached, less where the record of spikes filled up."""
    out_step_, room_, cursor_, fired_ = fields.out_step(w), fields.room(w), fields.cursor(w), fields.fired(w)
    room = len(out_step_) - room_[0] * window
    while start < stop and cursor_[0] <= room:
        end = min(stop, start + window)
        _inputs(w, start, end)
        _order(w, start, end)
        for k in range(len(fired_)):
            _run_part(w, k, start, end)
        _cross(w, start, end)
        start = end
    return start


@numba.njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def advance_together(w, start, stop, window):  # type: ignore[no-untyped-def]
    """Do what :func:`advance` does, with every part on a thread of its own."""
    out_step_, room_, cursor_, fired_ = fields.out_step(w), fields.room(w), fields.cursor(w), fields.fired(w)
    room = len(out_step_) - room_[0] * window
    while start < stop and cursor_[0] <= room:
        end = min(stop, start + window)
        _inputs(w, start, end)
        _order(w, start, end)
        for k in numba.prange(len(fired_)):
            _run_part(w, k, start, end)
        _cross(w, start, end)
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
