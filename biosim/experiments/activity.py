"""An activity scenario made ready to run: a network, its drive, one step taken in trial, and the measure of what develops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from biosim.develop import Development, develop
from biosim.drives import Drive
from biosim.equations.vocabulary import GIVEN
from biosim.errors import InputError, NumericalError
from biosim.experiments.base import checked_metrics, outcome
from biosim.experiments.homeostasis import mechanisms
from biosim.experiments.together import formed_steps
from biosim.nursery.nursery import Nursery
from biosim.progress import Stages, of_stage
from biosim.recorder import Recorder
from biosim.rundir import interrupts
from biosim.rundir.checkpoint import AtWork
from biosim.rundir.run_writer import RunWriter
from biosim.scenario import ActivityScenario
from biosim.schedule import Schedule
from biosim.state import Stateful
from biosim.substrates import substrate_of
from biosim.synapses import Network


@dataclass(frozen=True)
class ActivityExperiment:
    """A scenario whose network, drive, rule and substrate have taken one step together; nothing has been written yet."""

    scenario: ActivityScenario
    device: torch.device
    steps: int

    def births(self) -> Network:
        """Build the network as born; the same births every time."""
        network: Network = self.scenario.model(self.scenario.birth_seeds)
        return network.to(self.device)

    def outline(self) -> str:
        """Return what ``validate`` says of a scenario in order."""
        s = self.scenario
        return f"rule {s.rule.name}, locality {s.level.name}, {self.steps} steps of development; measures {', '.join(s.measures)}"

    def about(self) -> dict[str, Any]:
        """Return what ``run.json`` says from the start."""
        s = self.scenario
        sources = {f"{name}_source_sha256": s.resolved[f"{name}_source"] for name in ("model", "drive", "measure")}
        return {
            "rule": s.resolved["rule"],
            "locality": s.level.name,
            "plastic": s.options.plastic(s.rule),
            **s.options.data(),
            **sources,
            "births_seeds": list(s.birth_seeds),
            "measures": s.measures,
        }

    def execute(self, writer: RunWriter, progress: Stages | None) -> dict[str, Any]:
        """Develop, measure what became of the network, and write both; return the results."""
        s = self.scenario
        network = self.births()
        drive: Drive = s.drive(network)
        keeper = AtWork(writer.checkpoints, "developing") if resumable(network) else None
        with interrupts.postponed() if keeper is not None else nullcontext():
            development = develop(
                network,
                drive,
                s.rule,
                schedule=Schedule(**s.spec.schedule.model_dump()),
                homeostasis=mechanisms(s, drive.clock.duration),
                seeds=s.seeds,
                recorder=Recorder(s.spec.moments, writer.record, _watch(s, drive), _listen(s, drive)),
                progress=of_stage("developing", progress),
                keeper=keeper,
                **s.options.beside(drive.clock.duration),
            )
        writer.circuit(development.circuit)
        deaths = {n: p.death_step.cpu().numpy() for n, p in network.projections.items()}
        writer.results(development.history.records, deaths, [], formed_steps(network, s.rule, s.options))
        findings = s.measure(development, drive)
        who = f"the measure '{s.spec.measure.name}'"
        measured = checked_metrics(findings, s.measures, s.spec.replicates, who)
        writer.findings(findings)
        metrics = _circuit_metrics(development) | {f"measure.{name}": values for name, values in measured.items()}
        return {"tables": list(findings.tables)} | outcome(metrics, s.checks)


def resumable(network: Network) -> bool:
    """Return whether all that development goes on from can be kept: not what a user's substrate may carry and does not tell."""
    user = network.substrate is not None and network.substrate.endswith(".py")
    return not user or isinstance(substrate_of(network), Stateful)


def prepare_activity(scenario: ActivityScenario, device: str) -> ActivityExperiment:
    """Build the first replicate, its drive and its substrate, and let them take one step.

    Raises
    ------
    BiosimError
        Naming the file, line and key of what is wrong.
    """
    where = torch.device(device)
    network: Network = scenario.model(scenario.birth_seeds[:1]).to(where)
    drive = _in_section(scenario, "drive", lambda: scenario.drive(network))
    missing = [name for name in ("clock", "inputs", "outputs", "presentations") if not hasattr(drive, name)]
    if missing:
        raise scenario.error(InputError(f"drive() returned {type(drive).__name__}, which has no {missing[0]}", ("drive", "kind")))
    if (check := scenario.measure.also("check", moments=scenario.spec.moments)) is not None:
        _in_section(scenario, "measure", lambda: check(network, drive))
    if (watch := _watch(scenario, drive)) is not None:
        _in_section(scenario, "measure", lambda: watch(network))
    _try(scenario, network, drive, where)
    return ActivityExperiment(scenario, where, drive.clock.steps)


def _in_section(scenario: ActivityScenario, section: str, make: Callable[[], Any]) -> Any:
    """Return what one part of a scenario makes; an error in it is told of where that section stands."""
    try:
        return make()
    except InputError as error:
        raise scenario.error(error.under(section)) from None


def _try(scenario: ActivityScenario, network: Network, drive: Drive, device: torch.device) -> None:
    """Let one replicate take its first step under all of its rules: what does not fit together shows here."""
    s, seeds = scenario, scenario.seeds[:1]
    duration = drive.clock.duration
    shown = _in_section(s, "drive", lambda: next(iter(drive.presentations(seeds, device)), None))
    if shown is None:
        raise s.error(InputError("the drive shows nothing", ("drive",)))
    if shown.inputs.ndim != 3 or shown.inputs.shape[0] != 1 or shown.inputs.shape[2] != drive.inputs:
        shape, wanted = tuple(shown.inputs.shape), f"(1, samples, {drive.inputs})"
        raise s.error(InputError(f"the drive shows one replicate inputs of shape {shape}, not {wanted}", ("drive", "kind")))
    names = frozenset().union(*(r.names for r in s.options.rules(s.rule))) & GIVEN
    if shown.labels is None and names - ({"reward"} if shown.reward is not None else set()):
        raise s.error(InputError(f"the rule reads {', '.join(sorted(names))}, but the drive has no labels", ("rule",)))
    own = Schedule(**s.spec.schedule.model_dump()), mechanisms(s, duration), None, seeds, Recorder(s.spec.moments)
    try:
        with torch.inference_mode():
            activity = Nursery(network, drive, s.rule, *own, **s.options.beside(duration)).step(0, shown)
    except InputError as error:
        known = error.key and error.key[0] in ("rule", "plasticity", "growth", "schedule")
        raise s.error(error if known else InputError(str(error), ("model",))) from None
    except NumericalError as error:
        raise s.error(InputError(str(error), ("rule",))) from None
    if (listen := _listen(s, drive)) is not None:
        _in_section(s, "measure", lambda: listen(network, activity, 1))


def _watch(scenario: ActivityScenario, drive: Drive) -> Callable[[Network], Mapping[str, Any]] | None:
    """Return what a measure with ``observe(network, drive, *, ...)`` adds to every record, if this one does."""
    observe = scenario.measure.also("observe")
    if observe is None:
        return None
    return lambda network: {f"measure.{name}": values for name, values in observe(network, drive).items()}


def _listen(
    scenario: ActivityScenario, drive: Drive
) -> Callable[[Network, Mapping[str, Tensor], int], Mapping[str, Sequence[float]]] | None:
    """Return what a measure with ``listen(network, activity, step, drive, *, ...)`` adds to every record, if this one does."""
    listen = scenario.measure.also("listen")
    if listen is None:
        return None
    return lambda *now: {f"measure.{name}": values for name, values in listen(*now, drive).items()}


def _circuit_metrics(development: Development) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    circuit = development.circuit
    return {
        "circuit.density": circuit.density(),
        "circuit.effective_density": circuit.effective_density(),
        "circuit.synapses": np.sum([m.sum((1, 2)) for m in circuit.mask.values()], 0).astype(np.float64),
        "circuit.neurons": circuit.neurons(),
        "circuit.final_cut": development.final_cut,
        "circuit.peak_density": development.peak_density,
    }
