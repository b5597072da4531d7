"""How large a network the exhaustive search of masks still finishes: python benchmarks/exhaustive.py INPUTS HIDDEN [--within layer|free]

Looks at every mask of one random network (32 samples) and prints how many there were, the processor time, and that of a mask next to
that of evaluating masks one by one in numpy, in the same process.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from biosim.errors import InputError
from biosim.theory.exhaustive import Problem, best_mask, loss_of


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("inputs", type=int)
    parser.add_argument("hidden", type=int)
    parser.add_argument("--within", default="layer", choices=["layer", "free", "network", "neuron"])
    given = parser.parse_args()
    random = np.random.default_rng(0)
    d, h = given.inputs, given.hidden
    if min(d, h) < 1:
        parser.error("needs at least one input and two hidden neurons")
    weights = random.normal(size=(d, h)) * (2 / d) ** 0.5, random.normal(size=(h, 2)) * (2 / h) ** 0.5
    try:
        problem = Problem(*weights, random.normal(size=(32, d)), np.arange(32) % 2, 2**0.5)
    except InputError as error:
        parser.error(str(error))
    best_mask(Problem(weights[0][:1, :2], weights[1][:2], problem.samples[:, :1], problem.labels, 1.0))  # compiles
    began = time.process_time()
    found = best_mask(problem, given.within)
    seconds = time.process_time() - began
    began = time.process_time()
    for _ in range(2000):
        loss_of(problem, found.first, found.second)
    one = (time.process_time() - began) / 2000
    each = seconds / found.masks
    print(f"{problem.synapses} synapses, {found.masks:,} masks ({given.within}): {seconds:.1f} s of one core, {1e9 * each:.0f} ns a mask")
    print(
        f"best loss {found.loss:.4f}, mean {found.mean:.4f}; one by one in numpy {1e9 * one:.0f} ns a mask, {one / each:.0f} times as long"
    )


if __name__ == "__main__":
    main()
