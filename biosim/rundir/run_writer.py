"""Writes a run directory: each file whole, with its checksum in ``run.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.findings import Findings, csv_text, svg
from biosim.rundir import seal
from biosim.rundir.artefacts import CHECKPOINTS, CIRCUIT, COMPARISON, FIGURES, LOCAL, METRICS, RESULTS, RIVALS, RUN, SEARCHES, TABLES
from biosim.rundir.checkpoint import EVERY, Checkpoints
from biosim.rundir.circuit_file import SECTION, circuit_bytes, plain
from biosim.rundir.files import refusal, write_atomic
from biosim.rundir.results_file import results_dataset


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON, sorted and indented, atomically."""
    text = json.dumps(data, indent=1, sort_keys=True, default=plain, allow_nan=False)
    write_atomic(path, text.encode() + b"\n")


class RunWriter:
    """Writes one run directory.

    Parameters
    ----------
    folder : Path
        Created here; must not hold another run.
    about : mapping
        What ``run.json`` says from the start.
    every : float
        Seconds between two checkpoints.

    Attributes
    ----------
    checkpoints : Checkpoints
        What the run has finished, and where it was when it was stopped.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], every: float = EVERY) -> None:
        self.folder, self.about = folder, dict(about)
        self.files: dict[str, str] = {}
        self.checkpoints = Checkpoints(folder / CHECKPOINTS, str(about["id"]), every, self._rewrite)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._rewrite([])
            self.status("running")
        except OSError as error:
            raise refusal(folder, error) from None

    def _rewrite(self, lines: list[str]) -> None:
        """Bring ``metrics.jsonl`` to where it was when a checkpoint was made."""
        write_atomic(self.folder / METRICS, "".join(f"{line}\n" for line in lines).encode())

    def status(self, status: str, **more: Any) -> None:
        """Rewrite ``run.json`` with this status."""
        if status == "done":
            self.files[METRICS] = seal.of_file(self.folder / METRICS)
        self.about |= {"status": status, **more, "files": dict(self.files)}
        write_json(self.folder / RUN, seal.sealed(json.loads(json.dumps(self.about, default=plain, allow_nan=False))))

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append a record to ``metrics.jsonl``."""
        line = json.dumps(entry, default=plain)
        self.checkpoints.lines.append(line)
        try:
            with (self.folder / METRICS).open("a", buffering=1) as file:
                file.write(line + "\n")
        except OSError as error:
            raise refusal(self.folder / METRICS, error) from None

    def circuit(self, circuit: Circuit, rival: str | None = None, search: int = 0) -> None:
        """Write the survivor, or a rival's circuit, or what a further search found."""
        name = CIRCUIT if rival is None else f"{RIVALS}/{rival}.safetensors"
        self._write(f"{SEARCHES}/{rival or LOCAL}.{search}.safetensors" if search else name, circuit_bytes(circuit))

    def arrays(self, name: str, tensors: Mapping[str, npt.NDArray[Any]], about: Mapping[str, Any]) -> None:
        """Write ``NAME.safetensors``: arrays by name, and plain data on them."""
        from safetensors.numpy import save

        metadata = {SECTION: json.dumps(about, sort_keys=True, default=plain)}
        content = save({k: np.ascontiguousarray(tensors[k]) for k in sorted(tensors)}, metadata)
        self._write(f"{name}.safetensors", bytes(content))

    def comparison(self, data: Mapping[str, Any]) -> None:
        """Write ``comparison.json``."""
        write_json(self.folder / COMPARISON, data)
        self.files[COMPARISON] = seal.of_file(self.folder / COMPARISON)

    def findings(self, findings: Findings) -> None:
        """Write the tables of a study or a measure as CSV and its figures as SVG."""
        for name, rows in findings.tables.items():
            self._write(f"{TABLES}/{name}.csv", csv_text(rows).encode())
        for name, figure in findings.figures.items():
            self._write(f"{FIGURES}/{name}.svg", svg(figure).encode())

    def _write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise refusal(path, error) from None
        write_atomic(path, content)
        self.files[name] = seal.of_bytes(content)

    def results(
        self,
        records: list[dict[str, Any]],
        death_step: Mapping[str, npt.NDArray[np.int32]],
        table: list[dict[str, Any]],
        formed_step: Mapping[str, npt.NDArray[np.int32]] | None = None,
    ) -> None:
        """Write ``results.nc``."""
        dataset = results_dataset(records, death_step, table, formed_step)
        aside = self.folder / f".{RESULTS}.part"
        packed = {name: {"zlib": True, "complevel": 4} for name in dataset.data_vars if dataset[name].dtype.kind in "if"}
        try:
            dataset.to_netcdf(aside, engine="h5netcdf", encoding=packed)
            self.files[RESULTS] = seal.of_file(aside)
            aside.replace(self.folder / RESULTS)
        except OSError as error:
            raise refusal(self.folder / RESULTS, error) from None
