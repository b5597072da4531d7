"""Compiled time steps of :mod:`biosim.substrates.lif_network`, one replicate a thread."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, parallel=True, error_model="numpy")
def advance(held, weight, gain, numbers, per_window, hold, potential, arriving, free_in, count):  # type: ignore[no-untyped-def]
    """Run on, in place.

    Parameters
    ----------
    held : (R, S, N) float32
        Input of every window, mV.
    weight : (R, N, N) float32
        What transmits, mV.
    gain : (R, N) float32
    numbers : (keep, lost, threshold)
    per_window, hold : int
        Time steps of a window, and for which a neuron that fired is refractory.
    potential, arriving : (R, N) float32
        State: mV; and what arrives in the next time step.
    free_in : (R, N) int32
        State: time steps until a neuron is no longer refractory.
    count : (R, S, N) float32
        Receives the spikes of every window.
    """
    keep, lost, threshold = numbers
    rows, windows, size = held.shape
    for r in numba.prange(rows):
        fired = np.empty(size, np.int64)
        v, arrives, wait = potential[r], arriving[r], free_in[r]
        for s in range(windows):
            for _ in range(per_window):
                spikes = 0
                for j in range(size):
                    if wait[j] > 0:
                        wait[j] -= 1
                    else:
                        v[j] = v[j] * keep + held[r, s, j] * lost + arrives[j] * gain[r, j]
                        if v[j] >= threshold:
                            v[j] = 0
                            wait[j] = hold
                            fired[spikes] = j
                            spikes += 1
                arrives[:] = 0
                for k in range(spikes):
                    i = fired[k]
                    count[r, s, i] += 1
                    for j in range(size):
                        arrives[j] += weight[r, i, j]
