"""What a neuron knows of its own activity: a running mean and variance."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from biosim.state import State, part, tensor

MEMORY = 0.02  # neurons forget their activity over this share of development


class RunningStatistics:
    """Exponentially forgetting mean and variance of every neuron, unbiased from the first step.

    Past samples weigh ``exp(-age/tau)``. The update merges the moments of a step into the past's
    (West 1979, https://doi.org/10.1145/359146.359153), so a large mean costs no precision.

    Parameters
    ----------
    tau : float
        Seconds of memory.
    """

    def __init__(self, tau: float) -> None:
        self.tau = tau
        self.weight = 0.0
        self.mean: dict[str, Tensor] = {}
        self.variance: dict[str, Tensor] = {}

    def update(self, activity: Mapping[str, Tensor], dt: float) -> None:
        """Take in (R, S, size) activity of a step of ``dt`` seconds."""
        samples = next(iter(activity.values())).shape[1]
        past = self.weight * math.exp(-dt / self.tau)
        self.weight = past + samples
        for name, values in activity.items():
            variance, mean = torch.var_mean(values, 1, correction=0)
            if name in self.mean:
                shift = mean - self.mean[name]
                mean = self.mean[name] + shift * (samples / self.weight)
                between = shift**2 * (past * samples / self.weight)
                variance = (past * self.variance[name] + samples * variance + between) / self.weight
            self.mean[name], self.variance[name] = mean, variance

    def state(self) -> State:
        """Return moments and how much they weigh."""
        return {"weight": self.weight, "mean": dict(self.mean), "variance": dict(self.variance)}

    def restore(self, state: State, like: Mapping[str, Tensor]) -> None:
        """Take moments over; ``like`` holds (R, size) tensors of every population's type and place."""
        self.weight = float(state["weight"])
        self.mean = {n: tensor(v, like[n], f"mean of {n}") for n, v in part(state, "mean").items()}
        self.variance = {n: tensor(v, like[n], f"variance of {n}") for n, v in part(state, "variance").items()}
