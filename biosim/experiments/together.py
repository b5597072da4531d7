"""A development that several processes carry out together: what it takes beside the development itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from biosim.develop import Development
from biosim.equations import Rule
from biosim.errors import InputError, Interrupted
from biosim.nursery.sharing import check_shared
from biosim.processes.team import Team
from biosim.rundir import interrupts
from biosim.rundir.checkpoint import AtWork
from biosim.scenario import DevelopmentScenario
from biosim.scenario.options import Options
from biosim.state import State
from biosim.synapses import Network


def shared_by(scenario: DevelopmentScenario, team: Team) -> dict[str, Team]:
    """Return what a scenario's model is given, beside its arguments, to build one process's part of a network.

    Raises
    ------
    BiosimError
        When processes are to share the network and the model cannot build a part of one.
    """
    if team.size == 1:
        return {}
    if not scenario.model.takes("team"):
        why = f"model '{scenario.spec.model.name}' builds whole networks only: its build() takes no team, as that of 'mlp' does"
        raise scenario.error(InputError(f"{team.size} processes cannot share it: {why}", ("model", "name")))
    return {"team": team}


def check_scenario(scenario: DevelopmentScenario, one: Network) -> None:
    """Refuse a scenario whose development processes that share its network cannot carry out, before anything is written."""
    options = scenario.options
    others = options.growth is not None, scenario.spec.neuron_death is not None, options.feedback
    try:
        check_shared(one, options.rules(scenario.rule), *others)
    except InputError as error:
        raise scenario.error(error) from None


def deaths_of(made: Development) -> dict[str, npt.NDArray[Any] | torch.Tensor | None]:
    """Return the step at which each synapse died, by projection; in the first process."""
    return {n: p.share.collect(p.death_step) for n, p in made.network.projections.items()}


def formed_steps(network: Network, rule: Rule, options: Options) -> dict[str, npt.NDArray[np.int32]]:
    """Return the step at which each synapse formed, last, by projection (-1 from birth, or from the first step); in the first process.

    Nothing where all were there from birth.
    """
    if options.growth is None and rule.regrow is None:
        return {}
    found = {name: p.share.collect(p.birth_step) for name, p in network.projections.items()}
    steps = {name: own.cpu().numpy() for name, own in found.items() if own is not None}
    return {name: np.where(own > 0, own, -1).astype(np.int32) for name, own in steps.items()}


class Together:
    """The keeper of a development (:class:`biosim.state.Keeper`): all processes keep the same steps, and go on from the latest all have.

    Parameters
    ----------
    own : AtWork
        Keeps what this process has.
    team : Team
    """

    def __init__(self, own: AtWork, team: Team) -> None:
        self.own, self.team = own, team

    def load(self, restore: Callable[[State], None]) -> bool:
        """Give the latest state that all processes have to ``restore``; return whether there is one."""
        kept = self.own.checkpoints.latest(self.own.stage)
        found = next(kept, None)
        while True:
            step = -1 if found is None else int(found[0]["step"])
            steps = self.team.gather(torch.tensor([step]), [1] * self.team.size)
            if int(steps.min()) == int(steps.max()):
                break
            if step > int(steps.min()):
                found = None  # let go of before the one before it is read
                found = next(kept, None)
        if found is not None:
            self.own.take_over(*found, restore)
        return found is not None

    def offer(self, state: Callable[[], State]) -> None:
        """Keep the state in all processes when it is time to in one, or when one is asked to stop: then raise Interrupted."""
        asked = interrupts.asked()
        if self.team.any(bool(asked) or self.own.is_due()):
            self.own.keep(state)
            if self.team.any(bool(asked)):
                raise Interrupted(asked or "SIGTERM")
