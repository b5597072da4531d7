"""A spiking network made ready to live: births built, development recorded, survivors and spikes written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.experiments.base import Progress
from biosim.scenario import SpikingScenario
from biosim.spiking import GivenSpikes, Network
from biosim.spiking.simulation import Simulation
from biosim.spiking.survivor import SpikingCircuit
from biosim.store import RunWriter

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SpikingExperiment:
    """A spiking scenario, tried on the births of its first replicate when it was read."""

    scenario: SpikingScenario

    def outline(self) -> str:
        """Return what ``validate`` says of a scenario in order."""
        s = self.scenario
        rules = ", ".join(f"{name} under {rule.name}" for name, rule in s.rules.items())
        return f"{rules}, locality {s.level.name}, {s.times['duration']:g} s of development"

    def about(self) -> dict[str, Any]:
        """Return what ``run.json`` says from the start."""
        s = self.scenario
        return {
            "rules": s.resolved["rules"],
            "model_source_sha256": s.resolved["model_source"],
            "locality": s.level.name,
            "births_seeds": list(s.birth_seeds),
        }

    def execute(self, writer: RunWriter, progress: Progress | None) -> dict[str, Any]:
        """Let the network live; write records, spikes of the first and the last window, and the survivors."""
        scenario = self.scenario
        life = Life.begin(scenario)
        first = life.window()
        life.live(writer, progress)
        last = life.window()
        circuit = SpikingCircuit.of(life.simulation)
        writer.arrays("circuit", circuit.tensors(), circuit.about())
        writer.arrays("spikes", _rasters(first, "first") | _rasters(last, "last"), {"window": scenario.times["window"]})
        metrics = life.metrics(circuit, first, last)
        return {
            "metrics": {name: values.tolist() for name, values in metrics.items()},
            "checks": [check.result(metrics) for check in scenario.checks],
        }


@dataclass
class Window:
    """Spikes of a stretch of time, by population and replicate: times from its beginning (s) and neurons."""

    duration: float
    spikes: dict[str, list[tuple[Values, npt.NDArray[np.int64]]]]
    sizes: dict[str, int]

    def rate(self, population: str) -> Values:
        """Return the mean rate of the population's neurons in Hz, (R,)."""
        return np.array([len(t) for t, _ in self.spikes[population]]) / (self.duration * self.sizes[population])

    def cv(self, population: str) -> Values:
        """Return the mean over neurons of the coefficient of variation of interspike intervals, (R,).

        Neurons with fewer than three intervals are left out; NaN where there is no other.
        """
        found = []
        for times, neurons in self.spikes[population]:
            order = np.lexsort((times, neurons))
            same = np.diff(neurons[order]) == 0
            intervals, owner = np.diff(times[order])[same], neurons[order][1:][same]
            n = np.bincount(owner, minlength=self.sizes[population])
            kept = n >= 3
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = np.bincount(owner, intervals, self.sizes[population]) / n
                square = np.bincount(owner, intervals**2, self.sizes[population]) / n
            deviation = np.sqrt(np.maximum(square[kept] - mean[kept] ** 2, 0.0))
            found.append(float(np.mean(deviation / mean[kept])) if kept.any() else float("nan"))
        return np.array(found)


@dataclass
class Life:
    """A simulation on its way through a scenario."""

    scenario: SpikingScenario
    simulation: Simulation
    born: dict[str, npt.NDArray[np.int64]]
    counted: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def begin(cls, scenario: SpikingScenario) -> Life:
        """Build the births and set the simulation up."""
        try:
            network: Network = scenario.build(scenario.birth_seeds, **scenario.model_arguments)
        except InputError as error:
            raise scenario.error(error.under("model")) from None
        options = scenario.spec.simulation
        try:
            simulation = Simulation(
                network,
                scenario.rules,
                scenario.seeds,
                precision=options.precision,
                duration=scenario.times["duration"],
                rate_cap=options.rate_cap,
                decide_every=scenario.times["decide_every"],
                tau_activity=scenario.times["tau_activity"],
            )
        except InputError as error:
            raise scenario.error(error) from None
        return cls(scenario, simulation, {n: network.projection(n).births.counts for n in scenario.rules})

    @property
    def populations(self) -> dict[str, int]:
        """Size of every population whose spikes are not given, by name."""
        return {p.name: p.size for p in self.simulation.network.populations if not isinstance(p, GivenSpikes)}
