"""Every shipped rule that changes weights against its published equations, written out in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_site import BIRTHS, CLOCK, STEPS, Arrays, M, N, S, centred, low_pass, outer, recorded, run, sensed, share, tiny

from biosim.equations import Clock, parse_rule
from biosim.equations.sensed import Known, Sensed
from biosim.nursery.plasticity import PlasticSite
from biosim.nursery.site import Site
from biosim.rules import load_rule, rule_paths
from biosim.schedule import Schedule


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
    network = tiny()
    rule = load_rule("oja-weights", "plasticity").with_parameters({"rate": 2000})
    p = network.projections["input-output"]
    clock = Clock(0.05, 200, 40_000)
    none = {n: torch.zeros(1, size) for n, size in (("mean_pre", N), ("mean_post", M), ("var_post", M))}
    with torch.inference_mode():
        site = PlasticSite(p, rule, Known({"weight": p.weight}, none, -1), clock, (0,), True)
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


@pytest.mark.parametrize("name", ["three-factor-delta", "soft-hebb", "oja-weights"])
def test_plasticity_changes_weights_as_written(name: str) -> None:
    rule, steps, network = load_rule(name, "plasticity"), recorded(), tiny()
    host = Site(network.projections["input-output"], network, load_rule("minimal-value"), Schedule(), CLOCK, (0,), names=rule.names)
    dt, w, power = CLOCK.dt / CLOCK.duration, BIRTHS.astype(float), np.zeros((N, M))
    with torch.inference_mode():
        site = PlasticSite(host.projection, rule, sensed(steps[0], host, -1).known, CLOCK, (0,), True)
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
        site = PlasticSite(host.projection, rule, sensed(steps[0], host, -1).known, CLOCK, (0,), True)
        for k, a in enumerate(steps):
            site.advance(sensed(a, host, k))
    wanted = low_pass(outer, steps, 1.0) + BIRTHS * np.exp(-CLOCK.presentation * S * STEPS)
    np.testing.assert_allclose(host.projection.weight[0].numpy(), wanted, rtol=1e-4, atol=1e-6)


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
            site = PlasticSite(p, rule, sensed(steps[0], host, -1).known, CLOCK, (0,), True)
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
