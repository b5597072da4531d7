"""Spike trains of a stretch of time, and what is said of them: rates and irregularity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from biosim.spiking.network import Network
from biosim.spiking.simulation import Simulation
from biosim.state import State, part

Floats = npt.NDArray[np.float64]
Precision = Literal["float32", "float64"]
SETTLE = 0.3  # seconds that a network is given to forget the potentials it starts with


@dataclass(frozen=True)
class Trains:
    """Spikes by population and replicate.

    Attributes
    ----------
    duration : float
        Seconds.
    sizes : dict
        Neurons by population.
    spikes : dict
        By population a list with one pair a replicate: times (s, from the beginning of the stretch), neurons.
    """

    duration: float
    sizes: dict[str, int]
    spikes: dict[str, list[tuple[Floats, npt.NDArray[np.int64]]]]

    def rate(self, population: str) -> Floats:
        """Return the mean rate of a population's neurons in Hz, (R,)."""
        return np.array([len(t) for t, _ in self.spikes[population]]) / (self.duration * self.sizes[population])

    def cv(self, population: str) -> Floats:
        """Return the mean over neurons of the coefficient of variation of their interspike intervals, (R,).

        Neurons with fewer than three intervals are left out; NaN where there is no other.
        """
        found = []
        size = self.sizes[population]
        for times, neurons in self.spikes[population]:
            order = np.lexsort((times, neurons))
            same = np.diff(neurons[order]) == 0
            intervals, owner = np.diff(times[order])[same], neurons[order][1:][same]
            n = np.bincount(owner, minlength=size)
            kept = n >= 3
            if not kept.any():
                found.append(float("nan"))
                continue
            mean = np.bincount(owner, intervals, size)[kept] / n[kept]
            square = np.bincount(owner, intervals**2, size)[kept] / n[kept]
            found.append(float(np.mean(np.sqrt(np.maximum(square - mean**2, 0.0)) / mean)))
        return np.array(found)

    def tensors(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return every array by name: ``POPULATION.REPLICATE.times`` and ``.neurons``."""
        found: dict[str, npt.NDArray[np.generic]] = {}
        for name, own in self.spikes.items():
            for r, (times, neurons) in enumerate(own):
                found |= {f"{name}.{r}.times": times.astype(np.float32), f"{name}.{r}.neurons": neurons.astype(np.uint32)}
        return found


def state_of(trains: Trains) -> State:
    """Return spike trains as a state, for a checkpoint."""
    spikes = {n: {str(r): {"times": t, "neurons": i} for r, (t, i) in enumerate(own)} for n, own in trains.spikes.items()}
    return {"duration": trains.duration, "sizes": trains.sizes, "spikes": spikes}


def trains_of(state: State) -> Trains:
    """Return the spike trains of :func:`state_of`."""
    spikes = {n: [(own[str(r)]["times"], own[str(r)]["neurons"]) for r in range(len(own))] for n, own in part(state, "spikes").items()}
    return Trains(float(state["duration"]), {n: int(size) for n, size in part(state, "sizes").items()}, spikes)


def listen(network: Network, seeds: Sequence[int], duration: float, *, precision: Precision = "float32", rate_cap: float = 300.0) -> Trains:
    """Let a network run with its weights frozen and return its spikes, after a short time in which it settles."""
    simulation = Simulation(network, {}, seeds, precision=precision, rate_cap=rate_cap)
    dt = network.dt
    start, length = round(SETTLE / dt) * dt, round(duration / dt) * dt
    simulation.run(start)
    simulation.forget()
    simulation.run(length)
    spikes = {}
    for p in network.populations:
        own = [simulation.spikes(p.name, r) for r in range(len(simulation.seeds))]
        spikes[p.name] = [(s.times - start, s.neurons) for s in own]
    return Trains(length, {p.name: p.size for p in network.populations}, spikes)
