"""The homeostasis that a scenario asks for."""

from __future__ import annotations

from biosim.equations import parse_time
from biosim.errors import InputError
from biosim.homeostasis import Homeostasis, IncomingResource, InDegree, SynapticScaling
from biosim.scenario.base import NetworkScenario
from biosim.scenario.spec import DevelopingSpec


def mechanisms(scenario: NetworkScenario, duration: float) -> list[Homeostasis]:
    """Return what neurons do to themselves in a development of ``duration`` seconds.

    Raises
    ------
    BiosimError
        When a time cannot be read.
    """
    made: list[Homeostasis] = []
    assert isinstance(scenario.spec, DevelopingSpec)
    for index, spec in enumerate(scenario.spec.homeostasis):
        if spec.kind == "in-degree":
            made.append(InDegree())
        elif spec.kind == "incoming-resource":
            made.append(IncomingResource())
        else:
            try:
                tau = parse_time(spec.tau).resolve(duration)
            except InputError as error:
                raise scenario.error(InputError(error.message, ("homeostasis", index, "tau"))) from None
            made.append(SynapticScaling(spec.target, tau))
    return made
