"""Every shipped rule, plasticity and growth against its published equations, written out in plain numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from biosim.equations import Clock, Rule, Sensed, parse_rule
from biosim.nursery.decisions import Site
from biosim.nursery.plasticity import PlasticSite
from biosim.rules import load_rule, rule_paths
from biosim.schedule import Schedule
from biosim.synapses import Network, Population, Projection

N, M, S, STEPS = 7, 5, 6, 9
CLOCK = Clock(0.05, S, 40)
Arrays = dict[str, np.ndarray]
Values = dict[str, float]
rng = np.random.default_rng(0)
BIRTHS = rng.standard_normal((N, M)).astype(np.float32)
EYE = {"pre": lambda v: v[:, :, None], "post": lambda v: v[:, None, :]}


def tiny(replicates: int = 1) -> Network:
    """Return one projection of 7 x 5 synapses, the same births in every replicate."""
    a, b = Population("input", N, "linear"), Population("output", M, "linear")
    weight = torch.from_numpy(np.repeat(BIRTHS[None], replicates, 0).copy())
    return Network([a, b], [Projection("input-output", a, b, weight, torch.ones_like(weight, dtype=torch.bool))])


def recorded(seed: int = 1, replicates: int = 1) -> list[Arrays]:
    """Return what neurons did in each step, float64, the same in every replicate: activity, teaching, moments."""
    random = np.random.default_rng(seed)
    steps = []
    for _ in range(STEPS):
        a = {"pre": np.maximum(random.standard_normal((S, N)), 0), "post": random.standard_normal((S, M))}
        a |= {"teach_post": random.standard_normal((S, M)), "reward": (random.random(S) < 0.4).astype(float)}
        for side, size in (("pre", N), ("post", M)):
            a[f"mean_{side}"], a[f"var_{side}"] = random.random(size), random.random(size) + 0.5
            a[f"degree_{side}"] = random.integers(2, 6, size).astype(float)
        steps.append(a)
    return steps


def sensed(a: Arrays, site: Site, step: int) -> Sensed:
    copies = site.projection.shape[0]
    t = {n: torch.from_numpy(v).float().unsqueeze(0).expand(copies, *v.shape).contiguous() for n, v in a.items()}
    neurons = {n: v for n, v in t.items() if n.split("_")[0] in ("mean", "var", "degree")}
    return Sensed(t["pre"], t["post"], t["teach_post"], None, t["reward"], neurons, site.synapses, step)


def run(
    rule: Rule, steps: list[Arrays], network: Network | None = None, schedule: Schedule | None = None, seeds: tuple[int, ...] = (0,)
) -> Site:
    network = network or tiny()
    with torch.inference_mode():
        site = Site(
            network.projections["input-output"], network, rule, schedule or Schedule("end-only", 0.5), CLOCK, seeds, names=rule.names
        )
        for k, a in enumerate(steps):
            site.advance(sensed(a, site, k), (k + 1) / CLOCK.steps)
    return site


def low_pass(rate_of: Callable[[Arrays, int], np.ndarray], steps: list[Arrays], tau: float) -> np.ndarray:
    """Integrate dx/dt = (drive - x)/tau exactly, presentation by presentation, from 0."""
    x, keep = np.zeros(1), np.exp(-CLOCK.presentation / tau)
    for a in steps:
        for s in range(S):
            x = keep * x + (1 - keep) * rate_of(a, s)
    return x


def share(rule: Rule, name: str) -> float:
    return rule.parameters[name].resolve(CLOCK.duration)


def outer(a: Arrays, s: int, pre: str = "pre", post: str = "post") -> np.ndarray:
    return np.outer(a[pre][s], a[post][s])


def centred(a: Arrays, s: int) -> np.ndarray:
    return np.outer(a["pre"][s] - a["mean_pre"], a["post"][s] - a["mean_post"])


def state(site: Site, name: str) -> np.ndarray:
    return site.compiled.arrays[name][0].double().numpy()


def ranked(site: Site) -> np.ndarray:
    """Return by what the synapses compete for survival, at the last step."""
    steps = recorded()
    with torch.inference_mode():
        return site._scores("eliminate", sensed(steps[-1], site, STEPS - 1).neurons, STEPS - 1)[0].double().numpy()


SIGN = np.sign(BIRTHS)


@pytest.mark.parametrize("name", ["covariance", "regrowth"])
def test_covariance(name: str) -> None:
    rule, steps = load_rule(name), recorded()
    site = run(rule, steps)
    tag = low_pass(centred, steps, share(rule, "memory"))
    np.testing.assert_allclose(state(site, "tag"), tag, rtol=1e-4, atol=1e-6)
    if name == "covariance":
        np.testing.assert_allclose(ranked(site), SIGN * tag, rtol=1e-4, atol=1e-6)


def test_bcm_and_its_sliding_threshold() -> None:
    rule, steps = load_rule("bcm"), recorded()
    site = run(rule, steps)
    keep, slide = (np.exp(-CLOCK.presentation / share(rule, n)) for n in ("memory", "slide"))
    theta, tag = np.zeros(M), np.zeros((N, M))
    for a in steps:
        frozen = np.sqrt(theta)  # a neuron's trace stands still within a step
        for s in range(S):
            tag = keep * tag + (1 - keep) * np.outer(a["pre"][s], a["post"][s] * (a["post"][s] - frozen))
            theta = slide * theta + (1 - slide) * a["post"][s] ** 2
    np.testing.assert_allclose(site.compiled.traces["theta_post"][0].numpy(), theta, rtol=1e-4)
    np.testing.assert_allclose(state(site, "tag"), tag, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ranked(site), SIGN * tag, rtol=1e-4, atol=1e-6)


def test_bcm_strengthens_above_its_threshold_and_weakens_below() -> None:
    """A steady target sits at its threshold; one that doubles is above it at first; one that halves below."""
    rule = load_rule("bcm")
    for factor, sign in ((2.0, 1), (0.5, -1)):
        steady = [{**a, "pre": np.ones((S, N)), "post": np.ones((S, M))} for a in recorded() * 4]
        settled = run(rule, steady)
        assert np.abs(settled.compiled.traces["theta_post"].numpy() - 1).max() < 0.01
        before = state(settled, "tag").copy()
        with torch.inference_mode():
            settled.advance(sensed({**steady[0], "post": np.full((S, M), factor)}, settled, 36), 0.9)
        assert (sign * (state(settled, "tag") - before) > 0).all()


def test_fisher_information_is_the_variance_of_the_coincidence() -> None:
    rule, steps = load_rule("fisher"), recorded()
    site = run(rule, steps)
    first = low_pass(outer, steps, share(rule, "memory"))
    second = low_pass(lambda a, s: outer(a, s) ** 2, steps, share(rule, "memory"))
    np.testing.assert_allclose(ranked(site), (second - first**2) * BIRTHS**2, rtol=1e-3, atol=1e-6)
    plain = run(rule.with_parameters({"power": 0}), steps)
    np.testing.assert_allclose(ranked(plain), second - first**2, rtol=1e-3, atol=1e-6)


def test_fisher_information_of_binary_neurons_is_as_published() -> None:
    """F = <vh>(1 - <vh>) for units that are 0 or 1."""
    rule, random = load_rule("fisher"), np.random.default_rng(4)
    on = lambda n: (random.random((S, n)) < 0.6).astype(float)  # noqa: E731
    steps = [{**a, "pre": on(N), "post": on(M)} for a in recorded()]
    both = low_pass(outer, steps, share(rule, "memory"))
    np.testing.assert_allclose(ranked(run(rule.with_parameters({"power": 0}), steps)), both * (1 - both), rtol=1e-3, atol=1e-5)


def test_resource_competition() -> None:
    rule, steps = load_rule("resource-competition"), recorded()
    taken = low_pass(outer, steps, share(rule, "memory"))
    np.testing.assert_allclose(ranked(run(rule, steps)), taken / steps[-1]["degree_pre"][:, None], rtol=1e-4, atol=1e-6)


def test_tag_and_protection() -> None:
    rule, steps = load_rule("tag-and-protection").with_parameters({"price": 0.7}), recorded()

    def on(a: Arrays, side: str, s: int) -> np.ndarray:
        return (a[side][s] > a[f"mean_{side}"]).astype(float)

    tag = low_pass(lambda a, s: np.outer(1 - on(a, "pre", s), on(a, "post", s)), steps, share(rule, "memory"))
    safe = low_pass(lambda a, s: np.outer(on(a, "pre", s), on(a, "post", s)), steps, share(rule, "memory"))
    np.testing.assert_allclose(ranked(run(rule, steps)), safe - 0.7 * tag, rtol=1e-4, atol=1e-5)


def test_survival_counter_counts_uses() -> None:
    rule, steps = load_rule("survival-counter"), recorded()
    uses = np.zeros((N, M))
    for a in steps:
        for s in range(S):
            for i, j in np.ndindex(N, M):
                up = a["post"][s, j] > a["mean_post"][j]
                uses[i, j] += a["pre"][s, i] > a["mean_pre"][i] and up == (BIRTHS[i, j] > 0)
    np.testing.assert_allclose(ranked(run(rule, steps)), uses / S, rtol=1e-6)


def test_minimal_value() -> None:
    np.testing.assert_allclose(ranked(run(load_rule("minimal-value"), recorded())), np.abs(BIRTHS), rtol=1e-6)


def noise_chance(rule: Rule, a: Arrays, c: np.ndarray) -> np.ndarray:
    """Moore & Chaudhuri's abs(w) (C_ii + C_jj - 2 sgn(w) C_ij) in units of standard deviations."""
    sd_pre, sd_post = np.sqrt(a["var_pre"])[:, None], np.sqrt(a["var_post"])[None]
    return np.abs(BIRTHS * sd_pre / sd_post) * (2 - 2 * SIGN * c / (sd_pre * sd_post))


def test_noise_covariance() -> None:
    rule, steps = load_rule("noise-covariance").with_parameters({"K": 0.2}), recorded()
    site = run(rule, steps)
    c = low_pass(centred, steps, share(rule, "memory"))
    chance = 0.2 * np.sqrt(steps[-1]["degree_post"])[None] * noise_chance(rule, steps[-1], c)
    np.testing.assert_allclose(state(site, "p_keep"), np.clip(chance, 0.02, 1), rtol=1e-3)


def test_noise_covariance_to_a_quota() -> None:
    rule, steps = load_rule("noise-covariance-quota"), recorded()
    site = run(rule, steps)
    c, luck = low_pass(centred, steps, share(rule, "memory")), state(site, "luck")
    assert luck.min() >= 0 and luck.max() < 1
    wanted = noise_chance(rule, steps[-1], c) * np.sqrt(steps[-1]["var_post"])[None] / luck
    np.testing.assert_allclose(ranked(site), wanted, rtol=1e-3)


def test_noise_covariance_keeps_the_expected_weight() -> None:
    """Over many lives of the same births, survivors at w/p and zeros for the dead average to the weights born."""
    lives = 4000
    network, seeds = tiny(lives), tuple(range(lives))
    rule = load_rule("noise-covariance").with_parameters({"when": "10 % dev", "K": 0.15})
    site = run(rule, recorded(), network, Schedule("decreasing-rate", 0.001, 0.0, 0.01), seeds)
    p = site.projection
    kept = (p.weight * p.alive).double().numpy()
    alive = p.alive.float().mean(0).numpy()
    assert 0.05 < alive.mean() < 0.95
    assert (p.weight[p.alive].abs() >= torch.from_numpy(np.abs(BIRTHS)).expand(p.shape)[p.alive] * 0.999).all()
    error = kept.std(0) / np.sqrt(lives)
    assert (np.abs(kept.mean(0) - BIRTHS) <= 4.5 * error + 1e-6).all()


def test_homeostatic_scaling_and_oja_change_weights_as_written() -> None:
    steps, dt = recorded(), CLOCK.dt / CLOCK.duration
    oja, scaling = load_rule("oja"), load_rule("homeostatic-scaling")
    w, h, level, usual = BIRTHS.astype(float), BIRTHS.astype(float), np.zeros(M), np.zeros(M)
    fast, slow = (np.exp(-CLOCK.presentation / share(scaling, n)) for n in ("memory", "life"))
    for k, a in enumerate(steps):
        hebb = np.mean([centred(a, s) for s in range(S)], 0)
        power = ((a["post"] - a["mean_post"]) ** 2).mean(0)
        w = w + oja.parameters["rate"].value * dt * (hebb - power * w) / a["var_post"]
        h = h + 2 * dt * np.abs(BIRTHS) * hebb / np.sqrt(np.outer(a["var_pre"], a["var_post"]))
        if k * CLOCK.dt > share(scaling, "life"):
            h = h * np.exp(20 * dt * (usual - level) / (usual + level + 1e-12))
        for s in range(S):
            level, usual = (q * x + (1 - q) * a["post"][s] ** 2 for q, x in ((fast, level), (slow, usual)))
    np.testing.assert_allclose(run(oja, steps).projection.weight[0].numpy(), w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(scaling, steps).projection.weight[0].numpy(), h, rtol=1e-4, atol=1e-5)


def test_oja_finds_the_principal_component() -> None:
    """The independent reference: a linear neuron under Oja's rule ends at the leading eigenvector, with length 1."""
    random = np.random.default_rng(2)
    mixing = random.standard_normal((N, N)) * np.array([3, 1, 1, 1, 0.5, 0.5, 0.5])[:, None]
    w = torch.from_numpy(BIRTHS.copy())[None]
    network = tiny()
    rule = load_rule("oja-weights", "plasticity").with_parameters({"rate": 2000})
    p = network.projections["input-output"]
    clock = Clock(0.05, 200, 40_000)
    none = {n: torch.zeros(1, size) for n, size in (("mean_pre", N), ("mean_post", M), ("var_post", M))}
    with torch.inference_mode():
        site = PlasticSite(p, rule, Sensed(w, w, None, None, None, none, {"weight": p.weight}, -1), clock, (0,), True)
        for k in range(600):
            x = torch.from_numpy(random.standard_normal((1, 200, N)) @ mixing).float()
            y = x @ p.weight
            neurons = {**none, "var_post": y.var(1)}
            site.advance(Sensed(x, y, None, None, None, neurons, {"weight": p.weight}, k))
    leading = np.linalg.eigh(mixing.T @ mixing)[1][:, -1]
    for j in range(M):
        found = p.weight[0, :, j].numpy()
        assert np.linalg.norm(found) == pytest.approx(1, abs=0.05)
        assert abs(found @ leading) > 0.98


def test_reward_modulated_hebb() -> None:
    rule, steps = load_rule("reward-three-factor"), recorded()
    site = run(rule, steps)
    memory, span = np.exp(-CLOCK.presentation / share(rule, "memory")), CLOCK.duration
    expected, power, moved = 0.0, np.zeros((N, M)), np.zeros((N, M))
    for k, a in enumerate(steps):
        advantage = a["reward"] - expected
        credit = np.mean([np.outer(a["pre"][s], (a["post"][s] - a["mean_post"]) * advantage[s]) for s in range(S)], 0)
        keep = memory**S
        power = keep * power + (1 - keep) * credit**2
        moved += CLOCK.dt * 30 * (1 - k * CLOCK.dt / span) / span * SIGN * credit / np.sqrt(power + 1e-20)
        for s in range(S):
            expected = memory * expected + (1 - memory) * a["reward"][s]
    first = state(run(rule, []), "tag")
    np.testing.assert_allclose(state(site, "tag") - first, moved, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["three-factor-delta", "soft-hebb", "oja-weights"])
def test_plasticity_changes_weights_as_written(name: str) -> None:
    rule, steps, network = load_rule(name, "plasticity"), recorded(), tiny()
    host = Site(network.projections["input-output"], network, load_rule("minimal-value"), Schedule(), CLOCK, (0,), names=rule.names)
    dt, w, power = CLOCK.dt / CLOCK.duration, BIRTHS.astype(float), np.zeros((N, M))
    with torch.inference_mode():
        site = PlasticSite(host.projection, rule, replace(sensed(steps[0], host, -1), step=-1), CLOCK, (0,), True)
        for k, a in enumerate(steps):
            site.advance(sensed(a, host, k))
    for k, a in enumerate(steps):
        if name == "three-factor-delta":
            credit = np.mean([outer(a, s, "pre", "teach_post") for s in range(S)], 0)
            keep = np.exp(-CLOCK.dt / share(rule, "memory"))
            power = keep * power + (1 - keep) * credit**2
            size = np.sqrt(2 / steps[0]["degree_post"])[None]
            w = w + 20 * dt * (1 - k * dt) * size * credit / np.sqrt(power + 1e-20)
        else:
            x, u, var = a["pre"] - a["mean_pre"], a["post"] - a["mean_post"], a["var_post"]
            y = u if name == "oja-weights" else np.exp(np.clip(u / np.sqrt(var), -3, 3)) - 1
            w = w + 10 * dt * (x.T @ y / S - (u * y).mean(0) * w) / (var if name == "oja-weights" else np.sqrt(var))
    np.testing.assert_allclose(host.projection.weight[0].numpy(), w, rtol=2e-3, atol=1e-4)


def test_a_linear_equation_may_drive_the_weight_itself() -> None:
    """A leading linear equation is one in-place product; here its target is the weight."""
    rule = parse_rule({"role": "plasticity", "parameters": {"tau": "1 s"}, "synapse": ["dweight/dt = (pre*post - weight)/tau"]})
    steps, network = recorded(), tiny()
    host = Site(network.projections["input-output"], network, load_rule("minimal-value"), Schedule(), CLOCK, (0,))
    with torch.inference_mode():
        site = PlasticSite(host.projection, rule, sensed(steps[0], host, -1), CLOCK, (0,), True)
        for k, a in enumerate(steps):
            site.advance(sensed(a, host, k))
    wanted = low_pass(outer, steps, 1.0) + BIRTHS * np.exp(-CLOCK.presentation * S * STEPS)
    np.testing.assert_allclose(host.projection.weight[0].numpy(), wanted, rtol=1e-4, atol=1e-6)


def test_every_shipped_rule_has_what_a_reader_needs() -> None:
    """About, source, a citation with the source's author, and every parameter used."""
    tested = "covariance regrowth bcm fisher resource-competition tag-and-protection survival-counter minimal-value noise-covariance"
    known = {*tested.split(), "noise-covariance-quota", "homeostatic-scaling", "oja", "reward-three-factor"}
    elsewhere = {"hebbian-trace", "three-factor", "mirrored-three-factor"}
    assert known <= set(rule_paths())
    for role in ("pruning", "plasticity", "growth"):
        for name in rule_paths(role):
            rule = load_rule(name, role)
            assert rule.about and rule.source and rule.bibtex.startswith("@"), name
            assert rule.bibtex.count("{") == rule.bibtex.count("}"), name
            assert set(rule.parameters) <= rule.names, name
    assert elsewhere <= set(rule_paths())


@pytest.mark.parametrize("name", sorted(rule_paths("plasticity")))
@pytest.mark.parametrize("edge", [(0, 0), (3, 2), (6, 4)])
def test_plasticity_changes_a_weight_by_what_its_synapse_can_sense(name: str, edge: tuple[int, int]) -> None:
    """With what neurons i and j did as recorded, all else may differ, weights included: the weight of (i, j) does not."""
    rule, weights = load_rule(name, "plasticity"), []
    for other in (False, True):
        network = tiny()
        p = network.projections["input-output"]
        steps = [mixed(own, noise, *edge) if other else own for own, noise in zip(recorded(1), recorded(2), strict=True)]
        if other:
            drawn = torch.randn(p.shape, generator=torch.Generator().manual_seed(3))
            drawn[0, edge[0], edge[1]] = p.weight[0, edge[0], edge[1]]
            p.weight.copy_(drawn)
            p.refresh()
        host = Site(p, network, load_rule("minimal-value"), Schedule(), CLOCK, (0,), names=rule.names)
        with torch.inference_mode():
            site = PlasticSite(p, rule, sensed(steps[0], host, -1), CLOCK, (0,), True)
            for k, a in enumerate(steps):
                site.advance(sensed(a, host, k))
        weights.append(p.weight[0].clone())
    assert float(weights[0][edge]) == float(weights[1][edge]) != float(BIRTHS[edge])
    assert not torch.equal(*weights)


def mixed(own: Arrays, noise: Arrays, i: int, j: int) -> Arrays:
    """Return ``noise`` with all that belongs to neurons i and j, and the global reward, as in ``own``."""
    found = {n: v.copy() for n, v in noise.items()}
    for name in own:
        if name == "reward":
            found[name] = own[name]
        else:
            found[name][..., i if name.endswith("pre") else j] = own[name][..., i if name.endswith("pre") else j]
    return found
