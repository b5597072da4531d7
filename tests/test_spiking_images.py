"""Spiking layers on images: against plain loops and the event-driven engine, and all that holds for rate networks."""

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
from hypothesis import given
from hypothesis import strategies as st

from biosim.circuit import Circuit
from biosim.develop import develop
from biosim.drives import ImageDrive
from biosim.drives.encoding import encode
from biosim.errors import BiosimError, InputError
from biosim.lif import ENCODINGS, Encoding, SpikingDynamics
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.scorers import load_scorer, prune, scorer_names
from biosim.scorers.base import Task, make
from biosim.scorers.surrogate import smooth_spikes, surrogate_spikes
from biosim.scorers.training import Training
from biosim.store import circuit_bytes, open_run, read_circuit
from biosim.substrates import substrate_of
from biosim.substrates.rate import propagate
from biosim.substrates.time_stepped import filtered, integrate, spikes_of, unfold
from biosim.synapses import Network, Population, Projection
from biosim.teaching import Feedback
from biosim.torch_bridge import to_torch

DYNAMICS = SpikingDynamics(encoding=Encoding("regular", window=0.02, peak=500.0))
RIVALS = {
    "random": "", "magnitude": "same size", "edge-popup": "", "snip": "", "grasp": "", "synflow": "", "imp": "", "dense": "", "supermask": "",
    "annealing": "spikes", "genetic": "spikes", "greedy-flips": "spikes", "neuron-greedy": "spikes", "neuron-popup": "spikes",
}  # fmt: skip


def spiking(seeds: tuple[int, ...] = (0, 1), hidden: tuple[int, ...] = (20,), **options: Any) -> Network:
    options.setdefault("weights", "signed-constant")
    return Network.layered([36, *hidden, 4], seeds, spiking=options.pop("dynamics", DYNAMICS), **options)


@pytest.fixture
def shown() -> tuple[ImageDrive, Callable[..., Network]]:
    """Return a drive of spikes and births that fit it."""
    drive = ImageDrive(made_up_images(), batch=16, epochs=4, presentation=0.02).encoded(DYNAMICS.encoding)
    assert drive.encoding is not None
    dynamics = DYNAMICS.shown(drive.encoding)
    return drive, lambda *a, **k: spiking(*a, **{"dynamics": dynamics, **k})


# -- the neurons ------------------------------------------------------------------------------------
def by_hand(arriving: np.ndarray, d: SpikingDynamics, pushed: float = 0.0) -> np.ndarray:
    """Return (T, n) spikes from (T, n) input, neuron by neuron, written from the equations alone."""
    dt, out = d.encoding.dt, np.zeros_like(arriving)
    keep, fade = math.exp(-dt / d.tau), math.exp(-dt / d.tau_synapse)
    delay, hold = round(d.delay / dt), round(d.refractory / dt)
    for j in range(arriving.shape[1]):
        v, current, last = 0.0, 0.0, -hold
        for t in range(len(arriving)):
            free = t - last >= hold
            if free:
                v = pushed + current + (v - pushed - current) * keep
            current *= fade
            fires = free and v > d.threshold
            if t >= delay and d.synapse == "exponential":
                current += arriving[t - delay, j] * d.psp * d.tau / d.tau_synapse
            elif t >= delay and free:
                v += arriving[t - delay, j] * d.psp
            if fires:
                v, last, out[t, j] = d.reset, t, 1
    return out


@pytest.mark.parametrize("synapse", ["delta", "exponential"])
@pytest.mark.parametrize(("refractory", "delay", "reset", "pushed"), [(0.0, 1e-3, 0.0, 0.0), (3e-3, 2e-3, -5.0, 4.0)])
def test_neurons_follow_their_equations(synapse: Any, refractory: float, delay: float, reset: float, pushed: float) -> None:
    dynamics = SpikingDynamics(
        refractory=refractory, delay=delay, reset=reset, synapse=synapse, encoding=Encoding(window=0.06), tau_synapse=0.004
    )
    arriving = np.random.default_rng(0).standard_normal((2, 60, 3, 8)) * 0.4 + 0.12
    scale = np.array([[1.0] * 8, [1.3] * 8]) * dynamics.psp_scale
    push = torch.full((2, 3, 8), pushed, dtype=torch.float64) if pushed else None
    given = (torch.from_numpy(arriving), torch.from_numpy(scale), dynamics, push)
    found, plain = spikes_of(*given), integrate(*given)
    assert torch.equal(found, plain)
    assert 50 < float(found.sum()) < found.numel() / 3
    for r in range(2):
        for s in range(3):
            wanted = by_hand(arriving[r, :, s] * (1.0, 1.3)[r], dynamics, pushed)
            np.testing.assert_array_equal(found[r, :, s].numpy(), wanted)


def test_compiled_neurons_are_those_of_the_equations_in_single_precision() -> None:
    arriving = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 20, 5, 9)).astype(np.float32)) + 0.2
    scale = torch.full((2, 9), 9.0)
    push = torch.full((2, 5, 9), 2.0)
    assert torch.equal(spikes_of(arriving, scale, DYNAMICS, push), integrate(arriving, scale, DYNAMICS, push))
    constant = arriving[:, :1].abs().contiguous()
    everywhere = constant.expand(-1, 20, -1, -1).contiguous()
    assert torch.equal(spikes_of(constant, scale, DYNAMICS), integrate(everywhere, scale, DYNAMICS))


@pytest.mark.parametrize("synapse", ["delta", "exponential"])
def test_same_spikes_as_the_event_driven_engine(synapse: Any) -> None:
    from biosim import spiking as engine
    from biosim.spiking import simulation

    window, dt = 0.2, 1e-3
    dynamics = SpikingDynamics(synapse=synapse, delay=2e-3, psp=30.0, tau_synapse=3e-3, encoding=Encoding(window=window, dt=dt, peak=150.0))
    network = spiking((3, 4), (30, 20), dynamics=dynamics, weights="kaiming-normal", probability=0.7)
    for p in network.projections.values():
        p.eliminate(torch.rand(p.shape, generator=torch.manual_seed(0)) < 0.4, 0)
    inputs = (torch.rand(2, 1, 200, 36, generator=torch.manual_seed(1)) < 0.1).double()
    effective = {n: p.effective.double() for n, p in network.projections.items()}
    gains = {n: torch.full_like(p.gain, 1.4, dtype=torch.float64) for n, p in network.populations.items()}
    _, spikes = unfold(network, effective, gains, inputs)
    lif = engine.LIF(tau_m=dynamics.tau, v_threshold=dynamics.threshold, refractory=dynamics.refractory)
    populations: list[Any] = [engine.Population(n, network.populations[n].size, lif) for n in ("hidden1", "hidden2")]
    when, who = zip(*[np.nonzero(inputs[r, 0].numpy()) for r in range(2)], strict=True)
    populations.insert(0, engine.GivenSpikes("input", 36, tuple(w * dt for w in when), tuple(who), "mixed"))
    receptor = engine.Delta() if synapse == "delta" else engine.Current(dynamics.tau_synapse)
    projections = [
        engine.Projection(
            n, p.pre.name, p.post.name, engine.Births.from_dense(effective[n].numpy(), p.alive.numpy()), receptor,
            dynamics.delay, 1.4 * dynamics.psp_scale,
        )
        for n, p in network.projections.items() if n != "hidden2-output"
    ]  # fmt: skip
    run = simulation.Simulation(engine.Network(populations, projections, dt=dt), precision="float64")
    run.run(window)
    for name in ("hidden1", "hidden2"):
        for r in range(2):
            there, ours = run.spikes(name, r), np.nonzero(spikes[name][r, :, 0].numpy())
            steps = np.rint(there.times / dt).astype(int)
            order = np.lexsort((there.neurons, steps))
            assert len(ours[0]) > 30
            np.testing.assert_array_equal(steps[order], ours[0])
            np.testing.assert_array_equal(there.neurons[order], ours[1])


def test_activity_is_the_filtered_rate_and_the_readout_its_mean_potential() -> None:
    for dynamics in (DYNAMICS, replace(DYNAMICS, synapse="exponential", delay=3e-3)):
        network = spiking(dynamics=dynamics, weights="kaiming-normal")
        inputs = (torch.rand(2, 3, 20, 36, generator=torch.manual_seed(2)) < 0.3).float()
        effective = {n: p.effective for n, p in network.projections.items()}
        gains = {n: torch.full_like(p.gain, 0.7) for n, p in network.populations.items()}
        activity, spikes = unfold(network, effective, gains, inputs)
        assert {n: tuple(a.shape) for n, a in activity.items()} == {"input": (2, 3, 36), "hidden1": (2, 3, 20), "output": (2, 3, 4)}
        keep, fade = math.exp(-0.001 / dynamics.tau), math.exp(-0.001 / dynamics.tau_synapse)
        delay, wires = round(dynamics.delay / 0.001), network.projections["hidden1-output"].weight
        for r in range(2):
            v, current, potentials = np.zeros((3, 4)), np.zeros((3, 4)), []
            for t in range(20):
                v, current = current + (v - current) * keep if dynamics.synapse == "exponential" else v * keep, current * fade
                if t >= delay:
                    a = 0.7 * dynamics.psp_scale * (spikes["hidden1"][r, t - delay] @ wires[r]).numpy()
                    v, current = (v + a, current) if dynamics.synapse == "delta" else (v, current + a)
                potentials.append(v)
            wanted = np.mean(potentials, 0) / dynamics.readout_unit
            np.testing.assert_allclose(activity["output"][r].numpy(), wanted, rtol=2e-5, atol=1e-5)
    shares = (1 - np.exp(-(20 - np.arange(1, 21)) / 20))[None, :, None]  # delta: spikes sent at t arrive at t + 1
    direct = (inputs.transpose(1, 2)[0].numpy() * shares[0][:, :, None]).sum(0) / 0.02
    np.testing.assert_allclose(filtered(inputs.transpose(1, 2), DYNAMICS)[0].numpy(), direct, rtol=1e-5)


# -- images as spikes -------------------------------------------------------------------------------
@given(st.sampled_from(["poisson", "regular"]), st.floats(50, 1000), st.integers(0, 99))
def test_rates_follow_brightness(kind: Any, peak: float, seed: int) -> None:
    encoding = Encoding(kind, window=0.5, peak=peak, low=-1, high=3)
    pixels = torch.tensor([[[-5.0, -1.0, 0.0, 1.0, 3.0, 9.0]]])
    spikes = encode(pixels, encoding, [np.random.default_rng(seed)])
    assert spikes.shape == (1, 1, 500, 6) and set(spikes.unique().tolist()) <= {0.0, 1.0}
    wanted = peak * 0.5 * np.array([0, 0, 0.25, 0.5, 1, 1])
    slack = 1 if kind == "regular" else 5 * np.sqrt(wanted) + 1e-9
    assert (np.abs(spikes.sum(2)[0, 0].numpy() - wanted) <= slack).all()


@pytest.mark.parametrize("kind", ENCODINGS)
def test_tonic_inhibition_cancels_the_mean_over_the_training_images(kind: Any) -> None:
    drive = ImageDrive(made_up_images(), batch=16, epochs=8, presentation=0.02)
    means = []
    for centred in (False, True):
        shown = drive.encoded(Encoding(kind, dt=0.001, peak=500.0), centred)
        means.append(np.mean([float(p.inputs.mean()) for p in shown.presentations((0,), torch.device("cpu"))]))
    assert means[0] > 0.02 and abs(means[1]) < 0.02 * means[0]


def test_latency_and_current() -> None:
    pixels = torch.tensor([[[0.0, 0.1, 0.5, 1.0]]])
    spikes = encode(pixels, Encoding("latency"))[0, 0]
    assert spikes.sum(0).tolist() == [0, 1, 1, 1]
    assert spikes.argmax(0).tolist()[1:] == [44, 24, 0]
    assert encode(pixels, Encoding("current", peak=100.0))[0, 0].tolist() == [pytest.approx([0, 0.01, 0.05, 0.1])]


def test_each_replicate_sees_its_own_spikes_whoever_else_is_there(shown: Any) -> None:
    drive = replace(shown[0], encoding=replace(shown[0].encoding, kind="poisson"))
    both = [p.inputs for p in drive.presentations((3, 4), torch.device("cpu"))]
    alone = [p.inputs for p in drive.presentations((4,), torch.device("cpu"))]
    assert len(both) == drive.clock.steps
    assert all(torch.equal(b[1:], a) for b, a in zip(both, alone, strict=True))
    assert not torch.equal(both[0][0], both[0][1])


# -- development ------------------------------------------------------------------------------------
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


# -- scorers ----------------------------------------------------------------------------------------
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


# -- bad input --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"tau": 0.0}, "tau"), ({"tau": -1.0}, "tau"), ({"threshold": -1.0}, "threshold"), ({"reset": 20.0}, "threshold"),
        ({"threshold": math.nan}, "threshold"), ({"refractory": -1e-3}, "refractory"), ({"refractory": 1.5e-3}, "refractory"),
        ({"delay": 0.0}, "delay"), ({"delay": math.inf}, "delay"), ({"psp": 0.0}, "psp"), ({"synapse": "alpha"}, "synapse"),
        ({"tau_synapse": 0.0}, "tau_synapse"), ({"readout_unit": -1.0}, "readout_unit"),
    ],
)  # fmt: skip
def test_impossible_neurons_are_refused(change: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError) as caught:
        SpikingDynamics(**change)
    assert caught.value.key == (key,)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"kind": "morse"}, "encoding"), ({"window": -0.1}, "window"), ({"window": 0.0}, "window"), ({"dt": 0.1}, "dt"),
        ({"dt": -1e-3}, "dt"), ({"dt": 3e-3}, "dt"), ({"peak": 0.0}, "peak_rate"), ({"peak": 2000.0}, "peak_rate"), ({"low": 2.0}, "encoding"),
    ],
)  # fmt: skip
def test_impossible_encodings_are_refused(change: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError) as caught:
        Encoding(**change)
    assert caught.value.key == (key,)


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
