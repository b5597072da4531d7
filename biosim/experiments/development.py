"""A development scenario made ready to run: data loaded, births built, and development under any of its rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from biosim.circuit import Circuit
from biosim.compare import Comparison, agreement, overlap
from biosim.compare.naming import named_values
from biosim.contest import Contest
from biosim.develop import Development, develop
from biosim.drives import ImageDrive, Images, load_images
from biosim.equations import Rule, parse_time
from biosim.errors import InputError
from biosim.experiments.base import outcome
from biosim.experiments.homeostasis import mechanisms
from biosim.experiments.searches import compare_searches, search_again
from biosim.experiments.spikes import encoded, signals_of
from biosim.experiments.together import Together, check_scenario, deaths_of, formed_steps, shared_by
from biosim.processes.team import ALONE, Team
from biosim.progress import Stages, of_stage
from biosim.recorder import Recorder
from biosim.rules.feedback_kinds import feedback_rule
from biosim.rundir import interrupts
from biosim.rundir.checkpoint import AtWork, Checkpoints
from biosim.rundir.circuit_file import circuit_of, state_of
from biosim.rundir.run_writer import RunWriter
from biosim.scenario import DevelopmentScenario
from biosim.scenario.checks import LIVED, PLANTED
from biosim.scenario.options import Options
from biosim.schedule import Schedule
from biosim.scorers import Training
from biosim.state import Keeper, State
from biosim.synapses import Network
from biosim.teaching import Feedback

PLANTED_NAME = re.compile(rf"\bplanted\.|\.(?:{'|'.join(PLANTED)})\b")


@dataclass(frozen=True)
class DevelopmentExperiment:
    """A scenario with its data loaded and its network shape checked; nothing has been written yet."""

    scenario: DevelopmentScenario
    images: Images
    drive: ImageDrive
    device: torch.device
    team: Team = ALONE

    def births(self, team: Team = ALONE) -> Network:
        """Build the network as born, or the part of this process of a ``team``; the same births every time."""
        s = self.scenario
        network: Network = s.model(self.drive.inputs, self.drive.outputs, s.birth_seeds, **shared_by(s, team))
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

    def execute(self, writer: RunWriter, progress: Stages | None) -> dict[str, Any]:
        """Develop, let the rivals prune, and write what each left; return the results."""
        scenario = self.scenario
        rule, options, primary = scenario.rule, scenario.options, scenario.spec.schedule.density

        def developed(keeper: AtWork) -> State:
            self.team.begin()
            kept = Together(keeper, self.team)
            made = develop_under(self, rule, options, primary, progress, "developing", writer.record, keeper=kept, team=self.team)
            left = {"circuit": state_of(made.circuit), "deaths": deaths_of(made), **{name: getattr(made, name) for name in LIVED}}
            left["formed"] = formed_steps(made.network, rule, options)
            return left | {"records": made.history.records, "seconds": keeper.seconds()}

        local = writer.checkpoints.steps("developing", developed)
        circuit = circuit_of(local["circuit"])
        writer.circuit(circuit)
        contest = _contest(self, circuit, progress)
        entered = lambda: contest.develop(circuit, contest.primary, local["seconds"], _regime(rule, options))  # noqa: E731
        _kept(writer, contest, "the local circuit's rows", entered)
        _further(self, contest, writer, progress)
        for label, rival in scenario.rivals.items():
            _kept(writer, contest, f"rival {label}", lambda label=label, rival=rival: contest.rival(label, rival))  # type: ignore[misc]
            if label in contest.circuits:
                writer.circuit(contest.circuits[label], label)
        if contest.planted:
            writer.circuit(contest.oracle(), "planted")
        comparison = _compare(self, contest, circuit, writer, progress)
        deaths = {n: d.cpu().numpy() if isinstance(d, torch.Tensor) else d for n, d in local["deaths"].items()}
        writer.results(local["records"], deaths, contest.rows, local.get("formed"))
        metrics = contest.metrics() | {f"circuit.{name}": local[name] for name in LIVED}
        metrics |= {} if comparison is None else named_values(comparison)
        return {
            "table": contest.rows,
            "final_cut": local["final_cut"].tolist(),
            "comparisons": _comparisons(circuit, contest.circuits, self.images, comparison),
        } | outcome(metrics, scenario.checks)

    def assist(self, checkpoints: Checkpoints) -> None:
        """Take the part of a further process in the development that the first one carries out; all else is the first one's."""
        rule, options, density = self.scenario.rule, self.scenario.options, self.scenario.spec.schedule.density
        if self.team.begin():
            with interrupts.postponed():
                kept = Together(AtWork(checkpoints, "developing"), self.team)
                made = develop_under(self, rule, options, density, None, "developing", keeper=kept, team=self.team)
                deaths_of(made)
                formed_steps(made.network, rule, options)


def prepare_development(scenario: DevelopmentScenario, device: str, team: Team = ALONE) -> DevelopmentExperiment:
    """Load a scenario's data and try its model; a ``team`` of processes shares its network."""
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
        one = scenario.model(drive.inputs, drive.outputs, scenario.birth_seeds[:1], **shared_by(scenario, team))
    except InputError as error:
        raise scenario.error(error.under("model")) from None
    if not isinstance(one, Network):
        raise scenario.error(InputError(f"build() returned {type(one).__name__}, not a Network", ("model", "name")))
    for index, check in enumerate(scenario.checks):
        if not one.planted and PLANTED_NAME.search(f"{check.value} {check.needs}"):
            message = f"model '{scenario.spec.model.name}' plants no subnetwork that could be found; 'planted' does"
            raise scenario.error(InputError(message, ("checks", index)))
    check_scenario(scenario, one)
    return DevelopmentExperiment(scenario, images, encoded(scenario, drive, one), torch.device(device), team)


def develop_under(
    prepared: DevelopmentExperiment,
    rule: Rule,
    options: Options,
    density: float,
    progress: Stages | None,
    stage: str,
    sink: Callable[[dict[str, Any]], None] | None = None,
    seeds: tuple[int, ...] | None = None,
    keeper: Keeper | None = None,
    team: Team = ALONE,
) -> Development:
    """Develop the births of a scenario under a rule and what takes part beside it, down to ``density``.

    ``seeds`` are the search's; ``keeper`` keeps checkpoints; the processes of a ``team`` do it together.
    """
    scenario, network = prepared.scenario, prepared.births(team)
    seeds = scenario.seeds if seeds is None else seeds
    return develop(
        network,
        prepared.drive,
        rule,
        schedule=replace(Schedule(**scenario.spec.schedule.model_dump()), density=density),
        homeostasis=mechanisms(scenario, prepared.drive.clock.duration),
        feedback=None if options.feedback is None else Feedback(network, options.feedback, seeds),
        seeds=seeds,
        recorder=Recorder(scenario.spec.moments, sink),
        progress=of_stage(stage, progress),
        keeper=keeper,
        **options.beside(prepared.drive.clock.duration),
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


def _kept(writer: RunWriter, contest: Contest, stage: str, work: Callable[[], Any]) -> None:
    """Let a method add its rows and circuits to the contest, unless it had done so before the run was stopped."""
    found = writer.checkpoints.done(stage)
    if found is not None:
        contest.take(found)
        return
    mark = contest.mark()
    work()
    writer.checkpoints.finish(stage, contest.since(mark))


def _further(prepared: DevelopmentExperiment, contest: Contest, writer: RunWriter, progress: Stages | None) -> None:
    """Develop the scenario's rule at its further densities, and its further rules at all of them."""
    scenario = prepared.scenario
    local = contest.densities if scenario.spec.local_densities else ()
    cells: list[tuple[str | None, Rule, Options, float]] = [(None, scenario.rule, scenario.options, d) for d in local]
    primary = scenario.spec.schedule.density
    cells += [(label, rule, options, d) for label, (rule, options) in scenario.rules.items() for d in (primary, *local)]
    for label, rule, options, density in cells:
        stage = f"{label or 'developing'} {100 * density:g} %"

        def developed(keeper: AtWork, cell: tuple[Rule, Options, float] = (rule, options, density), stage: str = stage) -> State:
            made = develop_under(prepared, *cell, progress, stage, keeper=keeper)
            return {"circuit": state_of(made.circuit), "seconds": keeper.seconds()}

        made = writer.checkpoints.steps(stage, developed)
        circuit, target = circuit_of(made["circuit"]), contest.primary if density == primary else density
        rows = (circuit, target, made["seconds"], _regime(rule, options), label)
        _kept(writer, contest, f"{stage}, rows", lambda rows=rows: contest.develop(*rows))  # type: ignore[misc]


def _contest(prepared: DevelopmentExperiment, circuit: Circuit, progress: Stages | None) -> Contest:
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
    prepared: DevelopmentExperiment, contest: Contest, first: Circuit, writer: RunWriter, progress: Stages | None
) -> Comparison | None:
    """Search again on the same births and compare, where the scenario asks for it."""
    scenario, spec = prepared.scenario, prepared.scenario.spec.comparisons
    if spec is None:
        return None

    def develop_again(seeds: tuple[int, ...], stage: str) -> Circuit:
        density = scenario.spec.schedule.density

        def developed(keeper: AtWork) -> State:
            args = (prepared, scenario.rule, scenario.options, density, progress, stage)
            return state_of(develop_under(*args, seeds=seeds, keeper=keeper).circuit)

        return circuit_of(writer.checkpoints.steps(stage, developed))

    def rival_again(label: str, seeds: tuple[int, ...], stage: str) -> Circuit:
        found = writer.checkpoints.done(stage)
        if found is None:
            found = state_of(contest.again(scenario.rivals[label], seeds, stage))
            writer.checkpoints.finish(stage, found)
        return circuit_of(found)

    searches = search_again(scenario, contest, first, develop_again, rival_again, writer.circuit)
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
