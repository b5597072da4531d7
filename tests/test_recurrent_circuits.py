"""Circuits with loops: effective synapses, files, and the recurrent model from births to analysis."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tangles import recurrent, tangle

from biosim.circuit import Circuit
from biosim.develop import develop
from biosim.drives import ImageDrive
from biosim.effective import on_path
from biosim.errors import BiosimError
from biosim.library import find, load_module
from biosim.rules import load_rule
from biosim.rundir.circuit_file import circuit_bytes
from biosim.schedule import Schedule
from biosim.store import open_run, read_circuit
from biosim.substrates.rate import propagate
from biosim.synapses import Network
from biosim.teaching import Feedback


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.floats(0.05, 0.5), st.integers(0, 99))
def test_effective_synapses_are_those_the_readout_can_feel(steps: int, density: float, seed: int) -> None:
    """With positive weights and linear neurons a synapse matters exactly when the readout's slope along it is not zero."""
    network, random = tangle((0, 1), steps, "linear", probability=1.0), np.random.default_rng(seed)
    for p in network.projections.values():
        p.weight.abs_().add_(0.1)
        p.eliminate(torch.from_numpy(random.random(p.shape) > density), 0)
        p.refresh()
    effective = {n: p.effective.double().requires_grad_() for n, p in network.projections.items()}
    output = propagate(network, effective, {}, torch.ones(1, 1, 7, dtype=torch.float64))["output"]
    if output.requires_grad:
        output.sum().backward()
    found = on_path(network, {n: p.alive for n, p in network.projections.items()})
    for n, p in network.projections.items():
        slope = effective[n].grad
        felt = torch.zeros_like(p.alive) if slope is None else (slope != 0) & p.alive
        assert torch.equal(found[n], felt), n


def test_given_time_effective_synapses_are_those_networkx_finds() -> None:
    network, random = tangle((0, 1), 40, probability=1.0), np.random.default_rng(3)
    for p in network.projections.values():
        p.eliminate(torch.from_numpy(random.random(p.shape) > 0.12), 0)
    circuit = Circuit.of(network, {})
    found = on_path(circuit.network, {n: torch.from_numpy(m) for n, m in circuit.mask.items()})
    for r in range(2):
        graph = circuit.to_networkx(r)
        assert graph.graph == {"steps": 40, "leak": {"input": 1.0, "a": 0.3, "b": 1.0, "output": 0.8}}
        assert graph.number_of_edges() == sum(int(m[r].sum()) for m in circuit.mask.values()) and list(nx.simple_cycles(graph, 3))
        reached = set().union(*(nx.descendants(graph, ("input", i)) | {("input", i)} for i in range(7)))
        leads = set().union(*(nx.ancestors(graph, ("output", i)) | {("output", i)} for i in range(3)))
        wanted = {(u, v) for u, v in graph.edges if u in reached and v in leads}
        assert wanted == {((a, i), (b, j)) for n, a, b in circuit.projections for i, j in np.argwhere(found[n][r].numpy()).tolist()}


def test_files_keep_how_a_circuit_settles(tmp_path: Path) -> None:
    circuit, path = Circuit.of(tangle(), {"rule": "made up"}), tmp_path / "c.safetensors"
    path.write_bytes(circuit_bytes(circuit))
    back = read_circuit(path)
    assert (back.steps, back.leak) == (5, {"a": 0.3, "output": 0.8})
    x = np.random.default_rng(0).standard_normal((4, 7)).astype(np.float32)
    assert np.array_equal(back.respond(x), circuit.respond(x)) and circuit_bytes(back) == path.read_bytes()
    assert not np.allclose(replace(circuit, steps=6).respond(x), circuit.respond(x))
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(path, "numpy") as file:  # a file that lost how it settles is not run as if it had no loops
        about = json.loads(file.metadata()["biosim"])
        tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    for settling in (
        {},
        {"settling": {"steps": 1, "leak": {}}},
        {"settling": {"steps": 5, "leak": {"a": 7}}},
        {"settling": {"steps": 5, "leak": [1]}},
    ):
        save_file(tensors, path, {"biosim": json.dumps({k: v for k, v in about.items() if k != "settling"} | settling)})
        with pytest.raises(BiosimError, match="not a circuit"):
            read_circuit(path)


def test_recurrent_births_have_the_radius_asked_for() -> None:
    for weights, probability in (("signed-constant", 1.0), ("kaiming-normal", 0.2)):
        network = recurrent((0,), hidden=500, radius=0.8, weights=weights, recurrent_probability=probability)
        loop = network.projections["hidden-hidden"]
        assert np.abs(np.linalg.eigvals(loop.weight[0].double().numpy())).max() == pytest.approx(0.8, rel=0.08)
        assert loop.born.float().mean() == pytest.approx(probability, abs=0.01)
        assert not loop.weight[0].diagonal().any()


def test_it_learns(images: Any) -> None:
    from biosim.compare import accuracy

    seeds = (0, 1)
    network = recurrent(seeds, hidden=60)
    drive = ImageDrive(images, batch=16, epochs=25)
    made = develop(
        network, drive, load_rule("three-factor"), schedule=Schedule(density=0.3), feedback=Feedback(network, "random", seeds), seeds=seeds
    )
    assert accuracy(made.circuit.predict(images.test), images.test_labels).mean() > 0.9


def test_the_scenario_runs_and_the_analysis_cuts_the_loops(cli: Any, tiny: Path, tmp_path: Path) -> None:
    tiny.write_text(
        tiny.read_text().replace("{name: mlp, hidden: [24, 16]}", "{name: recurrent, hidden: 24, steps: 3}").replace("edge-popup, ", "")
    )
    run = tmp_path / "run"
    code, _, err = cli("run", str(tiny), "--out", str(run))
    assert code == 0, err
    code, _, err = cli("analyse", "recurrence", str(run))
    assert code == 0, err
    circuit = read_circuit(run / "circuit.safetensors")
    assert (circuit.steps, circuit.leak) == (3, {"hidden": 0.5})
    with (run / "analysis" / "recurrence" / "recurrence.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 5 * 2  # methods, whole and cut, 2 to 6 steps, replicates
    images = open_run(run).images()
    lone = replace(circuit, mask={n: m & (n != "hidden-hidden") for n, m in circuit.mask.items()})
    for version, label in ((circuit, "whole"), (lone, "recurrent synapses cut")):
        found = [float(r["accuracy"]) for r in rows if (r["method"], r["circuit"], r["steps"]) == ("three-factor", label, "3")]
        assert found == pytest.approx((version.predict(images.test) == images.test_labels).mean(1))
    flat = SimpleNamespace(folder=run, circuit=(lost := Circuit.of(Network.layered([4, 3], [0]), {})), circuits={"none": lost})
    with pytest.raises(BiosimError, match="no recurrent projections"):
        load_module(find("analysis", "recurrence")).analyse(flat)
