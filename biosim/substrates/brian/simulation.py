"""A spiking network of biosim's own description, run by Brian2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import brian2 as b2
import numpy as np
import numpy.typing as npt
import torch
from brian2.devices.device import RuntimeDevice

from biosim.equations import Rule
from biosim.equations.evaluate import evaluate
from biosim.errors import InputError
from biosim.spiking.network import Network, Projection
from biosim.spiking.neurons import GivenSpikes, PoissonPopulation, Population
from biosim.spiking.receptors import Conductance, Current, Receptor
from biosim.streams import generator
from biosim.substrates.brian.elimination import eliminate
from biosim.substrates.brian.equations import ORDERS, BrianRule, brian_rule

Array = npt.NDArray[Any]


class BrianSimulation:
    """One replicate of a network as Brian2 objects; make one with :func:`brian_network`.

    Attributes
    ----------
    network : brian2.Network
    groups, synapses, spikes : dict
        Brian2's groups by population, ``Synapses`` by projection, and a ``SpikeMonitor`` a population. Potentials and currents are
        dimensionless numbers of mV, weights pure numbers, states and traces in SI units.
    rules : dict
        :class:`~biosim.substrates.brian.equations.BrianRule` by projection.
    decisions : dict
        How often the rule of each projection has decided.
    """

    def __init__(self, description: Network, replicate: int) -> None:
        self.description, self.replicate = description, replicate
        self.groups: dict[str, Any] = {}
        self.synapses: dict[str, Any] = {}
        self.spikes: dict[str, Any] = {}
        self.rules: dict[str, BrianRule] = {}
        self.decisions: dict[str, int] = {}
        self.network = b2.Network()
        self.clock = b2.Clock(description.dt * b2.second)

    def run(self, duration: float) -> None:
        """Run for so many seconds."""
        self.network.run(duration * b2.second)

    def decide(self, name: str, window: float) -> int:
        """Let the rule of one projection decide, ``window`` seconds after it last did; return how many synapses it eliminated.

        Its ``synapse`` lines run with ``dt = window``, then its ``eliminate`` condition, then its ``survivors`` lines. As on biosim's
        own engine, ``age`` is 0 at the first decision and grows by ``window``: it is the age at which the window began.

        Raises
        ------
        InputError
            When the rule reads, or decides by, what a Brian2 network does not have; in standalone mode.
        """
        made = self._rule(name)
        age = self.decisions.get(name, 0) * window
        condition, before, after = made.condition(window, age), made.step_lines(window, age), made.survivor_lines(window, age)
        synapses = self.synapses[name]
        if not isinstance(b2.get_device(), RuntimeDevice):
            raise InputError(
                "a standalone program decides nothing while it runs and carries its dead: run Brian2 in runtime mode to eliminate"
            )
        self._assign(synapses, before)
        died = 0 if condition is None else eliminate(synapses, condition, namespace={})
        self._assign(synapses, after)
        self.decisions[name] = self.decisions.get(name, 0) + 1
        return died

    @staticmethod
    def _assign(synapses: Any, lines: list[tuple[str, str]]) -> None:
        for target, text in lines:
            if len(synapses):
                getattr(synapses, target).set_item(slice(None), text, namespace={})

    def _rule(self, name: str) -> BrianRule:
        if name not in self.rules or self.rules[name].rule is None:
            raise InputError(f"projection '{name}' has no rule")
        return self.rules[name]

    def edges(self, name: str) -> tuple[Array, Array, Array]:
        """Return presynaptic neuron, postsynaptic neuron and weight of every synapse of a projection that lives."""
        synapses = self.synapses[name]
        return np.array(synapses.i), np.array(synapses.j), np.array(synapses.weight)

    def trains(self, population: str) -> tuple[Array, Array]:
        """Return steps and neurons of all spikes of a population, ordered by step, then neuron."""
        monitor = self.spikes[population]
        step, neuron = np.rint(np.array(monitor.t) / self.description.dt).astype(np.int64), np.array(monitor.i, np.int64)
        order = np.lexsort((neuron, step))
        return step[order], neuron[order]


def brian_network(
    description: Network,
    rules: Mapping[str, Rule] | None = None,
    seed: int = 0,
    *,
    replicate: int = 0,
    duration: float | None = None,
) -> BrianSimulation:
    """Return one replicate of a network as Brian2 objects, on the device and code generation target that are set.

    Parameters
    ----------
    description : Network
    rules : mapping of str to Rule, optional
        Spike-timing rules by projection; a projection without one is static.
    seed : int
        Of potentials at birth and of Brian2's own draws (Poisson input, ``random``).
    replicate : int
        Which of the network's replicates.
    duration : float, optional
        Seconds of development, for rules whose parameters are given in ``% dev``.

    Raises
    ------
    InputError
        When a rule names an unknown projection or reads what a Brian2 network is not given.
    """
    rules = dict(rules or {})
    for name, rule in rules.items():
        description.projection(name)
        if duration is None and any(q.relative for q in rule.parameters.values()):
            raise InputError(f"rule '{rule.name}' has times in % dev: give brian_network a duration", ("duration",))
    if not 0 <= replicate < description.replicates:
        raise InputError(f"the network has {description.replicates} replicates; there is no number {replicate}", ("replicate",))
    made = {p.name: brian_rule(rules.get(p.name), _transmit(description, p), duration or 0.0) for p in description.projections}
    b2.seed(seed)
    simulation = BrianSimulation(description, replicate)
    for population in description.populations:
        group = _group(simulation, population, seed)
        simulation.groups[population.name] = group[0]
        simulation.spikes[population.name] = b2.SpikeMonitor(group[0])
        simulation.network.add(*group, simulation.spikes[population.name])
    for projection in description.projections:
        simulation.rules[projection.name] = made[projection.name]
        synapses = _synapses(simulation, projection, made[projection.name], seed)
        simulation.synapses[projection.name] = synapses
        simulation.network.add(synapses)
    return simulation


# -- neurons ------------------------------------------------------------------------------------
def _receptors(description: Network, population: str) -> dict[Receptor, str]:
    """Return the distinct currents and conductances of a population and the variables that hold them."""
    found: dict[Receptor, str] = {}
    own = [p.receptor for p in description.projections if p.post == population]
    own += [d.receptor for d in description.drives if d.population == population]
    for receptor in own:
        if isinstance(receptor, Current | Conductance) and receptor not in found:
            found[receptor] = f"{'current' if isinstance(receptor, Current) else 'conductance'}_{len(found)}"
    return found


def _target(description: Network, population: str, receptor: Receptor) -> str:
    return _receptors(description, population).get(receptor, "v")


def _group(simulation: BrianSimulation, population: Population | PoissonPopulation | GivenSpikes, seed: int) -> list[Any]:
    """Return the Brian2 group of a population, and whatever it leans on."""
    description, clock = simulation.description, simulation.clock
    dt = description.dt
    if isinstance(population, GivenSpikes):
        step, neuron = population.steps(simulation.replicate, dt)
        return [b2.SpikeGeneratorGroup(population.size, neuron, step * dt * b2.second, clock=clock)]
    if isinstance(population, PoissonPopulation):
        return _poisson(population, simulation.replicate, dt, clock)
    neuron_, receptors = population.neuron, _receptors(description, population.name)
    currents = "".join(f" + {v}" for r, v in receptors.items() if isinstance(r, Current))
    pulls = "".join(f" + {v}*({r.reversal!r} - v)" for r, v in receptors.items() if isinstance(r, Conductance))
    model = [f"dv/dt = ({neuron_.v_rest + neuron_.bias!r}{currents} - v{pulls})/({neuron_.tau_m!r}*second) : 1 (unless refractory)"]
    model += [f"d{v}/dt = -{v}/({r.tau!r}*second) : 1" for r, v in receptors.items() if isinstance(r, Current | Conductance)]
    group = b2.NeuronGroup(
        population.size, "\n".join(model), threshold=f"v > {neuron_.v_threshold!r}", reset=f"v = {neuron_.v_reset!r}",
        refractory=neuron_.refractory * b2.second, method="exponential_euler", namespace={}, clock=clock,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    group.v = population.potentials([seed])[0]
    for drive in description.drives:
        if drive.population == population.name:
            target = _target(description, population.name, drive.receptor)
            group.run_regularly(f"{target} += {drive.weight!r}*poisson({drive.rate * dt!r})", when="synapses", order=1)
    return [group]


def _poisson(population: PoissonPopulation, replicate: int, dt: float, clock: Any) -> list[Any]:
    rate = np.asarray(population.rate, np.float64)
    rate = np.broadcast_to(rate[replicate % len(rate)] if rate.ndim > 1 else rate, (population.size,))
    if not population.groups:
        return [b2.PoissonGroup(population.size, rate * b2.Hz, clock=clock)]
    # a common train for each group, of which every neuron of it takes its share
    number = np.repeat(np.arange(len(population.groups)), population.groups)
    highest = max(float(rate[: len(number)].max()), 1e-300)
    common = b2.NeuronGroup(len(population.groups), "chance : 1\nspiking : 1", namespace={}, clock=clock)
    common.chance = highest * dt / population.correlation
    common.run_regularly("spiking = int(rand() < chance)", when="before_thresholds")
    group = b2.NeuronGroup(
        population.size,
        "common : 1 (linked)\ngrouped : 1\nchance : 1",
        namespace={},
        clock=clock,
        threshold="rand() < chance*(1 - grouped + grouped*common)",
    )
    padded = np.concatenate([number, np.zeros(population.size - len(number), int)])
    group.common = b2.linked_var(common, "spiking", index=padded)
    group.grouped = (np.arange(population.size) < len(number)).astype(float)
    group.chance = np.where(np.arange(population.size) < len(number), population.correlation * rate / highest, rate * dt)
    return [common, group][::-1]


# -- synapses -----------------------------------------------------------------------------------
def _transmit(description: Network, projection: Projection) -> str:
    return f"{_target(description, projection.post, projection.receptor)}_post += {projection.scale!r}*weight"


def _synapses(simulation: BrianSimulation, projection: Projection, made: BrianRule, seed: int) -> Any:
    i, j, weight = projection.births.edges(simulation.replicate)
    dt = simulation.description.dt
    steps = projection.delay_steps(dt)
    alike = bool((steps == steps[0]).all())
    synapses = b2.Synapses(
        simulation.groups[projection.pre], simulation.groups[projection.post], made.model, on_pre=made.on_pre, on_post=made.on_post or None,
        delay={name: int(steps[0]) * dt * b2.second for name in made.on_pre} if alike else None, method="exact", namespace=made.namespace,
        clock=simulation.clock,
    )  # fmt: skip
    for name in (*made.on_pre, *made.on_post):
        getattr(synapses, name).order = ORDERS[name]
    if len(i):
        synapses.connect(i=i, j=j)
        synapses.weight = np.asarray(weight, np.float64)
        for name in () if alike else made.on_pre:
            getattr(synapses, name).delay = steps[i] * dt * b2.second
        for name, values in _initial(made, projection, i, j, weight, seed).items():
            setattr(synapses, name, values)
    else:
        synapses.connect(condition=False)
    return synapses


def _initial(made: BrianRule, projection: Projection, i: Array, j: Array, weight: Array, seed: int) -> dict[str, Array]:
    """Return each state at birth, by its Brian2 name."""
    if made.rule is None:
        return {}
    births = projection.births
    known = {
        "weight": np.asarray(weight, np.float64),
        "degree_pre": np.bincount(i, minlength=births.n_pre)[i], "degree_post": np.bincount(j, minlength=births.n_post)[j],
        "weight_sum_pre": np.bincount(i, weight, births.n_pre)[i], "weight_sum_post": np.bincount(j, weight, births.n_post)[j],
        "random": generator(seed, f"states/{projection.name}").random(len(i)),
        **{n: np.full(len(i), v) for n, v in made.parameters.items()},
    }  # fmt: skip
    tensors = {n: torch.from_numpy(np.ascontiguousarray(v, np.float64)) for n, v in known.items()}
    return {made.names[n]: np.broadcast_to(evaluate(e.node, tensors).numpy(), i.shape) for n, e in made.rule.state.items()}
