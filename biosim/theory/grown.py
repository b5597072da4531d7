"""The circuit that a local rule leaves: in one line, as :func:`biosim.scorers.base.prune` gives that of a rival."""

from __future__ import annotations

from biosim.circuit import Circuit
from biosim.develop import develop
from biosim.drives.base import Drive
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.synapses import Network
from biosim.teaching import Feedback


def grown(rule: str, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], feedback: str = "random") -> Circuit:
    """Develop a network, which is used up, under a shipped rule down to a density."""
    wiring = Feedback(network, feedback, seeds)
    return develop(network, drive, load_rule(rule), schedule=Schedule(density=density), feedback=wiring, seeds=seeds).circuit
