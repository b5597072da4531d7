"""Eliminating synapses of a Brian2 network against building it anew without them: seconds, interleaved in one run.

Building anew is what a Brian2 user can do otherwise: ``connect``, then weights, delays and traces carried over. The spikes in
flight and what monitors recorded are lost that way; ``eliminate`` keeps them.

    python benchmarks/brian2_elimination.py [SYNAPSES]
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import brian2 as b2
import numpy as np

from biosim.substrates.brian import eliminate

MODEL = "w : 1\ndapre/dt = -apre/(20*ms) : 1 (event-driven)\ndapost/dt = -apost/(20*ms) : 1 (event-driven)"


def build(i: Any, j: Any, w: Any, delay: Any, size: int, **others: Any) -> tuple[Any, Any]:
    """Return neurons and plastic synapses between them."""
    neurons = b2.NeuronGroup(size, "dv/dt = (1.1 - v)/(20*ms) : 1", threshold="v > 1", reset="v = 0", method="exact")
    synapses = b2.Synapses(
        neurons, neurons, MODEL, on_pre="v_post += 0.001*w; apre += 0.01; w = clip(w + apost, 0, 1)",
        on_post="apost -= 0.0105; w = clip(w + apre, 0, 1)",
    )  # fmt: skip
    synapses.connect(i=i, j=j)
    synapses.w = w
    synapses.pre.delay = delay * b2.second
    for name, values in others.items():
        setattr(synapses, name, values)
    neurons.v = "rand()"
    return neurons, synapses


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long ``work`` takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main(total: int = 1_000_000, repeats: int = 3) -> None:
    """Print one table."""
    logging.getLogger("brian2").setLevel(logging.ERROR)
    b2.prefs.codegen.target = "numpy"
    size = max(2, round((2 * total) ** 0.5))
    random = np.random.default_rng(0)
    edges = random.choice(size * size, total, replace=False)
    i, j, w, delay = edges // size, edges % size, random.random(total), random.integers(1, 20, total) * 1e-4
    print(f"{total} synapses, event-driven traces, a delay each; spikes in flight; median of {repeats}")
    print("| eliminated | eliminate, s | ns a synapse born | built anew, s | built anew / eliminate |")
    print("|---|---|---|---|---|")
    for share in (0.1, 0.5, 0.9):
        own, anew = [], []
        for _ in range(repeats):
            neurons, synapses = build(i, j, w, delay, size)
            network = b2.Network(neurons, synapses)
            network.run(1 * b2.ms)
            seconds, died = timed(lambda synapses=synapses, share=share: eliminate(synapses, f"w < {share}"))  # type: ignore[misc]
            own.append(seconds)
            left = {"i": np.array(synapses.i), "j": np.array(synapses.j), "w": np.array(synapses.w), "delay": np.array(synapses.pre.delay)}
            others = {name: np.array(getattr(synapses, name)) for name in ("apre", "apost", "lastupdate")}
            others["lastupdate"] = others["lastupdate"] * b2.second
            carried = {**left, **others, "size": size}
            anew.append(timed(lambda carried=carried: build(**carried))[0])  # type: ignore[misc]
            network.run(1 * b2.ms)
        a, b = statistics.median(own), statistics.median(anew)
        print(f"| {died / total:.0%} | {a:.3f} | {a / total * 1e9:.0f} | {b:.3f} | {b / a:.1f} |")


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:2]))
