"""Deprivation in the critical period: the drive, BCM against theory, the measure by hand, the controls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import assert_told_of

from biosim.develop import Development, develop
from biosim.drives import Presentation
from biosim.drives.binocular_vision import drive
from biosim.equations import parse_rule
from biosim.errors import InputError
from biosim.library import find, load_module
from biosim.measures import ocular_dominance as dominance
from biosim.recorder import Recorder
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.synapses import Network, Population, Projection

Cli = Callable[..., Any]
WITHER = parse_rule(
    {
        "parameters": {"trifle": 0.2, "grace": "2 % dev"},
        "state": {"weak_for": "0 s"},
        "synapse": ["weak_for = where(weight < trifle, weak_for + dt, 0)"],
        "eliminate": "weak_for > grace",
    },
    "wither",
)


def cortex(seeds: tuple[int, ...] = (0, 1), **options: Any) -> Network:
    network: Network = load_module(find("models", "binocular")).build(seeds, **options)
    return network


def grown(network: Network, seeds: tuple[int, ...] = (0, 1), drives: dict[str, Any] | None = None, **parameters: Any) -> Development:
    shown = drive(network, **({"steps": 1000, "batch": 60} | (drives or {})))
    watch = Recorder(5, watch=lambda n: {f"measure.{k}": v for k, v in dominance.observe(n, shown).items()})
    bcm = load_rule("bcm-weights", "plasticity").with_parameters({"closes": "70 % dev", "rate": 20} | parameters)
    schedule = Schedule(kind="free", opens=0.3, closes=0.7)
    return develop(network, shown, WITHER, schedule=schedule, homeostasis=[], seeds=seeds, recorder=watch, plasticity=bcm)


def test_both_eyes_see_the_same_unless_closed() -> None:
    network = cortex(inputs=10, cells=2)
    shown = drive(network, deprived="left", opens=0.25, closes=0.5, noise=0, steps=8, batch=40)
    steps = [p.inputs for p in shown.presentations((0, 1), torch.device("cpu"))]
    for k, inputs in enumerate(steps):
        left, right = inputs[..., :10], inputs[..., 10:]
        assert torch.equal(left, right) if k not in (2, 3) else (left == 0).all() and (right.amax(-1) > 0.9).all()
    np.testing.assert_allclose(torch.cat(steps[:2], 1).mean((0, 1)), np.sqrt(2 * np.pi) * 1.5 / 10, atol=0.1)  # the area of a bump
    closed = drive(network, deprived="both", opens=0, closes=1, noise=0.5, steps=4, batch=500)
    noise = torch.cat([p.inputs for p in closed.presentations((0, 1), torch.device("cpu"))], 1)
    assert abs(float(noise.mean())) < 0.01 and float(noise.std()) == pytest.approx(0.5, rel=0.02)


def test_a_replicate_is_shown_its_own_seed() -> None:
    shown = drive(cortex(inputs=10, cells=2), steps=5, batch=3)
    both = [p.inputs for p in shown.presentations((3, 8), torch.device("cpu"))]
    alone = [p.inputs for p in shown.presentations((8,), torch.device("cpu"))]
    assert all(torch.equal(b[1:], a) for b, a in zip(both, alone, strict=True))


class Pulses:
    """One input that is 1 in a share of the samples and 0 else, and one of noise."""

    outputs = None
    inputs = 2

    def __init__(self, share: float, noise: float) -> None:
        self.share, self.noise, self.clock = share, noise, drive(cortex(), steps=2000, batch=100).clock

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Any:
        randoms = [np.random.default_rng(s) for s in seeds]
        for _ in range(self.clock.steps):
            on = [(np.arange(100) < 100 * self.share) * 1.0 for _ in randoms]
            shown = np.stack([np.stack([o, r.standard_normal(100) * self.noise], 1) for o, r in zip(on, randoms, strict=True)])
            yield Presentation(torch.from_numpy(shown.astype(np.float32)), None)


def test_bcm_settles_where_the_theory_says_and_noise_declines_at_its_rate() -> None:
    """A signal that is on in a share p: post = 1/p when it is; noise then goes as exp(rate*s^2*(2 E[post] - theta)) = (2 - 1/p)."""
    share, noise, rate = 0.25, 0.2, 10.0
    start = cortex((0, 1), inputs=2, cells=30).projections["eyes-cortex"].weight[:, 0] * 0.4
    pair, cells = Population("pair", 2, "linear"), Population("cells", 30, "linear")
    weight = torch.stack([torch.full((2, 30), 1 / share), start], 1)
    network = Network([pair, cells], [Projection("pair-cells", pair, cells, weight.clone(), torch.ones_like(weight, dtype=torch.bool))])
    bcm = load_rule("bcm-weights", "plasticity").with_parameters({"closes": "200 % dev", "rate": rate, "slide": "0.5 % dev"})
    never = parse_rule({"eliminate": "weight < -1"}, "never")
    develop(network, Pulses(share, noise), never, schedule=Schedule(kind="free", opens=0, closes=1), homeostasis=[], plasticity=bcm)
    last = network.projections["pair-cells"].weight
    np.testing.assert_allclose(last[:, 0], 1 / share, rtol=0.05)
    decline = float((last[:, 1] / weight[:, 1]).log().mean())
    assert decline == pytest.approx(rate * noise**2 * (2 - 1 / share), rel=0.2)


def test_deprivation_and_its_controls() -> None:
    options: dict[str, Any] = {"cells": 16}
    found = {}
    for name, drives in (("normal", {}), ("deprived", {"deprived": "left"}), ("late", {"deprived": "left", "opens": 0.7, "closes": 1.0})):
        network = cortex(**options)
        development = grown(network, drives=drives)
        found[name] = dominance.measure(development, drive(network, **drives)).metrics, development.circuit
    normal, deprived = found["normal"][0], found["deprived"][0]
    assert min(deprived["odi"]) > 0.4 and max(np.abs(normal["odi"])) < 0.15
    assert max(deprived["left"]) < min(deprived["right"]) / 1.5 and max(deprived["left"]) < min(normal["left"])
    np.testing.assert_array_equal(found["late"][1].mask["eyes-cortex"], found["normal"][1].mask["eyes-cortex"])
    np.testing.assert_array_equal(found["late"][1].weight["eyes-cortex"], found["normal"][1].weight["eyes-cortex"])


def test_dominance_by_hand() -> None:
    shown = drive(cortex(inputs=6, cells=4))
    weight = np.zeros((1, 12, 4))
    weight[0, 2, 0] = 1  # left only
    weight[0, 9, 1] = 2  # right only
    weight[0, 1, 2], weight[0, 8, 2] = 1, 3  # both, one to three
    index = dominance.dominance(weight, shown)[0]
    assert index[:3].tolist() == [-1, 1, pytest.approx(0.5)] and np.isnan(index[3])
    left, _, both = dominance.answers(weight, shown)
    place = 2.5
    distance = np.abs(place - 2)
    assert left[0, int(place * dominance.PLACES), 0] == pytest.approx(np.exp(-(distance**2) / (2 * 1.5**2)))
    assert both.shape == (1, 24, 4)


@pytest.mark.parametrize(
    ("options", "key"),
    [({"opens": 0.6, "closes": 0.4}, "opens"), ({"opens": -1}, "opens"), ({"closes": 1.5}, "opens"), ({"width": 0}, "width"),
     ({"noise": -0.1}, "noise"), ({"days": 0}, "days"), ({"steps": 0}, "steps"), ({"batch": 0}, "batch")],
)  # fmt: skip
def test_a_drive_refuses_nonsense(options: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError) as error:
        drive(cortex(), **options)
    assert error.value.key == (key,)


def test_mistakes_in_the_scenario_are_told_of_with_their_line(cli: Cli, tmp_path: Path) -> None:
    mistakes = (
        ("drive.opens: 0.7, drive.closes: 1.0}", "drive.opens: 0.9, drive.closes: 0.7}", "drive.opens: deprivation begins before it ends"),
        ("schedule: {kind: free, opens: 0.3, closes: 0.7}", "schedule: {kind: free, opens: 0.8, closes: 0.7}", "schedule.opens: need 0 <="),
        ("cells: 60", "cells: 0", "model.cells: a cortex needs at least one cell"),
        ("deprived: none", "deprived: nose", "drive.deprived: input should be 'none', 'left', 'right' or 'both', not 'nose'"),
    )
    assert_told_of(cli, tmp_path, "critical-period", mistakes)
