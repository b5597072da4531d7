"""The arrays of a world as the kernels see them: a table of addresses, so that a call passes one array and not eighty.

``fields.NAME(w)`` is the array ``NAME`` of :class:`~biosim.spiking.world.World`; ``w`` is its :class:`Handle`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba.core import cgutils, types
from numba.extending import intrinsic

_array: Any = numba.carray  # type: ignore[attr-defined]  # numba declares no types for it


class Handle(NamedTuple):
    """What a kernel is given: where every array lies, and empty arrays of the types that vary."""

    table: npt.NDArray[np.int64]  # (fields, 4): address, shape
    real: npt.NDArray[Any]
    target: npt.NDArray[Any]
    source: npt.NDArray[Any]


def _to_pointer(context, address):  # type: ignore[no-untyped-def]
    """Return an address as a pointer."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), code


_pointer: Any = intrinsic(_to_pointer)

FIELDS: dict[str, tuple[str, int]] = {}  # type and number of axes by name, in the order of the table


def _field(name: str, kind: str, axes: int = 1) -> Callable[..., Any]:
    """Declare an array; return the function that a kernel gets it by."""
    row = len(FIELDS)
    FIELDS[name] = (kind, axes)
    of = Handle._fields.index(kind) if kind in Handle._fields else np.dtype(kind)
    return (_line, _table, _block)[axes - 1](row, of)


def _type(of: Any) -> Callable[..., Any]:
    """Return the function that a view gets its type of values by: a place in the handle, or a type."""
    if isinstance(of, int):
        return numba.njit(lambda w: w[of].dtype)  # type: ignore[no-any-return]
    return numba.njit(lambda w: of)  # type: ignore[no-any-return]


# One function for each number of axes: their shapes are written out, for a loop over the axes would cost more than the view.
def _line(row: int, of: Any) -> Callable[..., Any]:
    kind = _type(of)
    return numba.njit(lambda w: _array(_pointer(w.table[row, 0]), (w.table[row, 1],), kind(w)))  # type: ignore[no-any-return]


def _table(row: int, of: Any) -> Callable[..., Any]:
    kind = _type(of)
    return numba.njit(lambda w: _array(_pointer(w.table[row, 0]), (w.table[row, 1], w.table[row, 2]), kind(w)))  # type: ignore[no-any-return]


def _block(row: int, of: Any) -> Callable[..., Any]:
    kind = _type(of)
    shape = numba.njit(lambda w: (w.table[row, 1], w.table[row, 2], w.table[row, 3]))
    return numba.njit(lambda w: _array(_pointer(w.table[row, 0]), shape(w), kind(w)))  # type: ignore[no-any-return]


dt = _field("dt", "float64")
pop = _field("pop", "int64", 2)
pop_real = _field("pop_real", "float64", 2)
part = _field("part", "int64", 3)
v = _field("v", "real")
free_at = _field("free_at", "int32")
flag = _field("flag", "uint8")
base = _field("base", "real")
leak = _field("leak", "real")
channel = _field("channel", "int64", 2)
channel_real = _field("channel_real", "float64", 2)
x = _field("x", "real")
drive = _field("drive", "int64", 2)
drive_limit = _field("drive_limit", "uint32", 2)
drive_key = _field("drive_key", "uint32")
drive_hash = _field("drive_hash", "uint32")
drive_weight = _field("drive_weight", "float64")
source = _field("source", "int64", 2)
source_key = _field("source_key", "uint32")
source_hash = _field("source_hash", "uint32")
source_limit = _field("source_limit", "uint32")
group = _field("group", "int32")
mother = _field("mother", "bool")
mother_limit = _field("mother_limit", "uint32")
position = _field("position", "int64")
given_step = _field("given_step", "int64")
given_neuron = _field("given_neuron", "int64")
recorded = _field("recorded", "bool")
spikes = _field("spikes", "int64")
out_step = _field("out_step", "int64")
out_emitter = _field("out_emitter", "int32")
out_neuron = _field("out_neuron", "int32")
cursor = _field("cursor", "int64")
room = _field("room", "int64")
fired = _field("fired", "int32", 2)
fired_at = _field("fired_at", "int64", 2)
proj = _field("proj", "int64", 2)
proj_real = _field("proj_real", "float64", 2)
delay = _field("delay", "int32")
queue = _field("queue", "uint32")
queued = _field("queued", "int64")
stream = _field("stream", "uint32", 2)
row_lo = _field("row_lo", "int64", 2)
row_hi = _field("row_hi", "int64", 2)
target = _field("target", "target")
weight = _field("weight", "real")
state = _field("state", "real", 2)
active = _field("active", "bool")
column = _field("column", "int64")
column_synapse = _field("column_synapse", "uint32")
column_source = _field("column_source", "source")
pre_trace = _field("pre_trace", "float64", 2)
post_trace = _field("post_trace", "float64")
fade = _field("fade", "float64", 2)
rise = _field("rise", "int64")
program = _field("program", "int64", 2)
code = _field("code", "int64", 2)
constant = _field("constant", "real")
slot = _field("slot", "int64", 2)
since = _field("since", "int32", 2)
row_value = _field("row_value", "float64", 2)
span = _field("span", "int64")
burst = _field("burst", "int64")
ring = _field("ring", "real", 3)
sums = _field("sums", "real", 3)
total = _field("total", "real", 2)
gain = _field("gain", "real", 2)
log_first = _field("log_first", "int64", 3)
log_last = _field("log_last", "int64", 3)
log_step = _field("log_step", "int32", 3)
log_neuron = _field("log_neuron", "int32", 3)
log_gain = _field("log_gain", "real", 3)
decay_table = _field("decay_table", "real", 2)
reg = _field("reg", "real", 3)
loc = _field("loc", "real", 3)
fresh = _field("fresh", "float64", 2)
