"""The loop: what must hold for any rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from developed import ALL_KINDS, ALL_RULES, COMPETING, FROZEN, LOSING, Births, grow, recorded, rule_named, site_after, threads

from biosim.develop import develop
from biosim.drives import ImageDrive
from biosim.equations import parse_rule
from biosim.errors import InputError, NumericalError
from biosim.homeostasis import IncomingResource, InDegree, SynapticScaling
from biosim.nursery.site import Site
from biosim.recorder import Recorder
from biosim.rules import load_rule
from biosim.schedule import KINDS, Schedule
from biosim.synapses import Network
from biosim.teaching import Feedback


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n in LOSING for k in KINDS if n in ALL_KINDS or k == "decreasing-rate"])
def test_synapses_are_only_ever_lost(name: str, kind: str, births: Births, drive: ImageDrive) -> None:
    recorder = Recorder(moments=40)
    made = grow(births, drive, name, schedule=Schedule(kind, 0.3, 0.1, 0.8), recorder=recorder)  # type: ignore[arg-type]
    densities = np.array([r["density"] for r in recorder.records])
    assert (np.diff(densities, axis=0) <= 0).all()
    assert (made.circuit.density() < 1).all()
    for p in made.network.projections.values():
        assert torch.equal(p.alive, p.death_step == -1)
        assert (p.death_step >= -1).all()


@pytest.mark.parametrize("density", [0.5, 0.2, 0.07])
@pytest.mark.parametrize("name", COMPETING)
def test_a_competition_ends_at_exactly_the_density_asked_for(name: str, density: float, births: Births, drive: ImageDrive) -> None:
    made = grow(births, drive, name, schedule=Schedule(density=density))
    for projection, mask in made.circuit.mask.items():
        born = made.circuit.born[projection][0].sum()
        assert (mask.sum((1, 2)) == np.floor(density * born + 0.5)).all()


@pytest.mark.parametrize("name", ["hebbian-trace", "weak-covariance", "noise"])
def test_a_condition_never_undercuts_the_schedule(name: str, births: Births, drive: ImageDrive) -> None:
    made = grow(births, drive, name, schedule=Schedule(density=0.4))
    for projection, mask in made.circuit.mask.items():
        quota = made.network.projections[projection].quota(0.4).numpy()
        assert (mask.sum(1) >= quota).all()


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_weights_stay_as_born(name: str, births: Births, drive: ImageDrive) -> None:
    born = births((0, 1, 2))
    circuit = grow(births, drive, name).circuit
    for projection, weight in circuit.weight.items():
        assert weight.tobytes() == born.projections[projection].weight.numpy().tobytes()


def test_survivors_are_reweighted_as_the_rule_says(births: Births, drive: ImageDrive) -> None:
    born = births((0, 1, 2))
    made = grow(births, drive, "noise", schedule=Schedule("end-only", 0.05))
    for name, p in made.network.projections.items():
        before, after = born.projections[name].weight, p.weight
        assert torch.equal(after[~p.alive], before[~p.alive])
        assert (after[p.alive].abs() >= before[p.alive].abs()).all()
        assert (after[p.alive].abs() > before[p.alive].abs()).any()


@pytest.mark.parametrize("name", ALL_RULES)
def test_replicates_do_not_touch_each_other(name: str, births: Births, drive: ImageDrive) -> None:
    batch = grow(births, drive, name, seeds=(10, 11, 12, 13, 14)).circuit
    alone = grow(births, drive, name, seeds=(13,)).circuit
    for projection in batch.mask:
        assert np.array_equal(batch.mask[projection][3], alone.mask[projection][0])
        assert np.array_equal(batch.weight[projection][3], alone.weight[projection][0])
    assert np.array_equal(batch.gain["hidden1"][3], alone.gain["hidden1"][0])


@pytest.mark.parametrize("name", ["three-factor", "noise", "oja"])
def test_threads_change_nothing(name: str, births: Births, drive: ImageDrive) -> None:
    results = []
    for count in (1, 2):
        with threads(count):
            results.append(grow(lambda seeds: births(seeds, hidden=(150, 140)), drive, name).circuit)
    for projection in results[0].mask:
        assert np.array_equal(results[0].mask[projection], results[1].mask[projection])


@pytest.mark.parametrize("name", ALL_RULES)
def test_the_accelerators_form_does_what_the_kernels_do(
    name: str, births: Births, drive: ImageDrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The torch operations that run on an accelerator, run here on the CPU, against the fused kernels."""
    from biosim import backend

    sites, networks = [], []
    for kernels in (True, False):
        monkeypatch.setattr(backend, "fused", lambda device, kernels=kernels: kernels)
        network = births((0,))
        sites.append(site_after(network, rule_named(name), drive, "hidden1-hidden2", recorded(network, "hidden1-hidden2", 12, 0)))
        networks.append(network)
    for state in rule_named(name).state:
        torch.testing.assert_close(*(s.decisions[0].compiled.held.arrays[state].clone() for s in sites), rtol=1e-4, atol=1e-5)
    one, other = (n.projections["hidden1-hidden2"] for n in networks)
    for field in ("alive", "active", "death_step", "silent_since", "effective", "in_degree"):
        a, b = getattr(one, field), getattr(other, field)
        same = torch.isclose(a.double(), b.double(), rtol=1e-4, atol=1e-6)
        assert same.float().mean() > 0.99, field  # a rank may flip where two values differ by rounding alone


def test_seeds_matter(births: Births, drive: ImageDrive) -> None:
    network = births((0, 0))
    made = develop(network, drive, load_rule("three-factor"), feedback=Feedback(network, "random", (0, 1)), seeds=(0, 1))
    mask = made.circuit.mask["input-hidden1"]
    assert not np.array_equal(mask[0], mask[1])


def test_no_gradient_can_exist(births: Births, drive: ImageDrive, monkeypatch: pytest.MonkeyPatch) -> None:
    from biosim.substrates.rate import ForwardSubstrate

    seen = []
    respond = ForwardSubstrate.respond

    def watch(self: ForwardSubstrate, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        activity = respond(self, inputs)
        seen.append(torch.is_inference_mode_enabled() and all(a.is_inference() and a.grad_fn is None for a in activity.values()))
        return activity

    monkeypatch.setattr(ForwardSubstrate, "respond", watch)
    grow(births, drive, "three-factor")
    assert len(seen) == drive.clock.steps and all(seen)


# -- when and who -----------------------------------------------------------------------------------
TAGGED = {"state": {"tag": "random"}, "silence": {"compete": {"within": "post", "by": "tag"}}, "eliminate": "tag > -1"}


def test_decisions_fall_on_so_many_steps_and_the_last(births: Births, drive: ImageDrive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60 steps, 7 decisions to eliminate are every ninth and the last; 25 to silence every second."""
    monkeypatch.setattr("biosim.nursery.site.ELIMINATIONS", 7)
    monkeypatch.setattr("biosim.nursery.site.SILENCES", 25)
    rule = parse_rule(TAGGED | {"synapse": ["tag = random"]})
    schedule = Schedule("constant", 0.2, 0.0, 1.0)
    made = grow(lambda seeds: births(seeds, hidden=(150, 20)), drive, rule, (0,), schedule=schedule, homeostasis=[])
    assert drive.clock.steps == 60
    for p in made.network.projections.values():
        assert set(p.death_step[p.death_step >= 0].tolist()) <= {*range(8, 60, 9), 59}
        assert set(p.silent_since[p.silent_since.isfinite()].tolist()) <= {-1, *range(1, 60, 2)}
    first = made.network.projections["input-hidden1"]
    assert set(first.death_step[first.death_step >= 0].tolist()) == {*range(8, 60, 9), 59}


def test_of_too_many_candidates_those_that_compete_worst_die(births: Births, drive: ImageDrive) -> None:
    network = births((0, 1))
    made = develop(network, drive, parse_rule(TAGGED), schedule=Schedule("constant", 0.3), seeds=(0, 1), homeostasis=[])
    twin = births((0, 1))
    with torch.inference_mode():
        tags = {
            n: Site(p, twin, parse_rule(TAGGED), Schedule(), drive.clock, (0, 1)).decisions[0].compiled.held.arrays["tag"]
            for n, p in twin.projections.items()
        }
    for name, p in made.network.projections.items():
        quota, rank = twin.projections[name].quota(0.3), tags[name].argsort(dim=1, descending=True).argsort(dim=1)
        assert torch.equal(p.alive, rank < quota.unsqueeze(1))


# -- regrowth, homeostasis, errors ----------------------------------------------------------------
def test_regrowth_brings_synapses_back(births: Births, drive: ImageDrive) -> None:
    rule = parse_rule(
        {
            "parameters": {"grace": "20 % dev"},
            "state": {"mark": "random"},
            "synapse": ["mark = mark + 1"],
            "eliminate": "random < 0.2 and age > grace",
            "regrow": "random < 0.1",
        }
    )
    recorder = Recorder(moments=40)
    made = grow(births, drive, rule, schedule=Schedule("constant", 0.05, 0.0, 1.0), recorder=recorder)
    density = np.array([r["density"] for r in recorder.records])
    assert (np.diff(density, axis=0) > 0).any() and (np.diff(density, axis=0) < 0).any()
    assert any(float(p.birth_step.max()) > 0 for p in made.network.projections.values())


def test_gain_by_degree_is_kept(births: Births, drive: ImageDrive) -> None:
    made = grow(births, drive, "three-factor")
    degree = made.circuit.mask["hidden1-hidden2"].sum(1)
    wanted = np.where(degree > 0, np.sqrt(20 / np.maximum(degree, 1)), 0)
    np.testing.assert_allclose(made.circuit.gain["hidden2"], wanted, rtol=1e-6)


def test_resource_normalisation_holds_the_summed_weight(births: Births, drive: ImageDrive) -> None:
    made = grow(births, drive, "three-factor", homeostasis=[IncomingResource()])
    for name, post in (("input-hidden1", "hidden1"), ("hidden1-hidden2", "hidden2")):
        weight = np.abs(made.circuit.weight[name])
        left = (weight * made.circuit.mask[name]).sum(1) * made.circuit.gain[post]
        np.testing.assert_allclose(left, weight.sum(1), rtol=1e-4)


def test_synaptic_scaling_moves_rates_to_their_target(births: Births, images: Any) -> None:
    drive = ImageDrive(images, batch=16, epochs=30)
    rates = {}
    for target in (0.3, 1.2):
        recorder = Recorder(moments=10)
        grow(births, drive, "three-factor", homeostasis=[InDegree(), SynapticScaling(target, tau=10.0)], recorder=recorder)
        rates[target] = np.mean(recorder.records[-1]["rate.hidden1"])
    assert rates[0.3] == pytest.approx(0.3, rel=0.2)
    assert rates[1.2] == pytest.approx(1.2, rel=0.2)


def test_what_does_not_fit_together_is_refused(births: Births, drive: ImageDrive) -> None:
    with pytest.raises(InputError, match="feedback"):
        develop(births((0,)), drive, load_rule("three-factor"), seeds=(0,))
    with pytest.raises(InputError, match="replicates"):
        develop(births((0,)), drive, load_rule("hebbian-trace"), seeds=(0, 1))
    with pytest.raises(InputError, match="drive needs 36"):
        develop(Network.layered([9, 5, 4], [0]), drive, load_rule("hebbian-trace"))
    events = parse_rule({"parameters": {"tau": "20 ms"}, "traces": ["dx_pre/dt = -x_pre/tau"], "on_spike": {"x_pre": "x_pre + 1"},
                         "on_post": ["weight = weight + x_pre"], "eliminate": "weight < 0"})  # fmt: skip
    with pytest.raises(InputError, match="spiking"):
        develop(births((0,)), drive, events)


def test_runaway_activity_names_population_and_step(births: Births, drive: ImageDrive) -> None:
    network = births((0,), scale=1e8)
    with pytest.raises(NumericalError, match=r"'hidden\d'.*step 0|'output'.*step 0|input"):
        develop(network, drive, load_rule("hebbian-trace"), seeds=(0,))


def test_it_learns(births: Births, images: Any) -> None:
    drive = ImageDrive(images, batch=16, epochs=25)
    made = grow(lambda seeds: births(seeds, hidden=(60, 50)), drive, "three-factor", schedule=Schedule(density=0.3))
    from biosim.compare import accuracy

    assert accuracy(made.circuit.predict(images.test), images.test_labels).mean() > 0.9
