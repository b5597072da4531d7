"""Which synapses of a spiking projection fall silent or die: a rule's decisions, taken on the slow clock, on compact rows."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from biosim.equations import Competition, Rule
from biosim.errors import InputError
from biosim.schedule import Schedule
from biosim.spiking.simulation import Simulation
from biosim.spiking.slow import SlowLines
from biosim.state import State, array, part
from biosim.streams import edge_streams, hash32

Mask = npt.NDArray[np.bool_]


@numba.njit(cache=True, nogil=True)
def _lottery(stream, step, pre, post, width):  # type: ignore[no-untyped-def]
    """Return 32 random bits of every synapse."""
    out = np.empty(len(pre), np.uint32)
    for q in range(len(pre)):
        out[q] = hash32(stream, step, np.uint64(pre[q]) * np.uint64(width) + np.uint64(post[q]))
    return out


def check_schedule(rule: Rule, schedule: Schedule | None) -> None:
    """Raise where synapses compete and nothing says how many stay."""
    if schedule is None and any(isinstance(d, Competition) for d in rule.decisions.values()):
        raise InputError(f"synapses compete under '{rule.name}': a schedule says how many stay", ("schedule",))


class SpikingSite:
    """The slow lines and decisions of the rule of one projection of a simulation.

    Their ``age`` is what the rate substrate says it is: the synapse's when the stretch began that a decision ends, so 0 at the
    first decision and ``decide_every`` at the second. A line of events is of its own step, and reads the age at that step.

    Parameters
    ----------
    simulation : Simulation
    projection : str
    decide_every : float
        Seconds between two decisions: ``dt`` of its ``synapse:`` lines.
    schedule : Schedule, optional
        How many synapses competitions leave to each neuron, and below which number conditions may not take it; needed
        by competitions. Without it conditions alone decide.
    """

    def __init__(self, simulation: Simulation, projection: str, decide_every: float, schedule: Schedule | None = None) -> None:
        rule, births = simulation.rules[projection], simulation.network.projection(projection).births
        check_schedule(rule, schedule)
        self.simulation, self.projection, self.rule, self.schedule = simulation, projection, rule, schedule
        self.slow = SlowLines(simulation.live[projection], simulation.seeds, decide_every)
        self.synapse, self.after = self.slow.lines("synapse"), self.slow.lines("survivors")
        self.programs = {
            name: self.slow.key(d.by) if isinstance(d, Competition) else self.slow.condition(d) for name, d in rule.decisions.items()
        }
        self.ties = edge_streams(simulation.seeds, f"ties/{projection}")
        self.births = {
            "pre": np.stack([np.diff(s) for s in births.starts]),
            "post": np.stack([np.bincount(t, minlength=births.n_post) for t in births.targets]),
        }
        self.width, self.now = births.n_post, 0
        self.since = [np.full(len(t), np.inf, simulation.worlds[0].weight.dtype) for t in births.targets]

    def decide(self, u: float) -> npt.NDArray[np.int64]:
        """Run the slow lines and take the decisions when a share ``u`` of development has passed; return how many synapses died, (R,)."""
        replicates = range(len(self.simulation.worlds))
        died, masks = np.zeros(len(replicates), np.int64), []
        for r in replicates:
            if self.synapse is not None:
                self.slow.run(self.synapse, r, self.now, self.since[r])
            if self.rule.silence is not None:
                self._silence(r, u)
            masks.append(self._doomed(r, u))
            died[r] = np.count_nonzero(masks[r])
            self.since[r] = self.since[r][~masks[r]]
        if died.any():
            self.simulation.eliminate(self.projection, masks)
        if self.after is not None:
            for r in replicates:
                self.slow.run(self.after, r, self.now, self.since[r])
        self.now += 1
        return died

    def state(self) -> State:
        """Return how many decisions were taken, and since when synapses are silent."""
        return {"now": self.now, "since": {str(r): own for r, own in enumerate(self.since)}}

    def restore(self, state: State) -> None:
        """Take a state over, once the simulation has taken over its own."""
        self.now = int(state["now"])
        for r, (own, size) in enumerate(zip(self.since, self.simulation.survivors(self.projection), strict=True)):
            self.since[r] = array(part(state, "since").get(str(r)), own.dtype, (int(size),), "since").copy()

    def _silence(self, r: int, u: float) -> None:
        decision, program = self.rule.silence, self.programs["silence"]
        if isinstance(decision, Competition):
            assert self.schedule is not None
            scores = self.slow.values(program, r, self.now, self.since[r])
            active = self._keep(r, scores, None, self._quota(r, self.schedule.active_target(u), decision.within), decision.within)
        else:
            active = ~self.slow.truth(program, r, self.now, self.since[r])
        self.since[r] = np.where(active, np.inf, np.minimum(self.since[r], self.now)).astype(self.since[r].dtype)
        self.simulation.set_active(self.projection, r, active)

    def _doomed(self, r: int, u: float) -> Mask:
        decision = self.rule.eliminate
        if decision is None or (self.schedule is not None and not self.schedule.may_die(u)):
            return np.zeros(len(self.since[r]), np.bool_)
        program = self.programs["eliminate"]
        if isinstance(decision, Competition):
            assert self.schedule is not None
            scores = self.slow.values(program, r, self.now, self.since[r])
            return ~self._keep(r, scores, None, self._quota(r, self.schedule.target(u), decision.within), decision.within)
        doomed = self.slow.truth(program, r, self.now, self.since[r])
        if self.schedule is None:
            return doomed
        post = self.simulation.edges(self.projection, r)[1]
        allowed = (np.bincount(post, minlength=self.width) - self._quota(r, self.schedule.target(u), "post")).clip(min=0)
        return self._keep(r, np.zeros(len(doomed)), doomed, allowed, "post")

    def _quota(self, r: int, density: float, within: str) -> npt.NDArray[np.int64]:
        """Return how many synapses each neuron keeps while the target is ``density``, exact in the end."""
        assert self.schedule is not None
        births = self.births[within][r]
        total = np.floor(births.cumsum() * self.schedule.density + 0.5).astype(np.int64)
        final = np.diff(total, prepend=0)
        return np.asarray(np.maximum(np.floor(births * density).astype(np.int64), final))

    def _keep(self, r: int, scores: npt.NDArray[Any], candidate: Mask | None, quota: npt.NDArray[np.int64], within: str) -> Mask:
        """Keep, within each neuron, its quota of the candidates with the largest scores; a seeded lottery breaks ties."""
        pre, post, _ = self.simulation.edges(self.projection, r)
        own = np.arange(len(pre)) if candidate is None else np.flatnonzero(candidate)
        neuron = (post if within == "post" else pre)[own]
        draw = _lottery(self.ties[r], np.uint32(0), pre[own], post[own], self.width)
        order = np.lexsort((draw, -scores[own], neuron))
        sorted_neuron = neuron[order]
        first = np.searchsorted(sorted_neuron, sorted_neuron)
        kept = np.zeros(len(pre), np.bool_)
        kept[own[order]] = np.arange(len(own)) - first < quota[sorted_neuron]
        return kept
