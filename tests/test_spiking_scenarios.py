"""Spiking scenarios from the file to the page, and what is read back of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_pages import SPIKING

from biosim.errors import BiosimError
from biosim.spiking.trains import Trains
from biosim.store import open_run

Cli = Callable[..., Any]
SCENARIO = (
    SPIKING
    + """\
checks:
  - {name: some die, value: circuit.density, needs: "<= 0.99"}
  - {name: it fires, value: rate.exc, needs: ">= 0.5"}
"""
)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SCENARIO)
    return path


def result(cli: Cli, *arguments: str) -> dict[str, Any]:
    code, printed, err = cli("run", *arguments, "--json")
    assert code in (0, 3), err
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def test_a_spiking_run_from_file_to_page(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = result(cli, str(scenario), "--out", str(out))
    assert found["kind"] == "spiking" and found["locality"] == "synapse" and [c["passed"] for c in found["checks"]] == [True, True]
    run = open_run(out)
    circuit = run.spiking_circuit
    np.testing.assert_allclose(circuit.density("exc-exc"), found["metrics"]["circuit.density"])
    assert circuit.density("exc-inh").tolist() == [1.0, 1.0]  # no rule governs it
    for own in circuit.wiring["exc-exc"]:
        assert np.isfinite(own.weight[own.alive]).all() and np.isnan(own.weight[~own.alive]).all()
        assert (own.death_step[~own.alive] % 2500 == 0).all()  # it dies at a decision, every 250 ms of .1 ms
    graph = circuit.to_networkx(1)
    assert graph.number_of_edges() == sum(int(own[1].alive.sum()) for own in circuit.wiring.values())
    assert all((w > 0) == (pre[0] == "exc") for pre, _, w in graph.edges(data="weight") if w)
    assert [r["time"] for r in run.history] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert all(late <= early for early, late in zip(run.history[0]["density"], run.history[-1]["density"], strict=True))
    page = (out / "report.html").read_text()
    assert page.count("<svg") == 3 and "at birth" in page and "weight = clip" in page
    with pytest.raises(BiosimError, match="is of the kind spiking: it has no table of methods"):
        _ = run.table


def test_the_same_scenario_and_a_replicate_alone_give_the_same(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    both = result(cli, str(scenario), "--out", str(tmp_path / "a"))
    alone = result(cli, str(scenario), "--out", str(tmp_path / "b"), "--seed", "1", "--replicates", "1")
    assert {k: v[1:] for k, v in both["metrics"].items()} == alone["metrics"]
    one, other = open_run(tmp_path / "a").spiking_circuit, open_run(tmp_path / "b").spiking_circuit
    for name, own in one.wiring.items():
        np.testing.assert_array_equal(own[1].weight, other.wiring[name][0].weight)
        np.testing.assert_array_equal(own[1].death_step, other.wiring[name][0].death_step)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("exc-exc:", "exc-ex:", "small.yaml:4: rules.exc-ex: there is no projection 'exc-ex' (did you mean 'exc-exc'?)"),
        ("additive-stdp", "aditive-stdp", "small.yaml:4: rules.exc-exc.name: "),
        ("a_plus: 0.3", "a_plus: 0.3 s", "small.yaml:4: rules.exc-exc.a_plus: "),
        ("duration: 1 s", "duration: 1", "small.yaml:3: simulation.duration: "),
        ("duration: 1 s", "duration: -1 s", "small.yaml:3: simulation.duration: must be a positive time"),
        ("duration: 1 s", "duration: 900 ms", "small.yaml:3: simulation.duration: development must last a whole number of decisions"),
        ("window: 500 ms", "window: 5 s", "small.yaml:3: simulation.window: cannot be longer than the duration, 1 s"),
        ("neurons: 60", "neurons: -3", "small.yaml:2: model.neurons: "),
        ("drive_rate: 10000 Hz", "drive_rate: -1 Hz", "small.yaml:2: model"),
        ("drive_rate: 10000 Hz", "delay: -1 ms", "small.yaml:2: model.delay: must be a positive time"),
        ("name: ei-lif, neurons: 60, probability: 0.5, inhibition: 6, drive_rate: 10000 Hz", "name: recurrent", "a spiking network needs build(seeds, *, ...)"),
        ("name: additive-stdp, a_plus: 0.3, a_minus: 0.4, grace: 200 ms", "name: three-factor", "small.yaml:4: rules.exc-exc: rule 'three-factor' reads"),
        ("grace: 200 ms", "grace: 200 ms, feedback: random", "small.yaml:4: rules.exc-exc.feedback: no feedback reaches"),
        ("{name: additive-stdp, a_plus: 0.3, a_minus: 0.4, grace: 200 ms}", "covariance", "a schedule says how many stay"),
        ("decide_every: 250 ms", "decide_every: 250.05 ms", "small.yaml:3: simulation.decide_every: the time between two decisions must be a whole"),
        ("rate.exc", "rate.ex", "'rate.ex' is not measured (did you mean 'rate.exc'?)"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(cli: Cli, tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in SCENARIO
    path = tmp_path / "small.yaml"
    path.write_text(SCENARIO.replace(old, new))
    code, _, err = cli("run", str(path), "--out", str(tmp_path / "run"))
    assert code == 2 and expected in err and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_rule_written_for_rates_governs_a_spiking_projection(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    text = SCENARIO.replace("{name: additive-stdp, a_plus: 0.3, a_minus: 0.4, grace: 200 ms}", "covariance")
    scenario.write_text(text + "schedule: {density: 0.4}\nmoments: 2\n")
    found = result(cli, str(scenario), "--out", str(tmp_path / "run"))
    circuit = open_run(tmp_path / "run").spiking_circuit
    assert circuit.plastic == ("exc-exc",)
    for density, own in zip(found["metrics"]["density.exc-exc"], circuit.wiring["exc-exc"], strict=True):
        assert density == pytest.approx(0.4, abs=0.5 / len(own.pre)) == own.alive.mean()
    assert len(open_run(tmp_path / "run").history) == 3  # the first decision, and two moments


def test_double_precision_is_kept(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    result(cli, str(scenario), "--set", "simulation.precision=float64", "--replicates", "1", "--out", str(tmp_path / "run"))
    own = open_run(tmp_path / "run").spiking_circuit.wiring["exc-exc"][0]
    assert own.weight.dtype == np.float64 and (own.weight[own.alive] != own.weight[own.alive].astype(np.float32)).any()


def test_rates_that_explode_stop_with_the_population_and_the_time(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    arguments = ("--set", "model.inhibition=0", "--set", "model.jump=20", "--out", str(tmp_path / "run"))
    code, _, err = cli("run", str(scenario), *arguments)
    assert code == 2 and "population 'exc' fires at" in err and "more than the cap of 300 Hz" in err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_irregularity_against_a_plain_loop() -> None:
    random = np.random.default_rng(0)
    times, neurons = np.sort(random.uniform(0, 10, 300)), random.integers(0, 7, 300)
    found = Trains(10.0, {"p": 7}, {"p": [(times, neurons)]})
    intervals = [np.diff(times[neurons == i]) for i in range(7)]
    assert found.cv("p")[0] == pytest.approx(np.mean([x.std() / x.mean() for x in intervals if len(x) >= 3]))
    assert found.rate("p")[0] == pytest.approx(300 / 70)
    assert np.isnan(Trains(1.0, {"p": 2}, {"p": [(times[:2], neurons[:2])]}).cv("p")).all()


def test_the_shipped_neuron_hears_a_correlated_group(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "neuron.yaml"
    path.write_text(
        """\
name: neuron
model: {name: stdp-neuron, inputs: 60, rate: 40 Hz, correlated: 0.5, correlation: 0.5, inhibitory: 0, conductance: 0.2}
simulation: {duration: 2 s, decide_every: 1 s, window: 1 s, rate_cap: 1000}
rules: {input-neuron: additive-stdp, group-neuron: {name: additive-stdp, a_plus: 0.02, a_minus: 0.021}}
replicates: 1
"""
    )
    metrics = result(cli, str(path), "--out", str(tmp_path / "run"))["metrics"]
    assert metrics["rate.group"][0] == pytest.approx(40, rel=0.25) and metrics["weight.group-neuron"][0] > metrics["weight.input-neuron"][0]
