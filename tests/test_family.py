"""Every shipped rule and growth against its published equations, written out in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_site import BIRTHS, CLOCK, STEPS, Arrays, M, N, S, centred, low_pass, outer, recorded, run, sensed, share, tiny

from biosim.equations import Level, Rule
from biosim.nursery.site import Site
from biosim.rules import load_rule, rule_paths
from biosim.schedule import Schedule


def state(site: Site, name: str) -> np.ndarray:
    return site.decisions[0].compiled.held.arrays[name][0].double().numpy()


def ranked(site: Site) -> np.ndarray:
    """Return by what the synapses compete for survival, at the last step."""
    steps = recorded()
    with torch.inference_mode():
        return site.decisions[0].compiled.scores("eliminate", sensed(steps[-1], site, STEPS - 1).known)[0].double().numpy()


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
    np.testing.assert_allclose(site.decisions[0].compiled.held.traces["theta_post"][0].numpy(), theta, rtol=1e-4)
    np.testing.assert_allclose(state(site, "tag"), tag, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ranked(site), SIGN * tag, rtol=1e-4, atol=1e-6)


def test_bcm_strengthens_above_its_threshold_and_weakens_below() -> None:
    """A steady target sits at its threshold; one that doubles is above it at first; one that halves below."""
    rule = load_rule("bcm")
    for factor, sign in ((2.0, 1), (0.5, -1)):
        steady = [{**a, "pre": np.ones((S, N)), "post": np.ones((S, M))} for a in recorded() * 4]
        settled = run(rule, steady)
        assert np.abs(settled.decisions[0].compiled.held.traces["theta_post"].numpy() - 1).max() < 0.01
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


def test_every_shipped_rule_has_what_a_reader_needs() -> None:
    """About, source, a citation that closes its braces, every parameter used, and nothing read that is no local rule's to read."""
    for role in ("pruning", "plasticity", "growth"):
        for name in rule_paths(role):
            rule = load_rule(name, role)
            assert rule.name == name and rule.about and rule.source and rule.bibtex.startswith("@"), name
            assert rule.bibtex.count("{") == rule.bibtex.count("}"), name
            assert set(rule.parameters) <= rule.names and rule.level() <= Level.broadcast, name
            assert role != "pruning" or "doi" in rule.source, name
