"""What a spiking development leaves behind: moments on the way, weights and deaths at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.equations import Rule
from biosim.spiking.simulation import Simulation

BINS = 50  # of the weight histogram


@dataclass
class SpikingRecorder:
    """Records about ``moments`` times over development; ``sink`` receives each record as it is made.

    A record holds ``time`` (s), and for each replicate ``density`` (of all projections with a rule), ``alive.PROJECTION``,
    ``weight.PROJECTION`` (mean of the living) and ``rate.POPULATION`` (Hz since the last record).
    """

    moments: int = 50
    sink: Callable[[dict[str, Any]], None] | None = None
    records: list[dict[str, Any]] = field(default_factory=list)

    def due(self, step: int, steps: int) -> bool:
        """Whether decision ``step`` (from 0) of ``steps`` ends with a record."""
        return step == 0 or (step + 1) * self.moments // steps > step * self.moments // steps

    def add(self, entry: dict[str, Any]) -> None:
        """Keep a record and hand it on."""
        self.records.append(entry)
        if self.sink is not None:
            self.sink(entry)


def entry_of(
    simulation: Simulation, rules: Mapping[str, Rule], before: dict[str, Any], since: float, u: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a record of the simulation as it is now, and the spikes counted so far."""
    network, now = simulation.network, {p.name: simulation.counts(p.name) for p in simulation.network.populations}
    entry: dict[str, Any] = {"step": simulation.step, "time": simulation.time, "u": u}
    alive, born = {n: simulation.survivors(n) for n in rules}, {n: network.projection(n).births.counts for n in rules}
    if rules:
        entry["density"] = (sum(alive.values()) / np.maximum(1, sum(born.values()))).tolist()
    for name in rules:
        entry[f"alive.{name}"] = (alive[name] / np.maximum(1, born[name])).tolist()
        weights = [simulation.weights(name, r) for r in range(len(simulation.seeds))]
        entry[f"weight.{name}"] = [float(w.mean(dtype=np.float64)) if len(w) else 0.0 for w in weights]
    for p in network.populations:
        entry[f"rate.{p.name}"] = ((now[p.name] - before[p.name]) / (p.size * (simulation.time - since))).tolist()
    return entry, now


def histograms(simulation: Simulation, rules: Mapping[str, Rule]) -> dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]:
    """Return the edges of the bins and the counts of each projection's weights, all replicates on the same bins."""
    found = {}
    for name in rules:
        weights = [simulation.weights(name, r) for r in range(len(simulation.seeds))]
        low, high = (
            min((float(w.min()) for w in weights if len(w)), default=0.0),
            max((float(w.max()) for w in weights if len(w)), default=1.0),
        )
        edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
        found[name] = (edges, np.stack([np.histogram(w, edges)[0] for w in weights]))
    return found


def death_times(simulation: Simulation, rules: Mapping[str, Rule]) -> dict[str, list[npt.NDArray[np.float64]]]:
    """Return, by projection and replicate, when the synapse of every birth edge died, s; nan while it lives."""

    def times(name: str, r: int) -> npt.NDArray[np.float64]:
        steps = simulation.death_steps(name, r)
        return np.where(steps < 0, np.nan, steps * simulation.network.dt)

    return {name: [times(name, r) for r in range(len(simulation.seeds))] for name in rules}
