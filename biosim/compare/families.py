"""The families of measures: what computes them, and which nulls they stand beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from biosim.compare import causal, flow, function, profiles
from biosim.compare.group import Group, Layers, Pairs
from biosim.compare.overlap import MEASURES as OVERLAPS
from biosim.compare.overlap import compare_overlap
from biosim.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Family:
    """Measures that are computed together.

    Attributes
    ----------
    compute : callable
        (group, pairs) -> layers.
    measures : tuple of str
    nulls : tuple of str
        The first is the one that effect and ratio refer to.
    undefined : str
        When its measures have no value.
    few : bool
        Whether it needs activity, and takes a fifth of the draws of a null.
    """

    compute: Callable[[Group, Pairs], Layers]
    measures: tuple[str, ...]
    nulls: tuple[str, ...]
    undefined: str
    few: bool = False


FAMILIES: dict[str, Family] = {
    "overlap": Family(compare_overlap, OVERLAPS, ("degree-preserving", "layer-shuffle"), "no synapses are left to share"),
    "profiles": Family(
        profiles.compare_profiles, profiles.MEASURES, ("layer-shuffle",), "a profile that is the same for all neurons has no correlation"
    ),
    "flow": Family(flow.compare_flow, flow.MEASURES, ("layer-shuffle", "degree-preserving"), "no path is left, or all carry the same"),
    "function": Family(
        function.compare_function,
        function.MEASURES,
        ("layer-shuffle", "independent-errors"),
        "a population is silent, or every answer right",
        few=True,
    ),
    "causal": Family(causal.compare_causal, causal.MEASURES, ("random-synapses",), "activity runs away", few=True),
}
PRIMARY = {"function.agreement": "independent-errors", "function.error_consistency": "independent-errors"}


def primary_null(family: str, measure: str) -> str:
    """Return the null that effect and ratio of a measure refer to."""
    return PRIMARY.get(f"{family}.{measure}", FAMILIES[family].nulls[0])


def check_families(families: Sequence[str]) -> None:
    """Refuse measures that there are not."""
    for name in families:
        if name not in FAMILIES:
            raise InputError(
                f"there are no measures '{name}'{did_you_mean(name, list(FAMILIES))}; there are: {', '.join(FAMILIES)}", ("measures",)
            )
    if not families:
        raise InputError(f"name at least one of: {', '.join(FAMILIES)}", ("measures",))
