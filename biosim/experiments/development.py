"""A development scenario made ready to run: data loaded, births built, and development under any of its rules."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from biosim.checks import LIVED, PLANTED
from biosim.circuit import Circuit
from biosim.compare import Comparison, agreement, overlap
from biosim.compare.naming import named_values
from biosim.contest import Contest
from biosim.develop import Development, develop
from biosim.drives import ImageDrive, Images, load_images
from biosim.equations import Rule, parse_time
from biosim.errors import InputError
from biosim.experiments.base import Progress, outcome
from biosim.experiments.comparing import compare_searches, search_again
from biosim.experiments.homeostasis import mechanisms
from biosim.experiments.spikes import encoded, signals_of
from biosim.options import Options
from biosim.recorder import Recorder
from biosim.scenario import DevelopmentScenario
from biosim.schedule import Schedule
from biosim.scorers import Training
from biosim.store import RunWriter
from biosim.synapses import Network
from biosim.teaching import Feedback, feedback_rule

PLANTED_NAME = re.compile(rf"\bplanted\.|\.(?:{'|'.join(PLANTED)})\b")


@dataclass(frozen=True)
class DevelopmentExperiment:
    """A scenario with its data loaded and its network shape checked; nothing has been written yet."""

    scenario: DevelopmentScenario
    images: Images
    drive: ImageDrive
    device: torch.device

    def births(self) -> Network:
        """Build the network as born; the same births every time."""
        s = self.scenario
        network: Network = s.build(self.drive.inputs, self.drive.outputs, s.birth_seeds, **s.model_arguments)
        if network.spiking is not None and self.drive.encoding is not None:
            network.spiking = network.spiking.shown(self.drive.encoding)
        return network.to(self.device)

    def outline(self) -> str:
        """Return what ``validate`` says of a scenario in order."""
        s = self.scenario
        return f"rule {s.rule.name}, locality {s.level.name}, {self.drive.clock.steps} steps of development"

    def about(self) -> dict[str, Any]:
        """Return what ``run.json`` says from the start."""
        s = self.scenario
        return {
            "rule": s.resolved["rule"],
            "model_source_sha256": s.resolved["model_source"],
            "scorer_source_sha256": s.resolved.get("scorer_sources", {}),
            "locality": s.level.name,
            "plastic": s.options.plastic(s.rule),
            **s.options.data(),
            "births_seeds": list(s.birth_seeds),
            "data_sha256": self.images.digest,
            "data_source": self.images.source,
            "evaluated_on": self.images.evaluated_on,
            "image_side": list(self.images.side),
            "signals": [*signals_of(self.drive.encoding), *_signals(s)],
        }

    def execute(self, writer: RunWriter, progress: Progress | None) -> dict[str, Any]:
        """Develop, let the rivals prune, and write what each left; return the results."""
        scenario = self.scenario
        rule, options, primary = scenario.rule, scenario.options, scenario.spec.schedule.density
        began = time.perf_counter()
        development = develop_under(self, rule, options, primary, progress, "developing", writer.record)
        contest = _contest(self, development.circuit, progress)
        contest.develop(development.circuit, contest.primary, time.perf_counter() - began, _regime(rule, options))
        writer.circuit(development.circuit)
        _further(self, contest, progress)
        for label, rival in scenario.rivals.items():
            contest.rival(label, rival)
            if label in contest.circuits:
                writer.circuit(contest.circuits[label], label)
        if contest.planted:
            writer.circuit(contest.oracle(), "planted")
        comparison = _compare(self, contest, development.circuit, writer, progress)
        deaths = {n: p.death_step.cpu().numpy() for n, p in development.network.projections.items()}
        writer.results(development.history.records, deaths, contest.rows)
        metrics = contest.metrics() | {f"circuit.{name}": getattr(development, name) for name in LIVED}
        metrics |= {} if comparison is None else named_values(comparison)
        return {
            "table": contest.rows,
            "final_cut": development.final_cut.tolist(),
            "comparisons": _comparisons(development.circuit, contest.circuits, self.images, comparison),
        } | outcome(metrics, scenario.checks)


def prepare_development(scenario: DevelopmentScenario, device: str) -> DevelopmentExperiment:
    """Load a scenario's data and try its model."""
    spec = scenario.spec.drive
    try:
        images = load_images(spec.dataset, train_size=spec.train_size, validation=spec.validation)
    except InputError as error:
        raise scenario.error(error.under("drive") if error.key else InputError(error.message, ("drive", "dataset"))) from None
    try:
        drive = ImageDrive(images, spec.batch, spec.epochs, parse_time(spec.presentation).value)
    except InputError as error:
        raise scenario.error(error.under("drive")) from None
    try:
        one = scenario.build(drive.inputs, drive.outputs, scenario.birth_seeds[:1], **scenario.model_arguments)
    except InputError as error:
        raise scenario.error(error.under("model")) from None
    if not isinstance(one, Network):
        raise scenario.error(InputError(f"build() returned {type(one).__name__}, not a Network", ("model", "name")))
    for index, check in enumerate(scenario.checks):
        if not one.planted and PLANTED_NAME.search(f"{check.value} {check.needs}"):
            message = f"model '{scenario.spec.model.name}' plants no subnetwork that could be found; 'planted' does"
            raise scenario.error(InputError(message, ("checks", index)))
    return DevelopmentExperiment(scenario, images, encoded(scenario, drive, one), torch.device(device))


def develop_under(
    prepared: DevelopmentExperiment,
    rule: Rule,
    options: Options,
    density: float,
    progress: Progress | None,
    stage: str,
    sink: Callable[[dict[str, Any]], None] | None = None,
    seeds: tuple[int, ...] | None = None,
) -> Development:
    """Develop the births of a scenario under a rule and what takes part beside it, down to ``density``; ``seeds`` are the search's."""
    scenario, network = prepared.scenario, prepared.births()
    seeds = scenario.seeds if seeds is None else seeds
    report = None if progress is None else (lambda step, steps, numbers: progress(stage, step, steps, numbers))
    return develop(
        network,
        prepared.drive,
        rule,
        schedule=replace(Schedule(**scenario.spec.schedule.model_dump()), density=density),
        homeostasis=mechanisms(scenario, prepared.drive.clock.duration),
        feedback=None if options.feedback is None else Feedback(network, options.feedback, seeds),
        seeds=seeds,
        recorder=Recorder(scenario.spec.moments, sink),
        progress=report,
        plasticity=options.plasticity,
        growth=options.growth,
        readout=options.readout,
        neuron_death=options.neuron_death(prepared.drive.clock.duration),
        exploration=options.exploration,
    )


def _signals(scenario: DevelopmentScenario) -> list[str]:
    """Say what drive and substrate compute that is not the rule's: reports list it."""
    names = frozenset().union(*(r.names for r in scenario.options.rules(scenario.rule)))
    found = []
    if scenario.feedback is not None:
        found.append(f"softmax readout error, carried to hidden neurons by {scenario.feedback} feedback and gated by each one's slope")
        if (learns := feedback_rule(scenario.feedback)) is not None:
            found.append(f"feedback wiring that follows the equations of {learns.name}, during {learns.during}")
    readout = scenario.options.readout
    if readout is not None:
        found.append(f"synapses onto the readout follow the rule '{readout.name}', taught by each readout neuron's own softmax error")
    if {"noise_post", "advantage"} & names:
        found.append("advantage: how much likelier the readout found the right class under the neurons' own noise than under its opposite")
    if "reward" in names:
        found.append("reward: 1 where the readout's class is right, else 0")
    return found


def _regime(rule: Rule, options: Options) -> str:
    return "plastic" if options.plastic(rule) else "frozen"


def _further(prepared: DevelopmentExperiment, contest: Contest, progress: Progress | None) -> None:
    """Develop the scenario's rule at its further densities, and its further rules at all of them."""
    scenario = prepared.scenario
    local = contest.densities if scenario.spec.local_densities else ()
    cells: list[tuple[str | None, Rule, Options, float]] = [(None, scenario.rule, scenario.options, d) for d in local]
    primary = scenario.spec.schedule.density
    cells += [(label, rule, options, d) for label, (rule, options) in scenario.rules.items() for d in (primary, *local)]
    for label, rule, options, density in cells:
        began = time.perf_counter()
        made = develop_under(prepared, rule, options, density, progress, f"{label or 'developing'} {100 * density:g} %")
        target = contest.primary if density == primary else density
        contest.develop(made.circuit, target, time.perf_counter() - began, _regime(rule, options), label)


def _contest(prepared: DevelopmentExperiment, circuit: Circuit, progress: Progress | None) -> Contest:
    """Rivals prune the same births to the density the local rule reached (the mean over its replicates)."""
    scenario, spec = prepared.scenario, prepared.scenario.spec
    density = float(np.mean(circuit.density()))
    if abs(density - spec.schedule.density) < 1e-6:  # an exact count, up to the rounding of a quotient
        density = spec.schedule.density
    return Contest(
        prepared.births,
        prepared.drive,
        scenario.seeds,
        None if spec.retrain is None else Training(**spec.retrain.model_dump()),
        scenario.rule.name,
        density,
        tuple(d for d in sorted(spec.densities, reverse=True) if d != density),
        progress,
        {n: m.cpu().numpy() for n, m in prepared.births().planted.items()},
    )


def _compare(
    prepared: DevelopmentExperiment, contest: Contest, first: Circuit, writer: RunWriter, progress: Progress | None
) -> Comparison | None:
    """Search again on the same births and compare, where the scenario asks for it."""
    scenario, spec = prepared.scenario, prepared.scenario.spec.comparisons
    if spec is None:
        return None

    def develop_again(seeds: tuple[int, ...], stage: str) -> Circuit:
        density = scenario.spec.schedule.density
        return develop_under(prepared, scenario.rule, scenario.options, density, progress, stage, seeds=seeds).circuit

    searches = search_again(scenario, contest, first, develop_again, writer.circuit)
    comparison = compare_searches(spec, scenario.birth_seeds, searches, prepared.images, progress)
    writer.comparison(comparison.data())
    return comparison


def _comparisons(local: Circuit, rivals: Mapping[str, Circuit], images: Images, comparison: Comparison | None) -> dict[str, Any]:
    own = local.predict(images.test)
    found: dict[str, Any] = {}
    for name, circuit in rivals.items():
        layers = {}
        for projection, o in overlap(local, circuit).items():
            values = {"jaccard": o.jaccard, "chance": o.chance, "deviation": o.deviation, "kappa": o.kappa}
            layers[projection] = {k: v.tolist() if np.isfinite(v).all() else None for k, v in values.items()}
        found[name] = {"agreement": agreement(own, circuit.predict(images.test)).tolist(), "overlap": layers}
        if comparison is not None and name in comparison.estimates:
            found[name]["measures"] = [e.data() for e in comparison.primary(name)]
    return found
