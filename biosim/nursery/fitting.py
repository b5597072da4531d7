"""Whether a rule, and a drive, fit the place they are given in a development."""

from __future__ import annotations

from collections.abc import Sequence

from biosim.drives.base import Drive
from biosim.equations import Competition, Rule
from biosim.equations.vocabulary import TAUGHT
from biosim.errors import InputError
from biosim.lif import Encoding
from biosim.schedule import FREE, Schedule, ScheduleKind
from biosim.substrates import Substrate
from biosim.synapses import Network


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


def check_shapes(network: Network, substrate: Substrate, drive: Drive, seeds: Sequence[int]) -> None:
    """Refuse a drive that shows what the network does not take.

    Raises
    ------
    InputError
        When encoding, replicates, inputs or readout are not those of the network.
    """
    shown, wanted = getattr(drive, "encoding", None), network.spiking.encoding if network.spiking else None
    if shown != wanted:
        how = "give both the same encoding: drive = drive.encoded(e); network.spiking = network.spiking.shown(drive.encoding)"
        raise InputError(f"the drive shows {_said(shown)}, the network is made for {_said(wanted)}; {how}", ("encoding",))
    if len(seeds) != network.replicates:
        raise InputError(f"the network has {network.replicates} replicates and there are {len(seeds)} seeds")
    taken, last = getattr(substrate, "inputs", network.input.size), network.readout.size
    if (taken, last) != (drive.inputs, last if drive.outputs is None else drive.outputs):
        readout = "" if drive.outputs is None else f" -> {drive.outputs}"
        raise InputError(f"the network is {taken} -> {last}, the drive needs {drive.inputs}{readout}")


def _said(encoding: Encoding | None) -> str:
    return "rates" if encoding is None else f"spikes ({encoding})"
