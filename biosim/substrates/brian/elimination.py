"""Remove synapses from a user's own Brian2 ``Synapses`` between two runs."""

from __future__ import annotations

import gc
import inspect
from typing import Any

import numpy as np
import numpy.typing as npt
from brian2 import Network, Synapses
from brian2.codegen.codeobject import create_runner_codeobj
from brian2.core.base import BrianObject
from brian2.core.namespace import get_local_namespace
from brian2.core.variables import Variables
from brian2.devices.device import RuntimeDevice
from brian2.groups.group import VariableOwner
from brian2.parsing.expressions import is_boolean_expression
from brian2.synapses.synapses import SynapticPathway, SynapticSubgroup
from brian2.utils.stringtools import get_identifiers
from pyparsing import ParserElement

from biosim.errors import InputError
from biosim.substrates.brian.recording import follow, keep, keep_delays, monitors_of

Array = npt.NDArray[Any]


def eliminate(synapses: Any, condition: Any, namespace: dict[str, Any] | None = None, level: int = 0) -> int:
    """Remove the synapses that meet ``condition`` from a Brian2 ``Synapses``, for good.

    The survivors keep their order, every variable, their delays and what is in flight on them: the network goes on
    exactly as one built with only the survivors. Synapses that are gone deliver nothing more, not even the spikes
    that were under way. Survivors are renumbered from 0, and so is a multisynaptic index within each pair, as
    ``connect`` would. Memory is freed.

    Parameters
    ----------
    synapses : brian2.Synapses
        In runtime mode, between two runs.
    condition : str, array or SynapticSubgroup
        Which to remove: a condition over the variables of the synapse, of its two neurons and of the namespace
        (``"w < 0.1*w_max and i != j"``), a boolean for each synapse, synapse numbers, or ``synapses[...]``. A
        condition reads an event-driven variable as the last event left it, at ``lastupdate``.
    namespace : dict, optional
        Where names in the condition are looked up; by default where ``eliminate`` was called.
    level : int, optional
        How many frames further up to look, for a function that wraps this one.

    Returns
    -------
    int
        Synapses removed.

    Raises
    ------
    InputError
        In standalone mode, during a run, when other synapses lead onto single synapses of ``synapses``, or when the
        condition is not one. Nothing has then changed.

    Notes
    -----
    A ``StateMonitor`` of ``synapses`` goes on with the survivors it recorded; what it had recorded of the others is
    in :func:`~biosim.substrates.brian.eliminated_recordings`. ``store`` and ``restore`` work across eliminations in
    memory. A ``SynapticSubgroup`` made before holds old numbers and is of no more use.
    """
    _check(synapses)
    if isinstance(condition, str):
        if namespace is None:
            namespace = get_local_namespace(level=level + 1)
        victims = _meeting(synapses, condition, namespace)
    else:
        victims = _chosen(synapses, condition)
    alive = np.ones(len(synapses), bool)
    alive[victims] = False
    removed = len(alive) - int(np.count_nonzero(alive))
    if removed:
        monitors = monitors_of(synapses)
        _refuse_dependents(synapses, monitors)
        _compact(synapses, alive, monitors)
    return removed


def _check(synapses: Any) -> None:
    if not isinstance(synapses, Synapses):
        raise InputError(f"eliminate takes a brian2.Synapses object, not {type(synapses).__name__}", ("synapses",))
    if not isinstance(synapses.variables["N"].device, RuntimeDevice):
        raise InputError(
            f"'{synapses.name}' belongs to a standalone device, whose arrays exist only while the generated program runs: eliminate in"
            " runtime mode (leave set_device out, or device.reinit() and set_device('runtime') before the network is built)",
            ("synapses",),
        )
    if Network._globally_running:
        raise InputError(
            "synapses can be eliminated between two runs, not during one: end the run, eliminate, run on (after a run that"
            " raised an error, run(0*second) once)"
        )


def _meeting(synapses: Any, condition: str, namespace: dict[str, Any]) -> Array:
    """Return the numbers of the synapses that meet a condition, evaluated by Brian2 with its units."""
    if not is_boolean_expression(condition, synapses.resolve_all(get_identifiers(condition), namespace)):
        raise InputError(f"'{condition}' is not a condition: compare something, such as 'w < 0.1'", ("condition",))
    if not len(synapses):
        return np.zeros(0, int)
    outcome = Variables(None)
    outcome.add_auxiliary_variable("_indices", dtype=np.int32)
    outcome.add_auxiliary_variable("_cond", dtype=bool)
    target = synapses.variables["N"].device.code_object_class(fallback_pref="codegen.string_expression_target")
    text = f"_cond = ({condition}) and i >= 0"  # the second half makes a condition that is the same for all an array
    code = create_runner_codeobj(
        synapses, text, "group_get_indices", run_namespace=namespace, additional_variables=outcome, codeobj_class=target
    )
    return np.asarray(code(), dtype=int)


def _chosen(synapses: Any, condition: Any) -> Array:
    """Return the numbers of the synapses that a boolean array, numbers or a subgroup point at."""
    if isinstance(condition, SynapticSubgroup):
        if condition._synaptic_pre is not synapses.variables["_synaptic_pre"]:
            raise InputError(f"the subgroup is not one of '{synapses.name}'", ("condition",))
        return np.asarray(condition._indices(), int)
    values, total = np.asarray(condition), len(synapses)
    if values.dtype == bool and values.shape == (total,):
        return np.flatnonzero(values)
    if values.ndim > 1 or (values.size and not np.issubdtype(values.dtype, np.integer)):
        raise InputError(
            f"expected a condition in a string, a boolean for each of the {total} synapses, or synapse numbers,"
            f" not {values.dtype} of shape {values.shape}",
            ("condition",),
        )
    values = np.atleast_1d(values).astype(int)
    if values.size and not 0 <= values.min() <= values.max() < total:
        raise InputError(f"synapse numbers lie in 0 to {total - 1}, not {values.min()} to {values.max()}", ("condition",))
    return values


def _refuse_dependents(synapses: Any, monitors: list[Any]) -> None:
    """Raise when another object indexes single synapses; it would point at others afterwards.

    Every such object that lives counts, whether or not a network holds it: nobody can tell whether it will run again.
    """
    if _dependents(synapses, monitors):
        _release_deleted()
        found = _dependents(synapses, monitors)
        if found:
            raise InputError(
                f"{', '.join(found)} refers to single synapses of '{synapses.name}', which elimination would renumber: eliminate before"
                " that object is made, delete it (and whatever holds it), or set the weights of these synapses to 0 instead",
                ("synapses",),
            )


def _release_deleted() -> None:
    """Let go of objects that the user has deleted.

    To look up names, Brian2 reads ``f_locals`` of its callers' frames. Before Python 3.13 that leaves in each frame a copy of its
    local variables, which keeps those deleted since alive until it is read, and so renewed, once more. And pyparsing, which reads
    Brian2's equations, remembers what did not match in tracebacks when anybody (matplotlib does) has switched its memory on.
    """
    ParserElement.reset_cache()
    frame = inspect.currentframe()
    while frame is not None:
        _, frame = frame.f_locals, frame.f_back
    gc.collect()  # Brian2's objects refer to each other in circles


def _dependents(synapses: Any, monitors: list[Any]) -> list[str]:
    own = {id(v) for v in synapses._registered_variables}
    known = {id(o) for o in (synapses, *synapses._pathways, *monitors)}
    owners = [o for o in (reference() for reference in list(VariableOwner.__instances__())) if o is not None and id(o) not in known]
    found = [o for o in owners if any(id(v) in own for v in getattr(o, "variables", {}).values())]
    return sorted(o.name for o in found if not isinstance(o, SynapticPathway))


def _compact(synapses: Any, alive: Array, monitors: list[Any]) -> None:
    renumbered = np.cumsum(alive, dtype=np.int32) - 1
    keep_delays(synapses)
    for monitor in monitors:
        follow(monitor, alive, renumbered)
    survivors = np.flatnonzero(alive)
    for variable in list(synapses._registered_variables):  # i, j, every variable of a synapse, lastupdate, delays
        keep(variable, survivors)
    synapses.variables["N"].set_value(len(survivors))
    for name in ("N_incoming", "N_outgoing"):
        synapses.variables[name].get_value()[:] = 0
    synapses._update_synapse_numbers(0)
    for pathway in synapses._pathways:
        _filter_queue(pathway.queue, alive, renumbered)
    for item in (synapses, *synapses.contained_objects):
        _forget_code(item)


def _filter_queue(queue: Any, alive: Array, renumbered: Array) -> None:
    """Drop what is in flight to the dead and renumber the rest, in Brian2's C++ queue or its Python one."""
    state = queue._full_state()
    if len(state) == 2:  # C++: (offset, synapses by time step)
        offset, steps = state
        rows = [np.asarray(row, np.int32) for row in steps]
        queue._restore_from_full_state((offset, [renumbered[row[alive[row]]].tolist() for row in rows]))
    else:  # Python: (dt, (steps ahead, synapse) pairs, shape of the circular array)
        dt, pairs, shape = state
        pairs = pairs[alive[pairs[:, 1]]]
        pairs[:, 1] = renumbered[pairs[:, 1]]
        queue._restore_from_full_state((dt, pairs, shape))


def _forget_code(item: BrianObject) -> None:
    """Drop compiled code that points at the old arrays; the next run makes it anew."""
    if getattr(item, "codeobj", None) is not None:
        item.codeobj = None  # pyright: ignore[reportAttributeAccessIssue]
        item.code_objects[:] = []
