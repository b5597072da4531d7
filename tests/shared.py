"""A process of several that develop one network under rules, and tell what came of it: run by test_sharing."""

from __future__ import annotations

import hashlib
import sys
import warnings
from contextlib import nullcontext
from typing import Any

import biosim  # noqa: F401 (before torch, as a user's script has it)

import numpy as np  # isort: skip
from conftest import made_up_images
from developed import COMPETING, rule_named

from biosim import tiles
from biosim.develop import Development, develop
from biosim.drives import ImageDrive
from biosim.errors import BiosimError
from biosim.homeostasis import IncomingResource, SynapticScaling
from biosim.nursery import sharing
from biosim.processes import team
from biosim.processes.distributed import joined
from biosim.processes.launch import asked_for
from biosim.schedule import Schedule
from biosim.synapses import Network
from biosim.teaching import Feedback
from biosim.wiring import packed

HIDDEN = {64: (200, 130), 512: (1600, 1100)}  # neurons by the width of a tile: blocks for three processes at least
FEEDBACK = {"fisher": "direct", "three-factor": "reciprocal"}


def lived(name: str, tile: int, who: team.Team) -> Development:
    """Develop under a rule: two replicates, births of every kind, means that neurons follow."""
    rule = rule_named(name)
    if name in ("burst-timing", "terminal-competition"):
        rule = rule.with_parameters({"rate": 1e-3})
    drive = ImageDrive(made_up_images(n=120), batch=16, epochs=2)
    network = Network.layered([36, *HIDDEN[tile], 4], [0, 1], weights="log-normal", probability=0.9, dale=0.7, team=who)
    schedule = Schedule(density=0.2, opens=0.0, closes=0.7) if name in COMPETING else Schedule("free", opens=0.0, closes=0.7)
    feedback, homeostasis = Feedback(network, FEEDBACK.get(name, "random"), (0, 1)), [IncomingResource(), SynapticScaling()]
    return develop(network, drive, rule, schedule=schedule, feedback=feedback, homeostasis=homeostasis, seeds=(0, 1))


def digest(made: Development) -> str:
    """Return a hash of all that a development left; in all processes, with what the first one has."""
    arrays: list[Any] = [[list(r.values()) for r in made.history.records]]
    arrays += [p.share.collect(p.death_step) for p in made.network.projections.values()]
    arrays += [p.gain for p in made.network.populations.values()]
    if made.survivor is not None:
        arrays += [m[n] for m in (made.circuit.mask, made.circuit.weight, made.circuit.born) for n in m]
    parts = [repr(a).encode() if isinstance(a, list) else np.asarray(a).tobytes() for a in arrays if a is not None]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def settings(tile: int) -> list[tuple[Any, str, int]]:
    """Return what makes small networks like large ones: divided, and packed once few synapses live."""
    return [*((module, "TILE", tile) for module in (tiles, team, sharing)), (packed, "SMALLEST", min(packed.SMALLEST, tile * tile))]


def main(tile: int, names: list[str]) -> None:
    warnings.simplefilter("ignore")
    for where, name, value in settings(tile):
        setattr(where, name, value)
    with joined("cpu") if asked_for() else nullcontext(team.ALONE) as who:
        for name in names:
            if name == "failing" and who.rank == 1:
                raise BiosimError("this one fails")
            found = digest(lived(name.replace("failing", "bcm"), tile, who))
            if who.rank == 0:
                sys.stdout.write(f"{name} {found}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
