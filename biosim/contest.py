"""The local circuit and its rivals on the same births: one row a method, density and regime.

*Frozen*: every weight as born. *Retrained*: the survivors trained from their birth weights. A cell that has no
meaning is there all the same, without numbers and with a note that says why.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from biosim.circuit import Circuit
from biosim.compare.function import circuit_accuracy
from biosim.compare.planted import precision_and_recall
from biosim.drives import ImageDrive
from biosim.effective import breaks
from biosim.errors import DisconnectedWarning
from biosim.progress import Stages, of_stage
from biosim.rundir.circuit_file import circuit_of, state_of
from biosim.scenario.checks import METRICS, PLANTED, metric_prefix
from biosim.scenario.roster import Rival
from biosim.scorer_sources import find_source
from biosim.scorers import Made, Task, Training, load_scorer, make, retrain
from biosim.scorers.base import provenance
from biosim.scorers.keep import gains_after
from biosim.state import State, part
from biosim.synapses import Network

Row = dict[str, Any]
TRAINED = "its mask or its weights come from training weights: there is no frozen circuit"
NOTHING = "the local circuit lost every synapse: there is no density to prune to"
MEASURED = ("density", "synapses", "effective_density", "neurons", "accuracy")


class Entrant(NamedTuple):
    """Whose row it is: the name checks use, the one the table shows, and what the method reads."""

    source: str
    label: str
    locality: str


@dataclass
class Contest:
    """Runs methods and collects the rows of the table.

    Attributes
    ----------
    births : callable
        Builds the network as born.
    drive : ImageDrive
    seeds : tuple of int
    training : Training or None
        Of the retrained regime; None leaves it out, except for methods that are a trained reference.
    local : str
        The name of the local rule.
    primary : float
        The density the local circuit was left at.
    densities : tuple of float
        Further densities.
    progress : callable, optional
        Called with (stage, step, steps, numbers).
    planted : mapping
        (R, n_pre, n_post) bool by projection: a subnetwork hidden in the births; empty where there is none.
    rows : list
        As they are made.
    circuits : dict
        The rivals' circuits that are compared with the local one, by label.
    """

    births: Callable[[], Network]
    drive: ImageDrive
    seeds: tuple[int, ...]
    training: Training | None
    local: str
    primary: float
    densities: tuple[float, ...] = ()
    progress: Stages | None = None
    planted: Mapping[str, np.ndarray[Any, np.dtype[np.bool_]]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    circuits: dict[str, Circuit] = field(default_factory=dict)
    _masks: dict[tuple[str, float], dict[str, torch.Tensor]] = field(default_factory=dict, repr=False)

    def develop(self, circuit: Circuit, target: float, seconds: float, regime: str = "frozen", label: str | None = None) -> None:
        """Take in a circuit that a local rule left, at the density it was to reach; ``plastic`` where its weights moved.

        ``label`` is that of a further rule of the scenario, None that of its own.
        """
        source, label = ("circuit", self.local) if label is None else (f"rules.{label}", label)
        entrant = Entrant(source, label, circuit.provenance["locality"])
        self._left(entrant, [circuit], target, seconds, "", regime)
        masks = {n: torch.from_numpy(m.copy()) for n, m in circuit.mask.items()}
        self._masks["circuit" if source == "circuit" else label, target] = masks
        if self.training is not None:
            network = self.births()
            masks = {n: m.to(network.device) for n, m in masks.items()}
            self._retrained(entrant, dict(circuit.provenance), network, Made(target, (masks,), seconds=seconds))

    def rival(self, label: str, rival: Rival) -> None:
        """Run one rival at every density; where the local circuit lost every synapse there is nothing to match."""
        scorer = load_scorer(rival.name, rival.options)
        entrant = Entrant(label, label, scorer.level)
        regimes = [r for r in rival.regimes if r == "frozen" or self.training is not None or rival.regimes == ("retrained",)]
        if self.primary == 0 and not self.densities:
            self.rows += [self._missing(entrant, regime, self.primary, NOTHING) for regime in regimes]
            return
        network, name = self.births(), find_source(rival.name).name
        wanted = tuple(sorted({self.primary, *self.densities} - {0.0}, reverse=True))
        for made in make(scorer, self._task(network, wanted, self.seeds, label)):
            if made.undefined:
                if self.densities or not any(row["source"] == label for row in self.rows):
                    self.rows += [self._missing(entrant, regime, made.target, made.undefined) for regime in regimes]
                continue
            if "frozen" in regimes:
                circuits = made.circuits(name, scorer.level, network, self.seeds)
                self._left(entrant, circuits, made.target, made.seconds, made.note)
                if self._is_primary(made.target):
                    self.circuits[label] = circuits[0]
            elif made.target is not None:
                self.rows.append(self._missing(entrant, "frozen", made.target, TRAINED))
            if made.target is not None:
                self._masks[label, made.target] = {n: m.cpu() for n, m in made.masks[0].items()}
            if "retrained" in regimes:
                circuit = self._retrained(entrant, provenance(name, scorer.level, self.seeds), network, made)
                if "frozen" not in regimes and self._is_primary(made.target):
                    self.circuits[label] = circuit

    def again(self, rival: Rival, seeds: tuple[int, ...], stage: str) -> Circuit:
        """Return what a rival finds at the primary density from other search seeds; no row is made of it."""
        scorer, network, name = load_scorer(rival.name, rival.options), self.births(), find_source(rival.name).name
        task = self._task(network, (self.primary,), seeds, stage)
        made = next(m for m in make(scorer, task) if not m.undefined)
        if "frozen" in rival.regimes:
            return made.circuits(name, scorer.level, network, seeds)[0]
        about = provenance(name, scorer.level, seeds)
        return retrain(network, made.masks[0], self.drive, seeds, task.training, start=made.start, provenance=about, progress=task.progress)

    def oracle(self) -> Circuit:
        """Take in the planted subnetwork itself: what there is to find."""
        network = self.births()
        masks = {n: torch.from_numpy(m.copy()).to(network.device) for n, m in self.planted.items()}
        about = provenance("planted", "none", self.seeds) | {"regime": "frozen"}
        density = float(sum(m.sum() for m in self.planted.values()) / network.born.sum())
        circuit = Circuit.of(network, about, masks, gains_after(network, density, "layer"))
        self._left(Entrant("planted", "planted", "none"), [circuit], None, 0.0, "the subnetwork hidden in the births, given away")
        self.circuits["planted"] = circuit
        return circuit

    # -- what a checkpoint keeps -----------------------------------------------------------------
    def mark(self) -> tuple[int, frozenset[str], frozenset[tuple[str, float]]]:
        """Return how much there is, for :meth:`since`."""
        return len(self.rows), frozenset(self.circuits), frozenset(self._masks)

    def since(self, mark: tuple[int, frozenset[str], frozenset[tuple[str, float]]]) -> State:
        """Return what methods have added since: rows, circuits and masks."""
        rows, circuits, masks = mark
        fresh = [key for key in self._masks if key not in masks]
        return {
            "rows": self.rows[rows:],
            "circuits": {label: state_of(circuit) for label, circuit in self.circuits.items() if label not in circuits},
            "masks": {str(k): {"method": key[0], "density": key[1], "mask": self._masks[key]} for k, key in enumerate(fresh)},
        }

    def take(self, added: State) -> None:
        """Take in what methods had added before the run was stopped."""
        self.rows += added["rows"]
        self.circuits |= {label: circuit_of(own) for label, own in part(added, "circuits").items()}
        for own in part(added, "masks").values():
            self._masks[own["method"], own["density"]] = {n: torch.from_numpy(m) for n, m in own["mask"].items()}

    def metrics(self) -> dict[str, Any]:
        """Return (R,) metrics by the dotted names that checks use."""
        found: dict[str, Any] = {}
        for row in self.rows:
            if row["accuracy"] is None:
                continue
            own = row["source"] in ("circuit", "planted") or row["source"].startswith("rules.")
            source = row["source"] if own else f"rivals.{row['source']}"
            places = [None] * row["primary"] + [row["target_density"]] * (row["target_density"] is not None)
            for place in places:
                prefix = metric_prefix(source, row["regime"], place)
                found |= {f"{prefix}.{m}": np.array(row[m]) for m in (*METRICS, *PLANTED) if row.get(m) is not None}
        return found

    def _task(self, network: Network, densities: tuple[float, ...], seeds: tuple[int, ...], stage: str) -> Task:
        def like(method: str, density: float) -> dict[str, torch.Tensor] | None:
            return self._masks.get((method, density))

        return Task(network, self.drive, densities, seeds, self.training or Training(), like, of_stage(stage, self.progress))

    def _is_primary(self, target: float | None) -> bool:
        return target is None or target == self.primary

    def _left(
        self, entrant: Entrant, circuits: Sequence[Circuit], target: float | None, seconds: float, note: str, regime: str = "frozen"
    ) -> None:
        """Add the row of what a method left, the mean where it left several; ``plastic`` or ``frozen``."""
        notes = [note, self._cut(entrant.label, circuits[0], target)]
        measured = [self._measure(c) for c in circuits]
        values = measured[0] if len(measured) == 1 else {key: _mean([m[key] for m in measured]) for key in measured[0]}
        self.rows.append(self._row(entrant, regime, target, values, seconds, "; ".join(n for n in notes if n)))

    def _retrained(self, entrant: Entrant, about: dict[str, Any], network: Network, made: Made) -> Circuit:
        began = time.perf_counter()
        training = self.training or Training()
        report = of_stage(f"{entrant.label}, retrained", self.progress)
        circuit = retrain(network, made.masks[0], self.drive, self.seeds, training, start=made.start, provenance=about, progress=report)
        seconds = made.seconds + time.perf_counter() - began
        values = self._measure(circuit)
        self.rows.append(self._row(entrant, "retrained", made.target, values, seconds, ""))
        return circuit

    def _measure(self, circuit: Circuit) -> dict[str, list[Any] | None]:
        images = self.drive.images
        return {
            "density": circuit.density().tolist(),
            "synapses": np.sum([m.sum((1, 2)) for m in circuit.mask.values()], 0).tolist(),
            "effective_density": circuit.effective_density().tolist(),
            "neurons": circuit.neurons().tolist(),
            "accuracy": circuit_accuracy(circuit, images.test, images.test_labels).tolist(),
        } | (self._found(circuit) if self.planted else {})

    def _found(self, circuit: Circuit) -> dict[str, list[Any] | None]:
        """Return how much of the planted subnetwork a circuit holds; None where that is not defined in some replicate."""
        return {k: v.tolist() if np.isfinite(v).all() else None for k, v in precision_and_recall(circuit, self.planted).items()}

    def _row(self, entrant: Entrant, regime: str, target: float | None, values: dict[str, Any], seconds: float | None, note: str) -> Row:
        row = {"method": entrant.label, "source": entrant.source, "locality": entrant.locality, "regime": regime, "target_density": target}
        return row | values | {"seconds": seconds, "note": note, "primary": self._is_primary(target)}

    def _missing(self, entrant: Entrant, regime: str, target: float | None, note: str) -> Row:
        return self._row(entrant, regime, target, dict.fromkeys(MEASURED), None, note)

    def _cut(self, label: str, circuit: Circuit, target: float | None) -> str:
        """Warn of a mask that cuts the input off from the readout; return the note."""
        found = breaks(circuit.network, {n: torch.from_numpy(m) for n, m in circuit.mask.items()})
        if not found:
            return ""
        where = ", ".join(f"at {name} in replicate {', '.join(map(str, rows))}" for name, rows in found.items())
        text = f"disconnected: no path leads from the input to the readout; it breaks {where}"
        density = "its own density" if target is None else f"density {target:g}"
        warnings.warn(f"{label} at {density} is {text}", DisconnectedWarning, stacklevel=2)
        return text


def _mean(values: Sequence[list[Any] | None]) -> list[Any] | None:
    """Return the mean by replicate over several circuits; None where one of them has no value."""
    return None if any(v is None for v in values) else np.mean(np.array(values), 0).tolist()
