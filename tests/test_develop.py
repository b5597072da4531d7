"""The loop: what must hold for any rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from biosim.decisions import Site
from biosim.develop import Development, develop
from biosim.drives import ImageDrive
from biosim.equations import Competition, Rule, Sensed, parse_rule
from biosim.errors import InputError, NumericalError
from biosim.homeostasis import IncomingResource, InDegree, SynapticScaling
from biosim.library import find, load_module
from biosim.recorder import Recorder
from biosim.rules import load_rule, rule_paths
from biosim.schedule import KINDS, Schedule
from biosim.synapses import Network
from biosim.teaching import Feedback, readout_error

Births = Callable[..., Network]
INLINE: dict[str, dict[str, Any]] = {
    "weak-covariance": {
        "parameters": {"theta": 0.0},
        "coincidences": ["c = (pre - mean_pre)*(post - mean_post)"],
        "state": {"tag": "random"},
        "synapse": ["tag = 0.9*tag + 0.1*c"],
        "eliminate": "tag < theta",
    },
    "noise": {
        "parameters": {"K": 3},
        "state": {"p_keep": 1},
        "coincidences": ["c = (pre - mean_pre)*(post - mean_post)"],
        "synapse": ["p_keep = min(1, K*abs(weight)*(var_pre + var_post - 2*sign(weight)*c))"],
        "eliminate": "random > p_keep",
        "survivors": ["weight = weight/p_keep"],
    },
    "resource": {
        "parameters": {"tau": "5 % dev"},
        "state": {"tag": "weight_sum_post/degree_pre"},
        "traces": ["dtheta_post/dt = (post**2 - theta_post)/tau"],
        "synapse": ["dtag/dt = (pre*post*weight - tag)/tau", "tag = tag - 0.01*theta_post*weight_sum_pre"],
        "eliminate": {"compete": {"within": "pre", "by": "tag + 0.001*random"}},
    },
    "rewarded": {
        "parameters": {"tau": "5 % dev"},
        "state": {"tag": 0},
        "synapse": ["dtag/dt = (pre*post*reward - tag)/tau"],
        "silence": {"compete": {"within": "post", "by": "tag"}},
    },
}
ALL_RULES = [*sorted(rule_paths()), *INLINE]


BOUNDED = {"burst-timing": 1, "terminal-competition": 1}  # rates for inputs that are no probabilities, as those of images


def rule_named(name: str) -> Rule:
    rule = parse_rule(INLINE[name], name) if name in INLINE else load_rule(name)
    return rule.with_parameters({"rate": BOUNDED[name]}) if name in BOUNDED else rule


def grow(births: Births, drive: ImageDrive, rule: Rule | str, seeds: tuple[int, ...] = (0, 1, 2), **options: Any) -> Development:
    rule = rule_named(rule) if isinstance(rule, str) else rule
    network = births(seeds)
    feedback = Feedback(network, options.pop("feedback", "random"), seeds)
    return develop(network, drive, rule, feedback=feedback, seeds=seeds, **options)


FROZEN = [n for n in ALL_RULES if not rule_named(n).plastic]
COMPETING = [n for n in ALL_RULES if any(isinstance(d, Competition) for d in rule_named(n).decisions.values())]
LOSING = [n for n in ALL_RULES if rule_named(n).regrow is None]
ALL_KINDS = ("three-factor", *INLINE)  # the others: one kind of schedule, for the time it takes


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
    import numba

    results = []
    threads = torch.get_num_threads(), numba.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
        results.append(grow(lambda seeds: births(seeds, hidden=(150, 140)), drive, name).circuit)
    torch.set_num_threads(threads[0])
    numba.set_num_threads(threads[1])
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
        torch.testing.assert_close(*(s.compiled.arrays[state].clone() for s in sites), rtol=1e-4, atol=1e-5)
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


# -- locality -------------------------------------------------------------------------------------
NEURON_NAMES = [f"{n}_{side}" for n in ("mean", "var", "degree", "weight_sum") for side in ("pre", "post")]


def site_after(network: Network, rule: Rule, drive: ImageDrive, name: str, sensed: list[Sensed]) -> Site:
    """Return the site of a projection after it sensed what was recorded."""
    with torch.inference_mode():
        counted = any(
            isinstance(d, Competition) for d in rule.decisions.values()
        )  # else a floor, shared by a neuron's synapses, decides too
        schedule = Schedule(density=0.3, opens=0.0, closes=0.9) if counted else Schedule("free", opens=0.0, closes=0.9)
        site = Site(network.projections[name], network, rule, schedule, drive.clock, (0,))
        for s in sensed:
            now = replace(s, synapses=site.synapses)
            site.advance(now, (s.step + 1) / drive.clock.steps)
        return site


def recorded(network: Network, name: str, steps: int, seed: int) -> list[Sensed]:
    """Make up activity, teaching signals and what neurons know of themselves."""
    g = torch.Generator().manual_seed(seed)
    p = network.projections[name]
    draw = lambda n: torch.randn(1, 8, n, generator=g)  # noqa: E731
    neurons = lambda: {n: draw(p.pre.size if n.endswith("pre") else p.post.size)[:, 0].abs() + 0.5 for n in NEURON_NAMES}  # noqa: E731
    return [
        Sensed(
            draw(p.pre.size).relu(),
            draw(p.post.size).relu(),
            draw(p.post.size),
            draw(p.pre.size),
            (draw(1)[..., 0] > 0).float(),
            neurons(),
            {},
            k,
            draw(p.post.size).sign(),
            draw(1)[..., 0],
        )
        for k in range(steps)
    ]


def mixed(own: Sensed, noise: Sensed, pre: list[int], post: list[int]) -> Sensed:
    """Return ``noise`` with everything that belongs to these neurons, and the global scalars, as in ``own``."""

    def blend(a: torch.Tensor, b: torch.Tensor, which: list[int]) -> torch.Tensor:
        out = b.clone()
        out[..., which] = a[..., which]
        return out

    assert own.teach_post is not None and noise.teach_post is not None
    assert own.teach_pre is not None and noise.teach_pre is not None
    assert own.noise_post is not None and noise.noise_post is not None
    neurons = {n: blend(own.neurons[n], noise.neurons[n], pre if n.endswith("pre") else post) for n in own.neurons}
    teach = blend(own.teach_post, noise.teach_post, post), blend(own.teach_pre, noise.teach_pre, pre)
    assert own.noise_post is not None and noise.noise_post is not None
    explored = blend(own.noise_post, noise.noise_post, post), own.advantage
    return Sensed(blend(own.pre, noise.pre, pre), blend(own.post, noise.post, post), *teach, own.reward, neurons, {}, own.step, *explored)


def looped(seeds: tuple[int, ...]) -> Network:
    """Return births of models/recurrent.py."""
    build = load_module(find("models", "recurrent")).build
    return build(36, 4, seeds, hidden=20)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ALL_RULES)
@pytest.mark.parametrize("place", ["hidden1-hidden2", "hidden-hidden"])
@pytest.mark.parametrize("edge", [(0, 0), (7, 5), (19, 15)])
def test_a_synapse_is_decided_by_what_it_can_sense(name: str, place: str, edge: tuple[int, int], births: Births, drive: ImageDrive) -> None:
    """With activity and credit as recorded, all that lies outside (i, j), i and j may change: (i, j) does not."""
    (i, j), rule, g = edge, rule_named(name), torch.Generator().manual_seed(99)
    births = looped if place == "hidden-hidden" else births
    quiet = births((0,))
    sensed = recorded(quiet, place, 12, 0)
    reference = site_after(quiet, rule, drive, place, sensed)

    other = births((0,))
    p = other.projections[place]
    elsewhere = torch.ones_like(p.alive[0])
    elsewhere[i, :] = False
    elsewhere[:, j] = False
    p.weight[0][elsewhere] = torch.randn(int(elsewhere.sum()), generator=g)
    p.eliminate((elsewhere & (torch.rand(elsewhere.shape, generator=g) < 0.3)).unsqueeze(0), 0)
    p.refresh()
    for q in other.projections.values():
        if q is not p:
            drawn = torch.randn(q.weight.shape, generator=g)
            if q.pre is p.pre:  # neuron i's own, as those of a recurrent population are
                drawn[0, i] = q.weight[0, i]
            if q.post is p.post:
                drawn[0, :, j] = q.weight[0, :, j]
            q.weight.copy_(drawn)
            q.refresh()
    disturbed = [mixed(s, noise, [i], [j]) for s, noise in zip(sensed, recorded(other, place, 12, 1), strict=True)]
    after = site_after(other, rule, drive, place, disturbed)

    for state in rule.state:
        a, b = reference.compiled.arrays[state][0], after.compiled.arrays[state][0]
        assert float(a[i, j]) == float(b[i, j]), state
        assert not torch.equal(a, b) or not {line.target for line in rule.lines} & {state} or state == "drawn"
    mine, theirs = quiet.projections[place], p
    if bool(mine.alive[0, i, j]) and bool(theirs.alive[0, i, j]):
        assert float(mine.weight[0, i, j]) == float(theirs.weight[0, i, j])
    competing = {d.within for d in rule.decisions.values() if hasattr(d, "within")}
    if not competing:  # a competitor's fate depends on its rivals within the one neuron, which were disturbed too
        assert bool(mine.alive[0, i, j]) == bool(theirs.alive[0, i, j])
        assert bool(mine.active[0, i, j]) == bool(theirs.active[0, i, j])


@pytest.mark.parametrize("name", COMPETING)
def test_a_competition_stays_within_its_neuron(name: str, births: Births, drive: ImageDrive) -> None:
    """Disturb every other neuron of the competing side: the fate of all synapses of neuron j stays as it was."""
    rule, place, j = rule_named(name), "hidden1-hidden2", 3
    within = {d.within for d in rule.decisions.values() if hasattr(d, "within")}.pop()
    axis = 2 if within == "post" else 1
    quiet, other = births((0,)), births((0,))
    sensed, noise = recorded(quiet, place, 12, 0), recorded(other, place, 12, 1)
    p = other.projections[place]
    if within == "post":  # weights across pre neurons would change what the (kept) post neurons know at birth
        drawn = torch.randn(p.weight[0].shape, generator=torch.Generator().manual_seed(5))
        p.weight[0] = torch.where(torch.arange(p.shape[2]) == j, p.weight[0], drawn)
        p.refresh()
    every_pre, every_post = list(range(p.shape[1])), list(range(p.shape[2]))
    kept = ([j], every_post) if within == "pre" else (every_pre, [j])
    site_after(quiet, rule, drive, place, sensed)
    site_after(other, rule, drive, place, [mixed(s, n, *kept) for s, n in zip(sensed, noise, strict=True)])
    mine = quiet.projections[place]
    assert torch.equal(mine.alive.select(axis, j), p.alive.select(axis, j))
    assert torch.equal(mine.active.select(axis, j), p.active.select(axis, j))
    assert not torch.equal(mine.active, p.active) or not torch.equal(mine.alive, p.alive)


def test_feedback_wiring_is_drawn_apart_from_the_weights(births: Births) -> None:
    network = births((0,), hidden=(200, 150))
    for kind, correlated in (("random", False), ("reciprocal", True)):
        feedback = Feedback(network, kind, (0,))  # type: ignore[arg-type]
        back = feedback.wiring["hidden2", "hidden1"][0].T.flatten().numpy()
        forward = network.projections["hidden1-hidden2"].weight[0].flatten().numpy()
        r = np.corrcoef(back, forward)[0, 1]
        assert (r > 0.99) if correlated else (abs(r) < 0.02)
        assert back.std() == pytest.approx(forward.std(), rel=0.05)


def test_credit_through_copied_weights_is_the_gradient(births: Births, drive: ImageDrive) -> None:
    """An independent reference: with B a copy of W and every synapse active, credit is -dL/d(input of the neuron)."""
    network = births((0, 1))
    shown = next(iter(drive.presentations((0, 1), torch.device("cpu"))))
    assert shown.labels is not None
    weights = {n: p.weight.clone().requires_grad_() for n, p in network.projections.items()}
    x, sums = shown.inputs, {}
    for name, p in network.projections.items():
        sums[p.post.name] = x @ weights[name]
        sums[p.post.name].retain_grad()
        x = sums[p.post.name].relu() if p.post.name != "output" else sums[p.post.name]
    torch.nn.functional.cross_entropy(x.transpose(1, 2), shown.labels, reduction="sum").backward()
    from biosim.substrates.rate import ForwardSubstrate

    with torch.inference_mode():
        activity = ForwardSubstrate(network).respond(shown.inputs)
        credit = Feedback(network, "reciprocal", (0, 1)).carry(readout_error(activity["output"], shown.labels), activity)
    for name, values in sums.items():
        assert values.grad is not None
        torch.testing.assert_close(credit[name].clone(), -values.grad, rtol=1e-4, atol=1e-5)


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
