"""The spike-timing scenarios read back: weights and survivors tabulated, and the same network on Brian2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brian_setup import quick_brian

from biosim.errors import BiosimError
from biosim.library import find, load_module
from biosim.runner import run as run_scenario
from biosim.scenario import read_scenario
from biosim.spiking import GivenSpikes, PoissonPopulation
from biosim.spiking.simulation import Simulation
from biosim.store import Run, open_run

INPUTS = """\
name: inputs
model: {name: stdp-neuron, inputs: 60, rate: 20 Hz, inhibitory: 10, conductance: 0.2}
simulation: {duration: 2 s, decide_every: 500 ms, window: 500 ms, rate_cap: 2000}
rules: {input-neuron: {name: additive-stdp, a_plus: 0.03, a_minus: 0.04, grace: 500 ms}}
replicates: 2
conditions:
  alone: {}
  faster: {model.rate: 40 Hz}
  together: {model.correlated: 0.3, model.correlation: 0.4, rules.group-neuron: {name: additive-stdp, a_plus: 0.03, a_minus: 0.03}}
checks: [{name: it fires, value: alone.rate.neuron, needs: ">= 0"}]
"""
RECURRENT = """\
name: recurrent
model: {name: ei-lif, neurons: 40, probability: 0.5, inhibition: 6, drive_rate: 10000 Hz}
simulation: {duration: 500 ms, decide_every: 100 ms, window: 100 ms}
rules: {exc-exc: {name: additive-stdp, a_plus: 0.3, a_minus: 0.4, grace: 20 s}}
"""


def module(name: str) -> Any:
    return load_module(find("analysis", name))


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with quick_brian():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("spike-timing")
    found = {}
    for name, text in (("inputs", INPUTS), ("recurrent", RECURRENT)):
        (folder / f"{name}.yaml").write_text(text)
        found[name] = open_run(run_scenario(read_scenario(folder / f"{name}.yaml"), folder / name, report=False)[0].folder)
    return found


@pytest.mark.parametrize(("name", "steps"), [("inputs", 800), ("recurrent", 600)])
def test_brian2_comes_to_the_same_life(runs: dict[str, Run], name: str, steps: int) -> None:
    rows = module("on-brian2").analyse(runs[name], steps=steps).tables["on-brian2"]
    assert [r["condition"] for r in rows] == {"inputs": ["alone", "faster", "together", "together"], "recurrent": ["recurrent"]}[name]
    for row in rows:
        assert row["same_spikes_until"] == "the end" and row["spikes"] == row["spikes_brian2"] > 3, row
        assert row["same_survivors"] and row["died"] == row["died_brian2"] and row["largest_difference"] < 1e-9, row
    assert sum(row["died"] for row in rows) > 5


def test_another_rule_on_one_side_would_be_seen(runs: dict[str, Run]) -> None:
    own = module("on-brian2")
    run = runs["recurrent"]
    network, rules, seed = own.stretch(own.scenario_of(run.folder / "run.json", run.about), 600)
    one = own.on_biosim(network, rules, seed, 600)
    other = own.on_biosim(network, {"exc-exc": rules["exc-exc"].with_parameters({"a_plus": 0.2})}, seed, 600)
    row = own._row("x", network, "exc-exc", one, other, 600)
    assert row["same_spikes_until"] != "the end" and not (row["same_survivors"] and row["largest_difference"] < 1e-9)
    first = own.parted(one, other)
    late = {name: (np.append(s, 599), np.append(n, 0)) for name, (s, n) in one.spikes.items()}
    assert 0 < first < 600 and own.parted(one, replace(one, spikes=late)) == 599 and own.parted(one, one) is None


def test_the_inputs_are_those_of_the_run(runs: dict[str, Run]) -> None:
    own = module("on-brian2")
    run = runs["inputs"].conditions["together"]
    scenario = own.scenario_of(run.folder / "run.json", run.about)
    network, rules, _ = own.stretch(scenario, 400)
    whole = Simulation(scenario.model(scenario.birth_seeds), scenario.rules, scenario.seeds, rate_cap=2000)
    whole.run(400 * network.dt)
    for p in network.populations:
        if isinstance(p, GivenSpikes):
            own_spikes = whole.spikes(p.name)
            np.testing.assert_array_equal(p.times[0], own_spikes.times)
            np.testing.assert_array_equal(p.neurons[0], own_spikes.neurons)
    assert not any(isinstance(p, PoissonPopulation) for p in network.populations)
    assert rules["input-neuron"].parameters["grace"].resolve(1.0) == pytest.approx(0.05)


def test_noise_keeps_its_rate_when_it_becomes_spikes(runs: dict[str, Run]) -> None:
    own, run = module("on-brian2"), runs["recurrent"]
    network, _, _ = own.stretch(own.scenario_of(run.folder / "run.json", run.about), 1000)
    assert not network.drives
    noise = network.population("noise 0")
    assert len(noise.times[0]) / 32 / (1000 * network.dt) == pytest.approx(10000, rel=0.02)  # Hz on each of 32 neurons
    assert network.projection("noise 0").post == "exc" and network.projection("noise 1").post == "inh"


def test_weights_and_survivors_are_tabulated(runs: dict[str, Run]) -> None:
    findings = module("spike-timing").analyse(runs["inputs"])
    rows = findings.tables["spike-timing"]
    assert len(rows) == 8 and {r["input_rate"] for r in rows} == {20.0, 40.0} and set(findings.figures) == {"spike-timing"}
    circuit = runs["inputs"].conditions["alone"].spiking_circuit
    for row in rows:
        assert row["weak"] + row["middle"] + row["strong"] == pytest.approx(1)
        if row["condition"] == "alone":
            wiring = circuit.wiring["input-neuron"][row["replicate"]]
            weight = np.where(wiring.alive, wiring.weight, 0)
            assert row["survivors"] == pytest.approx(wiring.alive.mean()) and row["survivors"] < 1
            most = max(float(np.max([np.nan_to_num(w.weight).max(), w.birth_weight.max()])) for w in circuit.wiring["input-neuron"])
            assert row["strong"] == pytest.approx((weight >= 0.8 * most).mean())
    assert {r["input_rate"] for r in module("spike-timing").analyse(runs["recurrent"]).tables["spike-timing"]} == {""}


def test_runs_without_spikes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\nmodel: {name: two-eyes, ganglion: 6, cells: 2}\ndrive: {kind: waves, width: 2, waves: 40}\n"
        "rule: {name: burst-timing}\nmeasure: eye-segregation\n"
    )
    run = open_run(run_scenario(read_scenario(path), tmp_path / "run", report=False)[0].folder)
    for name in ("on-brian2", "spike-timing"):
        with pytest.raises(BiosimError, match="of the kind activity"):
            module(name).analyse(run)
