"""The arrays of a world as the kernels see them: a table of addresses, so that a call passes one array and not eighty.

``fields.NAME(w)`` is the array ``NAME`` of :class:`~biosim.spiking.world.World`; ``w`` is its :class:`Handle`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.core import types
from numba.extending import intrinsic
from numba.np import arrayobj
from numba.np.numpy_support import from_dtype

from biosim.spiking import tables


class Handle(NamedTuple):
    """What a kernel is given: where every array lies, and empty arrays of the types that vary."""

    table: npt.NDArray[np.int64]  # (fields, 4): address, shape
    real: npt.NDArray[Any]
    target: npt.NDArray[Any]
    source: npt.NDArray[Any]


VARYING = ("real", "target", "source")  # kinds that differ from world to world
make_array: Any = arrayobj.make_array
populate_array: Any = arrayobj.populate_array
FIELDS: dict[str, tuple[str | np.dtype[Any], int]] = {}  # type and number of axes by name, in the order of the table


def _field(name: str, kind: str | np.dtype[Any], axes: int = 1) -> Callable[..., Any]:
    """Declare an array; return the function that a kernel gets it by, a few instructions where it is called (an intrinsic)."""
    row = len(FIELDS)
    FIELDS[name] = (kind, axes)

    def view(context, w):  # type: ignore[no-untyped-def]
        dtype = w.types[Handle._fields.index(kind)].dtype if kind in VARYING else from_dtype(np.dtype(kind))
        result = types.Array(dtype, axes, "C")
        return result(w), lambda *lowering: _emit(row, *lowering)

    return intrinsic(view)


def _emit(row: int, context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Emit the code that makes an array of a row of the table: its address, its shape, and strides that follow."""
    result, (handle,) = signature.return_type, signature.args
    table = make_array(handle.types[0])(context, builder, builder.extract_value(arguments[0], 0))
    entry = [builder.load(builder.gep(table.data, [context.get_constant(types.intp, 4 * row + k)])) for k in range(result.ndim + 1)]
    array = make_array(result)(context, builder)
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(result.dtype)))
    strides = [size]
    for length in reversed(entry[2:]):
        strides.insert(0, builder.mul(strides[0], length))
    data = builder.inttoptr(entry[0], array.data.type)
    populate_array(array, data=data, shape=entry[1:], strides=strides, itemsize=size, meminfo=None)
    return array._getvalue()


dt = _field("dt", "float64")
pop = _field("pop", tables.POPULATION)
part = _field("part", "int64", 3)
v = _field("v", "real")
free_at = _field("free_at", "int32")
flag = _field("flag", "uint8")
base = _field("base", "real")
leak = _field("leak", "real")
channel = _field("channel", tables.CHANNEL)
x = _field("x", "real")
drive = _field("drive", tables.DRIVE)
drive_limit = _field("drive_limit", "uint32", 2)
drive_key = _field("drive_key", "uint32")
drive_hash = _field("drive_hash", "uint32")
source = _field("source", tables.SOURCE)
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
proj = _field("proj", tables.PROJECTION)
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
program = _field("program", tables.PROGRAM)
code = _field("code", "int64", 2)
constant = _field("constant", "real")
slot = _field("slot", tables.SLOT)
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
