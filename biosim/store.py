"""How a run directory (:mod:`biosim.rundir.artefacts`) is read back.

No pickle anywhere: a run from somebody else is data. Files are written aside and renamed, so a file
that is there is whole; ``run.json`` holds the checksum of every file that results are read from, and its
own, and a run that is done is read only where they agree (:mod:`biosim.rundir.seal`).
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.errors import BiosimError, InputError
from biosim.rundir import seal
from biosim.rundir.artefacts import CIRCUIT, COMPARISON, CONDITIONS, METRICS, RESULTS, RIVALS, RUN, TABLES
from biosim.rundir.circuit_file import SECTION, read_circuit

if TYPE_CHECKING:
    from biosim.spiking.survivor import SpikingCircuit

__all__ = ["Run", "open_run", "read_circuit"]


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
            self.about = seal.read(self.folder / RUN)
        except FileNotFoundError:
            raise BiosimError(f"{self.folder} is not a run directory: it has no {RUN}") from None

    def whole(self, name: str) -> Path:
        """Return the path of a file of the run, once its checksum was found right; raises when it is damaged or missing."""
        return seal.whole(self.folder, name, self.about)

    def check(self) -> None:
        """Look at every file that results are read from; raises at the first that is damaged or missing."""
        for name in self.about.get("files", {}):
            self.whole(name)
        for condition in self.conditions.values():
            condition.check()

    @property
    def name(self) -> str:
        """The scenario's name."""
        return str(self.about["scenario"]["name"])

    @property
    def kind(self) -> str:
        """The kind of experiment: ``development``, ``activity``, ``spiking``, ``study`` or ``conditions``."""
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
        names = list(self.about.get("conditions", {}))
        if odd := [n for n in names if not seal.confined(n)]:
            raise BiosimError(f"{self.folder / RUN} names a condition outside its folder: {odd[0]}")
        return {name: Run(self.folder / CONDITIONS / name) for name in names}

    def of_kind(self, *kinds: str) -> dict[str, Run]:
        """The run itself, or those of its conditions, by name, as far as they are of these kinds."""
        return {name: own for name, own in (self.conditions or {self.name: self}).items() if own.kind in kinds}

    def rows(self, name: str) -> list[dict[str, str]]:
        """A table of a study or a measure, as text."""
        with self.whole(f"{TABLES}/{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row a method; raises when the run has not finished."""
        if self.kind != "development":
            raise BiosimError(f"the run in {self.folder} is of the kind {self.kind}: it has no table of methods")
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
        """The survivor.

        Raises
        ------
        BiosimError
            When the run is not one in which a network of this kind developed.
        """
        if self.kind not in ("development", "activity"):
            its = "`spiking_circuit`" if self.kind == "spiking" else "in its conditions" if self.kind == "conditions" else "nowhere"
            raise BiosimError(f"the run in {self.folder} is a {self.kind}: its circuit is {its}")
        return read_circuit(self.whole(CIRCUIT))

    def arrays(self, name: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and the data on them of ``NAME.safetensors``, of a spiking run: ``circuit`` or ``spikes``.

        Raises
        ------
        BiosimError
            When the file is missing or damaged.
        """
        from safetensors import SafetensorError, safe_open

        path = self.whole(f"{name}.safetensors")
        try:
            with safe_open(path, "numpy") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
                return tensors, json.loads((file.metadata() or {})[SECTION])
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

    def rival(self, name: str) -> Circuit:
        """One rival's circuit."""
        return read_circuit(self.whole(f"{RIVALS}/{name}.safetensors"))

    @property
    def rivals(self) -> dict[str, Circuit]:
        """The rivals' circuits, by name."""
        return {name: self.rival(name) for name in self.rival_names}

    @property
    def circuits(self) -> dict[str, Circuit]:
        """The circuit of every method, by name, the local one first."""
        return {self.table[0]["method"]: self.circuit, **self.rivals}

    @property
    def rival_names(self) -> list[str]:
        """Names of the rivals that have circuits."""
        there = [p.name for p in (self.folder / RIVALS).glob("*.safetensors")]
        listed = [n.removeprefix(f"{RIVALS}/") for n in self.about.get("files", {}) if n.startswith(f"{RIVALS}/")]
        return sorted(n.removesuffix(".safetensors") for n in (listed if seal.is_final(self.about) else there))

    @property
    def comparison(self) -> dict[str, Any] | None:
        """``comparison.json``; None for a run that compared nothing."""
        listed = COMPARISON in self.about.get("files", {}) or (not seal.is_final(self.about) and (self.folder / COMPARISON).exists())
        return json.loads(self.whole(COMPARISON).read_text()) if listed else None

    @property
    def history(self) -> list[dict[str, Any]]:
        """The records of ``metrics.jsonl``; a line cut off by a crash is left out."""
        records = []
        for line in self.whole(METRICS).read_text().splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                break
        return records

    def dataset(self) -> Any:
        """``results.nc`` as an xarray Dataset."""
        import xarray

        return xarray.open_dataset(self.whole(RESULTS), engine="h5netcdf")

    def images(self) -> Any:
        """The images the run was made with, read anew; raises when they have changed."""
        from biosim.drives import load_images

        drive = self.about["scenario"]["drive"]
        images = load_images(drive["dataset"], train_size=drive["train_size"], validation=drive["validation"])
        if images.digest != self.about["data_sha256"]:
            raise BiosimError(f"the data set '{drive['dataset']}' is not the one that {self.folder} was made with")
        return images


def open_run(folder: str | Path) -> Run:
    """Open a run directory for analysis.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import biosim
    >>> from biosim.library import find
    >>> small = ["model.hidden=[10]", "drive.epochs=1", "drive.train_size=200", "rivals=[random]", "checks=[]", "replicates=2"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = biosim.run(biosim.read_scenario(find("scenarios", "local-vs-global"), small), Path(folder) / "RUN", report=False)
    ...     run = biosim.open_run(Path(folder) / "RUN")
    ...     run.name, run.circuit.density(), sorted(run.rivals), run.history[-1]["u"]
    ('local-vs-global', array([0.2, 0.2]), ['random'], 1.0)
    """
    return Run(folder)
