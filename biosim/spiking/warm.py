"""Compiles the engine's kernels before anybody waits for them; numba keeps them on disk."""

from __future__ import annotations

from typing import Literal

from biosim.equations import parse_rule
from biosim.spiking.births import Births
from biosim.spiking.network import Network, PoissonDrive, Projection
from biosim.spiking.neurons import Population
from biosim.spiking.simulation import Simulation

SIZE = 20  # neurons
PRECISIONS: tuple[Literal["float32", "float64"], ...] = ("float32", "float64")
RULE = {
    "parameters": {"tau": "20 ms", "w_dead": 0.1},
    "traces": ["dx_pre/dt = -x_pre/tau", "dy_post/dt = -y_post/tau"],
    "on_spike": {"x_pre": "x_pre + 1", "y_post": "y_post + 1"},
    "on_pre": ["weight = clip(weight - 0.01*y_post, 0, 1)"],
    "on_post": ["weight = clip(weight + 0.01*x_pre, 0, 1)"],
    "eliminate": "weight < w_dead",
}


def compile_engine() -> None:
    """Run a small network in single and in double precision, on one thread and on two: about two minutes, once."""
    births = Births.random(SIZE, SIZE, 0.5, [0], 0.5, loops=False)
    network = Network([Population("e", SIZE)], [Projection("ee", "e", "e", births, delay=1e-3)], [PoissonDrive("e", 950.0, 1.0)])
    for precision in PRECISIONS:
        for count in (1, 2):
            simulation = Simulation(network, {"ee": parse_rule(RULE, "additive")}, [0], precision=precision, threads=count)
            simulation.run(0.01)
            simulation.eliminate("ee", "weight < 0.1")
