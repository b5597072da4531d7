"""Rules that tests develop networks under: those that are shipped and a few of every kind, and a network grown under one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numba
import torch

from biosim.develop import Development, develop
from biosim.drives import ImageDrive
from biosim.equations import Competition, Rule, parse_rule
from biosim.equations.sensed import Sensed
from biosim.nursery.site import Site
from biosim.rules import load_rule, rule_paths
from biosim.schedule import Schedule
from biosim.synapses import Network
from biosim.teaching import Feedback

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


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch and numba use so many threads."""
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(count)
    numba.set_num_threads(count)  # raises when numba started fewer
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])


FROZEN = [n for n in ALL_RULES if not rule_named(n).plastic]
COMPETING = [n for n in ALL_RULES if any(isinstance(d, Competition) for d in rule_named(n).decisions.values())]
LOSING = [n for n in ALL_RULES if rule_named(n).regrow is None]
ALL_KINDS = ("three-factor", *INLINE)  # the others: one kind of schedule, for the time it takes
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
    draw = lambda n: torch.randn(p.shape[0], 8, n, generator=g)  # noqa: E731
    own = lambda n: draw(p.pre.size if n.endswith("pre") else p.post.size)[:, 0].abs() + 0.5  # noqa: E731
    return [
        Sensed(
            draw(p.pre.size).relu(), draw(p.post.size).relu(), draw(p.post.size), draw(p.pre.size), (draw(1)[..., 0] > 0).float(),
            {n: own(n) for n in NEURON_NAMES}, {}, k, draw(p.post.size).sign(), draw(1)[..., 0],
        )
        for k in range(steps)
    ]  # fmt: skip
