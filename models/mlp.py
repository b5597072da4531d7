"""A multilayer perceptron: input -> hidden -> ... -> readout, every edge a synapse, no biases."""

from __future__ import annotations

from collections.abc import Sequence

from biosim.births import WeightKind
from biosim.processes.team import ALONE, Team
from biosim.synapses import Activation, Network


def build(
    inputs: int,
    outputs: int,
    seeds: Sequence[int],
    *,
    hidden: list[int] = [500, 500],  # noqa: B006 (never changed; a default a scenario can read)
    weights: WeightKind = "signed-constant",
    activation: Activation = "relu",
    probability: float = 1.0,
    dale: float | None = None,
    scale: float = 1.0,
    team: Team = ALONE,
) -> Network:
    """Build the births of one network a seed.

    Parameters
    ----------
    inputs, outputs : int
        Given by the drive.
    seeds : sequence of int
        Births seed of each replicate.
    hidden : list of int
        Neurons of each hidden population.
    weights : str
        ``signed-constant`` (every weight +-sqrt(2/fan_in): only the wiring can matter),
        ``kaiming-normal``, ``uniform`` or ``log-normal``.
    activation : str
        ``relu``, ``tanh`` or ``linear`` for the hidden populations; the readout is linear.
    probability : float
        Chance that an edge is born.
    dale : float, optional
        Fraction of excitatory neurons; without it a neuron's synapses may differ in sign.
    scale : float
        Factor on every weight.
    team : Team
        Processes that share the network; each is built its own part.
    """
    return Network.layered(
        [inputs, *hidden, outputs],
        seeds,
        weights=weights,
        activation=activation,
        probability=probability,
        dale=dale,
        scale=scale,
        team=team,
    )
