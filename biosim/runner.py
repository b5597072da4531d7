"""From a scenario to a finished run directory."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from biosim.circuit import Circuit
from biosim.compare import agreement, overlap
from biosim.contest import Contest
from biosim.drives import Images
from biosim.equations import Rule
from biosim.errors import BiosimError, Interrupted
from biosim.options import Options
from biosim.prepare import Prepared, Progress, develop_under, prepare
from biosim.scenario import Scenario
from biosim.scorers import Training
from biosim.store import OWN_FILES, RUN, Run, RunWriter
from biosim.teaching import feedback_rule


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
        "signals": [*_shown(prepared), *_signals(s)],
    }


def _shown(prepared: Prepared) -> list[str]:
    """Say how a spiking network is shown its images, and what its rules see of them."""
    encoding = prepared.drive.encoding
    if encoding is None:
        return []
    how = f"{encoding.kind} code, up to {encoding.peak:g} Hz" if encoding.kind != "latency" else "latency code, one spike a pixel"
    found = [f"spikes of the input neurons: {how}, {1e3 * encoding.window:g} ms an image in steps of {1e3 * encoding.dt:g} ms"]
    if encoding.baseline:
        found.append("tonic inhibition: every input synapse takes away what it brings for a pixel of average brightness")
    found.append("slope of a hidden neuron: 1 where it fires in the window, else 0")
    return [*found, "pre and post: rates in Hz filtered as by a membrane, pre taken on arrival, one number a neuron and image"]


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


def _execute(prepared: Prepared, writer: RunWriter, progress: Progress | None) -> dict[str, Any]:
    scenario = prepared.scenario
    rule, options, primary = scenario.rule, scenario.options, scenario.spec.schedule.density
    began = time.perf_counter()
    development = develop_under(prepared, rule, options, primary, progress, "developing", writer.record)
    contest = _contest(prepared, development.circuit, progress)
    contest.develop(development.circuit, contest.primary, time.perf_counter() - began, _regime(rule, options))
    writer.circuit(development.circuit)
    _further(prepared, contest, progress)
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


def _regime(rule: Rule, options: Options) -> str:
    return "plastic" if options.plastic(rule) else "frozen"


def _further(prepared: Prepared, contest: Contest, progress: Progress | None) -> None:
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
    table, results, others = run.table, run.about["results"], run.headline[1:]

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
        "rules": {row["method"]: entry(row) for row in others if row["source"].startswith("rules.")},
        "rivals": {row["method"]: entry(row) for row in others if not row["source"].startswith("rules.")},
        "table": table,
        "comparisons": results["comparisons"],
        "checks": results["checks"],
    }
