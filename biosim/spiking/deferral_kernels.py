"""The numba kernels of deferred potentiation: a postsynaptic spike touches no synapse.

``w`` is the :class:`~biosim.spiking.world.Handle` of a world; ``k`` a part of the postsynaptic neurons, ``p`` a projection,
``i`` a presynaptic neuron (a row), ``n`` the step.

Where ``on_post`` is ``bounds(weight + P(pre)*G(post))`` with ``P*G >= 0``, and ``P`` decays at a rate ``r`` between arrivals, the
updates of a row since its last visit at step ``f`` add up to ``P(f) * sum_k G_k*exp(-r*(t_k - f))`` over the spikes ``t_k > f`` of
the target: nobody reads the weight in between. The sums are kept for all targets from boundaries every ``span`` steps
(``ring``); the spikes of the two unfinished spans come from a log.
"""

from __future__ import annotations

import numba
import numpy as np

from biosim.spiking import fields
from biosim.spiking.row_kernels import of_neuron, on_row, transmit
from biosim.spiking.tables import DEFAULT, POST, PRE

SHORT = 4  # a row shorter than this fraction of all targets takes its sums one by one
# Loops run from 0 over slices: numba would otherwise allow for a negative index at every access.


@numba.njit(cache=True, error_model="numpy")
def _add(neuron, gain, step, first, origin, factor, decay, sums):  # type: ignore[no-untyped-def]
    """Add spikes from step ``first`` on to ``sums``, decayed since step ``origin``."""
    for q in range(len(neuron)):
        if step[q] >= first:
            sums[np.uint32(neuron[q])] += factor * gain[q] * decay[np.uint32(step[q] - origin)]


@numba.njit(cache=True, error_model="numpy")
def _clear(neuron, sums):  # type: ignore[no-untyped-def]
    for q in range(len(neuron)):
        sums[np.uint32(neuron[q])] = 0


@numba.njit(cache=True, error_model="numpy")
def _logged(w, k, p, span):  # type: ignore[no-untyped-def]
    """Return where the log of a span begins, and how many of its spikes come before and after the log's end, where it starts anew."""
    log_first_, log_last_, proj, room = fields.log_first(w), fields.log_last(w), fields.proj(w)[p], fields.log_step(w).shape[2]
    d, slot = proj.deferred, span % log_first_.shape[2]
    begin, count = log_first_[d, k, slot] & (room - 1), log_last_[d, k, slot] - log_first_[d, k, slot]
    before = min(count, room - begin)
    return begin, before, count - before


@numba.njit(cache=True, error_model="numpy")
def _add_logged(w, k, p, span, first, origin, factor, sums):  # type: ignore[no-untyped-def]
    """Add to ``sums`` the spikes of one span from step ``first`` on, decayed since step ``origin``."""
    d = fields.proj(w)[p].deferred
    neuron, gain, step = fields.log_neuron(w)[d, k], fields.log_gain(w)[d, k], fields.log_step(w)[d, k]
    decay = fields.decay_table(w)[d]
    begin, before, after = _logged(w, k, p, span)
    end = begin + before
    _add(neuron[begin:end], gain[begin:end], step[begin:end], first, origin, factor, decay, sums)
    if after:
        _add(neuron[:after], gain[:after], step[:after], first, origin, factor, decay, sums)


@numba.njit(cache=True, error_model="numpy")
def _clear_logged(w, k, p, span, sums):  # type: ignore[no-untyped-def]
    neuron = fields.log_neuron(w)[fields.proj(w)[p].deferred, k]
    begin, before, after = _logged(w, k, p, span)
    _clear(neuron[begin : begin + before], sums)
    _clear(neuron[:after], sums)


@numba.njit(cache=True, error_model="numpy")
def _set_earlier(total, factor, ring):  # type: ignore[no-untyped-def]
    """Set ``total`` to ``factor`` times the sums of the spans that are closed."""
    for j in range(len(total)):
        total[j] = factor * ring[j]


@numba.njit(cache=True, error_model="numpy")
def _potentiate(weight, target, sums, top):  # type: ignore[no-untyped-def]
    for q in range(len(target)):
        weight[q] = min(weight[q] + sums[target[q]], top)


@numba.njit(cache=True, error_model="numpy")
def _potentiate_short(weight, target, ring, sums, factor, top):  # type: ignore[no-untyped-def]
    for q in range(len(target)):
        t = target[q]
        weight[q] = min(weight[q] + (factor * ring[t] + sums[t]), top)


@numba.njit(cache=True, error_model="numpy")
def _fused(weight, target, sums, gain, out, top, scale, shift, low, high):  # type: ignore[no-untyped-def]
    """Potentiate, transmit, depress: one pass over a row, one read and one write a synapse."""
    for q in range(len(target)):
        t = target[q]
        value = weight[q] + sums[t]
        value = value if value < top else top
        out[t] += value
        value = value + (scale * gain[t] + shift)
        value = value if value > low else low
        weight[q] = value if value < high else high


@numba.njit(cache=True, error_model="numpy")
def _fused_short(weight, target, ring, sums, factor, gain, out, top, scale, shift, low, high):  # type: ignore[no-untyped-def]
    """Do what :func:`_fused` does, for so few synapses that summing for all targets would cost more."""
    for q in range(len(target)):
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
    proj, weight_, row_lo_, row_hi_ = fields.proj(w)[p], fields.weight(w), fields.row_lo(w), fields.row_hi(w)
    since_, row_value_, span_, part_ = fields.since(w), fields.row_value(w), fields.span(w), fields.part(w)
    sums_, ring_, decay_table_, x_ = fields.sums(w), fields.ring(w), fields.decay_table(w), fields.x(w)
    total_, active_, target_ = fields.total(w), fields.active(w), fields.target(w)
    gain_ = fields.gain(w)
    d, real = proj.deferred, w.real.dtype.type
    lo, hi = row_lo_[k, proj.rows + i], row_hi_[k, proj.rows + i]
    row = proj.rows + i
    f, value = np.int64(since_[k, row]), row_value_[k, row]
    length = span_[d]
    then, now = f // length, (n if arrives else n + 1) // length  # a span is closed after its last step
    first, last = part_[k, proj.population, 0], part_[k, proj.population, 1]
    short, pending = (hi - lo) * SHORT < last - first, value != 0 and lo < hi
    ring, factor = ring_[d, (then + 1) % ring_.shape[1]], real(0)
    if pending and then + 1 < now:  # else no span has been closed since the last boundary
        factor = real(value * decay_table_[d, (then + 1) * length - f])
    sums = sums_[d, k] if short else total_[k]
    if not short:
        _set_earlier(sums[first:last], factor, ring[first:last])
    if pending:
        _add_logged(w, k, p, then, f + 1, f, real(value), sums)
        if then < now:
            _add_logged(w, k, p, now, f + 1, f, real(value), sums)
    out = x_[proj.out : proj.out + proj.n_post]
    top = real(proj.top)
    weight, target = weight_[lo:hi], target_[lo:hi]
    if arrives and proj.scale >= DEFAULT and not active_.size:
        scale = real(of_neuron(w, k, p, proj.scale, i, PRE)) if proj.scale >= 0 else real(0)
        shift = real(of_neuron(w, k, p, proj.shift, i, PRE)) if proj.shift >= 0 else real(0)
        low, high = real(proj.low), real(proj.high)
        if short:
            _fused_short(weight, target, ring, sums, factor, gain_[d], out, top, scale, shift, low, high)
        else:
            _fused(weight, target, sums, gain_[d], out, top, scale, shift, low, high)
    else:
        if pending and short:
            _potentiate_short(weight, target, ring, sums, factor, top)
        elif pending:
            _potentiate(weight, target, sums, top)
        if arrives:
            transmit(w, lo, hi, out)
            if proj.on_pre >= 0:
                on_row(w, k, p, i, lo, hi, proj.on_pre, n)
    if pending and short:
        _clear_logged(w, k, p, then, sums)
        _clear_logged(w, k, p, now, sums)
    since_[k, row] = n
    row_value_[k, row] = value * decay_table_[d, n - f] if n - f < decay_table_.shape[1] else 0.0


@numba.njit(cache=True, error_model="numpy")
def flush(w, k, p, n):  # type: ignore[no-untyped-def]
    """Bring all rows of a part up to the spikes of step ``n``."""
    proj, since_ = fields.proj(w)[p], fields.since(w)
    for i in range(proj.n_pre):
        if since_[k, proj.rows + i] < n:
            visit(w, k, p, i, n, False)


@numba.njit(cache=True, error_model="numpy")
def note_spikes(w, k, p, fired, n):  # type: ignore[no-untyped-def]
    """Log the postsynaptic spikes of step ``n``; ``fired`` are the part's neurons."""
    proj, log_step_, span_, log_first_ = fields.proj(w)[p], fields.log_step(w), fields.span(w), fields.log_first(w)
    log_last_, log_neuron_, log_gain_ = fields.log_last(w), fields.log_neuron(w), fields.log_gain(w)
    d, mask = proj.deferred, log_step_.shape[2] - 1
    slot = (n // span_[d]) % log_first_.shape[2]
    at = log_last_[d, k, slot]
    for j in fired:
        log_step_[d, k, at & mask] = n
        log_neuron_[d, k, at & mask] = j
        log_gain_[d, k, at & mask] = of_neuron(w, k, p, proj.gain, j, POST) if proj.gain >= 0 else 1.0
        at += 1
    log_last_[d, k, slot] = at


@numba.njit(cache=True, error_model="numpy")
def close_span(w, k, p, n):  # type: ignore[no-untyped-def]
    """After the last step ``n`` of a span: add its spikes to the sums from all earlier boundaries, open the next one."""
    proj, log_step_, span_, ring_ = fields.proj(w)[p], fields.log_step(w), fields.span(w), fields.ring(w)
    log_first_, part_, log_last_, burst_ = fields.log_first(w), fields.part(w), fields.log_last(w), fields.burst(w)
    since_ = fields.since(w)
    d, mask = proj.deferred, log_step_.shape[2] - 1
    length, kept, slots = span_[d], ring_.shape[1], log_first_.shape[2]
    span = n // length
    first, last = part_[k, proj.population, 0], part_[k, proj.population, 1]
    end = log_last_[d, k, span % slots]
    for b in range(max(0, span + 1 - kept), span + 1):
        _add_logged(w, k, p, span, b * length, b * length, w.real.dtype.type(1), ring_[d, b % kept])
    log_first_[d, k, (span + 1) % slots] = log_last_[d, k, (span + 1) % slots] = end
    oldest = log_first_[d, k, max(0, span + 1 - kept) % slots]
    if end - oldest > mask + 1 - (last - first) * burst_[d]:  # the log is nearly full: after this nobody needs it
        flush(w, k, p, n)
        for slot in range(slots):
            log_first_[d, k, slot] = log_last_[d, k, slot] = end
    else:
        for i in range(proj.n_pre):  # rows not visited since the boundary that is to be forgotten
            f = np.int64(since_[k, proj.rows + i])
            if f // length + 1 <= span + 1 - kept:
                visit(w, k, p, i, n, False)
    sums = ring_[d, (span + 1) % kept]
    for j in range(first, last):
        sums[j] = 0
