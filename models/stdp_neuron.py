"""One neuron under a thousand Poisson inputs, as in Song, Miller & Abbott (2000): the classic bench for spike timing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from biosim.equations import parse_rate, parse_seconds
from biosim.errors import InputError, under
from biosim.spiking import LIF, Births, Conductance, Network, PoissonPopulation, Population, Projection


def build(
    seeds: Sequence[int],
    *,
    inputs: int = 1000,
    rate: str = "15 Hz",
    correlated: float = 0.0,
    correlation: float = 0.0,
    inhibitory: int = 200,
    inhibitory_rate: str = "10 Hz",
    conductance: float = 0.015,
    neurons: int = 1,
    dt: str = "0.5 ms",
) -> Network:
    """Build the births of one network a seed.

    The membrane time constant is 20 ms, rest -70 mV, threshold -54 mV, reset -60 mV; excitation reverses at 0 mV,
    inhibition at -70 mV, both decay in 5 ms (Song, Miller & Abbott 2000, doi 10.1038/78829).

    Parameters
    ----------
    seeds : sequence of int
        Births seed of each replicate.
    inputs : int
        Excitatory inputs, all joined to the neuron: projection ``input-neuron``, weights at birth uniform in [0, 1].
    rate : quantity
        Of each.
    correlated : float
        Share of the inputs that forms a group with correlated spikes: those are population ``group`` and projection
        ``group-neuron`` of their own; 0 for none.
    correlation : float
        Correlation of spike counts within that group.
    inhibitory : int
        Inhibitory inputs, with fixed weights of 0.05 leak conductances; 0 for none.
    inhibitory_rate : quantity
    conductance : float
        Peak conductance of a synapse of weight 1, in leak conductances.
    neurons : int
        Neurons that all hear the same inputs, each with synapses of its own.
    dt : quantity
        Time step.
    """
    if not 0 <= correlated < 1:
        raise InputError(f"the correlated share must lie in [0, 1), not {correlated:g}", ("correlated",))
    if (correlated > 0) != (correlation > 0):
        raise InputError("a correlated share and a correlation go together", ("correlation",))
    hertz, inhibitory_hertz = under("rate", parse_rate, rate), under("inhibitory_rate", parse_rate, inhibitory_rate)
    step = under("dt", parse_seconds, dt)
    group = round(correlated * inputs)
    populations: list[Any] = [PoissonPopulation("input", inputs - group, hertz)]
    if group:
        populations.append(PoissonPopulation("group", group, hertz, groups=(group,), correlation=correlation))
    neuron = LIF(tau_m=20e-3, v_rest=-70.0, v_reset=-60.0, v_threshold=-54.0, refractory=0.0)
    target = Population("neuron", neurons, neuron)
    projections = []
    for source in populations:
        name = f"{source.name}-neuron"
        births = Births.random(source.size, neurons, 1.0, seeds, lambda random, n: random.uniform(0.0, 1.0, n), component=name)
        projections.append(Projection(name, source.name, "neuron", births, Conductance(5e-3, 0.0), 0.0, conductance))
    if inhibitory:
        populations.append(PoissonPopulation("inhibition", inhibitory, inhibitory_hertz, sign="inhibitory"))
        births = Births.random(inhibitory, neurons, 1.0, seeds, 1.0, component="inhibition-neuron")
        projections.append(Projection("inhibition-neuron", "inhibition", "neuron", births, Conductance(5e-3, -70.0), 0.0, 0.05))
    return Network([*populations, target], projections, (), step)
