"""What stops a simulation that has run away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from biosim.errors import NumericalError

if TYPE_CHECKING:
    from biosim.spiking.simulation import Simulation

CHECKED = 0.05  # seconds between two looks at rates and potentials


def guard(simulation: Simulation, r: int, spikes: npt.NDArray[np.int64], steps: int, end: int) -> None:
    """Raise when a population fired too fast over the last ``steps``, or a potential is no number any more."""
    dt, seed = simulation.network.dt, simulation.seeds[r]
    if steps * dt >= CHECKED / 2:
        for k, population in enumerate(simulation.network.populations):
            rate = spikes[k] / (population.size * steps * dt)
            if population.name in simulation.assembly.neurons and rate > simulation.rate_cap:
                raise NumericalError(
                    f"population '{population.name}' fires at {rate:.0f} Hz at t = {end * dt:g} s (seed {seed}), more than the cap of "
                    f"{simulation.rate_cap:g} Hz: weaken excitation, strengthen inhibition or lower the learning rate, or raise rate_cap"
                )
    if not np.isfinite(simulation.worlds[r].v).all():
        neuron = int(np.argmin(np.isfinite(simulation.worlds[r].v)))
        name = [n for n, at in simulation.assembly.first.items() if at <= neuron][-1]
        raise NumericalError(f"a potential of population '{name}' is no number any more at t = {end * dt:g} s (seed {seed})")
