"""Developmental time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Developmental time: ``samples`` presentations of ``presentation`` seconds are one step.

    Attributes
    ----------
    presentation : float
        Seconds one sample lasts.
    samples : int
        Samples in a step.
    steps : int
        Steps in the whole of development.
    """

    presentation: float
    samples: int
    steps: int

    @property
    def dt(self) -> float:
        """Seconds a step lasts."""
        return self.presentation * self.samples

    @property
    def duration(self) -> float:
        """Seconds that development lasts; what ``% dev`` is a fraction of."""
        return self.dt * self.steps
