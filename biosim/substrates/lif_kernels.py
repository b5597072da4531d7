"""Compiled time steps of leaky integrate-and-fire neurons: the CPU's form of :func:`biosim.substrates.time_stepped.integrate`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]  # float32 or float64


class Constants(NamedTuple):
    """What the equations need in each step.

    Attributes
    ----------
    keep, keep_current : float
        What is left of a potential, and of a synaptic current, after a step.
    threshold, per_threshold, reset : float
        mV; one over the threshold.
    delay, hold : int
        Steps of delay, and from a spike to the next one at the earliest.
    delta : bool
        Whether what arrives moves the potential at once, else by a current.
    steps : int
        Of a window.
    """

    keep: float
    keep_current: float
    threshold: float
    per_threshold: float
    reset: float
    delay: int
    hold: int
    delta: bool
    steps: int


@numba.njit(cache=True, parallel=True, error_model="numpy")
def _steps(arriving, scale, pushed, numbers, delay, hold, delta, spikes, distance):  # type: ignore[no-untyped-def]
    keep, keep_current, threshold, per_threshold, reset, lost = numbers
    rows, steps, samples, size = spikes.shape
    varies, pushes, wanted = arriving.shape[1] > 1, pushed.size > 0, distance.size > 0
    for row in numba.prange(rows * samples):
        r, s = row // samples, row % samples
        potential, current = np.zeros(size, arriving.dtype), np.zeros(size, arriving.dtype)
        last = np.full(size, -hold, np.int32)
        for t in range(steps):
            sent = (t - delay) if varies else 0
            for j in range(size):
                v = potential[j]
                free = t - last[j] >= hold
                if free:
                    v = v * keep
                    if not delta:
                        v = v + current[j] * lost
                    if pushes:
                        v = v + pushed[r, s, j] * lost
                u = (v - threshold) * per_threshold
                spike = free and u > 0
                if wanted:
                    distance[r, t, s, j] = u if free else -np.inf
                if not delta:
                    current[j] = current[j] * keep_current
                if t >= delay:
                    a = arriving[r, sent, s, j] * scale[r, j]
                    if not delta:
                        current[j] = current[j] + a
                    elif free:
                        v = v + a
                if spike:
                    v = reset
                    last[j] = t
                potential[j] = v
                spikes[r, t, s, j] = 1 if spike else 0


def run(arriving: Floats, scale: Floats, pushed: Floats | None, constants: Constants, want_distance: bool = False) -> tuple[Floats, Floats]:
    """Return spikes, (R, T, S, n), and, when wanted, each potential's distance to its threshold, -inf where refractory.

    Parameters
    ----------
    arriving : (R, T or 1, S, n)
    scale : (R, n)
    pushed : (R, S, n), optional
    constants : Constants
    want_distance : bool
    """
    c, kind = constants, arriving.dtype
    rows, _, samples, size = arriving.shape
    spikes = np.empty((rows, c.steps, samples, size), kind)
    distance = np.empty(spikes.shape if want_distance else (0, 0, 0, 0), kind)
    numbers = tuple(kind.type(x) for x in (c.keep, c.keep_current, c.threshold, c.per_threshold, c.reset, 1 - c.keep))
    none = np.empty((0, 0, 0), kind)
    _steps(arriving, scale, none if pushed is None else pushed, numbers, c.delay, c.hold, c.delta, spikes, distance)
    return spikes, distance


@numba.njit(cache=True, parallel=True, error_model="numpy")
def _back(arrived, spikes, distance, scale, numbers, delay, delta, out):  # type: ignore[no-untyped-def]
    keep, keep_current, per_threshold, sharpness, lost = numbers
    rows, steps, samples, size = spikes.shape
    varies = out.shape[1] > 1
    for row in numba.prange(rows * samples):
        r, s = row // samples, row % samples
        credit, charge = np.zeros(size, spikes.dtype), np.zeros(size, spikes.dtype)
        for k in range(steps):
            t = steps - 1 - k
            sent = (t - delay) if varies else 0
            for j in range(size):
                u = distance[r, t, s, j]
                free = np.isfinite(u)
                c = credit[j]
                if spikes[r, t, s, j] != 0:
                    c = spikes.dtype.type(0)
                if t >= delay:
                    if not delta:
                        out[r, sent, s, j] += charge[j] * scale[r, j]
                    elif free:
                        out[r, sent, s, j] += c * scale[r, j]
                charge[j] = charge[j] * keep_current
                if free:
                    root = 1 + sharpness * abs(u)
                    c = c + arrived[r, t, s, j] * per_threshold / (root * root)
                    charge[j] = charge[j] + c * lost
                    c = c * keep
                credit[j] = c


def back(arrived: Floats, spikes: Floats, distance: Floats, scale: Floats, constants: Constants, sharpness: float, steps: int) -> Floats:
    """Return dL/darriving, (R, ``steps``, S, n), from dL/dspikes where a spike has the slope of a fast sigmoid."""
    c, kind = constants, spikes.dtype
    out = np.zeros((spikes.shape[0], steps, *spikes.shape[2:]), kind)
    numbers = tuple(kind.type(x) for x in (c.keep, c.keep_current, c.per_threshold, sharpness, 1 - c.keep))
    _back(arrived, spikes, distance, scale, numbers, c.delay, c.delta, out)
    return out
