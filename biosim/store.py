"""The run directory: what a run leaves on disk, and how it is read back.

    run.json              resolved scenario, id, seeds, versions, data hash, status, results
    metrics.jsonl         one line a record, written as development goes on
    circuit.safetensors   PROJECTION.mask, PROJECTION.weight, PROJECTION.born, POPULATION.gain
                          (of a spiking network PROJECTION.REPLICATE.pre, .post, .birth_weight, .weight, .death_step)
    spikes.safetensors    of a spiking network: first and last window, POPULATION.REPLICATE.times, .neurons
    rivals/NAME.safetensors
    searches/NAME.K.safetensors   what further searches on the same births found; NAME is local for the scenario's rule
    comparison.json       all that was compared
    results.nc            history, death steps and the table (xarray)
    tables/*.csv          of a study
    conditions/NAME/      a run directory for each condition of a scenario that has some
    figures/*.svg, report.html

No pickle anywhere: a run from somebody else is data. Files are written aside and renamed, so a file
that is there is whole.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.errors import BiosimError, InputError
from biosim.findings import Findings, csv_text, svg
from biosim.lif import SpikingDynamics

if TYPE_CHECKING:
    from biosim.spiking.survivor import SpikingCircuit

RUN, METRICS, CIRCUIT, SPIKES, RIVALS, SEARCHES, COMPARISON, RESULTS, TABLES, FIGURES, REPORT, CONDITIONS = (
    "run.json", "metrics.jsonl", "circuit.safetensors", "spikes.safetensors", "rivals", "searches", "comparison.json", "results.nc",
    "tables", "figures", "report.html", "conditions",
)  # fmt: skip
OWN_FILES = (RUN, METRICS, CIRCUIT, SPIKES, RIVALS, SEARCHES, COMPARISON, RESULTS, TABLES, FIGURES, REPORT)
LOCAL = "local"  # what comparisons call the scenario's own circuit
_SECTION = "biosim"  # the one metadata entry: several would be written in no fixed order


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or not there."""
    aside = path.with_name(f".{path.name}.part")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON, sorted and indented, atomically."""
    text = json.dumps(data, indent=1, sort_keys=True, default=_plain, allow_nan=False)
    write_atomic(path, text.encode() + b"\n")


def _plain(value: Any) -> Any:
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
    plain: dict[str, Any] = json.loads(json.dumps(about, sort_keys=True, default=_plain))
    return plain


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
    settling = about.get("settling", {"steps": 1, "leak": {}})
    steps, leak = int(settling["steps"]), {str(n): float(a) for n, a in settling["leak"].items()}
    spiking = SpikingDynamics.of(about["spiking"]) if "spiking" in about else None
    return Circuit(populations, projections, mask, born, weight, gain, dict(about["provenance"]), steps, leak, spiking)


def circuit_bytes(circuit: Circuit) -> bytes:
    """Return a circuit as safetensors; the same circuit gives the same bytes."""
    from safetensors.numpy import save

    return bytes(save(tensors(circuit), {_SECTION: json.dumps(describe(circuit), sort_keys=True)}))


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
            about = json.loads((file.metadata() or {})[_SECTION])
            return assemble(about, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError, InputError) as error:
        raise BiosimError(f"{path}: not a circuit that can be read: {error}") from None


class RunWriter:
    """Writes one run directory.

    Parameters
    ----------
    folder : Path
        Created here; must not hold another run.
    about : mapping
        What ``run.json`` says from the start.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.about = folder, dict(about)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / METRICS).write_text("")
            self.status("running")
        except OSError as error:
            raise BiosimError(f"the run directory {folder} cannot be written: {error.strerror}") from None

    def status(self, status: str, **more: Any) -> None:
        """Rewrite ``run.json`` with this status."""
        self.about |= {"status": status, **more}
        write_json(self.folder / RUN, self.about)

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append a record to ``metrics.jsonl``."""
        with (self.folder / METRICS).open("a", buffering=1) as file:
            file.write(json.dumps(entry, default=_plain) + "\n")

    def circuit(self, circuit: Circuit, rival: str | None = None, search: int = 0) -> None:
        """Write the survivor, or a rival's circuit, or what a further search found."""
        path = self.folder / CIRCUIT if rival is None else self.folder / RIVALS / f"{rival}.safetensors"
        if search:
            path = self.folder / SEARCHES / f"{rival or LOCAL}.{search}.safetensors"
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, circuit_bytes(circuit))

    def arrays(self, name: str, tensors: Mapping[str, npt.NDArray[Any]], about: Mapping[str, Any]) -> None:
        """Write ``NAME.safetensors``: arrays by name, and plain data on them."""
        from safetensors.numpy import save

        metadata = {_SECTION: json.dumps(about, sort_keys=True, default=_plain)}
        content = save({k: np.ascontiguousarray(tensors[k]) for k in sorted(tensors)}, metadata)
        write_atomic(self.folder / f"{name}.safetensors", bytes(content))

    def comparison(self, data: Mapping[str, Any]) -> None:
        """Write ``comparison.json``."""
        write_json(self.folder / COMPARISON, data)

    def findings(self, findings: Findings) -> None:
        """Write a study's tables as CSV and its figures as SVG."""
        for name, rows in findings.tables.items():
            self._write(f"{TABLES}/{name}.csv", csv_text(rows))
        for name, figure in findings.figures.items():
            self._write(f"{FIGURES}/{name}.svg", svg(figure))

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, text.encode())

    def results(self, records: list[dict[str, Any]], death_step: Mapping[str, npt.NDArray[np.int32]], table: list[dict[str, Any]]) -> None:
        """Write ``results.nc``."""
        dataset = results_dataset(records, death_step, table)
        aside = self.folder / f".{RESULTS}.part"
        packed = {name: {"zlib": True, "complevel": 4} for name in dataset.data_vars if dataset[name].dtype.kind in "if"}
        dataset.to_netcdf(aside, engine="h5netcdf", encoding=packed)
        aside.replace(self.folder / RESULTS)


def results_dataset(records: list[dict[str, Any]], death_step: Mapping[str, npt.NDArray[np.int32]], table: list[dict[str, Any]]) -> Any:
    """Return history, death steps and table as one xarray Dataset."""
    import xarray

    data: dict[str, Any] = {}
    coordinates: dict[str, Any] = {"time": ("moment", [r["time"] for r in records], {"units": "s"})}
    coordinates["step"] = ("moment", [r["step"] for r in records])
    coordinates["u"] = ("moment", [r["u"] for r in records], {"long_name": "fraction of development"})
    for name in records[0] if records else ():
        if name not in ("step", "time", "u"):
            data[name] = (("moment", "replicate"), np.array([r[name] for r in records], np.float64))
    for name, steps in death_step.items():
        pre, post = name.split("-", 1) if "-" in name else (f"{name}_pre", f"{name}_post")
        about = {"long_name": "step at which the synapse was eliminated; -1 alive, -2 never born"}
        data[f"death_step.{name}"] = (("replicate", f"{pre}.neuron", f"{post}.neuron_"), steps, about)
    coordinates["row_method"] = ("row", [r["method"] for r in table])
    coordinates["row_regime"] = ("row", [r["regime"] for r in table])
    coordinates["row_target_density"] = ("row", np.array([r["target_density"] for r in table], np.float64))
    for column in ("density", "effective_density", "accuracy"):
        missing = [float("nan")] * len(table[0][column])  # a cell that is not defined
        values = np.array([missing if r[column] is None else r[column] for r in table], np.float64)
        data[f"table.{column}"] = (("row", "replicate"), values)
    return xarray.Dataset(data, coordinates)


class Run:
    """A run directory read back.

    Attributes
    ----------
    folder : Path
    about : dict
        ``run.json``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.about: dict[str, Any] = json.loads((self.folder / RUN).read_text())
        except FileNotFoundError:
            raise BiosimError(f"{self.folder} is not a run directory: it has no {RUN}") from None
        except (OSError, ValueError) as error:
            raise BiosimError(f"{self.folder / RUN} cannot be read: {error}") from None

    @property
    def name(self) -> str:
        """The scenario's name."""
        return str(self.about["scenario"]["name"])

    @property
    def kind(self) -> str:
        """The kind of experiment: ``development``, ``spiking``, ``study`` or ``conditions``."""
        return str(self.about.get("kind", "development"))

    @property
    def results(self) -> dict[str, Any]:
        """What the run came to; raises when it has not finished."""
        if "results" not in self.about:
            raise BiosimError(f"the run in {self.folder} has not finished: its status is '{self.about.get('status')}'")
        found: dict[str, Any] = self.about["results"]
        return found

    @property
    def conditions(self) -> dict[str, Run]:
        """The runs of a scenario's conditions, by name."""
        return {name: Run(self.folder / CONDITIONS / name) for name in self.about.get("conditions", {})}

    def rows(self, name: str) -> list[dict[str, str]]:
        """A table of a study, as text."""
        with (self.folder / TABLES / f"{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row a method; raises when the run has not finished."""
        if self.kind != "development":
            raise BiosimError(f"the run in {self.folder} is a {self.kind}: it has no circuits to read")
        rows: list[dict[str, Any]] = self.results["table"]
        return rows

    @property
    def headline(self) -> list[dict[str, Any]]:
        """One row a method that has a circuit at the local one's density (or its own): frozen, else retrained."""
        found: dict[str, dict[str, Any]] = {}
        for row in self.table:
            if row.get("primary", True) and row["accuracy"] is not None:
                found.setdefault(row.get("source", row["method"]), row)
        return list(found.values())

    @property
    def circuit(self) -> Circuit:
        """The survivor."""
        return read_circuit(self.folder / CIRCUIT)

    def arrays(self, name: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and the data on them of ``NAME.safetensors``, of a spiking run: ``circuit`` or ``spikes``.

        Raises
        ------
        BiosimError
            When the file is missing or damaged.
        """
        from safetensors import SafetensorError, safe_open

        path = self.folder / f"{name}.safetensors"
        try:
            with safe_open(path, "numpy") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
                return tensors, json.loads((file.metadata() or {})[_SECTION])
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise BiosimError(f"{path}: cannot be read: {error}") from None

    @property
    def spiking_circuit(self) -> SpikingCircuit:
        """The survivors of a spiking network."""
        from biosim.spiking.survivor import SpikingCircuit

        if self.kind != "spiking":
            raise BiosimError(f"the run in {self.folder} is a {self.kind}, not of a spiking network: its circuit is `circuit`")
        tensors, about = self.arrays("circuit")
        try:
            return SpikingCircuit.read(about, tensors)
        except (InputError, KeyError, ValueError, TypeError) as error:
            raise BiosimError(f"{self.folder / CIRCUIT}: not a circuit that can be read: {error}") from None

    @property
    def rivals(self) -> dict[str, Circuit]:
        """The rivals' circuits, by name."""
        return {p.stem: read_circuit(p) for p in sorted((self.folder / RIVALS).glob("*.safetensors"))}

    @property
    def comparison(self) -> dict[str, Any] | None:
        """``comparison.json``; None for a run that compared nothing."""
        path = self.folder / COMPARISON
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def history(self) -> list[dict[str, Any]]:
        """The records of ``metrics.jsonl``; a line cut off by a crash is left out."""
        records = []
        for line in (self.folder / METRICS).read_text().splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                break
        return records

    def dataset(self) -> Any:
        """``results.nc`` as an xarray Dataset."""
        import xarray

        return xarray.open_dataset(self.folder / RESULTS, engine="h5netcdf")

    def images(self) -> Any:
        """The images the run was made with, read anew; raises when they have changed."""
        from biosim.drives import load_images

        drive = self.about["scenario"]["drive"]
        images = load_images(drive["dataset"], train_size=drive["train_size"], validation=drive["validation"])
        if images.digest != self.about["data_sha256"]:
            raise BiosimError(f"the data set '{drive['dataset']}' is not the one that {self.folder} was made with")
        return images


def open_run(folder: str | Path) -> Run:
    """Open a run directory for analysis."""
    return Run(folder)
