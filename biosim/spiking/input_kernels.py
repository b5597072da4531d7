"""The numba kernels of what comes from outside, noise and input neurons, and of spikes on their way.

``w`` is the :class:`~biosim.spiking.world.Handle` of a world. Random bits are a hash of a neuron's own key and the step.
"""

from __future__ import annotations

import numba
import numpy as np

from biosim.spiking import fields
from biosim.spiking.tables import GIVEN
from biosim.streams import hash32

NOISE = 256  # neurons given noise at a time: the rare ones with three spikes in a step are looked for among so many


@numba.njit(cache=True, inline="always")
def _mix(x):  # type: ignore[no-untyped-def]
    """Return the "lowbias32" finaliser of 32 bits (C. Wellons, hash-prospector), kept here so that loops over it vectorise."""
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@numba.njit(cache=True, error_model="numpy")
def _noise(out, own, key, first, second, limits, weight):  # type: ignore[no-untyped-def]
    """Add ``weight`` times a Poisson count to every neuron: how many ``limits`` its random bits reach."""
    most, zero = np.uint32(0), out.dtype.type(0)
    for j in range(len(out)):
        bits = _mix(np.uint32(own[j] ^ key))
        out[j] += (weight if bits >= first else zero) + (weight if bits >= second else zero)
        most = bits if bits > most else most
    if len(limits) > 2 and most >= limits[2]:
        for j in range(len(out)):
            bits = _mix(np.uint32(own[j] ^ key))
            q = 2
            while q < len(limits) and bits >= limits[q]:
                out[j] += weight
                q += 1


@numba.njit(cache=True, error_model="numpy")
def drive(w, k, step):  # type: ignore[no-untyped-def]
    """Add the noise of this step to the part's neurons."""
    drive_, part_, drive_limit_ = fields.drive(w), fields.part(w), fields.drive_limit(w)
    drive_key_, x_, drive_hash_ = fields.drive_key(w), fields.x(w), fields.drive_hash(w)
    real = w.real.dtype.type
    for d in range(len(drive_)):
        row = drive_[d]
        p, offset, hashes, count = row.population, row.out, row.hashes, row.limits
        if count == 0:
            continue
        lo, hi = part_[k, p, 0], part_[k, p, 1]
        limits = drive_limit_[d, :count]
        second = limits[1] if count > 1 else np.uint32(0xFFFFFFFF)
        key = hash32(drive_key_[d], np.uint32(step), np.uint64(0))
        out, own, weight = x_[offset + lo : offset + hi], drive_hash_[hashes + lo : hashes + hi], real(row.weight)
        for at in range(0, hi - lo, NOISE):
            _noise(out[at : at + NOISE], own[at : at + NOISE], key, limits[0], second, limits, weight)


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
        if proj_[p].emitter == emitter:
            slot = (step + delay_[proj_[p].rows + i]) % proj_[p].slots
            count = queued_[proj_[p].queued + slot]
            queue_[proj_[p].queue + slot * proj_[p].n_pre + count] = i
            queued_[proj_[p].queued + slot] = count + 1


@numba.njit(cache=True)
def inputs(w, start, stop):  # type: ignore[no-untyped-def]
    """Let the input populations spike during a window."""
    source_, position_, given_step_, given_neuron_ = fields.source(w), fields.position(w), fields.given_step(w), fields.given_neuron(w)
    source_key_, mother_, mother_limit_, group_ = fields.source_key(w), fields.mother(w), fields.mother_limit(w), fields.group(w)
    source_hash_, source_limit_ = fields.source_hash(w), fields.source_limit(w)
    for s in range(len(source_)):
        emitter, size, kind, at, groups = source_[s].emitter, source_[s].size, source_[s].kind, source_[s].first, source_[s].groups
        for step in range(start, stop):
            if kind == GIVEN:
                while position_[s] < source_[s].given_end and given_step_[position_[s]] <= step:
                    if given_step_[position_[s]] == step:
                        _send(w, emitter, given_neuron_[position_[s]], step)
                    position_[s] += 1
                continue
            key = hash32(source_key_[s], np.uint32(step), np.uint64(0))
            for g in range(groups):
                bits = hash32(source_key_[s], np.uint32(step), np.uint64(1 + g))
                mother_[source_[s].first_group + g] = bits < mother_limit_[s]
            for i in range(size):
                group = group_[at + i]
                if _mix(np.uint32(source_hash_[at + i] ^ key)) < source_limit_[at + i] and (group < 0 or mother_[group]):
                    _send(w, emitter, i, step)


@numba.njit(cache=True)
def order(w, start, stop):  # type: ignore[no-untyped-def]
    """Put the arrivals of a window in ascending order of neurons where delays mixed them."""
    proj_, queue_, queued_ = fields.proj(w), fields.queue(w), fields.queued(w)
    for p in range(len(proj_)):
        if proj_[p].mixed:
            for step in range(start, stop):
                slot = step % proj_[p].slots
                first = proj_[p].queue + slot * proj_[p].n_pre
                for at in range(first + 1, first + queued_[proj_[p].queued + slot]):
                    own, q = queue_[at], at
                    while q > first and queue_[q - 1] > own:
                        queue_[q] = queue_[q - 1]
                        q -= 1
                    queue_[q] = own


@numba.njit(cache=True)
def cross(w, start, stop):  # type: ignore[no-untyped-def]
    """After a window: clear what has arrived, and send the spikes of all parts, in order of step and neuron."""
    proj_, queued_, pop_, fired_ = fields.proj(w), fields.queued(w), fields.pop(w), fields.fired(w)
    fired_at_ = fields.fired_at(w)
    for p in range(len(proj_)):
        for step in range(start, stop):
            queued_[proj_[p].queued + step % proj_[p].slots] = 0
    populations = len(pop_)
    for step in range(start, stop):
        for p in range(populations):
            place = (step - start) * populations + p
            for k in range(len(fired_)):
                for at in range(fired_at_[k, place], fired_at_[k, place + 1]):
                    _send(w, pop_[p].emitter, np.int64(fired_[k, at]), step)
