"""The tables by which the kernels find their way, and what their columns hold: ``w.TABLE[row].COLUMN`` in a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

POISSON, GIVEN = range(2)  # kinds of sources
DELTA, CURRENT, CONDUCTANCE = range(3)  # kinds of channels
STATIC, DEFERRED, GENERAL = range(3)  # paths of plasticity
WEIGHT, STATE, PRE, POST, AGE, RANDOM = range(6)  # where a program's value comes from
EVENTS = ("on_pre", "on_post", "scale", "post", "shift", "row", "gain")  # programs of a projection
NEVER, DEFAULT = -2, -1  # in place of a program: no such program, not this form; nothing to compute


def _table(whole: str, real: str = "") -> np.dtype[Any]:
    """Return the type of a row: columns of whole numbers, then of real ones."""
    return np.dtype([(n, np.int64) for n in whole.split()] + [(n, np.float64) for n in real.split()], align=True)


def row(table: np.dtype[Any], **columns: float) -> np.void:
    """Return a row by the names of its columns; 0 in those left out."""
    made = np.zeros(1, table)
    for name, value in columns.items():
        made[name] = value
    return made[0]  # type: ignore[no-any-return]


# ``first`` neuron among all, ``refractory`` steps, its channels, whether currents or conductances flow; decay a step, v_rest + bias,
# v_reset, v_threshold, dt/tau_m
POPULATION = _table("first refractory emitter channels channels_end flows", "keep rest reset threshold rate")
# A receptor and scale of a population: where its values begin in ``x``; decay a step
CHANNEL = _table("kind first", "keep reversal scale")
# Where its channel begins in ``x``, where its hashes begin, how many limits
DRIVE = _table("population out hashes limits", "weight")
# ``first`` neuron, how many groups and the first, end of the given spikes
SOURCE = _table("emitter size kind first groups first_group given_end")
# Postsynaptic ``population``; first of its ``rows`` (one a presynaptic neuron) and of its ``columns`` (one a target); where its channel
# begins in ``x`` (``out``); where its queue and the queue's lengths begin, slots of the queue, whether delays are ``mixed``; where its
# traces begin, how many there are, and the first of them in ``rise`` and ``fade``; programs (``scale*post + shift`` depresses, ``row*gain``
# potentiates); its place among the deferred. Bounds: ``top`` of on_post, ``low`` and ``high`` of on_pre
PROJECTION = _table(
    "emitter population n_pre n_post rows columns out queue queued slots mixed path "
    "pre_traces n_pre_traces pre_fade post_traces n_post_traces post_fade "
    f"{' '.join(EVENTS)} deferred",
    "top low high",
)
# Its lines in ``code``, its values in ``slot``
PROGRAM = _table("lines lines_end slots slots_end")
# A value that a program loads: which of its ``source``, and whether the program stores it too
SLOT = _table("source index stored")
