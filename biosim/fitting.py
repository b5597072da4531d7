"""Whether a rule fits the place it is given in a development."""

from __future__ import annotations

from biosim.equations import Competition, Rule
from biosim.equations.vocabulary import TAUGHT
from biosim.errors import InputError
from biosim.schedule import FREE, Schedule, ScheduleKind


def check_fit(rule: Rule, place: str, schedule: Schedule, feedback: bool) -> None:
    """Refuse a rule that cannot do what its place (``rule``, ``plasticity``, ``growth``, ``readout``) asks of it.

    Raises
    ------
    InputError
        When it needs events, a teaching signal that no ``feedback`` carries, a number of synapses that the schedule does not
        give, or another role.
    """
    if rule.event_driven:
        why = "it needs the event-driven spiking engine; here it is shown rates, one number an image"
        raise InputError(f"rule '{rule.name}' has on_spike, on_pre or on_post: {why}")
    if TAUGHT & rule.names and not feedback and place != "readout":
        why = "it needs feedback, such as random or weight-mirror"
        raise InputError(f"rule '{rule.name}' reads a teaching signal: {why}", ("feedback",))
    if place != "growth" and (crowded := uncounted(rule, schedule.kind)) is not None:
        raise InputError(crowded, ("schedule",))
    wanted = "pruning" if place in ("rule", "readout") else place
    if rule.role != wanted:
        raise InputError(f"'{rule.name}' is a rule for {rule.role}, not for {wanted}", (place,))


def uncounted(rule: Rule, kind: ScheduleKind) -> str | None:
    """Say why synapses cannot compete under a schedule that gives no number, where they would; None where all is well."""
    if kind != FREE or not any(isinstance(d, Competition) for d in rule.decisions.values()):
        return None
    how = "give the schedule another kind, and a density"
    return f"'{rule.name}' lets synapses compete, and a free schedule does not say how many stay: {how}"
