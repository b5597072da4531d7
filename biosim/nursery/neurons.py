"""Neuron death: a hidden neuron that has lost its inputs or outputs, or has fallen quiet, dies with its synapses.

Each neuron senses only itself: how many synapses end and start in it, and whether it was active.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.state import State, fill
from biosim.synapses import Network

Without = Literal["inputs-or-outputs", "inputs", "outputs", "nothing"]
WITHOUT: tuple[Without, ...] = ("inputs-or-outputs", "inputs", "outputs", "nothing")


@dataclass(frozen=True)
class NeuronDeath:
    """When a hidden neuron dies.

    Attributes
    ----------
    without : str
        It dies once it has none left of these; ``nothing``: it needs no synapses to live.
    inactive_for : float, optional
        Seconds without any activity (exactly 0 in every sample) after which it dies.
    """

    without: Without = "inputs-or-outputs"
    inactive_for: float | None = None

    def __post_init__(self) -> None:
        if self.without not in WITHOUT:
            raise InputError(f"unknown condition '{self.without}'; there are: {', '.join(WITHOUT)}", ("without",))
        if self.inactive_for is not None and not self.inactive_for > 0:
            raise InputError(f"must be longer than 0 s, not {self.inactive_for} s", ("inactive_for",))


class Mortality:
    """Neuron death in one network.

    Parameters
    ----------
    network : Network
    death : NeuronDeath
    """

    def __init__(self, network: Network, death: NeuronDeath) -> None:
        self.network, self.death = network, death
        self.hidden = list(network.populations.values())[1:-1]
        self.quiet = {p.name: torch.zeros_like(p.gain) for p in self.hidden}

    def observe(self, activity: Mapping[str, Tensor], dt: float) -> None:
        """Take in the (R, S, size) activity of a step of ``dt`` seconds."""
        if self.death.inactive_for is not None:
            for name, quiet in self.quiet.items():
                silent = (activity[name] == 0).all(1)
                quiet.copy_(torch.where(silent, quiet + dt, 0.0))

    def state(self) -> State:
        """Return how long each neuron has been quiet, s."""
        return dict(self.quiet)

    def restore(self, state: State) -> None:
        """Take those times over."""
        for name, quiet in self.quiet.items():
            fill(quiet, state.get(name), f"quiet of {name}")

    def strike(self, step: int) -> bool:
        """Let neurons die, and those that this leaves without inputs or outputs; return whether any did."""
        died = False
        while self._round(step):
            died = True
        return died

    def _round(self, step: int) -> bool:
        doomed = {p.name: self._doomed(p.name) & p.alive for p in self.hidden}
        if not any(bool(d.any()) for d in doomed.values()):
            return False
        for population in self.hidden:
            dead = doomed[population.name]
            population.alive &= ~dead
            for p in self.network.incoming(population.name):
                p.eliminate(dead.unsqueeze(1).expand(p.shape).contiguous(), step)
            for p in self.network.outgoing(population.name):
                p.eliminate(dead.unsqueeze(2).expand(p.shape).contiguous(), step)
        return True

    def _doomed(self, name: str) -> Tensor:
        lacking = torch.zeros_like(self.quiet[name], dtype=torch.bool)
        if self.death.without in ("inputs-or-outputs", "inputs"):
            lacking |= ~torch.stack([p.alive.any(1) for p in self.network.incoming(name)]).any(0)
        if self.death.without in ("inputs-or-outputs", "outputs"):
            lacking |= ~torch.stack([p.alive.any(2) for p in self.network.outgoing(name)]).any(0)
        if self.death.inactive_for is not None:
            lacking |= self.quiet[name] >= self.death.inactive_for * (1 - 1e-6)
        return lacking
