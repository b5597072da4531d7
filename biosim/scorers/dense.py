"""Dense SGD: all weights trained, none pruned. The reference for what the network could do at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from biosim.scorers.base import Made, Task


@dataclass(frozen=True)
class Scorer:
    """Keeps every birth edge, to be trained."""

    level: ClassVar[str] = "gradient"
    regimes: ClassVar[tuple[str, ...]] = ("retrained",)

    def make(self, task: Task) -> Iterator[Made]:
        """Yield the births themselves."""
        yield Made(None, ({n: p.born.clone() for n, p in task.network.projections.items()},))
