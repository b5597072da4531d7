"""The arrays of a world as the kernels see them: a table of addresses, so that a call passes one array and not eighty.

``fields.NAME(w)`` is the array ``NAME`` of :class:`~biosim.spiking.world.World`, made here for each that it declares; ``w`` is its
:class:`~biosim.spiking.world.Handle`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numba.np import arrayobj
from numba.np.numpy_support import from_dtype

from biosim.spiking.world import FIELDS, VARYING, Handle

make_array: Any = arrayobj.make_array
populate_array: Any = arrayobj.populate_array


def _accessor(row: int, kind: Any, axes: int) -> Callable[..., Any]:
    """Return the function that a kernel gets an array by, a few instructions where it is called (an intrinsic)."""

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


if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., Any]: ...


# numba looks a name up among a module's own, so that making each when it is asked for would not do
globals().update({name: _accessor(row, *declared) for row, (name, declared) in enumerate(FIELDS.items())})
