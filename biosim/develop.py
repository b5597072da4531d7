"""The one loop: a network develops by losing synapses, each decision taken locally.

drive -> substrate -> activity -> coincidences and state -> silence -> eliminate -> survivors ->
regrow -> homeostasis -> record. The whole of it runs in torch's inference mode: no gradient can exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from biosim.circuit import Circuit
from biosim.decisions import Site
from biosim.drives.base import Drive
from biosim.equations import Rule, Sensed
from biosim.equations.vocabulary import Level
from biosim.errors import InputError, LocalityError, NumericalError
from biosim.homeostasis import Homeostasis, InDegree, regulate
from biosim.recorder import Recorder
from biosim.schedule import Schedule
from biosim.statistics import RunningStatistics
from biosim.substrates.rate import RateSubstrate
from biosim.synapses import Network
from biosim.teaching import Feedback, readout_error, reward

MEMORY = 0.02  # the neurons' running mean and variance forget over this share of development
Progress = Callable[[int, int, dict[str, float]], None]


@dataclass
class Development:
    """What :func:`develop` returns.

    Attributes
    ----------
    circuit : Circuit
        The frozen survivor.
    history : Recorder
    level : Level
        Locality of the rule with the feedback it was given.
    final_cut : ndarray
        (R,) share of birth synapses that were alive but silent at the end and were eliminated then.
    network : Network
        As development left it, with ``death_step`` of every birth synapse.
    """

    circuit: Circuit
    history: Recorder
    level: Level
    final_cut: np.ndarray
    network: Network


@dataclass
class _World:
    """The parts of a run that the loop hands around."""

    network: Network
    drive: Drive
    rule: Rule
    schedule: Schedule
    homeostasis: Sequence[Homeostasis]
    feedback: Feedback | None
    seeds: tuple[int, ...]
    recorder: Recorder
    statistics: RunningStatistics | None = None
    sites: list[Site] = field(default_factory=list)


def develop(
    network: Network,
    drive: Drive,
    rule: Rule,
    *,
    schedule: Schedule | None = None,
    homeostasis: Sequence[Homeostasis] | None = None,
    feedback: Feedback | None = None,
    seeds: Sequence[int] | None = None,
    recorder: Recorder | None = None,
    progress: Progress | None = None,
) -> Development:
    """Develop ``network`` in place under a local rule.

    Parameters
    ----------
    network : Network
        As born. It is changed: synapses die.
    drive : Drive
        What it is shown, and for how long.
    rule : Rule
        Its equations decide; its locality must not exceed *transport*.
    schedule : Schedule, optional
        When synapses may die and how many.
    homeostasis : sequence of Homeostasis, optional
        Gain by in-degree when left out; ``[]`` for none.
    feedback : Feedback, optional
        Fills ``teach_post``; needed by rules that read it.
    seeds : sequence of int, optional
        Search seed of each replicate (data order, draws inside the rule); 0, 1, ... when left out.
    recorder, progress : optional

    Returns
    -------
    Development

    Raises
    ------
    LocalityError
        When the rule reads more than a local rule may.
    InputError
        When rule, drive, feedback and substrate do not fit together.
    NumericalError
        On NaN or runaway activity, naming the population and the step.
    """
    seeds = tuple(seeds) if seeds is not None else tuple(range(network.replicates))
    mechanisms = [InDegree()] if homeostasis is None else list(homeostasis)
    world = _World(network, drive, rule, schedule or Schedule(), mechanisms, feedback, seeds, recorder or Recorder())
    level = _check(world)
    with torch.inference_mode():
        if any(n.startswith(("mean_", "var_")) for n in rule.names) or any(getattr(m, "needs_mean", False) for m in mechanisms):
            world.statistics = RunningStatistics(MEMORY * drive.clock.duration)
        world.sites = [Site(p, network, rule, world.schedule, drive.clock, seeds) for p in network.projections.values()]
        regulate(network, mechanisms, {}, 0.0)
        _loop(world, progress)
        final_cut = _final_cut(world)
    circuit = Circuit.of(network, {"rule": rule.name, "locality": level.name, "seeds": list(seeds)})
    return Development(circuit, world.recorder, level, final_cut, network)


def _check(world: _World) -> Level:
    rule = world.rule
    level = rule.level(world.feedback.level if world.feedback else Level.broadcast)
    if level > Level.transport:
        raise LocalityError(f"rule '{rule.name}' is of level {level.name}; develop() takes rules up to transport")
    if rule.event_driven:
        raise InputError(f"rule '{rule.name}' has on_spike, on_pre or on_post: it needs a spiking substrate, rate neurons do not spike")
    if "teach_post" in rule.names and world.feedback is None:
        raise InputError(f"rule '{rule.name}' reads teach_post: it needs feedback (random, direct or reciprocal)", ("feedback",))
    if len(world.seeds) != world.network.replicates:
        raise InputError(f"the network has {world.network.replicates} replicates and there are {len(world.seeds)} seeds")
    first, *_, last = world.network.populations.values()
    if (first.size, last.size) != (world.drive.inputs, world.drive.outputs):
        raise InputError(f"the network is {first.size} -> {last.size}, the drive needs {world.drive.inputs} -> {world.drive.outputs}")
    return level


def _loop(world: _World, progress: Progress | None) -> None:
    network, clock = world.network, world.drive.clock
    substrate = RateSubstrate(network)
    taught = world.rule.names & {"teach_post", "reward"}
    for step, shown in enumerate(world.drive.presentations(world.seeds, network.device)):
        u = (step + 1) / clock.steps
        activity = substrate.respond(shown.inputs)
        output = activity[next(reversed(activity))]
        if shown.labels is None and taught:
            raise InputError(f"rule '{world.rule.name}' reads {', '.join(sorted(taught))}, but the drive has no labels")
        teach: dict[str, Tensor] = {}
        earned: Tensor | None = None
        if shown.labels is not None:
            correct = (output.argmax(-1) == shown.labels).sum(1)
            world.recorder.saw(correct.cpu().numpy().astype(np.float64), shown.inputs.shape[1])
            if "teach_post" in taught and world.feedback is not None:
                teach = world.feedback.carry(readout_error(output, shown.labels), activity)
            if "reward" in taught:
                earned = reward(output, shown.labels)
        if world.statistics is not None:
            world.statistics.update(activity, clock.dt)
        _structure(world, activity, teach, earned, step, u)
        if world.recorder.due(step, clock.steps):
            _guard(activity, step)
            rates = {n: a.mean((1, 2)).tolist() for n, a in activity.items()}
            entry = world.recorder.record(network, step + 1, (step + 1) * clock.dt, u, rates)
            if progress is not None:
                summary: dict[str, float] = {k: float(np.mean(entry[k])) for k in ("density", "accuracy") if k in entry}
                progress(step + 1, clock.steps, summary)


def _structure(world: _World, activity: dict[str, Tensor], teach: dict[str, Tensor], earned: Tensor | None, step: int, u: float) -> None:
    """Let every projection sense, remember and decide; then let the neurons adjust."""
    changed = False
    for site in world.sites:
        pre, post = site.projection.pre.name, site.projection.post.name
        sensed = Sensed(activity[pre], activity[post], teach.get(post), earned, site.neurons(world.statistics), site.synapses, step)
        changed |= site.advance(sensed, u)
    if changed or (world.statistics is not None and world.homeostasis):
        mean = world.statistics.mean if world.statistics is not None else {}
        regulate(world.network, world.homeostasis, mean, world.drive.clock.dt)


def _guard(activity: dict[str, Tensor], step: int) -> None:
    for name, values in activity.items():
        peak = values.abs().max()
        if not bool(torch.isfinite(peak)) or float(peak) > 1e12:
            raise NumericalError(f"activity of population '{name}' ran away at step {step}: its largest value is {float(peak):g}")


def _final_cut(world: _World) -> np.ndarray:
    """Eliminate what is alive but silent at the end; return its share of the births."""
    cut = torch.zeros(world.network.replicates, device=world.network.device)
    if world.rule.silence is not None:
        for p in world.network.projections.values():
            cut += p.eliminate(~p.active, world.drive.clock.steps).to(cut.device)
        regulate(world.network, world.homeostasis, world.statistics.mean if world.statistics else {}, 0.0)
    return np.asarray((cut / world.network.born).cpu())
