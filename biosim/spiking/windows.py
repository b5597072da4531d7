"""Activity of a spiking network as rate rules read it: exponentially filtered rates in Hz, ``pre`` taken on arrival.

Binned counts would not do: their covariance depends on the bin and loses what a delay separates. A filtered rate hardly
depends on how often it is sampled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.spiking.network import whole_steps
from biosim.spiking.simulation import Simulation
from biosim.state import State, array, part

Steps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """Activity since the last look.

    Attributes
    ----------
    post : mapping
        (R, samples, size) Hz by population.
    pre : mapping
        (R, samples, n_pre) Hz by projection: the presynaptic rates as they arrive.
    """

    post: Mapping[str, npt.NDArray[np.float32]]
    pre: Mapping[str, npt.NDArray[np.float32]]


class ActivityFilter:
    """Filters recorded spikes: ``dx/dt = -x/tau``, and ``1/tau`` more at every spike.

    Parameters
    ----------
    simulation : Simulation
        It must record the spikes of the populations asked for.
    projections : sequence of str
    tau : float
        Seconds.
    every : float
        Seconds between two samples; a window must be a whole number of them.
    """

    def __init__(self, simulation: Simulation, projections: list[str], tau: float = 20e-3, every: float = 5e-3) -> None:
        if tau <= 0:
            raise InputError(f"activity is filtered over a time longer than 0 s, not {tau:g} s", ("tau_activity",))
        dt = simulation.network.dt
        self.simulation, self.tau, self.every = simulation, tau, every
        self.stride = whole_steps(every, dt, "the time between two samples", "sample_every")
        if self.stride < 1:
            raise InputError(f"the time between two samples must be at least one step, {dt:g} s", ("sample_every",))
        own = [simulation.network.projection(name) for name in projections]
        self.populations = sorted({name for p in own for name in (p.pre, p.post)})
        self.ends = {p.name: (p.pre, p.post) for p in own}
        self.delays = {p.name: p.delay_steps(dt) for p in own}
        replicates = range(len(simulation.seeds))
        sizes = {n: simulation.network.population(n).size for n in self.populations}
        self.level = {("post", n): [np.zeros(sizes[n]) for _ in replicates] for n in self.populations}
        self.level |= {("pre", p.name): [np.zeros(sizes[p.pre]) for _ in replicates] for p in own}
        self.late: dict[tuple[str, int], tuple[Steps, Steps]] = {}
        self.start, self.seen = simulation.step, [len(recorded.chunks) for recorded in simulation.recorded]

    def take(self) -> Window:
        """Return the activity since the last call."""
        s, stop = self.simulation, self.simulation.step
        samples = (stop - self.start) // self.stride
        if samples * self.stride != stop - self.start:
            raise InputError(f"a window must be a whole number of samples of {self.every:g} s", ("sample_every",))
        post = {n: np.zeros((len(s.seeds), samples, s.network.population(n).size), np.float32) for n in self.populations}
        pre = {p: np.zeros((len(s.seeds), samples, s.network.population(ends[0]).size), np.float32) for p, ends in self.ends.items()}
        for r in range(len(s.seeds)):
            fresh = self._fresh(r)
            for name in self.populations:
                self._filter(("post", name), r, *fresh[name], post[name][r])
            for projection, (source, _) in self.ends.items():
                step, neuron = fresh[source]
                late = self.late.get((projection, r), (step[:0], neuron[:0]))
                step = np.concatenate([late[0], step + self.delays[projection][neuron]])
                neuron = np.concatenate([late[1], neuron])
                now = step < stop
                self.late[projection, r] = (step[~now], neuron[~now])
                self._filter(("pre", projection), r, step[now], neuron[now], pre[projection][r])
        self.start = stop
        return Window(post, pre)

    def state(self) -> State:
        """Return the rates as filtered so far, and the spikes that are still on their way; all that was recorded has been taken."""
        late = {f"{name}.{r}": {"step": step, "neuron": neuron} for (name, r), (step, neuron) in self.late.items()}
        return {"level": {f"{side}.{n}.{r}": own for (side, n), all_ in self.level.items() for r, own in enumerate(all_)}, "late": late}

    def restore(self, state: State) -> None:
        """Take a state over, once the simulation has taken over its own."""
        for (side, name), own in self.level.items():
            for r, now in enumerate(own):
                own[r] = array(part(state, "level").get(f"{side}.{name}.{r}"), now.dtype, now.shape, "level").copy()
        saved = part(state, "late")
        for projection, (source, _) in self.ends.items():
            size = self.simulation.network.population(source).size
            for r in range(len(self.simulation.seeds)):
                if (own_late := saved.get(f"{projection}.{r}")) is not None:
                    shape = own_late["step"].shape
                    step = array(own_late["step"], np.int64, (shape[0],), "late", self.simulation.step)
                    self.late[projection, r] = step.copy(), array(own_late["neuron"], np.int64, shape, "late", 0, size - 1).copy()
        self.start, self.seen = self.simulation.step, [len(recorded.chunks) for recorded in self.simulation.recorded]

    def _fresh(self, r: int) -> dict[str, tuple[Steps, Steps]]:
        recorded, first = self.simulation.recorded[r], self.seen[r]
        self.seen[r] = len(recorded.chunks)
        return {name: recorded.of(self.simulation.layout.emitters[name], first) for name in self.populations}

    def _filter(self, key: tuple[str, str], r: int, step: Steps, neuron: Steps, out: npt.NDArray[np.float32]) -> None:
        dt, level = self.simulation.network.dt, self.level[key][r]
        keep = np.exp(-self.stride * dt / self.tau)
        sample = (step - self.start) // self.stride
        gain = np.exp(-(self.start + (sample + 1) * self.stride - step) * dt / self.tau) / self.tau
        order = np.argsort(sample, kind="stable")
        neuron, gain, ends = neuron[order], gain[order], np.searchsorted(sample[order], np.arange(len(out) + 1))
        for k in range(len(out)):
            own = slice(ends[k], ends[k + 1])
            level *= keep
            level += np.bincount(neuron[own], gain[own], minlength=len(level))
            out[k] = level
