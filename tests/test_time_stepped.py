"""Spiking layers in time steps and images as spikes: against plain loops and the event-driven engine."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import made_up_images
from hypothesis import given
from hypothesis import strategies as st
from spiking_layers import DYNAMICS, spiking

from biosim.drives import ImageDrive
from biosim.drives.encoding import encode
from biosim.errors import InputError
from biosim.lif import ENCODINGS, Encoding, SpikingDynamics
from biosim.substrates.time_stepped import filtered, integrate, spikes_of, unfold


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
