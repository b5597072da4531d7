"""A run that is stopped, at any step or by a kill, and goes on: it ends as if it had not been."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import made_up_images
from spiking_worlds import RULES, world
from stopped_runs import StopError

from biosim.develop import Development, develop
from biosim.drives import ImageDrive
from biosim.equations import parse_rule
from biosim.homeostasis import IncomingResource, InDegree, SynapticScaling
from biosim.lif import Encoding, SpikingDynamics
from biosim.nursery.exploration import Exploration
from biosim.nursery.growth import Growth
from biosim.nursery.neurons import NeuronDeath
from biosim.recorder import Recorder
from biosim.rules import load_rule
from biosim.rundir.state_file import read_state, write_state
from biosim.schedule import Schedule
from biosim.spiking.state import state as state_of_simulation
from biosim.spiking_develop import develop_spiking
from biosim.state import State
from biosim.synapses import Network, Population, Projection
from biosim.teaching import Feedback
from biosim.wiring import packed

SEEDS = (3, 4)


class Kept:
    """A keeper that writes one checkpoint, after step ``at``, and stops there."""

    def __init__(self, path: Path, at: int) -> None:
        self.path, self.at, self.asked = path, at, 0

    def load(self, restore: Callable[[State], None]) -> bool:
        if not self.path.exists():
            return False
        restore(read_state(self.path)[1])
        return True

    def offer(self, state: Callable[[], State]) -> None:
        self.asked += 1
        if self.asked == self.at and not self.path.exists():
            write_state(self.path, {}, state())
            raise StopError


def same(one: Any, other: Any, place: str = "") -> None:
    """Compare states to the last bit."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            same(one[key], other[key], f"{place}/{key}")
    elif isinstance(one, (np.ndarray, torch.Tensor)):
        a, b = (np.asarray(x) for x in (one, other))
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes(), place
    else:
        assert one == other, place


def layered(sizes: Sequence[int] = (36, 20, 16, 4), **options: Any) -> Network:
    options.setdefault("weights", "kaiming-normal")
    return Network.layered(list(sizes), list(SEEDS), **options)


def looped() -> Network:
    random = torch.Generator().manual_seed(0)
    populations = [Population("input", 36, "linear"), Population("middle", 20, "tanh", leak=0.7), Population("output", 4, "linear")]

    def all_to_all(name: str, pre: Population, post: Population) -> Projection:
        weight = torch.randn(2, pre.size, post.size, generator=random) * 0.2
        return Projection(name, pre, post, weight, torch.ones_like(weight, dtype=torch.bool))

    ends = [(0, 1), (1, 1), (1, 2)]
    return Network(populations, [all_to_all(f"p{a}{b}", populations[a], populations[b]) for a, b in ends], steps=3)


LIVES: dict[str, dict[str, Any]] = {
    "credit by feedback that learns from noise": {"rule": "mirrored-three-factor", "feedback": "weight-mirror"},
    "credit by feedback that sums up": {"rule": "three-factor", "feedback": "kolen-pollack"},
    "traces and scaling": {"rule": "hebbian-trace", "homeostasis": lambda: [SynapticScaling(0.4, 5.0), IncomingResource()]},
    "means and variances": {"rule": "covariance"},
    "a sliding threshold": {"rule": "bcm"},
    "competition for a resource": {"rule": "resource-competition"},
    "regrowth": {"rule": "regrowth", "feedback": "random"},
    "plasticity and death of neurons": {
        "rule": "minimal-value", "feedback": "random", "plasticity": "three-factor-delta", "death": NeuronDeath("inputs-or-outputs", 5.0),
    },
    "growth": {"rule": "tag-and-protection", "feedback": "random", "growth": "activity-growth"},
    "exploration": {"rule": "node-perturbation"},
    "loops": {"rule": "three-factor", "feedback": "direct", "network": looped},
    "spiking images": {"rule": "three-factor", "feedback": "random", "spiking": True},
    "packed, some before others": {"rule": "three-factor", "feedback": "random", "pack": 0.33, "at": (10, 11, 24)},
}  # fmt: skip


def live(life: dict[str, Any], keeper: Any = None) -> Development:
    """Let a network develop in 24 steps."""
    drive = ImageDrive(made_up_images(n=128), batch=16, epochs=4)
    network = life.get("network", layered)()
    if life.get("spiking"):
        drive = drive.encoded(Encoding("poisson", peak=400.0))
        network = layered(spiking=SpikingDynamics(encoding=drive.encoding))
    feedback, mechanisms = life.get("feedback"), life.get("homeostasis", lambda: [InDegree()])
    plasticity, growth = life.get("plasticity"), life.get("growth")
    return develop(
        network, drive, load_rule(life["rule"]), schedule=Schedule(density=0.2), homeostasis=mechanisms(), seeds=SEEDS,
        feedback=None if feedback is None else Feedback(network, feedback, SEEDS), recorder=Recorder(8),
        plasticity=None if plasticity is None else load_rule(plasticity, "plasticity"),
        growth=None if growth is None else Growth(load_rule(growth, "growth"), 0.3, 0.5), neuron_death=life.get("death"),
        exploration=Exploration(), keeper=keeper,
    )  # fmt: skip


def left(made: Development) -> State:
    """Return all that a development leaves."""
    network = made.network
    return {
        "projections": {n: p.state() for n, p in network.projections.items()},
        "populations": {n: {"gain": p.gain, "alive": p.alive} for n, p in network.populations.items()},
        "cut": made.final_cut,
        "records": made.history.records,
    }


@pytest.mark.parametrize("name", LIVES)
def test_a_development_that_was_stopped_ends_as_if_it_had_not_been(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    life = LIVES[name]
    if "pack" in life:
        monkeypatch.setattr(packed, "SMALLEST", 1)
        monkeypatch.setattr(packed, "DENSITY", life["pack"])
    whole = left(live(life))
    for at in life.get("at", (1, 11, 24)):
        path = tmp_path / f"{at}.safetensors"
        with pytest.raises(StopError):
            live(life, Kept(path, at))
        keeper = Kept(path, at)
        same(left(live(life, keeper)), whole)
        assert keeper.asked == 24 - at  # no step was taken twice
    kept = read_state(path)[1]["projections"]
    assert ("pack" in life) == any(p["packed"] for p in kept.values())


# -- spiking networks -----------------------------------------------------------------------------
def spiking(name: str, keeper: Any = None) -> Any:
    """Let a small spiking network live: 12 decisions, 20 ms apart."""
    options: dict[str, Any] = {}
    if name == "on rates":
        rules = {"loop": load_rule("hebbian-trace"), "up": parse_rule(RULES["additive"], "additive")}
        options = {"schedule": Schedule(density=0.4)}
    elif name == "competing":
        data = RULES["additive"] | {"silence": {"compete": {"within": "post", "by": "weight"}}, "eliminate": "silent_for > patience"}
        data["parameters"] = data["parameters"] | {"patience": "30 ms"}
        rules = {
            "feed": parse_rule(data, "silent"),
            "loop": parse_rule(RULES["additive"], "additive"),
        }
        options = {"schedule": Schedule(density=0.5)}
    else:
        rules = {"feed": parse_rule(RULES[name], name), "loop": parse_rule(RULES[name], name)}
    options["threads"] = 2 if name == "additive" else 1
    return develop_spiking(
        world("filtered" if name == "triplet" else "delta"), rules, 0.24, decide_every=0.02, rate_cap=1000.0, keeper=keeper,
        record=["excitatory"] if name == "triplet" else (), **options,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::biosim.equations.products.PerformanceWarning")
@pytest.mark.parametrize("name", ["additive", "soft bounds, nearest spikes", "triplet", "competing", "on rates"])
def test_a_spiking_network_that_was_stopped_lives_on_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    whole = spiking(name)
    for at in (1, 7):
        path = tmp_path / f"{at}.safetensors"
        with pytest.raises(StopError):
            spiking(name, Kept(path, at))
        keeper = Kept(path, at)
        made = spiking(name, keeper)
        assert keeper.asked == 12 - at
        same(state_of_simulation(made.simulation), state_of_simulation(whole.simulation))
        assert made.history.records == whole.history.records
    deaths = [made.simulation.death_steps(n) for n in made.simulation.rules]
    assert name == "on rates" or any((d >= 0).any() for d in deaths)  # there was something to remove
