"""What can be developed by processes that share one network, and why the rest cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from biosim.circuit import Circuit
from biosim.equations import Competition, Rule
from biosim.errors import InputError
from biosim.rules.feedback_kinds import feedback_rule
from biosim.synapses import Network
from biosim.tiles import TILE


def check_shared(network: Network, rules: Sequence[Rule], growth: bool, neuron_death: bool, feedback: str | None) -> None:
    """Refuse what processes that share ``network`` could not do to the bit as one process does; nothing where nobody shares it.

    Raises
    ------
    InputError
    """
    if network.team.size == 1:
        return
    if network.settles or network.spiking is not None or network.substrate is not None:
        raise InputError("processes share forward networks of rate neurons only: not settling or spiking ones, nor other substrates")
    if not any(p.share.divided for p in network.projections.values()):
        largest = max(p.post.size for p in network.projections.values())
        most = f"{-(-largest // TILE)} can" if largest > TILE else "nothing is to be shared"
        why = f"a population is divided into blocks of {TILE} neurons, and the largest has {largest}: {most}"
        raise InputError(f"{network.team.size} processes cannot share this network: {why}")
    if growth:
        raise InputError("processes that share a network cannot let it grow", ("growth",))
    if neuron_death:
        raise InputError("processes that share a network cannot let neurons die: a neuron's outputs are in all of them", ("neuron_death",))
    if feedback is not None and feedback_rule(feedback) is not None:
        why = "processes that share a network cannot let feedback learn"
        raise InputError(f"{why} ('{feedback}'): use random, direct or reciprocal", ("rule", "feedback"))
    for why in _not_local_to_a_block(rules):
        raise InputError(
            f"processes that share a network have a neuron's incoming synapses together, not its outgoing ones: {why}", ("rule",)
        )


def _not_local_to_a_block(rules: Sequence[Rule]) -> Iterator[str]:
    for rule in rules:
        if any(isinstance(d, Competition) and d.within == "pre" for d in rule.decisions.values()):
            yield f"under '{rule.name}' the outgoing ones compete"
        if "weight_sum_pre" in rule.names:
            yield f"'{rule.name}' reads weight_sum_pre, and a sum taken in parts differs in its last bit"


def survivor_of(network: Network, provenance: Mapping[str, Any]) -> Circuit | None:
    """Freeze a network; where processes share it the first one collects the whole."""
    found = []
    for what in ("alive", "weight", "born"):
        parts = {n: p.share.collect(getattr(p, what)) for n, p in network.projections.items()}
        found.append({n: part for n, part in parts.items() if part is not None})
    alive, weight, born = found
    return Circuit.of(network, provenance, alive, weight=weight, born=born) if network.team.rank == 0 else None
