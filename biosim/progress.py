"""How work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Progress = Callable[[int, int, Mapping[str, float]], None]  # step, steps, numbers
Stages = Callable[[str, int, int, Mapping[str, float]], None]  # stage, step, steps, numbers


def of_stage(stage: str, tell: Stages | None) -> Progress | None:
    """Return how one stage of some work tells how far it is; None where nobody asks."""
    return None if tell is None else (lambda step, steps, numbers: tell(stage, step, steps, numbers))
