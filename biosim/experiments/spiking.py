"""A spiking network made ready to live: births built, development recorded, survivors and spikes written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.experiments.base import outcome
from biosim.progress import Stages, of_stage
from biosim.rundir.checkpoint import AtWork
from biosim.rundir.run_writer import RunWriter
from biosim.scenario import SpikingScenario
from biosim.schedule import Schedule
from biosim.spiking import Network
from biosim.spiking.survivor import SpikingCircuit
from biosim.spiking.trains import Trains, listen, state_of, trains_of
from biosim.spiking_develop import SpikingRecorder, develop_spiking
from biosim.state import Keeper, State


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

    def execute(self, writer: RunWriter, progress: Stages | None) -> dict[str, Any]:
        """Let the network live; write records, survivors, and the spikes of the network as born and as it ended."""
        s = self.scenario
        try:
            network: Network = s.model(s.birth_seeds)
        except InputError as error:
            raise s.error(error.under("model")) from None
        first = self._listen(network, "listening at birth", writer)

        def developed(keeper: AtWork) -> State:
            development = self._develop(network, writer, progress, keeper)
            left = SpikingCircuit.of(development.simulation, list(s.rules))
            return {"about": left.about(), "arrays": left.tensors()}

        kept = writer.checkpoints.steps("developing", developed)
        circuit = SpikingCircuit.read(kept["about"], kept["arrays"])
        last = self._listen(circuit.network(network), "listening at the end", writer)
        writer.arrays("circuit", circuit.tensors(), circuit.about())
        sizes = {p.name: p.size for p in network.populations}
        tensors = {f"{when}.{key}": value for when, trains in (("first", first), ("last", last)) for key, value in trains.tensors().items()}
        writer.arrays("spikes", tensors, {"window": s.times["window"], "sizes": sizes})
        return outcome(measure(circuit, first, last), s.checks)

    def _listen(self, network: Network, stage: str, writer: RunWriter) -> Trains:
        s, options = self.scenario, self.scenario.spec.simulation
        found = writer.checkpoints.done(stage)
        if found is None:
            found = state_of(listen(network, s.seeds, s.times["window"], precision=options.precision, rate_cap=options.rate_cap))
            writer.checkpoints.finish(stage, found)
        return trains_of(found)

    def _develop(self, network: Network, writer: RunWriter, progress: Stages | None, keeper: Keeper) -> Any:
        s, options = self.scenario, self.scenario.spec.simulation
        schedule = None if s.spec.schedule is None else Schedule(**s.spec.schedule.model_dump())
        try:
            return develop_spiking(
                network,
                s.rules,
                s.times["duration"],
                decide_every=s.times["decide_every"],
                schedule=schedule,
                seeds=s.seeds,
                recorder=SpikingRecorder(s.spec.moments, writer.record),
                progress=of_stage("developing", progress),
                precision=options.precision,
                rate_cap=options.rate_cap,
                tau_activity=s.times["tau_activity"],
                keeper=keeper,
            )
        except InputError as error:
            raise s.error(_within(error)) from None


def _within(error: InputError) -> InputError:
    """Return the error under the section of a scenario that its key belongs to."""
    own = error.key[0] if error.key else ""
    if own in ("duration", "decide_every", "tau_activity", "sample_every"):
        return error.under("simulation")
    return error if own in ("rules", "schedule") else InputError(error.message, ("model",))


def measure(circuit: SpikingCircuit, first: Trains, last: Trains) -> dict[str, npt.NDArray[np.float64]]:
    """Return (R,) metrics by the dotted names that checks use."""
    found: dict[str, npt.NDArray[np.float64]] = {"circuit.density": circuit.density()}
    wiring: Mapping[str, Any] = {name: circuit.wiring[name] for name in circuit.plastic}
    found["circuit.synapses"] = np.sum([[w.alive.sum() for w in own] for own in wiring.values()], 0).astype(np.float64)
    for name, own in wiring.items():
        found[f"density.{name}"] = circuit.density(name)
        found[f"weight.{name}"] = np.array([_mean(w.weight[w.alive]) for w in own])
        found[f"birth_weight_of_survivors.{name}"] = np.array([_mean(w.birth_weight[w.alive]) / _mean(w.birth_weight) for w in own])
    for name in last.sizes:
        found |= {f"rate.{name}": last.rate(name), f"rate_at_birth.{name}": first.rate(name), f"cv.{name}": last.cv(name)}
    return found


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean(dtype=np.float64)) if len(values) else float("nan")
