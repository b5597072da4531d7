"""biosim's own file: ``circuit.safetensors``, as run directories hold it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from biosim.circuit import Circuit
from biosim.exchange.base import Format, Imported, Records
from biosim.rundir.circuit_file import circuit_bytes, read_circuit


def header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file; empty when it is none."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            return dict(json.loads(file.read(length))) if length <= min(path.stat().st_size, 100_000_000) else {}
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _recognise(path: Path) -> bool:
    about = header(path).get("__metadata__") if path.suffix == ".safetensors" else None
    return isinstance(about, dict) and "biosim" in about


def _write(circuit: Circuit, path: Path, records: Records) -> None:
    with path.open("wb") as file:
        file.write(circuit_bytes(circuit))


FORMAT = Format(
    "safetensors",
    "biosim's own file: safetensors with a JSON description; read by safetensors in Python, Rust, JavaScript",
    "everything: all replicates, births, masks, weights, gains, settling",
    ".safetensors",
    _recognise,
    _write,
    lambda path: Imported(read_circuit(path)),
    replicates=True,
)
