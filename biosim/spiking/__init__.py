"""Spiking networks that really lose synapses: described once, run by an event-driven engine.

The description (:class:`Network`, :class:`Population`, :class:`Projection`, ...) is plain data that refuses nonsense when
it is made; :class:`~biosim.spiking.simulation.Simulation` runs it, and another simulator can be given the same network.

Units: time in seconds, potentials in mV, rates in Hz. A step ``n`` is the time ``t = n*dt``. Replicates come first.

**Neurons** (leaky integrate-and-fire). With the input currents ``I`` (mV, what they add to the potential in the long run)
and conductances ``g`` (in units of the leak conductance) of all receptors,

    tau_m dv/dt = v_rest + bias + sum(I) - v + sum(g*(reversal - v)),     dI/dt = -I/tau_syn,     dg/dt = -g/tau_syn

integrated by exponential Euler: the potential solves its equation exactly with ``I`` and ``g`` held at their values at the
start of the step. That is exact where all synapses are ``Delta``.

**A step**, in this order (also of Brian2's default schedule):

1. *state*: a neuron that spiked at step ``s`` is refractory while ``n - s < round(refractory/dt)``. The potential of a
   refractory neuron stands still; that of any other is integrated over ``dt``. Currents and conductances then decay by
   ``exp(-dt/tau_syn)``, in every neuron.
2. *threshold*: a neuron that is not refractory and has ``v > v_threshold`` spikes at this step; from here on it is
   refractory. Input populations (Poisson, given) spike here too.
3. *arrivals*: a spike of step ``m`` arrives through a projection at step ``m + delay`` (in steps; per projection, or per
   presynaptic neuron). Poisson drives add their counts. A delta synapse adds ``scale*weight`` to the potential of a neuron that is not
   refractory (one that spikes at this very step is); other synapses add it to ``I`` or ``g`` of any neuron. The order of
   this within a step is that of plasticity, below.
4. *reset*: neurons that spiked have ``v = v_reset``.

**Plasticity** at one step, for each projection: ``on_post`` for the synapses of every postsynaptic neuron that spikes now;
then all arrivals *transmit*, with the weights as they are by then; then ``on_pre`` for the synapses of every presynaptic
neuron whose spike arrives now; then the ``on_spike`` increments, of post traces at spikes and of pre traces *at arrivals*. Every event
reads traces as they were before the spikes of this step: neurons that spike at the same step are not causes of each other.
Between events traces follow their own linear equations, solved exactly.
"""

from biosim.spiking.births import Births
from biosim.spiking.network import Network, PoissonDrive, Projection
from biosim.spiking.neurons import LIF, GivenSpikes, PoissonPopulation, Population
from biosim.spiking.receptors import Conductance, Current, Delta

__all__ = [
    "LIF", "Births", "Conductance", "Current", "Delta", "GivenSpikes", "Network", "PoissonDrive", "PoissonPopulation",
    "Population", "Projection",
]  # fmt: skip
