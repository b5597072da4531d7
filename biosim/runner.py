"""From a scenario to a finished run directory."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from biosim.circuit import Circuit
from biosim.compare import agreement, overlap
from biosim.contest import Contest
from biosim.develop import Development, develop
from biosim.drives import ImageDrive, Images, load_images
from biosim.equations import parse_time
from biosim.errors import BiosimError, InputError, Interrupted
from biosim.homeostasis import Homeostasis, IncomingResource, InDegree, SynapticScaling
from biosim.recorder import Recorder
from biosim.scenario import Scenario
from biosim.schedule import Schedule
from biosim.scorers import Training
from biosim.store import OWN_FILES, RUN, Run, RunWriter
from biosim.synapses import Network
from biosim.teaching import Feedback, feedback_rule

Progress = Callable[[str, int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Prepared:
    """A scenario with its data loaded and its network shape checked; nothing has been written yet."""

    scenario: Scenario
    images: Images
    drive: ImageDrive
    device: torch.device

    def births(self) -> Network:
        """Build the network as born; the same births every time."""
        s = self.scenario
        network: Network = s.build(self.drive.inputs, self.drive.outputs, s.birth_seeds, **s.model_arguments)
        return network.to(self.device)


def prepare(scenario: Scenario, device: str = "cpu") -> Prepared:
    """Load a scenario's data and try its model.

    Raises
    ------
    BiosimError
        Naming the file, line and key of what is wrong.
    """
    if device not in ("cpu", "cuda"):
        raise BiosimError(f"--device {device}: there are cpu and cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise BiosimError("--device cuda: torch finds no CUDA device here; leave --device out to run on the CPU")
    spec = scenario.spec.drive
    try:
        images = load_images(spec.dataset, train_size=spec.train_size, validation=spec.validation)
    except InputError as error:
        raise scenario.error(error.under("drive") if error.key else InputError(error.message, ("drive", "dataset"))) from None
    try:
        drive = ImageDrive(images, spec.batch, spec.epochs, parse_time(spec.presentation).value)
    except InputError as error:
        raise scenario.error(error.under("drive")) from None
    prepared = Prepared(scenario, images, drive, torch.device(device))
    try:
        one = scenario.build(drive.inputs, drive.outputs, scenario.birth_seeds[:1], **scenario.model_arguments)
    except InputError as error:
        raise scenario.error(error.under("model")) from None
    if not isinstance(one, Network):
        raise scenario.error(InputError(f"build() returned {type(one).__name__}, not a Network", ("model", "name")))
    return prepared


def run(
    scenario: Scenario, out: Path | None = None, *, device: str = "cpu", force: bool = False, progress: Progress | None = None
) -> tuple[Run, bool]:
    """Run a scenario into a run directory.

    Parameters
    ----------
    scenario : Scenario
    out : Path, optional
        The run directory; ``runs/NAME-ID`` when left out.
    device : {"cpu", "cuda"}
    force : bool
        Run again even when the directory holds the finished run.
    progress : callable, optional
        Called with (stage, step, steps, numbers).

    Returns
    -------
    run : Run
    fresh : bool
        False when the finished run was there already and was left alone.
    """
    folder = out if out is not None else Path("runs") / f"{scenario.spec.name}-{scenario.id}"
    found = _existing(folder, scenario, force)
    if found is not None:
        return found, False
    prepared = prepare(scenario, device)
    began = time.perf_counter()
    writer = RunWriter(folder, _about(prepared))
    try:
        results = _execute(prepared, writer, progress)
        results["seconds"] = time.perf_counter() - began
        writer.status("done", results=results)
    except BaseException as error:
        kind = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt, SystemExit)) else "failed"
        writer.status(kind, reason=f"{type(error).__name__}: {error}")
        raise
    finished = Run(folder)
    from biosim.report import write_report

    write_report(finished)
    return finished, True


def _existing(folder: Path, scenario: Scenario, force: bool) -> Run | None:
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise BiosimError(f"{folder} is a file; name a folder with --out")
    if not (folder / RUN).exists():
        if any(folder.iterdir()):
            raise BiosimError(f"{folder} holds other files; name an empty or new folder with --out")
        return None
    run = Run(folder)
    if run.about.get("id") != scenario.id:
        raise BiosimError(f"{folder} holds another run ({run.about.get('id')}); name another folder with --out")
    if run.about.get("status") == "done" and not force:
        return run
    for name in OWN_FILES:  # the same run over again; analyses and whatever else is in the folder stay
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return None


def _about(prepared: Prepared) -> dict[str, Any]:
    s = prepared.scenario
    versions = {"biosim": s.resolved["version"], "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    return {
        "id": s.id,
        "scenario": s.resolved["scenario"],
        "rule": s.resolved["rule"],
        "model_source_sha256": s.resolved["model_source"],
        "scorer_source_sha256": s.resolved.get("scorer_sources", {}),
        "locality": s.level.name,
        "plastic": s.options.plastic(s.rule),
        **s.options.data(),
        "seeds": list(s.seeds),
        "births_seeds": list(s.birth_seeds),
        "versions": versions,
        "device": str(prepared.device),
        "data_sha256": prepared.images.digest,
        "data_source": prepared.images.source,
        "evaluated_on": prepared.images.evaluated_on,
        "image_side": list(prepared.images.side),
        "signals": _signals(s),
    }


def _signals(scenario: Scenario) -> list[str]:
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


def _homeostasis(prepared: Prepared) -> list[Homeostasis]:
    duration = prepared.drive.clock.duration
    made: list[Homeostasis] = []
    for index, spec in enumerate(prepared.scenario.spec.homeostasis):
        if spec.kind == "in-degree":
            made.append(InDegree())
        elif spec.kind == "incoming-resource":
            made.append(IncomingResource())
        else:
            try:
                tau = parse_time(spec.tau).resolve(duration)
            except InputError as error:
                raise prepared.scenario.error(InputError(error.message, ("homeostasis", index, "tau"))) from None
            made.append(SynapticScaling(spec.target, tau))
    return made


def _execute(prepared: Prepared, writer: RunWriter, progress: Progress | None) -> dict[str, Any]:
    scenario = prepared.scenario
    began = time.perf_counter()
    development = _develop(prepared, scenario.spec.schedule.density, writer.record, progress)
    contest = _contest(prepared, development.circuit, progress)
    regime = "plastic" if scenario.options.plastic(scenario.rule) else "frozen"
    contest.develop(development.circuit, contest.primary, time.perf_counter() - began, regime)
    writer.circuit(development.circuit)
    if scenario.spec.local_densities:
        for density in contest.densities:
            began = time.perf_counter()
            other = _develop(prepared, density, None, progress, f"developing {100 * density:g} %")
            contest.develop(other.circuit, density, time.perf_counter() - began, regime)
    for label, rival in scenario.rivals.items():
        contest.rival(label, rival)
        if label in contest.circuits:
            writer.circuit(contest.circuits[label], label)
    deaths = {n: p.death_step.cpu().numpy() for n, p in development.network.projections.items()}
    writer.results(development.history.records, deaths, contest.rows)
    metrics = contest.metrics() | {"circuit.final_cut": development.final_cut}
    return {
        "table": contest.rows,
        "final_cut": development.final_cut.tolist(),
        "comparisons": _comparisons(development.circuit, contest.circuits, prepared.images),
        "checks": [check.result(metrics) for check in scenario.checks],
    }


def _contest(prepared: Prepared, circuit: Circuit, progress: Progress | None) -> Contest:
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
    )


def _develop(
    prepared: Prepared,
    density: float,
    sink: Callable[[dict[str, Any]], None] | None,
    progress: Progress | None,
    stage: str = "developing",
) -> Development:
    scenario = prepared.scenario
    network = prepared.births()
    feedback = None
    if scenario.feedback is not None:
        feedback = Feedback(network, scenario.feedback, scenario.seeds)
    report = None if progress is None else (lambda step, steps, numbers: progress(stage, step, steps, numbers))
    return develop(
        network,
        prepared.drive,
        scenario.rule,
        schedule=replace(Schedule(**scenario.spec.schedule.model_dump()), density=density),
        homeostasis=_homeostasis(prepared),
        feedback=feedback,
        seeds=scenario.seeds,
        recorder=Recorder(scenario.spec.moments, sink),
        progress=report,
        plasticity=scenario.options.plasticity,
        growth=scenario.options.growth,
        readout=scenario.options.readout,
        neuron_death=scenario.options.neuron_death(prepared.drive.clock.duration),
        exploration=scenario.options.exploration,
    )


def _comparisons(local: Circuit, rivals: Mapping[str, Circuit], images: Images) -> dict[str, Any]:
    own = local.predict(images.test)
    found: dict[str, Any] = {}
    for name, circuit in rivals.items():
        layers = {}
        for projection, o in overlap(local, circuit).items():
            values = {"jaccard": o.jaccard, "chance": o.chance, "deviation": o.deviation, "kappa": o.kappa}
            layers[projection] = {k: np.nan_to_num(v).tolist() for k, v in values.items()}
        found[name] = {"agreement": agreement(own, circuit.predict(images.test)).tolist(), "overlap": layers}
    return found


def summary(run: Run) -> dict[str, Any]:
    """Return the object that ``biosim run --json`` prints."""
    table, results = run.table, run.about["results"]

    def entry(row: dict[str, Any]) -> dict[str, Any]:
        metrics = {"accuracy": row["accuracy"]}
        kept = {"density": row["density"], "effective_density": row["effective_density"]}
        return {"regime": row["regime"], **kept, "metrics": metrics}

    return {
        "run": str(run.folder),
        "scenario": run.name,
        "locality": run.about["locality"],
        "seconds": results["seconds"],
        "circuit": entry(table[0]) | {"final_cut": results["final_cut"]},
        "rivals": {row["method"]: entry(row) for row in run.headline[1:]},
        "table": table,
        "comparisons": results["comparisons"],
        "checks": results["checks"],
    }
