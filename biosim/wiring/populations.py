"""Populations: neurons of one kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from biosim.errors import InputError
from biosim.processes.team import ALONE, Share, Team

Activation = Literal["relu", "tanh", "linear", "lif"]


@dataclass
class Population:
    """Neurons of one kind.

    Attributes
    ----------
    name : str
    size : int
    activation : {"relu", "tanh", "linear", "lif"}
        ``lif``: leaky integrate-and-fire, in a network with spiking dynamics.
    gain : Tensor
        (R, size); multiplies the summed input. Homeostasis changes it, nothing else does.
    leak : float
        Share of its potential that a neuron replaces in one settling step, in (0, 1]; 1 keeps nothing of the past.
    alive : Tensor
        (R, size) bool; a dead neuron has no synapses and forms none.
    team : Team
        The processes that share the network.

    Examples
    --------
    >>> from biosim import Population
    >>> Population("hidden", 100, "tanh").size
    100
    """

    name: str
    size: int
    activation: Activation = "relu"
    gain: Tensor = field(default_factory=lambda: torch.ones(0), repr=False)
    leak: float = 1.0
    alive: Tensor = field(default_factory=lambda: torch.ones(0, dtype=torch.bool), repr=False)
    team: Team = field(default=ALONE, repr=False)

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InputError(f"population '{self.name}' needs at least one neuron, not {self.size}")
        if self.activation not in (known := get_args(Activation)):
            raise InputError(f"unknown activation '{self.activation}'; there are: {', '.join(known)}", ("activation",))
        if not 0 < self.leak <= 1:
            raise InputError(f"the leak of population '{self.name}' must lie in (0, 1], not {self.leak}", ("leak",))

    @cached_property
    def share(self) -> Share:
        """The neurons whose incoming synapses this process has: all of them where nobody shares the network."""
        return Share.of(self.size, self.team)
