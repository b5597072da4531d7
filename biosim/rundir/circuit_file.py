"""A circuit as one file: safetensors, with a description in JSON as its only metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.errors import BiosimError, InputError
from biosim.lif import SpikingDynamics
from biosim.state import State, part

SECTION = "biosim"  # the one metadata entry: several would be written in no fixed order


def plain(value: Any) -> Any:
    """Return what JSON can hold of a value that it cannot."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


def describe(circuit: Circuit) -> dict[str, Any]:
    """Return what a circuit is beside its arrays, as plain data."""
    about: dict[str, Any] = {"populations": circuit.populations, "projections": circuit.projections}
    about["provenance"] = dict(circuit.provenance)
    if circuit.settles:
        about["settling"] = {"steps": circuit.steps, "leak": dict(circuit.leak)}
    if circuit.spiking is not None:
        about["spiking"] = circuit.spiking.data()
    if circuit.substrate is not None:
        about["substrate"] = {"name": circuit.substrate, "dynamics": dict(circuit.dynamics)}
    found: dict[str, Any] = json.loads(json.dumps(about, sort_keys=True, default=plain))
    return found


def tensors(circuit: Circuit) -> dict[str, npt.NDArray[Any]]:
    """Return a circuit's arrays: PROJECTION.mask, PROJECTION.weight, PROJECTION.born, POPULATION.gain."""
    found: dict[str, npt.NDArray[Any]] = {}
    for name, _, _ in circuit.projections:
        found |= {f"{name}.mask": circuit.mask[name], f"{name}.weight": circuit.weight[name], f"{name}.born": circuit.born[name]}
    found |= {f"{name}.gain": circuit.gain[name] for name, _, _ in circuit.populations}
    return {k: np.ascontiguousarray(found[k]) for k in sorted(found)}


def assemble(about: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Circuit:
    """Return the circuit of :func:`describe` and :func:`tensors`.

    Raises
    ------
    InputError, KeyError, ValueError, TypeError, AttributeError
        When they do not describe a circuit, or do not fit together.
    """
    populations = tuple((str(n), int(s), str(a)) for n, s, a in about["populations"])
    projections = tuple((str(n), str(a), str(b)) for n, a, b in about["projections"])
    if not projections:
        raise InputError("it has no projections")
    mask, born, weight = ({n: arrays[f"{n}.{what}"] for n, _, _ in projections} for what in ("mask", "born", "weight"))
    gain = {n: arrays[f"{n}.gain"] for n, _, _ in populations}
    sizes, replicates = {n: s for n, s, _ in populations}, len(mask[projections[0][0]])
    for name, pre, post in projections:
        if {a[name].shape for a in (mask, born, weight)} != {(replicates, sizes[pre], sizes[post])}:
            raise InputError(f"the tensors of projection '{name}' do not fit its populations")
        if [str(a[name].dtype) for a in (mask, born, weight)] != ["bool", "bool", "float32"]:
            raise InputError(f"the tensors of projection '{name}' are not of types bool, bool and float32")
    for name, size in sizes.items():
        if gain[name].shape != (replicates, size) or gain[name].dtype != np.float32:
            raise InputError(f"the gains of population '{name}' are not ({replicates}, {size}) float32")
    own = about.get("substrate", {"name": None, "dynamics": {}})
    named = None if own["name"] is None else str(own["name"]), dict(own["dynamics"])
    return Circuit(populations, projections, mask, born, weight, gain, dict(about["provenance"]), *dynamics_of(about), *named)


def dynamics_of(about: Mapping[str, Any]) -> tuple[int, dict[str, float], SpikingDynamics | None]:
    """Return the steps and leaks by which a described circuit settles, and how its neurons spike, if they do."""
    settling = about.get("settling", {"steps": 1, "leak": {}})
    leak = {str(n): float(a) for n, a in settling["leak"].items()}
    return int(settling["steps"]), leak, SpikingDynamics.of(about["spiking"]) if "spiking" in about else None


def state_of(circuit: Circuit) -> State:
    """Return a circuit as a state, for a checkpoint."""
    return {"about": describe(circuit), "arrays": tensors(circuit)}


def circuit_of(state: State) -> Circuit:
    """Return the circuit of :func:`state_of`."""
    return assemble(part(state, "about"), part(state, "arrays"))


def circuit_bytes(circuit: Circuit) -> bytes:
    """Return a circuit as safetensors; the same circuit gives the same bytes."""
    from safetensors.numpy import save

    return bytes(save(tensors(circuit), {SECTION: json.dumps(describe(circuit), sort_keys=True)}))


def read_circuit(path: Path) -> Circuit:
    """Read a circuit written by :func:`circuit_bytes`.

    Raises
    ------
    BiosimError
        When the file is missing, damaged, or its tensors do not fit together.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {})[SECTION])
            return assemble(about, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError, InputError) as error:
        raise BiosimError(f"{path}: not a circuit that can be read: {error}") from None
