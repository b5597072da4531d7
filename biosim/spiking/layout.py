"""Where everything lies in the flat arrays of :class:`~biosim.spiking.world.World`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from biosim.spiking.network import Network
from biosim.spiking.neurons import Population
from biosim.spiking.plan import EventPlan, EventProgram
from biosim.spiking.receptors import Receptor

LONGEST_WINDOW = 50  # steps run between two exchanges of spikes


class Layout:
    """Where everything lies in the flat arrays; the same for all replicates.

    Parameters
    ----------
    network : Network
    plans : mapping
        The plan of each projection that has a rule.
    real : dtype
    parts : int
    recorded : set of str
        Populations whose spikes are kept.
    """

    def __init__(self, network: Network, plans: Mapping[str, EventPlan], real: npt.DTypeLike, parts: int, recorded: set[str]) -> None:
        self.network, self.plans, self.real, self.parts, self.recorded = network, plans, np.dtype(real), parts, recorded
        self.emitters = {p.name: k for k, p in enumerate(network.populations)}
        self.neurons = {p.name: p for p in network.populations if isinstance(p, Population)}
        self.places = {name: k for k, name in enumerate(self.neurons)}
        self.inputs = [p for p in network.populations if not isinstance(p, Population)]
        sizes = [p.size for p in self.neurons.values()]
        self.first = dict(zip(self.neurons, np.concatenate([[0], np.cumsum(sizes)]).tolist(), strict=False))
        self.channels: dict[tuple[str, Receptor, float], tuple[int, int]] = {}
        self._find_channels()
        self.delays = {p.name: p.delay_steps(network.dt) for p in network.projections}
        shortest = [int(self.delays[p.name].min()) for p in network.projections if p.pre in self.neurons]
        self.window = min([LONGEST_WINDOW, *shortest])  # no spike arrives in fewer steps
        self.paths = {p.name: plans[p.name].path if p.name in plans else "static" for p in network.projections}
        self.deferred = [name for name, path in self.paths.items() if path == "deferred"]
        self.widest = max([p.births.n_post for p in network.projections], default=1)
        self.programs: list[EventProgram] = []
        self.places_of_programs: dict[tuple[str, str], int] = {}
        for name, plan in plans.items():
            for key, program in plan.programs.items():
                self.places_of_programs[name, key] = len(self.programs)
                self.programs.append(program)

    def _find_channels(self) -> None:
        wanted = [(p.post, p.receptor, p.scale) for p in self.network.projections]
        wanted += [(d.population, d.receptor, 1.0) for d in self.network.drives]
        at = 0
        for name, population in self.neurons.items():
            for key in dict.fromkeys(w for w in wanted if w[0] == name):
                self.channels[key] = (len(self.channels), at)
                at += population.size
        self.channel_values = at

    def cuts(self, size: int) -> npt.NDArray[np.int64]:
        """Return where each part of ``size`` neurons begins, and where the last one ends, (T + 1,)."""
        return size * np.arange(self.parts + 1, dtype=np.int64) // self.parts
