"""What is taken of a nursery between two steps of development: a record, and its state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from biosim.errors import NumericalError
from biosim.nursery.nursery import Nursery
from biosim.progress import Progress
from biosim.state import Keeper, State, Stateful, fill, part, tensor


def record(nursery: Nursery, activity: Mapping[str, Tensor], step: int, progress: Progress | None) -> None:
    """Record the network after step ``step`` (from 0), and tell of it; raises NumericalError when activity ran away."""
    _guard(activity, step)
    clock = nursery.drive.clock
    entry = nursery.recorder.record(nursery.network, step + 1, (step + 1) * clock.dt, (step + 1) / clock.steps, activity)
    if progress is not None:
        summary: dict[str, float] = {k: float(np.mean(entry[k])) for k in ("density", "accuracy") if k in entry}
        progress(step + 1, clock.steps, summary)


def _guard(activity: Mapping[str, Tensor], step: int) -> None:
    for name, values in activity.items():
        peak = values.abs().max()
        if not bool(torch.isfinite(peak)) or float(peak) > 1e12:
            raise NumericalError(f"activity of population '{name}' ran away at step {step}: its largest value is {float(peak):g}")


def state(nursery: Nursery, step: int) -> State:
    """Return all that has changed in the ``step`` steps taken: what development goes on from, bit for bit."""
    network = nursery.network
    kept: State = {
        "step": step,
        "projections": {n: p.state() for n, p in network.projections.items()},
        "populations": {n: {"gain": p.gain, "alive": p.alive} for n, p in network.populations.items()},
        "sites": {s.projection.name: s.state() for s in nursery.sites},
        "plasticity": {s.projection.name: s.state() for s in nursery.plastic},
        "growth": {s.projection.name: s.state() for s in nursery.growing},
        "homeostasis": {str(k): m.state() for k, m in enumerate(nursery.homeostasis) if isinstance(m, Stateful)},
        "recorder": nursery.recorder.state(),
    }
    if nursery.statistics is not None:
        kept["statistics"] = nursery.statistics.state()
    if nursery.mortality is not None:
        kept["mortality"] = nursery.mortality.state()
    if isinstance(nursery.substrate, Stateful):
        kept["substrate"] = nursery.substrate.state()
    if nursery.signals.learner is not None:
        kept["feedback"] = nursery.signals.learner.state()
    return kept


def resume(nursery: Nursery, keeper: Keeper) -> int:
    """Take over the state that was kept, if any; return the steps that had been taken."""
    taken: list[int] = []
    keeper.load(lambda kept: taken.append(restore(nursery, kept)))
    return taken[0] if taken else 0


def restore(nursery: Nursery, kept: State) -> int:
    """Take a state over into a nursery with the same births; return the steps that had been taken.

    Raises
    ------
    DamageError, KeyError, ValueError, TypeError
        When it is no state of such a nursery.
    """
    network = nursery.network
    step, projections, populations = int(kept["step"]), part(kept, "projections"), part(kept, "populations")
    if not 0 <= step <= nursery.drive.clock.steps:
        raise ValueError(f"step {step} is not one of {nursery.drive.clock.steps}")
    for name, p in network.projections.items():
        p.restore(part(projections, name))
    for name, population in network.populations.items():
        own = part(populations, name)
        population.gain = tensor(own["gain"], population.gain, f"gain of {name}")
        fill(population.alive, own["alive"], f"neurons alive of {name}")
    for place, sites in (("sites", nursery.sites), ("plasticity", nursery.plastic), ("growth", nursery.growing)):
        for site in sites:
            site.restore(part(part(kept, place), site.projection.name))
    for k, mechanism in enumerate(nursery.homeostasis):
        if isinstance(mechanism, Stateful):
            mechanism.restore(part(part(kept, "homeostasis"), str(k)))
    nursery.recorder.restore(part(kept, "recorder"))
    if nursery.statistics is not None:
        nursery.statistics.restore(part(kept, "statistics"), {n: p.gain for n, p in network.populations.items()})
    if nursery.mortality is not None:
        nursery.mortality.restore(part(kept, "mortality"))
    if isinstance(nursery.substrate, Stateful):
        nursery.substrate.restore(part(kept, "substrate"))
    if nursery.signals.learner is not None:
        nursery.signals.learner.restore(part(kept, "feedback"))
    return step
