"""Circuits of spiking layers carved out of images: rules, scorers, files and scenarios as for rate networks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import made_up_images
from spiking_layers import DYNAMICS, spiking

from biosim.circuit import Circuit
from biosim.develop import develop
from biosim.drives import ImageDrive
from biosim.errors import BiosimError, InputError
from biosim.lif import ENCODINGS, SpikingDynamics
from biosim.rules import load_rule
from biosim.rundir.circuit_file import circuit_bytes
from biosim.schedule import Schedule
from biosim.scorers import load_scorer, prune, scorer_names
from biosim.scorers.base import Task, make
from biosim.scorers.surrogate import smooth_spikes, surrogate_spikes
from biosim.scorers.training import Training
from biosim.store import open_run, read_circuit
from biosim.substrates import substrate_of
from biosim.substrates.rate import propagate
from biosim.substrates.time_stepped import spikes_of
from biosim.synapses import Network, Population, Projection
from biosim.teaching import Feedback
from biosim.torch_bridge import to_torch

RIVALS = {
    "random": "", "magnitude": "same size", "edge-popup": "", "snip": "", "grasp": "", "synflow": "", "imp": "", "dense": "", "supermask": "",
    "annealing": "spikes", "genetic": "spikes", "greedy-flips": "spikes", "neuron-greedy": "spikes", "neuron-popup": "spikes",
}  # fmt: skip


@pytest.fixture
def shown() -> tuple[ImageDrive, Callable[..., Network]]:
    """Return a drive of spikes and births that fit it."""
    drive = ImageDrive(made_up_images(), batch=16, epochs=4, presentation=0.02).encoded(DYNAMICS.encoding)
    assert drive.encoding is not None
    dynamics = DYNAMICS.shown(drive.encoding)
    return drive, lambda *a, **k: spiking(*a, **{"dynamics": dynamics, **k})


def test_each_replicate_sees_its_own_spikes_whoever_else_is_there(shown: Any) -> None:
    drive = replace(shown[0], encoding=replace(shown[0].encoding, kind="poisson"))
    both = [p.inputs for p in drive.presentations((3, 4), torch.device("cpu"))]
    alone = [p.inputs for p in drive.presentations((4,), torch.device("cpu"))]
    assert len(both) == drive.clock.steps
    assert all(torch.equal(b[1:], a) for b, a in zip(both, alone, strict=True))
    assert not torch.equal(both[0][0], both[0][1])


def grown(
    drive: ImageDrive, network: Network, seeds: tuple[int, ...], rule: str = "mirrored-three-factor", feedback: str = "random"
) -> Any:
    wires = Feedback(network, feedback, seeds)
    return develop(network, drive, load_rule(rule), schedule=Schedule(density=0.25), feedback=wires, seeds=seeds)


@pytest.mark.parametrize(
    ("rule", "feedback"), [("mirrored-three-factor", "random"), ("three-factor", "weight-mirror"), ("node-perturbation", "random")]
)
def test_rate_rules_run_unchanged(rule: str, feedback: str, shown: Any) -> None:
    drive, births = shown
    network = births((5, 6), (40,))
    made = grown(drive, network, (5, 6), rule, feedback)
    for p in network.projections.values():
        assert (p.alive.sum((1, 2)) == torch.floor(0.25 * p.fan_in.sum(1) + 0.5)).all()
    judged = (made.circuit.predict(drive.images.test) == drive.images.test_labels).mean(1)
    assert (judged > (0.6 if rule != "node-perturbation" else 0.3)).all(), judged  # 4 classes


def test_replicate_alone_equals_replicate_of_a_batch(shown: Any) -> None:
    drive, births = shown
    drive = replace(drive, encoding=replace(drive.encoding, kind="poisson"))
    dynamics = DYNAMICS.shown(drive.encoding)
    both = grown(drive, births((5, 6), dynamics=dynamics), (5, 6)).circuit
    alone = grown(drive, births((6,), dynamics=dynamics), (6,)).circuit
    for name in both.mask:
        np.testing.assert_array_equal(both.mask[name][1:], alone.mask[name])
    np.testing.assert_array_equal(both.respond(drive.images.test)[1:], alone.respond(drive.images.test))


@pytest.mark.parametrize("kind", ENCODINGS)
def test_a_circuit_read_back_answers_as_before(kind: Any, shown: Any, tmp_path: Path) -> None:
    drive, births = shown
    dynamics = replace(DYNAMICS, synapse="exponential", refractory=3e-3).shown(replace(drive.encoding, kind=kind))
    network = births(dynamics=dynamics)
    network.projections["input-hidden1"].eliminate(torch.rand(2, 36, 20) < 0.5, 0)
    circuit = Circuit.of(network, {})
    (tmp_path / "c.safetensors").write_bytes(circuit_bytes(circuit))
    back = read_circuit(tmp_path / "c.safetensors")
    assert back.spiking == dynamics and circuit_bytes(back) == circuit_bytes(circuit)
    first = circuit.respond(drive.images.test)
    assert np.isfinite(first).all() and first.std() > 0
    np.testing.assert_array_equal(first, back.respond(drive.images.test))
    np.testing.assert_array_equal(first[:, :7], back.respond(drive.images.test[:7]))
    assert circuit.to_networkx().graph["spiking"]["encoding"]["kind"] == kind
    with pytest.raises(InputError, match="spike"):
        to_torch(circuit, torch.nn.Sequential(torch.nn.Linear(36, 20, bias=False), torch.nn.ReLU(), torch.nn.Linear(20, 4, bias=False)))


@pytest.mark.parametrize("synapse", ["delta", "exponential"])
def test_surrogate_gradients_are_those_of_the_equations(synapse: Any) -> None:
    dynamics = replace(DYNAMICS, synapse=synapse, refractory=3e-3)
    given = torch.from_numpy(np.random.default_rng(4).standard_normal((2, 20, 3, 7))) * 0.5 + 0.2
    scale, weigh = torch.full((2, 7), dynamics.psp_scale).double(), torch.rand(2, 20, 3, 7, dtype=torch.float64)
    found = []
    for spikes in (surrogate_spikes, smooth_spikes):
        leaf = given.clone().requires_grad_()
        fired = spikes(leaf, scale, dynamics)
        assert torch.equal(fired, spikes_of(given, scale, dynamics))
        (fired * weigh).sum().backward()
        found.append(leaf.grad)
    assert float(found[0].abs().max()) > 0.1
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-12)


def test_scorers_and_development_see_the_same_numbers(shown: Any) -> None:
    drive, births = shown
    network = births((0, 1), (20, 12))
    inputs = next(iter(drive.presentations((0, 1), network.device))).inputs
    effective = {n: p.effective.clone().requires_grad_() for n, p in network.projections.items()}
    gains = {n: p.gain for n, p in network.populations.items()}
    with torch.inference_mode():
        local = substrate_of(network).respond(inputs.clone())
    for membrane in (surrogate_spikes, smooth_spikes):
        scored = propagate(network, effective, gains, inputs, membrane=membrane)
        assert scored["output"].requires_grad
        for name, values in local.items():
            np.testing.assert_array_equal(values.numpy(), scored[name].detach().numpy())


def test_every_scorer_is_in_the_table() -> None:
    assert set(RIVALS) == set(scorer_names())


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_every_scorer_works_or_says_why_not(name: str, shown: Any) -> None:
    drive, births = shown
    network, scorer = births((0, 1)), load_scorer(name)
    before = {n: p.weight.clone() for n, p in network.projections.items()}
    task = Task(network, replace(drive, epochs=1), (0.3,), (0, 1), Training(epochs=1))
    made = list(make(scorer, task))
    assert all(torch.equal(p.weight, before[n]) for n, p in network.projections.items())
    answers = [m for m in made if not m.undefined]
    if RIVALS[name]:
        assert not answers and all(RIVALS[name] in m.undefined for m in made)
        return
    for masks in answers[0].masks:
        if answers[0].target is not None:
            kept, born = sum(int(m[0].sum()) for m in masks.values()), int(network.born[0])
            assert kept == math.floor(0.3 * born + 0.5)
        assert np.isfinite(answers[0].circuits(name, "gradient", network, (0, 1))[0].respond(drive.images.test)).all()


def test_magnitude_ranks_births_of_many_sizes(shown: Any) -> None:
    drive, births = shown
    circuit = prune("magnitude", load_scorer("magnitude"), births(weights="kaiming-normal"), drive, 0.3, (0, 1))
    kept, dropped = np.abs(circuit.weight["input-hidden1"][circuit.mask["input-hidden1"]]), None
    dropped = np.abs(circuit.weight["input-hidden1"][~circuit.mask["input-hidden1"]])
    assert kept.min() >= dropped.min() and kept.mean() > 2 * dropped.mean()


def test_edge_popup_finds_more_than_chance_by_surrogate_gradients(shown: Any) -> None:
    drive, births = shown
    circuits = {n: prune(n, load_scorer(n), births((0, 1), (40,)), drive, 0.25, (0, 1)) for n in ("edge-popup", "random")}
    judged = {n: (c.predict(drive.images.test) == drive.images.test_labels).mean() for n, c in circuits.items()}
    assert judged["edge-popup"] > 0.8 > judged["random"] + 0.2, judged


def test_networks_that_cannot_spike_are_refused(shown: Any) -> None:
    drive, births = shown
    with pytest.raises(InputError, match="spiking dynamics"):
        Network.layered([36, 8, 4], [0], activation="lif")
    a, b, c = Population("a", 3), Population("b", 3), Population("c", 2, "linear")
    edges = [
        Projection(f"{p.name}-{q.name}", p, q, torch.ones(1, p.size, q.size), torch.ones(1, p.size, q.size).bool())
        for p, q in ((a, b), (b, c))
    ]
    with pytest.raises(InputError, match="kind lif"):
        Network([a, b, c], edges, spiking=DYNAMICS)
    with pytest.raises(InputError, match="encode the images"):
        substrate_of(births()).respond(torch.zeros(2, 5, 36))
    rule, plain = load_rule("hebbian-trace"), ImageDrive(drive.images, batch=16, epochs=1)
    with pytest.raises(InputError, match="same encoding"):
        develop(births(), plain, rule)
    with pytest.raises(InputError, match="same encoding"):
        develop(Network.layered([36, 8, 4], [0]), drive, rule)
    damaged = SpikingDynamics().data() | {"colour": 1}
    with pytest.raises(InputError, match="colour"):
        SpikingDynamics.of(damaged)


TINY = """\
name: tiny
model: {name: spiking-mlp, hidden: [24]}
drive: {kind: images, dataset: digits, batch: 64, epochs: 2, train_size: 256, presentation: 20 ms, encoding: poisson}
rule: {name: mirrored-three-factor, feedback: random}
schedule: {kind: decreasing-rate, density: 0.3}
rivals: [edge-popup, random, magnitude, genetic]
replicates: 2
moments: 5
"""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return str(path)


def test_a_scenario_runs_and_reports(scenario: str, cli: Any, tmp_path: Path) -> None:
    code, out, err = cli("run", scenario, "--json", "--out", str(tmp_path / "run"))
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert result["circuit"]["density"] == pytest.approx([0.3, 0.3], abs=1e-3)
    missing = {row["method"]: row["note"] for row in result["table"] if row["accuracy"] is None}
    assert set(missing) == {"magnitude", "genetic"} and "same size" in missing["magnitude"] and "spikes" in missing["genetic"]
    run = open_run(tmp_path / "run")
    judged = (run.circuit.predict(run.images().test) == run.images().test_labels).mean(1)
    assert judged.tolist() == pytest.approx(result["circuit"]["metrics"]["accuracy"])
    assert {p.stem for p in (run.folder / "figures").glob("*.svg")} >= {"raster", "rates", "weights", "survival", "development"}
    assert "spikes" in (run.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("drive.presentation=-5ms", "drive.presentation"),
        ("drive.presentation=0.5ms", "drive.presentation: a time step of 0.001 s is longer"),
        ("drive.presentation=2.5ms", "drive.presentation"),
        ("drive.encoding=morse", "drive.encoding"),
        ("drive.peak_rate=400", "drive.peak_rate: .*unit of rate"),
        ("drive.peak_rate=-4Hz", "drive.peak_rate"),
        ("drive.peak_rate=4kHz", "drive.peak_rate: .*one spike in a time step"),
        ("model.tau=0 ms", "model.tau"),
        ("model.tau=20", "model.tau: .*unit of time"),
        ("model.threshold=-1 mV", "model.threshold"),
        ("model.reset=25 mV", "model.threshold"),
        ("model.psp=3", "model.psp: .*unit of voltage"),
        ("model.delay=0 ms", "model.delay"),
        ("model.dt=0 ms", "model.dt"),
        ("model.synapse=alpha", "model.synapse"),
    ],
)
def test_bad_scenarios_name_the_key(setting: str, wanted: str, scenario: str, cli: Any, tmp_path: Path) -> None:
    code, _, err = cli("run", scenario, "--set", setting, "--out", str(tmp_path / "run"))
    assert code == 2 and not (tmp_path / "run").exists()
    import re

    assert re.search(wanted, " ".join(err.split())), err


def test_rate_models_take_no_encoding(scenario: str, cli: Any, tmp_path: Path) -> None:
    code, _, err = cli("run", scenario, "--set", "model.name=mlp", "--out", str(tmp_path / "run"))
    assert code == 2 and "does not spike" in " ".join(err.split())


def test_unreadable_dynamics_are_reported(shown: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(circuit_bytes(Circuit.of(shown[1](), {})).replace(b'\\"tau\\": 0.02', b'\\"tau\\": -.02'))
    with pytest.raises(BiosimError, match="not a circuit"):
        read_circuit(path)
