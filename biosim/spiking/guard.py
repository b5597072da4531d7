"""What stops a simulation that has run away."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biosim.errors import NumericalError
from biosim.spiking.layout import Layout
from biosim.spiking.world import World

CHECKED = 0.05  # seconds between two looks at rates and potentials


def guard(layout: Layout, world: World, spikes: npt.NDArray[np.int64], steps: int, rate_cap: float, when: str) -> None:
    """Raise when a population fired faster than ``rate_cap`` over the last ``steps``, or a potential is no number any more."""
    dt = layout.network.dt
    if steps * dt >= CHECKED / 2:
        for k, population in enumerate(layout.network.populations):
            rate = spikes[k] / (population.size * steps * dt)
            if population.name in layout.neurons and rate > rate_cap:
                raise NumericalError(
                    f"population '{population.name}' fires at {rate:.0f} Hz {when}, more than the cap of "
                    f"{rate_cap:g} Hz: weaken excitation, strengthen inhibition or lower the learning rate, or raise rate_cap"
                )
    if not np.isfinite(world.v).all():
        neuron = int(np.argmin(np.isfinite(world.v)))
        name = [n for n, at in layout.first.items() if at <= neuron][-1]
        raise NumericalError(f"a potential of population '{name}' is no number any more {when}")
