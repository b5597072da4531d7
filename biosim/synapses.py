"""Populations, projections and networks: what is born, what is silent, what is gone.

Everything leads with a replicate axis, (replicate, pre, post). A synapse is *alive* until it is
eliminated; an eliminated one comes back only if a rule regrows it. A live synapse is *active* or
*silent*: a silent one is structurally there and transmits nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.births import WeightKind, draw_weights
from biosim.errors import InputError
from biosim.lif import SpikingDynamics
from biosim.processes.team import ALONE, Team
from biosim.wiring import structure
from biosim.wiring.populations import Activation, Population
from biosim.wiring.projection import Projection

__all__ = ["Activation", "Network", "Population", "Projection"]


class Network:
    """Populations and the projections between them, in the order activity travels.

    Parameters
    ----------
    populations : sequence of Population
        The first one receives the drive, the last one is the readout.
    projections : sequence of Projection
        One that leads from an earlier population to a later one is forward, any other *recurrent*; none may
        end in the first population.
    steps : int
        Settling steps for each presentation (:mod:`biosim.substrates.recurrent`); a network with recurrent
        projections needs at least two, one without recurrence or leak needs no more than one.
    spiking : SpikingDynamics, optional
        Hidden neurons are then leaky integrate-and-fire and the readout their leaky sum
        (:mod:`biosim.substrates.time_stepped`); rate neurons without.
    substrate : str, optional
        A file of ``substrates/`` (or a path ending in .py) that turns input into activity in place of rate neurons. It may
        give the first population its activity, so projections may end there too.
    dynamics : mapping, optional
        Arguments of that file's ``substrate``: numbers, texts, truth values.

    Attributes
    ----------
    planted : dict
        (R, n_pre, n_post) bool by projection: a subnetwork that the model hid in the births, which nothing but a report
        may read. Empty where there is none.

    Raises
    ------
    InputError
        When the diagram cannot be run.

    Examples
    --------
    >>> from biosim import Network
    >>> network = Network.layered([64, 20, 10], seeds=[0, 1, 2], weights="signed-constant")
    >>> list(network.projections)
    ['input-hidden1', 'hidden1-output']
    >>> network.projections["input-hidden1"].shape  # replicates, presynaptic and postsynaptic neurons
    (3, 64, 20)
    """

    def __init__(
        self,
        populations: Sequence[Population],
        projections: Sequence[Projection],
        steps: int = 1,
        spiking: SpikingDynamics | None = None,
        substrate: str | None = None,
        dynamics: Mapping[str, Any] | None = None,
    ) -> None:
        self.substrate, self.dynamics = substrate, dict(dynamics or {})
        if self.substrate is None and self.dynamics:
            raise InputError(f"dynamics ({', '.join(self.dynamics)}) are arguments of a substrate, and the network names none")
        self.populations = {p.name: p for p in populations}
        self.projections = {p.name: p for p in projections}
        if len(self.populations) != len(populations) or len(self.projections) != len(projections):
            raise InputError("two populations, or two projections, share a name")
        self.steps, self.spiking = steps, spiking
        self.planted: dict[str, Tensor] = {}
        self._order(list(self.populations), projections)
        self._check_kinds()
        self.replicates = projections[0].shape[0]
        for population in populations:
            population.gain = torch.ones(self.replicates, population.size, device=self.device)
            population.alive = torch.ones_like(population.gain, dtype=torch.bool)

    def _order(self, order: list[str], projections: Sequence[Projection]) -> None:
        """Tell recurrent projections from forward ones; refuse what cannot be run."""
        for p in projections:
            for end in (p.pre.name, p.post.name):
                if end not in order:
                    raise InputError(f"projection '{p.name}' ends in '{end}', which is not a population of the network")
            if p.post.name == order[0] and self.substrate is None:
                raise InputError(f"projection '{p.name}' leads into '{order[0]}', whose activity is given by the drive")
            p.recurrent = order.index(p.pre.name) >= order.index(p.post.name)
            if p.recurrent and self.steps < 2 and self.substrate is None:
                raise InputError(f"projection '{p.name}' is recurrent: the network needs at least 2 settling steps", ("steps",))
        if self.steps < 1:
            raise InputError(f"a network settles for at least one step, not {self.steps}", ("steps",))

    def _check_kinds(self) -> None:
        """Refuse spiking neurons without dynamics, and dynamics for what does not spike."""
        spiking = [p.name for p in self.populations.values() if p.activation == "lif"]
        if self.spiking is None:
            if spiking:
                raise InputError(f"population '{spiking[0]}' is of kind lif: the network needs spiking dynamics", ("activation",))
            return
        first, *hidden, last = self.populations.values()
        if first.activation != "linear" or last.activation != "linear" or any(p.activation != "lif" for p in hidden):
            raise InputError("in a spiking network hidden populations are of kind lif, the input and the readout linear", ("activation",))
        if self.settles:
            raise InputError("spiking layers run forward only: this network has recurrent projections or leaky rate neurons")

    @property
    def settles(self) -> bool:
        """Whether activity unfolds over settling steps; else one pass from input to readout says it all."""
        if self.substrate is not None:
            return False
        leaky = any(p.leak < 1 for p in self.populations.values())
        return leaky or any(p.recurrent for p in self.projections.values())

    @classmethod
    def layered(
        cls,
        sizes: Sequence[int],
        seeds: Sequence[int],
        *,
        weights: WeightKind = "kaiming-normal",
        activation: Activation = "relu",
        probability: float = 1.0,
        dale: float | None = None,
        scale: float = 1.0,
        spiking: SpikingDynamics | None = None,
        team: Team = ALONE,
    ) -> Network:
        """Return a chain input -> hidden1 -> ... -> output of these sizes with a linear readout; ``spiking`` as for the class.

        Of a ``team`` every process is given its own part, and never has more: births are drawn in full and kept in part.
        """
        if len(sizes) < 2:
            raise InputError("a network needs at least an input and an output population")
        names = ["input", *(f"hidden{i}" for i in range(1, len(sizes) - 1)), "output"]
        hidden: list[Activation] = ["lif" if spiking else activation] * (len(sizes) - 2)
        kinds: list[Activation] = ["linear", *hidden, "linear"]
        populations = [Population(n, s, kind, team=team) for n, s, kind in zip(names, sizes, kinds, strict=True)]
        projections = []
        for pre, post in itertools.pairwise(populations):
            name = f"{pre.name}-{post.name}"
            own = post.share.columns
            weight, born = draw_weights(
                tuple(seeds), name, pre.size, post.size, weights, probability=probability, dale=dale, scale=scale, columns=own
            )
            projections.append(Projection(name, pre, post, torch.from_numpy(weight), torch.from_numpy(born)))
        return cls(populations, projections, spiking=spiking)

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return next(iter(self.projections.values())).weight.device

    def to(self, device: torch.device | str) -> Network:
        """Move the network in place and return it."""
        for projection in self.projections.values():
            projection.to(device)
        for population in self.populations.values():
            population.gain = population.gain.to(device)
            population.alive = population.alive.to(device)
        return self

    @property
    def input(self) -> Population:
        """The first population, which receives the drive."""
        return next(iter(self.populations.values()))

    @property
    def readout(self) -> Population:
        """The last population."""
        return next(reversed(self.populations.values()))

    @property
    def team(self) -> Team:
        """The processes that share the network."""
        return self.input.team

    def incoming(self, population: str) -> list[Projection]:
        """Return the projections that end in a population."""
        return [p for p in self.projections.values() if p.post.name == population]

    def outgoing(self, population: str) -> list[Projection]:
        """Return the projections that start in a population."""
        return [p for p in self.projections.values() if p.pre.name == population]

    @property
    def born(self) -> Tensor:
        """Synapses born, (R,) int64."""
        return torch.stack([p.share.total(p.fan_in.sum(1)) for p in self.projections.values()]).sum(0)

    def density(self, which: Literal["alive", "active"] = "alive") -> npt.NDArray[np.float64]:
        """Return synapses alive (or active) over synapses born, one number a replicate."""
        counts = [p.share.total(structure.count_columns(getattr(p, which)).sum(1)) for p in self.projections.values()]
        kept = torch.stack(counts).sum(0)
        return np.asarray((kept.double() / self.born.double()).cpu())

    def masks(self) -> dict[str, Tensor]:
        """Return a copy of ``alive`` for each projection."""
        return {name: p.alive.clone() for name, p in self.projections.items()}
