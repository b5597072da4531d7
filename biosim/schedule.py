"""Schedules: when synapses may die and how many, as a pure function of developmental time.

Time ``u`` runs from 0 to 1. A schedule knows nothing of the network: ``density(u)`` is the target
share of birth synapses, and every neuron works out its own quota from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from biosim.errors import InputError

ScheduleKind = Literal["constant", "decreasing-rate", "constant-share", "increasing-rate", "end-only", "critical-window", "free"]
KINDS: tuple[ScheduleKind, ...] = (  # those with a target
    "constant", "decreasing-rate", "constant-share", "increasing-rate", "end-only", "critical-window",
)  # fmt: skip
FREE: ScheduleKind = "free"


@dataclass(frozen=True)
class Schedule:
    """Target density over development.

    With s = (u - opens)/(closes - opens) clipped to [0, 1] and k the final ``density``:

    ================  ============================================================================
    constant          1 - (1-k) s, the same number of synapses at every moment
    decreasing-rate   k + (1-k) (1-s)**3, fast first, then slower (Navlakha et al. 2015)
    constant-share    k**s, the same share of the synapses left at every moment
    increasing-rate   1 - (1-k) s**3
    end-only          1 until u = 1, then k
    critical-window   1 before the window, k as soon as it opens; nothing dies after it closes
    free              0: how many are left is for the conditions of the rule to decide, while the window is open
    ================  ============================================================================

    Attributes
    ----------
    kind : str
    density : float
        Share of birth synapses left at the end, in (0, 1].
    opens, closes : float
        The window of development in which the target moves.
    active_at_most : float, optional
        Ceiling on the share that transmits while synapses compete by falling silent; the final
        ``density`` when left out. So a rule explores, with all that is still alive, the kind of circuit
        that will be left: measured, that beats easing the active share down from 0.6.
    rounds : int, optional
        Let the target move only at the end of each of that many equal parts of the window, so that the network
        recovers in between; at every moment when left out.

    Examples
    --------
    >>> from biosim import Schedule
    >>> schedule = Schedule("constant", density=0.2, opens=0.0, closes=1.0)
    >>> [round(schedule.target(u), 2) for u in (0.0, 0.5, 1.0)]
    [1.0, 0.6, 0.2]
    """

    kind: ScheduleKind = "decreasing-rate"
    density: float = 0.2
    opens: float = 0.1
    closes: float = 0.8
    active_at_most: float | None = None
    rounds: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in (known := (*KINDS, FREE)):
            raise InputError(f"unknown schedule '{self.kind}'; there are: {', '.join(known)}", ("kind",))
        if not 0 < self.density <= 1:
            raise InputError(f"the density left at the end must lie in (0, 1], not {self.density}", ("density",))
        if not 0 <= self.opens < self.closes <= 1:
            raise InputError(f"need 0 <= opens < closes <= 1, not {self.opens} and {self.closes}", ("opens",))
        if self.active_at_most is not None and not 0 < self.active_at_most <= 1:
            raise InputError(f"must lie in (0, 1], not {self.active_at_most}", ("active_at_most",))
        if self.rounds is not None and self.rounds < 1:
            raise InputError(f"needs at least one round, not {self.rounds}", ("rounds",))

    @property
    def final(self) -> float:
        """The density that no neuron falls below; 0 where nothing is prescribed."""
        return 0.0 if self.kind == FREE else self.density

    def target(self, u: float) -> float:
        """Return the density aimed at when a fraction ``u`` of development has passed."""
        if self.kind == FREE:
            return 0.0
        k = self.density
        if self.kind == "end-only":
            return k if u >= 1 else 1.0
        s = min(max((u - self.opens) / (self.closes - self.opens), 0.0), 1.0)
        if self.rounds is not None:
            s = math.floor(s * self.rounds + 1e-9) / self.rounds
        if self.kind == "constant":
            return 1 - (1 - k) * s
        if self.kind == "decreasing-rate":
            return k + (1 - k) * (1 - s) ** 3
        if self.kind == "constant-share":
            return float(k**s)
        if self.kind == "increasing-rate":
            return 1 - (1 - k) * s**3
        return k if self.opens <= u else 1.0

    def active_target(self, u: float) -> float:
        """Return the share of birth synapses that may transmit while silence is reversible."""
        ceiling = self.density if self.active_at_most is None else max(self.active_at_most, self.density)
        return min(self.target(u), ceiling)

    def may_die(self, u: float) -> bool:
        """Whether a synapse may be eliminated at ``u``."""
        if self.kind == "end-only":
            return u >= 1
        if self.kind in ("critical-window", FREE):
            return self.opens <= u <= self.closes
        return u >= self.opens
