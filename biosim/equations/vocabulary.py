"""The names a rule may read, and what reading each one says about its locality.

Nobody declares how local a rule is: :func:`level_of` computes it from the names its equations use
and from the providers that fill them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from biosim.equations.units import NUMBER, TIME, Dimension
from biosim.errors import LocalityError, did_you_mean


class Level(IntEnum):
    """The locality ladder, most local first."""

    synapse = 0
    neuron = 1
    modulated = 2
    broadcast = 3
    transport = 4
    layer = 5
    network = 6
    gradient = 7


Axes = frozenset[str]
NONE: Axes = frozenset()
SAMPLE, PRE, POST = frozenset({"sample"}), frozenset({"pre"}), frozenset({"post"})
SYNAPSE: Axes = PRE | POST


@dataclass(frozen=True)
class Name:
    """What an expression may read: its axes, its dimension and the level reading it implies."""

    axes: Axes
    level: Level
    meaning: str
    dimension: Dimension = NUMBER


def _sides(stem: str, level: Level, meaning: str) -> dict[str, Name]:
    return {
        f"{stem}_pre": Name(PRE, level, meaning.format(side="presynaptic")),
        f"{stem}_post": Name(POST, level, meaning.format(side="postsynaptic")),
    }


BUILT_IN: dict[str, Name] = {
    "pre": Name(SAMPLE | PRE, Level.synapse, "presynaptic activity, one value a sample"),
    "post": Name(SAMPLE | POST, Level.synapse, "postsynaptic activity, one value a sample"),
    "weight": Name(SYNAPSE, Level.synapse, "the synapse's weight"),
    "age": Name(SYNAPSE, Level.synapse, "time since the synapse was born", TIME),
    "silent_for": Name(SYNAPSE, Level.synapse, "time since the synapse fell silent, 0 s while active", TIME),
    "random": Name(SYNAPSE, Level.synapse, "a fresh uniform draw in [0, 1)"),
    "dt": Name(NONE, Level.synapse, "duration of the step", TIME),
    **_sides("mean", Level.neuron, "running mean activity of the {side} neuron"),
    **_sides("var", Level.neuron, "running variance of the {side} neuron's activity"),
    **_sides("degree", Level.neuron, "active synapses of the {side} neuron on this side"),
    **_sides("weight_sum", Level.neuron, "summed weight of those synapses"),
    "reward": Name(SAMPLE, Level.modulated, "one global scalar a sample"),
    "advantage": Name(SAMPLE, Level.modulated, "one global scalar a sample: how much better the neurons' noise did than its opposite"),
    "noise_post": Name(SAMPLE | POST, Level.synapse, "the postsynaptic neuron's own noise: +-1, or 0 while it does not explore"),
    "teach_post": Name(SAMPLE | POST, Level.broadcast, "teaching signal that reaches the postsynaptic neuron"),
    "teach_pre": Name(SAMPLE | PRE, Level.broadcast, "teaching signal that reaches the presynaptic neuron, 0 for inputs"),
}
TAUGHT = frozenset({"teach_pre", "teach_post"})
GIVEN = TAUGHT | {"reward", "advantage", "noise_post"}  # what only a drive with labels fills
SAMPLED = frozenset(name for name, entry in BUILT_IN.items() if "sample" in entry.axes)

_FORBIDDEN: dict[str, Level] = {
    "gradient": Level.gradient, "grad": Level.gradient, "loss": Level.gradient,
    "layer_rank": Level.layer, "layer_sum": Level.layer, "layer_mean": Level.layer, "rank": Level.layer,
    "network_rank": Level.network, "network_sum": Level.network, "quantile": Level.network,
}  # fmt: skip


def unknown_name(name: str, allowed: Iterable[str], where: str) -> LocalityError:
    """Return the error for a name that cannot be read ``where``, listing the names that can."""
    names = sorted(allowed)
    listing = f"{where} may read: {', '.join(names)}"
    if name in names:
        raise AssertionError(f"{name} is allowed")
    if name in _FORBIDDEN:
        level = _FORBIDDEN[name].name
        return LocalityError(f"'{name}' is of level {level}, which only scorers may read; {listing}")
    if name in SAMPLED:
        return LocalityError(
            f"'{name}' changes from sample to sample and can be read here only through coincidences or a "
            f"derivative (dNAME/dt = ...); {listing}"
        )
    return LocalityError(f"unknown name '{name}'{did_you_mean(name, names)}: not one of what a synapse can sense; {listing}")


def level_of(names: Iterable[str], feedback_level: Level = Level.broadcast) -> Level:
    """Return the highest level among ``names``; declared names are the synapse's own.

    Parameters
    ----------
    names : iterable of str
        Names the equations read.
    feedback_level : Level
        What the wiring that fills ``teach_post`` and ``teach_pre`` amounts to (*transport* for a copy of the weights).
    """
    level = Level.synapse
    for name in names:
        own = feedback_level if name in TAUGHT else BUILT_IN[name].level if name in BUILT_IN else Level.synapse
        level = max(level, own)
    return level
