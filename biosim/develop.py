"""The one loop: a network develops by losing synapses, each decision taken locally.

drive -> substrate -> activity -> coincidences and state -> silence -> eliminate -> survivors ->
regrow -> homeostasis -> record. The whole of it runs in torch's inference mode: no gradient can exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from biosim.circuit import Circuit
from biosim.drives.base import Drive
from biosim.equations import Rule
from biosim.equations.vocabulary import Level
from biosim.errors import InputError
from biosim.homeostasis import Homeostasis, InDegree
from biosim.nursery import between_steps
from biosim.nursery.exploration import Exploration
from biosim.nursery.growth import Growth
from biosim.nursery.neurons import NeuronDeath
from biosim.nursery.nursery import Nursery
from biosim.nursery.sharing import survivor_of
from biosim.progress import Progress
from biosim.recorder import Recorder
from biosim.schedule import Schedule
from biosim.state import Keeper
from biosim.synapses import Network
from biosim.teaching import Feedback


@dataclass
class Development:
    """What :func:`~biosim.develop.develop` returns.

    Attributes
    ----------
    survivor : Circuit or None
        The frozen survivor; where processes share the network, the first one has it.
    history : Recorder
    level : Level
        The highest locality among the rules, with the feedback they were given.
    final_cut : ndarray
        (R,) share of birth synapses that were alive but silent at the end and were eliminated then.
    network : Network
        As development left it, with ``death_step`` of every birth synapse.
    """

    survivor: Circuit | None
    history: Recorder
    level: Level
    final_cut: npt.NDArray[np.float64]
    network: Network

    @property
    def circuit(self) -> Circuit:
        """The frozen survivor; an InputError in any but the first of several processes."""
        if self.survivor is None:
            raise InputError("the circuit is with the first of the processes that share the network")
        return self.survivor

    @property
    def peak_density(self) -> npt.NDArray[np.float64]:
        """(R,) largest share of birth synapses alive at any of the moments recorded."""
        return np.asarray(np.max([record["density"] for record in self.history.records], axis=0))


def develop(
    network: Network,
    drive: Drive,
    rule: Rule,
    *,
    schedule: Schedule | None = None,
    homeostasis: Sequence[Homeostasis] | None = None,
    feedback: Feedback | None = None,
    seeds: Sequence[int] | None = None,
    recorder: Recorder | None = None,
    progress: Progress | None = None,
    plasticity: Rule | None = None,
    growth: Growth | None = None,
    neuron_death: NeuronDeath | None = None,
    readout: Rule | None = None,
    exploration: Exploration | None = None,
    keeper: Keeper | None = None,
) -> Development:
    """Develop ``network`` in place under a local rule.

    Parameters
    ----------
    network : Network
        As born. It is changed: synapses die.
    drive : Drive
        What it is shown, and for how long.
    rule : Rule
        Its equations decide; its locality must not exceed *transport*.
    schedule : Schedule, optional
        When synapses may die and how many.
    homeostasis : sequence of Homeostasis, optional
        Gain by in-degree when left out; ``[]`` for none.
    feedback : Feedback, optional
        Fills ``teach_post``; needed by rules that read it.
    seeds : sequence of int, optional
        Search seed of each replicate (data order, draws inside the rule); 0, 1, ... when left out.
    recorder, progress : optional
    plasticity : Rule, optional
        Equations that change the weights of live synapses; frozen as born when left out.
    growth : Growth, optional
        Births are candidates and form early in development; all exist from the start when left out.
    neuron_death : NeuronDeath, optional
        Hidden neurons die too; none does when left out.
    readout : Rule, optional
        Decides on the synapses that end in the readout, in place of ``rule``. Readout neurons are taught their
        own error; no feedback is needed to carry it.
    exploration : Exploration, optional
        How neurons explore under rules that read ``noise_post`` or ``advantage``.
    keeper : Keeper, optional
        Keeps checkpoints; development goes on from the one it has, and what was shown before is drawn again, unused.

    Returns
    -------
    Development

    Raises
    ------
    LocalityError
        When the rule reads more than a local rule may.
    InputError
        When rule, drive, feedback and substrate do not fit together.
    NumericalError
        On NaN or runaway activity, naming the population and the step.

    Examples
    --------
    >>> from biosim import Feedback, ImageDrive, Network, Schedule, load_images, load_rule
    >>> from biosim.develop import develop
    >>> network = Network.layered([64, 20, 10], seeds=[0, 1], weights="signed-constant")
    >>> drive = ImageDrive(load_images("digits", train_size=200), batch=50, epochs=2)
    >>> feedback = Feedback(network, "random", (0, 1))
    >>> development = develop(network, drive, load_rule("three-factor"), schedule=Schedule(density=0.25), feedback=feedback, seeds=[0, 1])
    >>> development.circuit.density()
    array([0.25, 0.25])
    >>> development.level.name
    'broadcast'
    """
    seeds = tuple(seeds) if seeds is not None else tuple(range(network.replicates))
    mechanisms = [InDegree()] if homeostasis is None else list(homeostasis)
    recorder = recorder or Recorder()
    with torch.inference_mode():
        others = (plasticity, growth, neuron_death, readout, exploration)
        nursery = Nursery(network, drive, rule, schedule or Schedule(), mechanisms, feedback, seeds, recorder, *others)
        begin = between_steps.resume(nursery, keeper) if keeper is not None else 0
        for step, shown in enumerate(islice(drive.presentations(seeds, network.device), begin, None), begin):
            activity = nursery.step(step, shown)
            if recorder.due(step, drive.clock.steps):
                between_steps.record(nursery, activity, step, progress)
            if keeper is not None:
                keeper.offer(lambda taken=step + 1: between_steps.state(nursery, taken))  # type: ignore[misc]
        final_cut = nursery.final_cut()
    provenance = {"rule": rule.name, "locality": nursery.level.name, "seeds": list(seeds)}
    if plasticity is not None:
        provenance["plasticity"] = plasticity.name
    if readout is not None:
        provenance["readout"] = readout.name
    return Development(survivor_of(network, provenance), recorder, nursery.level, final_cut, network)
