"""One projection of 7 x 5 synapses, and what its neurons did: for tests that write rules out in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from biosim.equations import Clock, Rule
from biosim.equations.sensed import Sensed
from biosim.nursery.site import Site
from biosim.schedule import Schedule
from biosim.synapses import Network, Population, Projection

N, M, S, STEPS = 7, 5, 6, 9
CLOCK = Clock(0.05, S, 40)
Arrays = dict[str, np.ndarray]
rng = np.random.default_rng(0)
BIRTHS = rng.standard_normal((N, M)).astype(np.float32)


def tiny(replicates: int = 1) -> Network:
    """Return one projection of 7 x 5 synapses, the same births in every replicate."""
    a, b = Population("input", N, "linear"), Population("output", M, "linear")
    weight = torch.from_numpy(np.repeat(BIRTHS[None], replicates, 0).copy())
    return Network([a, b], [Projection("input-output", a, b, weight, torch.ones_like(weight, dtype=torch.bool))])


def recorded(seed: int = 1) -> list[Arrays]:
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
