"""Plastic weights, neuron death and synaptogenesis in whole developments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biosim.compare import accuracy
from biosim.develop import Development, develop
from biosim.drives import ImageDrive
from biosim.equations import Level, parse_rule
from biosim.errors import BiosimError, InputError, NumericalError
from biosim.nursery.growth import Growth
from biosim.nursery.neurons import Mortality, NeuronDeath
from biosim.recorder import Recorder
from biosim.rules import load_rule, rule_paths
from biosim.scenario import read_scenario
from biosim.schedule import Schedule
from biosim.synapses import Network
from biosim.teaching import Feedback

Births = Callable[..., Network]
SEEDS = (0, 1, 2)


def live(births: Births, drive: ImageDrive, rule: str = "covariance", seeds: tuple[int, ...] = SEEDS, **options: Any) -> Development:
    network = births(seeds)
    options["plasticity"] = load_rule(options["plasticity"], "plasticity") if "plasticity" in options else None
    return develop(network, drive, load_rule(rule), feedback=Feedback(network, "random", seeds), seeds=seeds, **options)


# -- plasticity -----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(rule_paths("plasticity")))
def test_plasticity_changes_live_weights_and_leaves_the_dead_alone(name: str, births: Births, drive: ImageDrive) -> None:
    born = births(SEEDS)
    frozen, made = live(births, drive), live(births, drive, plasticity=name)
    alone = live(births, drive, plasticity=name, seeds=(2,))
    assert made.circuit.provenance["plasticity"] == name and "plasticity" not in frozen.circuit.provenance
    for projection, weight in made.circuit.weight.items():
        first, mask = born.projections[projection].weight.numpy(), made.circuit.mask[projection]
        assert (weight[mask] != first[mask]).mean() > 0.9
        assert np.array_equal(frozen.circuit.weight[projection], first)
        assert np.array_equal(weight[2], alone.circuit.weight[projection][0])


def test_a_dead_synapse_keeps_the_weight_it_died_with(births: Births, drive: ImageDrive) -> None:
    made = live(births, drive, plasticity="three-factor-delta", schedule=Schedule("constant", 0.3, 0.0, 0.5))
    longer = live(births, drive, plasticity="three-factor-delta", schedule=Schedule("critical-window", 0.9, 0.0, 0.1))
    born = births(SEEDS).projections["input-hidden1"].weight.numpy()
    for development in (made, longer):
        p = development.network.projections["input-hidden1"]
        at_once = (p.death_step == 0).numpy()
        early = (p.death_step >= 0).numpy() & (p.death_step.numpy() < 3)
        moved = np.abs(p.weight.numpy() - born)
        assert moved[~p.alive.numpy()].mean() < moved[p.alive.numpy()].mean()
        assert not at_once.any() or moved[at_once].max() == 0
        assert not early.any() or moved[early].mean() < moved[p.alive.numpy()].mean() / 3


@pytest.mark.parametrize("place", ["rule", "readout"])
@pytest.mark.parametrize("lived", ["n", "age/dt"])
def test_plasticity_begins_anew_with_a_regrown_synapse(place: str, lived: str, births: Births, drive: ImageDrive) -> None:
    chance = {"parameters": {"p": 0.2}, "eliminate": "random < p"}
    plain, turnover = (parse_rule(chance | more, "turnover") for more in ({}, {"regrow": "random < p"}))
    counting = {"role": "plasticity", "state": {"n": 0}, "synapse": ["n = n + 1", f"weight = 0.01*{lived}"]}
    rules = {"rule": plain, "readout": plain} | {place: turnover}
    network = births((0, 1))
    develop(network, drive, **rules, plasticity=parse_rule(counting, "counting"), schedule=Schedule(density=0.5))
    steps, found = drive.clock.steps, network.projections["hidden2-output"]
    regrown = found.alive & (found.birth_step > 0)
    if place == "rule":
        regrown = (found := network.projections["hidden1-hidden2"]).alive & (found.birth_step > 0)
    assert regrown.any()
    lives = (100 * found.weight + found.birth_step)[regrown]  # it lives from the step it is born in to the last
    assert torch.allclose(lives, torch.full_like(lives, steps - (lived != "n")), atol=0.01)


def test_locality_is_the_highest_among_the_rules(births: Births, drive: ImageDrive) -> None:
    assert live(births, drive).level == Level.neuron
    assert live(births, drive, plasticity="oja-weights").level == Level.neuron
    assert live(births, drive, plasticity="three-factor-delta").level == Level.broadcast


def test_the_delta_rule_learns_without_a_taught_pruning_rule(births: Births, images: Any) -> None:
    drive = ImageDrive(images, batch=16, epochs=25)
    wide = lambda seeds: births(seeds, hidden=(60, 50))  # noqa: E731
    scores = {}
    for name in (None, "three-factor-delta"):
        options = {} if name is None else {"plasticity": name}
        made = live(wide, drive, "minimal-value", schedule=Schedule(density=0.3), **options)
        scores[name] = accuracy(made.circuit.predict(images.test), images.test_labels).mean()
    assert scores["three-factor-delta"] > 0.9 > 0.6 > scores[None]


def test_runaway_weights_name_projection_and_step(births: Births, drive: ImageDrive) -> None:
    wild = parse_rule({"role": "plasticity", "synapse": ["weight = 1e4*weight"]}, "wild")
    with pytest.raises(NumericalError, match=r"weights of 'input-hidden1' ran away at step 3 under 'wild'"):
        develop(births((0,)), drive, load_rule("covariance"), plasticity=wild, seeds=(0,), recorder=Recorder(moments=1))


# -- a readout with a rule of its own --------------------------------------------------------------
def test_a_readout_may_follow_a_rule_of_its_own(births: Births, drive: ImageDrive) -> None:
    """No feedback is needed, the hidden layers develop as without it, and only the readout is taught."""
    network, alone, silenced = births(SEEDS), births(SEEDS), births(SEEDS)
    made = develop(network, drive, load_rule("covariance"), readout=load_rule("three-factor"), seeds=SEEDS)
    plain = develop(alone, drive, load_rule("covariance"), seeds=SEEDS)
    assert made.level == Level.neuron and made.circuit.provenance["readout"] == "three-factor"
    assert (made.circuit.density() == plain.circuit.density()).all()
    for name in ("input-hidden1", "hidden1-hidden2"):
        assert np.array_equal(made.circuit.mask[name], plain.circuit.mask[name])
    assert not np.array_equal(made.circuit.mask["hidden2-output"], plain.circuit.mask["hidden2-output"])
    same = load_rule("three-factor")
    with pytest.raises(InputError, match="feedback"):
        develop(silenced, drive, same, readout=same, seeds=SEEDS)


def test_a_taught_readout_beats_an_untaught_one(births: Births, images: Any) -> None:
    drive = ImageDrive(images, batch=16, epochs=25)
    scores = []
    for readout in (None, load_rule("three-factor")):
        made = develop(births(SEEDS, hidden=(60, 50)), drive, load_rule("covariance"), readout=readout, seeds=SEEDS)
        scores.append(accuracy(made.circuit.predict(images.test), images.test_labels).mean())
    assert scores[1] > scores[0] + 0.2


# -- neuron death ---------------------------------------------------------------------------------
def lonely(network: Network, alive: dict[str, np.ndarray], r: int, without: str) -> dict[str, set[int]]:
    """Return the hidden neurons that must be dead, by brute force: repeat until nobody else dies."""
    masks = {n: m[r].copy() for n, m in alive.items()}
    names = list(network.populations)
    dead: dict[str, set[int]] = {n: set() for n in names[1:-1]}
    changed = True
    while changed:
        changed = False
        for name in dead:
            before, after = next(n for n in masks if n.endswith(f"-{name}")), next(n for n in masks if n.startswith(f"{name}-"))
            for k in range(network.populations[name].size):
                no_inputs, no_outputs = not masks[before][:, k].any(), not masks[after][k].any()
                dies = {"inputs": no_inputs, "outputs": no_outputs, "inputs-or-outputs": no_inputs or no_outputs}[without]
                if dies and k not in dead[name]:
                    dead[name].add(k)
                    masks[before][:, k] = masks[after][k] = False
                    changed = True
    return dead


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**31), st.floats(0.005, 0.2), st.sampled_from(["inputs", "outputs", "inputs-or-outputs"]))
def test_exactly_the_neurons_without_synapses_die(births: Births, seed: int, density: float, without: Any) -> None:
    network = births((0, 1))
    g = torch.Generator().manual_seed(seed)
    for p in network.projections.values():
        p.eliminate(torch.rand(p.shape, generator=g) > density, 0)
    before = {n: p.alive.numpy().copy() for n, p in network.projections.items()}
    Mortality(network, NeuronDeath(without)).strike(1)
    for r in range(2):
        expected = lonely(network, before, r, without)
        for name, dead in expected.items():
            assert set(np.flatnonzero(~network.populations[name].alive[r].numpy())) == dead
        for name, p in network.projections.items():
            kept = before[name][r].copy()
            kept[sorted(expected.get(p.pre.name, ()))] = False
            kept[:, sorted(expected.get(p.post.name, ()))] = False
            assert np.array_equal(p.alive[r].numpy(), kept)
            assert np.array_equal(p.effective[r].numpy(), p.weight[r].numpy() * kept)


@pytest.mark.parametrize("rule", ["covariance", "three-factor", "regrowth"])
def test_the_dead_keep_no_synapse_and_the_living_have_both_sides(rule: str, births: Births, drive: ImageDrive) -> None:
    recorder = Recorder(moments=20)
    death = NeuronDeath(inactive_for=0.2 * drive.clock.duration)
    made = live(births, drive, rule, schedule=Schedule(density=0.06), neuron_death=death, recorder=recorder)
    for name in ("hidden1", "hidden2"):
        alive = made.network.populations[name].alive.numpy()
        into, out = (made.circuit.mask[n] for n in made.circuit.mask if n.endswith(f"-{name}") or n.startswith(f"{name}-"))
        assert not into.transpose(0, 2, 1)[~alive].any() and not out[~alive].any()
        assert (into.any(1) & out.any(2))[alive].all()
        recorded = np.array([r[f"neurons.{name}"] for r in recorder.records])
        assert (np.diff(recorded, axis=0) <= 0).all() and recorded[0].min() == 1
    assert made.circuit.neurons().min() > 0 and made.circuit.neurons().max() < 1
    hidden = [made.network.populations[n].alive.numpy() for n in ("hidden1", "hidden2")]
    np.testing.assert_allclose(made.circuit.neurons(), np.concatenate(hidden, 1).mean(1))


def test_a_neuron_dies_once_it_was_inactive_long_enough(births: Births, drive: ImageDrive) -> None:
    network = births((0,))
    mortality = Mortality(network, NeuronDeath("nothing", 3.0))
    on = {n: torch.ones(1, 4, p.size) for n, p in network.populations.items()}
    off = {n: a.clone() for n, a in on.items()}
    off["hidden1"][:, :, 5] = 0
    off["hidden2"][:, 1:, 2] = 0  # active in one sample: not inactive
    for k, shown in enumerate([off, off, on, off, off]):
        mortality.observe(shown, 1.0)
        assert not mortality.strike(k)
    mortality.observe(off, 1.0)
    assert mortality.strike(5)
    assert np.flatnonzero(~network.populations["hidden1"].alive[0].numpy()).tolist() == [5]
    assert bool(network.populations["hidden2"].alive.all())
    assert not bool(network.projections["input-hidden1"].alive[0, :, 5].any())
    assert int((~network.projections["hidden1-hidden2"].alive).sum()) == network.populations["hidden2"].size


# -- growth ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(rule_paths("growth")))
@pytest.mark.parametrize("probability", [1.0, 0.6])
def test_density_rises_and_falls_in_exact_numbers(name: str, probability: float, births: Births, drive: ImageDrive) -> None:
    sparse = lambda seeds: births(seeds, probability=probability)  # noqa: E731
    recorder = Recorder(moments=60)
    growth = Growth(load_rule(name, "growth"), start=0.25, until=0.3, peak=0.8)
    made = live(sparse, drive, schedule=Schedule(density=0.2, opens=0.4), growth=growth, recorder=recorder)
    density = np.array([r["density"] for r in recorder.records])
    peak = int(density[:, 0].argmax())
    assert (np.diff(density[: peak + 1], axis=0) >= 0).all() and (np.diff(density[peak:], axis=0) <= 0).all()
    born = sparse(SEEDS)
    for n, p in made.network.projections.items():
        wanted, first = born.projections[n], born.projections[n].quota(0.25).sum(1)
        assert torch.equal((p.death_step != -3).logical_and(p.born).sum((1, 2)), wanted.quota(0.8).sum(1))
        assert bool((p.alive & ~p.born).any()) is False
        assert torch.equal((p.birth_step == 0).logical_and(p.death_step > -2).sum((1, 2)) >= first, torch.ones(3, dtype=torch.bool))
        assert torch.equal(p.alive.sum((1, 2)), wanted.quota(0.2).sum(1))
        assert float(p.birth_step.max()) <= 0.3 * drive.clock.steps + 1
    np.testing.assert_allclose(density[peak], 0.8, atol=0.02)


@pytest.mark.parametrize(
    ("bad", "key"),
    [({"start": 0}, "start"), ({"start": 1.1}, "start"), ({"until": 0}, "until"), ({"until": 1.1}, "until"), ({"peak": 0.1}, "peak"), ({"peak": 1.1}, "peak")],
)  # fmt: skip
def test_growth_that_makes_no_sense_is_refused(bad: dict[str, float], key: str) -> None:
    with pytest.raises(InputError) as error:
        Growth(**{"start": 0.2} | bad)
    assert error.value.key == (key,)
    assert [Growth(None, 1.0, 1.0, 1.0).target(u) for u in (0.0, 1.0)] == [1.0, 1.0]  # the bounds themselves are allowed
    assert [Growth(None, 0.2, 0.5, 0.6).target(u) for u in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0.2, 0.4, 0.6, 0.6])


def test_synapses_form_at_so_many_steps_and_at_the_end_of_growth(
    births: Births, drive: ImageDrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("biosim.nursery.growth.GROWTHS", 7)  # of 60 steps every ninth, and the one that ends growth
    growth = Growth(load_rule("activity-growth", "growth"), 0.1, 0.5)
    made = live(births, drive, schedule=Schedule(density=0.2, opens=0.05), growth=growth)
    p = made.network.projections["input-hidden1"]
    assert drive.clock.steps == 60 and set(p.birth_step[p.born].unique().tolist()) == {0, 8, 17, 26, 29}
    for step in (8, 17, 26):  # in between as many as the course says, rounded down in every neuron; what is lost does not form again
        formed = ((p.birth_step <= step) & p.born).sum(1)
        assert torch.equal(formed, torch.floor(p.fan_in.double() * growth.target((step + 1) / 60)).long())


def test_growth_is_local_seeded_and_replicable(births: Births, drive: ImageDrive) -> None:
    growth = Growth(load_rule("activity-growth", "growth"), 0.3, 0.3)
    batch, alone = live(births, drive, growth=growth), live(births, drive, growth=growth, seeds=(1,))
    for n, mask in batch.circuit.mask.items():
        assert np.array_equal(mask[1], alone.circuit.mask[n][0])
        assert not np.array_equal(mask[0], mask[1])
    assert growth.rule is not None and growth.rule.level() == Level.neuron


def test_one_rule_may_grow_and_prune(births: Births, drive: ImageDrive) -> None:
    """Without a prescribed course: candidates form and synapses die by conditions alone."""
    rule = parse_rule(
        {
            "parameters": {"memory": "5 % dev", "trial": "20 % dev"},
            "traces": ["dlived_post/dt = 1/memory"],
            "state": {"tag": 0},
            "synapse": ["dtag/dt = ((pre - mean_pre)*(post - mean_post) - tag)/memory"],
            "eliminate": "age > trial and tag < 0",
            "regrow": "random < 0.1 and lived_post < 4",
        }
    )
    recorder = Recorder(moments=60)
    network = births(SEEDS)
    develop(network, drive, rule, growth=Growth(None, start=0.1), recorder=recorder, schedule=Schedule("constant", 0.01, 0.0, 0.01))
    density = np.array([r["density"] for r in recorder.records])[:, 0]
    assert density[0] < 0.25 and density.max() > 0.4 and density[-1] < 0.7 * density.max()


# -- scenarios ------------------------------------------------------------------------------------
def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY + text)
    return path


def test_a_scenario_says_all_of_it(tmp_path: Path, cli: Callable[..., Any]) -> None:
    from biosim.store import Run

    text = (
        "plasticity: {name: three-factor-delta, rate: 10}\ngrowth: {start: 0.4, until: 0.1}\n"
        "neuron_death: {inactive_for: 20 % dev}\nreadout: three-factor\nchecks:\n  - {name: some die, value: circuit.neurons, needs: '<= 1'}\n"
    )
    out = tmp_path / "run"
    result = cli("run", str(written(tmp_path, text)), "--out", str(out))
    assert result.code == 0, result.err
    run = Run(out)
    assert run.about["plastic"] is True and run.about["plasticity"]["parameters"]["rate"] == "10"
    assert run.about["growth"]["rule"]["name"] == "random-growth"
    assert [row["regime"] for row in run.table] == ["plastic", "frozen", "frozen"]
    assert "Plasticity: three-factor-delta" in (out / "report.html").read_text()
    assert run.about["readout"]["name"] == "three-factor" and "three-factor" in str(run.about["signals"])
    assert "Growth: random-growth, from 40 to 100 % of births" in (out / "report.html").read_text()
    assert (out / "metrics.jsonl").read_text().count("neurons.hidden1") == len((out / "metrics.jsonl").read_text().splitlines())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("plasticity: three-factor\n", r"plasticity: 'three-factor' is a rule for pruning, not for plasticity"),
        ("plasticity: {name: oja-weights, rat: 3}\n", r"plasticity.rat: .*did you mean 'rate'"),
        ("plasticity: {synapse: ['tag = 1']}\n", r"plasticity"),
        ("plasticity: {name: three-factor-delta, feedback: reciprocal}\n", r"plasticity.feedback: .*one feedback"),
        ("growth: {start: 0.5, peak: 0.2}\n", r"growth.peak: must lie between start"),
        ("growth: {strat: 0.5}\n", r"growth.strat: unknown key, did you mean 'start'|growth.strat: unknown key.*start"),
        ("growth: {rule: covariance}\n", r"growth.rule.*'covariance' is a rule for pruning, not for growth"),
        ("neuron_death: {inactive_for: '3'}\n", r"neuron_death.inactive_for: .*needs a unit of time"),
        ("neuron_death: {without: nothing}\n", r"neuron_death.without: no neuron can die of this"),
        ("readout: {name: three-factor, feedback: random}\n", r"readout.feedback: .*own error"),
        ("readout: {name: three-factor, rat: 3}\n", r"readout.rat: .*did you mean 'rate'"),
        ("neuron_death: {without: love}\n", r"neuron_death.without"),
    ],
)
def test_bad_options_are_one_clear_error(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(BiosimError, match=complaint):
        read_scenario(written(tmp_path, text))


def test_roles_are_kept_apart(births: Births, drive: ImageDrive) -> None:
    for data, complaint in (
        ({"role": "plasticity", "eliminate": "weight < 0"}, "which synapses are lost is the rule's"),
        ({"role": "plasticity", "state": {"x": 0}, "synapse": ["x = 1"]}, "a line that assigns weight"),
        ({"role": "growth", "eliminate": "weight < 0"}, "growth needs a 'regrow' section"),
        ({"role": "prunning", "eliminate": "weight < 0"}, "unknown role"),
    ):
        with pytest.raises(InputError, match=complaint):
            parse_rule(data)
    with pytest.raises(InputError, match="not for plasticity"):
        develop(births((0,)), drive, load_rule("covariance"), plasticity=load_rule("oja"), seeds=(0,))
    with pytest.raises(InputError, match="a rule for plasticity, not for pruning"):
        develop(births((0,)), drive, load_rule("oja-weights", "plasticity"), seeds=(0,))
    with pytest.raises(InputError, match="feedback"):
        develop(births((0,)), drive, load_rule("covariance"), plasticity=load_rule("three-factor-delta", "plasticity"), seeds=(0,))
