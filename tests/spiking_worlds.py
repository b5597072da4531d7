"""Small spiking networks and spike-timing rules for agreement tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from biosim.equations import Rule, parse_rule
from biosim.rules import load_rule, rule_paths
from biosim.spiking import LIF, Births, Conductance, Current, Delta, GivenSpikes, Network, Population, Projection

DT = 2.5e-4
CELL = LIF(tau_m=15e-3, v_rest=-1.0, v_reset=0.5, v_threshold=10.0, refractory=1.5e-3, bias=2.0)
QUICK = LIF(tau_m=8e-3, v_threshold=8.0, refractory=0.0)


def given(size: int, steps: int, chance: float, seed: int) -> GivenSpikes:
    """Return neurons that spike at each step with this chance; some share steps."""
    step, neuron = np.nonzero(np.random.default_rng(seed).random((steps, size)) < chance)
    return GivenSpikes("input", size, (step * DT,), (neuron,))


def births(n_pre: int, n_post: int, seed: int, probability: float = 0.7, loops: bool = True) -> Births:
    return Births.random(
        n_pre, n_post, probability, [seed], lambda g, n: g.uniform(0.1, 0.9, n), component=f"{n_pre}-{n_post}", loops=loops
    )


def world(kind: str, seed: int = 0) -> Network:
    """Return inputs, excitatory and inhibitory neurons with four projections, two of them plastic.

    ``kind``: all synapses ``delta``, or currents and conductances (``filtered``).
    """
    random = np.random.default_rng(seed)
    populations = [
        given(8, 400, 0.08, seed),
        Population("excitatory", 6, CELL, "excitatory", start=(0.0, 8.0)),
        Population("inhibitory", 4, QUICK, "inhibitory"),
    ]
    by_neuron = random.integers(0, 20, 8) * DT
    back = random.integers(1, 12, 4) * DT
    feed, loop, up, down = births(8, 6, seed), births(6, 6, seed, loops=False), births(6, 4, seed), births(4, 6, seed)
    if kind == "delta":
        return Network(populations, [
            Projection("feed", "input", "excitatory", feed, Delta(), by_neuron, 5.0),
            Projection("loop", "excitatory", "excitatory", loop, Delta(), 1e-3, 2.0),
            Projection("up", "excitatory", "inhibitory", up, Delta(), 5e-4, 6.0),
            Projection("down", "inhibitory", "excitatory", down, Delta(), back, -2.0),
        ], dt=DT)  # fmt: skip
    return Network(populations, [
        Projection("feed", "input", "excitatory", feed, Current(4e-3), 0.0, 12.0),
        Projection("loop", "excitatory", "excitatory", loop, Conductance(3e-3, 60.0), random.integers(1, 9, 6) * DT, 0.05),
        Projection("up", "excitatory", "inhibitory", up, Current(2e-3), 5e-4, 20.0),
        Projection("down", "inhibitory", "excitatory", down, Conductance(8e-3, -10.0), back, 0.4),
    ], dt=DT)  # fmt: skip


TRACES = ["dx_pre/dt = -x_pre/tau_plus", "dy_post/dt = -y_post/tau_minus"]
RISES = {"x_pre": "x_pre + 1", "y_post": "y_post + 1"}
COMMON: dict[str, Any] = {"tau_plus": "16 ms", "tau_minus": "24 ms", "a_plus": 0.03, "a_minus": 0.035, "w_max": 1, "w_dead": 0.3}

RULES: dict[str, dict[str, Any]] = {
    "additive": {
        "parameters": COMMON, "traces": TRACES, "on_spike": RISES,
        "on_pre": ["weight = clip(weight - a_minus*y_post, 0, w_max)"],
        "on_post": ["weight = clip(weight + a_plus*x_pre, 0, w_max)"],
        "eliminate": "weight < w_dead",
    },
    "soft bounds, nearest spikes": {
        "parameters": {**COMMON, "young": "20 ms"}, "traces": TRACES, "on_spike": {"x_pre": "1", "y_post": "max(1, 0.5*y_post)"},
        "on_pre": ["weight = weight - a_minus*weight*y_post"],
        "on_post": ["weight = weight + a_plus*(w_max - weight)*x_pre"],
        "eliminate": "weight < w_dead and age > young",
    },
    "triplet": {
        "parameters": {**COMMON, "tau_slow": "60 ms", "a_slow": 0.02}, "traces": [*TRACES, "dz_post/dt = -z_post/tau_slow", "du_pre/dt = (0.2 - u_pre)/tau_slow"],
        "on_spike": {**RISES, "z_post": "z_post + 0.5 + 0.1*y_post", "u_pre": "u_pre + x_pre**2/4"},
        "on_pre": ["weight = max(weight - y_post*(a_minus + a_slow*u_pre), 0)"],
        "on_post": ["weight = min(weight + x_pre*(a_plus + a_slow*z_post), w_max, 1.5)"],
        "eliminate": "not (weight > w_dead) or degree_pre < 2",
    },
    "state and changing bounds": {
        "parameters": {**COMMON, "gain": 0.2, "tau_tag": "100 ms", "grace": "5 ms"}, "traces": TRACES, "on_spike": RISES,
        "state": {"tag": "0.5*weight", "ceiling": 0.8, "weak_for": "0 s"},
        "on_pre": ["tag = tag + gain*(y_post - tag)", "weight = clip(weight - a_minus*y_post*(1 + tag), 0, ceiling)"],
        "on_post": [
            "ceiling = where(0.1 < tag < 2 or x_pre >= 1, ceiling + 0.01*sqrt(abs(x_pre)), ceiling*exp(-0.01))",
            "weight = clip(weight + a_plus*x_pre*tanh(1 + tag), 0, min(ceiling, w_max))",
        ],
        "synapse": ["dtag/dt = (0.1*weight - tag)/tau_tag", "weak_for = where(weight < w_dead, weak_for + dt, 0)"],
        "eliminate": "weak_for > grace or (x_pre > 3 and y_post < 0.2)",
        "survivors": ["weight = weight*(1 + 0.01*tag)"],
    },
}  # fmt: skip


def shipped() -> list[str]:
    """Return the names of biosim's own rules with spike events."""
    return [name for name in rule_paths(spiking=True) if load_rule(name).event_driven]


def rule(name: str) -> Rule:
    """Return a rule by name; biosim's own are made to learn and to forget within tens of milliseconds."""
    if name in RULES:
        return parse_rule(RULES[name], name)
    slow = load_rule(name)
    faster = {n: 6 * q.value for n, q in slow.parameters.items() if n.startswith("a") or n == "rate"}
    return slow.with_parameters({**faster, "w_dead": 0.35, "grace": "25 ms"})
