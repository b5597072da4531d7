"""Run a spiking network: event-driven, its plastic synapses really removed when they die."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numba
import numpy as np
import numpy.typing as npt

from biosim.equations import Rule
from biosim.errors import InputError
from biosim.spiking.assemble import born_world, thresholds
from biosim.spiking.births import Edges, dense
from biosim.spiking.compaction import mark_dead, without
from biosim.spiking.guard import CHECKED, guard
from biosim.spiking.kernels import advance, advance_together, settle
from biosim.spiking.layout import Layout
from biosim.spiking.live import LiveSynapses
from biosim.spiking.network import Network, whole_steps
from biosim.spiking.neurons import PoissonPopulation, check_rate
from biosim.spiking.plan import EventPlan, check_regrowth, plan_rule
from biosim.spiking.slow import SlowLines, start_states
from biosim.spiking.spikes import RecordedSpikes, Spikes

Masks = npt.NDArray[np.bool_] | Sequence[npt.NDArray[np.bool_]]


class Simulation:
    """A spiking network at work; every replicate on its own.

    Parameters
    ----------
    network : Network
    rules : mapping of str to Rule
        The rule of each plastic projection; the others keep their weights.
    seeds : sequence of int
        One a replicate: noise, Poisson inputs, potentials at birth, draws inside rules. 0, 1, ... when left out.
    precision : {"float32", "float64"}
        Of potentials, weights and states. A double-precision run agrees with Brian2 to rounding; single precision
        takes half the memory and, in a chaotic network, agrees with it in statistics only.
    threads : int
        Threads that share the neurons of one replicate. Results do not depend on it. One is best unless the
        network is large and the machine is otherwise idle: threads meet after every synaptic delay.
    workers : int, optional
        Replicates run at a time; as many as there are processors when left out.
    record : sequence of str, optional
        Populations whose spikes are kept; all when left out.
    defer : mapping of str to bool
        Forces the general (False) or the deferred (True) path of a projection's plasticity; algebra decides when left out.
    duration : float
        Seconds of development that ``% dev`` in a rule's parameters refers to.
    rate_cap : float
        Hz; a population that fires faster, over 50 ms, has exploded.

    Raises
    ------
    InputError
        When rules, seeds and network do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from biosim import load_rule
    >>> from biosim.spiking import LIF, Births, Delta, Network, PoissonPopulation, Population, Projection
    >>> from biosim.spiking.simulation import Simulation
    >>> births = Births.random(100, 20, 0.5, [0], lambda g, n: g.uniform(0.2, 0.8, n))
    >>> network = Network(
    ...     [PoissonPopulation("inputs", 100, rate=20.0), Population("cells", 20, LIF(v_threshold=10.0))],
    ...     [Projection("feed", "inputs", "cells", births, Delta(), 1e-3, 1.0)],
    ... )
    >>> simulation = Simulation(network, {"feed": load_rule("additive-stdp")}, seeds=[0], duration=0.2)
    >>> simulation.run(0.2)
    >>> before = len(simulation.weights("feed"))
    >>> removed = simulation.eliminate("feed", "weight < 0.3")  # they are gone from memory
    >>> before - len(simulation.weights("feed")) == int(removed[0])
    True
    """

    def __init__(
        self,
        network: Network,
        rules: Mapping[str, Rule] | None = None,
        seeds: Sequence[int] | None = None,
        *,
        precision: Literal["float32", "float64"] = "float32",
        threads: int = 1,
        workers: int | None = None,
        record: Sequence[str] | None = None,
        defer: Mapping[str, bool] | None = None,
        duration: float = 1.0,
        rate_cap: float = 300.0,
    ) -> None:
        if precision not in ("float32", "float64"):
            raise InputError(f"precision is float32 or float64, not '{precision}'", ("precision",))
        if threads < 1:
            raise InputError(f"a simulation needs at least one thread, not {threads}", ("threads",))
        self.network, self.rules, self.threads, self.rate_cap = network, dict(rules or {}), threads, rate_cap
        self.seeds = tuple(range(network.replicates)) if seeds is None else tuple(seeds)
        if network.projections and len(self.seeds) != network.replicates:
            raise InputError(f"the network has {network.replicates} replicates and there are {len(self.seeds)} seeds", ("seeds",))
        for name in record or ():
            network.population(name)
        recorded = {p.name for p in network.populations} if record is None else set(record)
        self.plans = {n: self._plan(n, rule, duration, (defer or {}).get(n)) for n, rule in self.rules.items()}
        self.layout = Layout(network, self.plans, precision, threads, recorded)
        self.worlds = [born_world(self.layout, r, seed) for r, seed in enumerate(self.seeds)]
        self.live = {p.name: LiveSynapses(p, k, self.plans.get(p.name), self.worlds) for k, p in enumerate(network.projections)}
        for name in self.plans:
            start_states(self.live[name], self.seeds, network.dt)
        self.workers = min(len(self.seeds), workers or os.cpu_count() or 1)
        self.step = 0
        self.recorded = [RecordedSpikes() for _ in self.seeds]
        self.deaths: dict[tuple[str, int], npt.NDArray[np.int32]] = {}

    def _plan(self, name: str, rule: Rule, duration: float, defer: bool | None) -> EventPlan:
        births = self.network.projection(name).births
        check_regrowth(rule, name)
        return plan_rule(rule, duration, births.extremes(), defer)

    # -- running --------------------------------------------------------------------------------
    @property
    def time(self) -> float:
        """Seconds simulated so far."""
        return self.step * self.network.dt

    def run(self, duration: float) -> None:
        """Run on for ``duration`` seconds, a whole number of steps.

        Raises
        ------
        NumericalError
            When a population fires faster than ``rate_cap`` or a potential is no number any more.
        """
        stop = self.step + whole_steps(duration, self.network.dt, "the duration of a run", "duration")
        if stop >= 2**31:
            raise InputError(f"a simulation has at most {2**31} steps; {duration:g} s more are too many", ("duration",))
        if self.workers > 1 and self.threads == 1:
            with ThreadPoolExecutor(self.workers) as pool:
                list(pool.map(lambda r: self._run(r, stop), range(len(self.worlds))))
        else:
            before = numba.get_num_threads()
            numba.set_num_threads(min(self.threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]  # set as it starts
            try:
                for r in range(len(self.worlds)):
                    self._run(r, stop)
            finally:
                numba.set_num_threads(before)
        self.step = stop

    def _run(self, r: int, stop: int) -> None:
        world, step, dt = self.worlds[r], self.step, self.network.dt
        stride = max(1, round(CHECKED / dt))
        run: Callable[..., int] = advance if self.threads == 1 else advance_together
        while step < stop:
            before, began, end = world.spikes.copy(), step, min(stop, step + stride)
            while step < end:
                step = int(run(world.handle, step, end, self.layout.window))
                self.recorded[r].take(world)
            guard(self.layout, world, world.spikes - before, end - began, self.rate_cap, f"at t = {end * dt:g} s (seed {self.seeds[r]})")
        settle(world.handle, stop - 1)

    # -- reading --------------------------------------------------------------------------------
    def spikes(self, population: str, replicate: int = 0) -> Spikes:
        """Return the spikes of a population recorded so far."""
        if self.network.population(population).name not in self.layout.recorded:
            raise InputError(f"spikes of '{population}' are not recorded: name it in record", ("record",))
        steps, neurons = self.recorded[replicate].of(self.layout.emitters[population])
        return Spikes(np.asarray(steps * self.network.dt, np.float64), neurons)

    def forget(self) -> None:
        """Drop the spikes recorded so far."""
        self.recorded = [RecordedSpikes() for _ in self.seeds]

    def counts(self, population: str) -> npt.NDArray[np.int64]:
        """Return how many spikes a population has emitted so far, (R,); whether recorded or not."""
        emitter = self.layout.emitters[self.network.population(population).name]
        return np.array([w.spikes[emitter] for w in self.worlds], np.int64)

    def potentials(self, population: str) -> npt.NDArray[Any]:
        """Return the potentials of a population, (R, size) mV."""
        at, size = self.layout.first[population], self.network.population(population).size
        return np.stack([w.v[at : at + size] for w in self.worlds])

    def _live(self, projection: str) -> LiveSynapses:
        return self.live[self.network.projection(projection).name]

    def survivors(self, projection: str) -> npt.NDArray[np.int64]:
        """Return how many synapses of a projection live, (R,)."""
        return self._live(projection).counts()

    def edges(self, projection: str, replicate: int = 0) -> Edges:
        """Return presynaptic neuron, postsynaptic neuron and weight of every live synapse."""
        return self._live(projection).edges(replicate)

    def weights(self, projection: str, replicate: int = 0) -> npt.NDArray[Any]:
        """Return the weights of the live synapses, a view: rows of presynaptic neurons, targets ascending."""
        return self._live(projection).weights(replicate)

    def state(self, projection: str, name: str, replicate: int = 0) -> npt.NDArray[Any]:
        """Return a per-synapse state of the projection's rule, a view in the order of :meth:`weights`."""
        return self._live(projection).state(name, replicate)

    def active(self, projection: str, replicate: int = 0) -> npt.NDArray[np.bool_]:
        """Return which live synapses are not silent, in the order of :meth:`weights`."""
        return self._live(projection).active(replicate)

    def death_steps(self, projection: str, replicate: int = 0) -> npt.NDArray[np.int32]:
        """Return, for every birth edge, the step at which its synapse died; -1 while it lives."""
        born = len(self.network.projection(projection).births.targets[replicate])
        return self.deaths.get((projection, replicate), np.full(born, -1, np.int32))

    def birth_edges(self, projection: str, replicate: int = 0) -> npt.NDArray[np.int64]:
        """Return the place among the birth edges of every live synapse."""
        return self._live(projection).birth_edges(replicate)

    def dense(self, projection: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Return (R, n_pre, n_post) weights and the mask of the live synapses."""
        births = self.network.projection(projection).births
        shape = (len(self.seeds), births.n_pre, births.n_post)
        return dense(shape, (self.edges(projection, r) for r in range(len(self.seeds))))

    def memory(self, projection: str) -> dict[str, float]:
        """Return the bytes that a live synapse takes, by what they hold."""
        return self._live(projection).memory()

    # -- changing -------------------------------------------------------------------------------
    def set_rate(self, population: str, rate: float | npt.NDArray[np.float64]) -> None:
        """Give a Poisson population other rates from now on: one number, (size,) or (R, size), in Hz."""
        p = self.network.population(population)
        if not isinstance(p, PoissonPopulation):
            raise InputError(f"'{population}' has no rates: it is no Poisson population", ("population",))
        check_rate(rate, population, p.size)
        self.network.check_probability(p, rate)
        s = self.layout.inputs.index(p)
        for r, world in enumerate(self.worlds):
            at = int(world.source[s]["first"])
            world.source_limit[at : at + p.size], world.mother_limit[s] = thresholds(p, rate, r, self.network.dt)

    def set_weights(self, projection: str, replicate: int, weights: npt.NDArray[Any]) -> None:
        """Give the live synapses of a projection other weights."""
        plan = self.plans.get(projection)
        own = self.weights(projection, replicate)
        if weights.shape != own.shape or not np.isfinite(weights).all():
            raise InputError(f"'{projection}' needs {len(own)} finite weights, one a live synapse", ("weight",))
        if plan is not None and plan.path == "deferred" and len(own) and (weights.min() < plan.bounds[0] or weights.max() > plan.bounds[1]):
            raise InputError(f"weights of '{projection}' must stay within {plan.bounds[0]:g} and {plan.bounds[1]:g}", ("weight",))
        own[:] = weights

    def eliminate(self, projection: str, doomed: str | Masks) -> npt.NDArray[np.int64]:
        """Eliminate synapses for good; return how many died, (R,).

        Parameters
        ----------
        projection : str
        doomed : str or masks
            A condition in the rule language (``"weight < 0.05"``), or for each replicate a mask over its live synapses in
            the order of :meth:`weights`.
        """
        if isinstance(doomed, str):
            doomed = SlowLines(self._live(projection), self.seeds, self.network.dt).holds(doomed, self.step)
        masks = [np.asarray(mask) for mask in doomed]
        wanted = [(n,) for n in self.survivors(projection)]
        if [mask.shape for mask in masks] != wanted or any(mask.dtype != np.bool_ for mask in masks):
            raise InputError(f"elimination takes a mask over the live synapses of '{projection}' for each replicate", ("doomed",))
        died = np.zeros(len(self.worlds), np.int64)
        for r, mask in enumerate(masks):
            died[r] = np.count_nonzero(mask)
            if died[r]:
                self._remove(projection, r, ~mask)
        return died

    def _remove(self, projection: str, r: int, keep: npt.NDArray[np.bool_]) -> None:
        live, world = self.live[projection], self.worlds[r]
        death = self.deaths.setdefault((projection, r), self.death_steps(projection, r))
        mark_dead(live.projection.births, world, r, live.place, keep, death, self.step)
        self.worlds[r] = without(self.layout, world, live.place, keep)

    def set_active(self, projection: str, replicate: int, active: npt.NDArray[np.bool_]) -> None:
        """Silence the live synapses that are not ``active``: they are there, learn, and transmit nothing."""
        live, world = self._live(projection), self.worlds[replicate]
        if not world.active.size:
            if active.all():
                return
            world = self.worlds[replicate] = world.with_arrays(active=np.ones(len(world.target), np.bool_))
        world.active[live.at(replicate)] = active
