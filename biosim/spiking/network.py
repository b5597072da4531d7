"""A spiking network: populations, the projections between them, and the noise that drives them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.spiking.births import Births
from biosim.spiking.neurons import AnyPopulation, PoissonPopulation, Population
from biosim.spiking.receptors import Conductance, Delta, Receptor, finite

EXACT = 1e-6  # how far a time may lie from a whole number of steps, in steps


def whole_steps(time: float, dt: float, what: str, key: str) -> int:
    """Return ``time`` in steps of ``dt``; raise unless it is a whole number of them."""
    steps = round(time / dt) if math.isfinite(time) else -1
    if steps < 0 or abs(time / dt - steps) > EXACT:
        raise InputError(f"{what} must be a whole number of steps of {dt:g} s and at least 0 s, not {time:g} s", (key,))
    return steps


@dataclass(frozen=True)
class PoissonDrive:
    """Noise on every neuron of a population: spikes of many sources at a total ``rate``, each worth ``weight``.

    The number of spikes a neuron gets in a step is a Poisson variable of mean ``rate*dt``, from a stream of its own.

    Attributes
    ----------
    population : str
    rate : float
        Hz, of all sources of one neuron together.
    weight : float
        What one spike adds, in the unit of the receptor: mV, mV, or leak conductances.
    receptor : Delta, Current or Conductance
    """

    population: str
    rate: float
    weight: float
    receptor: Receptor = field(default_factory=Delta)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate >= 0):
            raise InputError(f"the rate of a Poisson drive must be at least 0 Hz, not {self.rate:g}", ("rate",))
        finite(self.weight, "weight", "the weight of a Poisson drive")


@dataclass(frozen=True)
class Projection:
    """All synapses from one population to another.

    Attributes
    ----------
    name, pre, post : str
    births : Births
    receptor : Delta, Current or Conductance
    delay : float or (n_pre,) array
        Axonal, in seconds, a whole number of steps: of the projection, or of each presynaptic neuron. At least one step, unless ``pre`` is
        an input.
    scale : float
        What a synapse of weight 1 does to its target, in the unit of the receptor; negative for inhibition by ``Delta`` or ``Current``.
        It lets a rule speak of weights between 0 and 1.
    """

    name: str
    pre: str
    post: str
    births: Births = field(repr=False)
    receptor: Receptor = field(default_factory=Delta)
    delay: float | npt.NDArray[np.float64] = 1e-3
    scale: float = 1.0

    def __post_init__(self) -> None:
        finite(self.scale, "scale", f"the scale of projection '{self.name}'")

    def delay_steps(self, dt: float) -> npt.NDArray[np.int64]:
        """Return the delay of each presynaptic neuron in steps, (n_pre,)."""
        what = f"the delay of projection '{self.name}'"
        values = np.asarray(self.delay, np.float64)
        if values.ndim and values.shape != (self.births.n_pre,):
            raise InputError(f"{what} is one time, or one for each of {self.births.n_pre} presynaptic neurons", ("delay",))
        known = {float(t): whole_steps(float(t), dt, what, "delay") for t in np.unique(values)}
        steps = np.array([known[float(t)] for t in values.ravel()], np.int64)
        return np.broadcast_to(steps, (self.births.n_pre,)).copy()


@dataclass(frozen=True)
class Network:
    """Populations, projections and drives, checked against each other.

    Attributes
    ----------
    populations : sequence of Population, PoissonPopulation or GivenSpikes
    projections : sequence of Projection
        In the order in which their spikes are added where several arrive at one step.
    drives : sequence of PoissonDrive
    dt : float
        Seconds a step lasts.
    """

    populations: Sequence[AnyPopulation]
    projections: Sequence[Projection]
    drives: Sequence[PoissonDrive] = ()
    dt: float = 1e-4

    def __post_init__(self) -> None:
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise InputError(f"a step must last longer than 0 s, not {self.dt:g} s", ("dt",))
        names = [p.name for p in self.populations]
        if not names:
            raise InputError("a network needs a population", ("populations",))
        for kind, given in (("populations", names), ("projections", [p.name for p in self.projections])):
            if len(set(given)) != len(given):
                raise InputError(f"two {kind} share a name: {', '.join(given)}", (kind,))
        for k, population in enumerate(self.populations):
            self._check_population(population, k)
        for k, projection in enumerate(self.projections):
            try:
                self._check_projection(projection)
            except InputError as error:
                raise error.under("projections", k) from None
        for k, drive in enumerate(self.drives):
            if not isinstance(self._find(drive.population, ("drives", k)), Population):
                raise InputError(f"a drive needs neurons that integrate; '{drive.population}' only emits spikes", ("drives", k))
        if len({p.births.replicates for p in self.projections}) > 1:
            raise InputError("all projections of a network must have the same number of replicates", ("projections",))

    def _find(self, name: str, key: tuple[str | int, ...]) -> AnyPopulation:
        for population in self.populations:
            if population.name == name:
                return population
        raise InputError(f"there is no population '{name}'; there are: {', '.join(p.name for p in self.populations)}", key)

    def _check_population(self, population: AnyPopulation, k: int) -> None:
        if isinstance(population, Population):
            population.neuron.check(self.dt)
            whole_steps(population.neuron.refractory, self.dt, f"the refractory time of '{population.name}'", "refractory")
        elif isinstance(population, PoissonPopulation):
            self.check_probability(population, population.rate)
        elif len(population.times) not in (1, self.replicates):
            raise InputError(
                f"'{population.name}' has spikes of {len(population.times)} replicates, the network has {self.replicates}",
                ("populations", k),
            )
        else:
            for r in range(len(population.times)):
                population.steps(r, self.dt)

    def check_probability(self, population: PoissonPopulation, rate: float | npt.NDArray[np.float64]) -> None:
        """Raise when a Poisson neuron would have to spike more than once a step."""
        values = np.broadcast_to(np.asarray(rate, np.float64), (*np.shape(rate)[:-1], population.size))
        common = float(values[..., : sum(population.groups)].max(initial=0.0)) / (population.correlation or 1.0)
        highest = max(common, float(values.max()))
        if highest * self.dt > 1:
            what = "the common train of a group of" if highest == common and population.groups else "a neuron of"
            raise InputError(f"{what} '{population.name}' at {highest:g} Hz spikes more than once in a step of {self.dt:g} s", ("rate",))

    def _check_projection(self, p: Projection) -> None:
        pre, post = self._find(p.pre, ("pre",)), self._find(p.post, ("post",))
        if not isinstance(post, Population):
            raise InputError(f"projection '{p.name}' leads to '{p.post}', whose spikes are given", ("post",))
        if (p.births.n_pre, p.births.n_post) != (pre.size, post.size):
            sizes = f"{p.births.n_pre} x {p.births.n_post}"
            raise InputError(f"births of '{p.name}' are {sizes}, its populations have {pre.size} and {post.size} neurons", ("births",))
        steps = p.delay_steps(self.dt)
        if isinstance(pre, Population) and steps.min() < 1:
            raise InputError(f"a spike of '{p.pre}' takes at least one step ({self.dt:g} s) to arrive through '{p.name}'", ("delay",))
        self._check_sign(p, pre, post)

    def _check_sign(self, p: Projection, pre: AnyPopulation, post: Population) -> None:
        low, high = sorted(extreme * p.scale for extreme in p.births.extremes())
        if isinstance(p.receptor, Conductance):
            if low < 0:
                raise InputError(f"a conductance cannot be negative; weights of '{p.name}' times its scale reach {low:g}", ("births",))
            excites = p.receptor.reversal > post.neuron.v_rest
            if pre.sign != "mixed" and excites != (pre.sign == "excitatory") and p.receptor.reversal != post.neuron.v_rest:
                raise InputError(f"'{p.pre}' is {pre.sign}; a reversal potential of {p.receptor.reversal:g} mV is not", ("receptor",))
        elif (pre.sign == "excitatory" and low < 0) or (pre.sign == "inhibitory" and high > 0):
            raise InputError(
                f"'{p.pre}' is {pre.sign}; what '{p.name}' transmits (scale*weight) goes from {low:g} to {high:g}", ("births",)
            )

    @property
    def replicates(self) -> int:
        """Number of replicates; 1 without projections."""
        return self.projections[0].births.replicates if self.projections else 1

    def population(self, name: str) -> AnyPopulation:
        """Return a population by name."""
        return self._find(name, ("population",))

    def projection(self, name: str) -> Projection:
        """Return a projection by name."""
        for p in self.projections:
            if p.name == name:
                return p
        raise InputError(f"there is no projection '{name}'; there are: {', '.join(p.name for p in self.projections)}", ("projection",))
