"""Retinal waves: the drive's statistics, the rule against linear theory, the measure by hand, the controls."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import assert_told_of

from biosim.develop import Development, develop
from biosim.drives.waves import drive
from biosim.errors import InputError
from biosim.library import find, load_module
from biosim.measures import eye_segregation as eyes
from biosim.recorder import Recorder
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.synapses import Network

Cli = Callable[..., Any]


def nucleus(seeds: tuple[int, ...] = (0, 1), **options: Any) -> Network:
    network: Network = load_module(find("models", "two-eyes")).build(seeds, **options)
    return network


def bursts(seeds: tuple[int, ...] = (0, 1), **options: Any) -> torch.Tensor:
    shown = drive(nucleus(ganglion=12, cells=3), width=4, waves=2000, **options)
    return torch.cat([p.inputs for p in shown.presentations(seeds, torch.device("cpu"))], 1)


def grown(network: Network, seeds: tuple[int, ...] = (0, 1), drives: dict[str, Any] | None = None, **parameters: Any) -> Development:
    shown = drive(network, **({"width": 4, "waves": 8000} | (drives or {})))
    watch = Recorder(5, watch=lambda n: {f"measure.{k}": v for k, v in eyes.observe(n, shown).items()})
    rule = load_rule("burst-timing").with_parameters(parameters)
    schedule = Schedule(kind="free", opens=0, closes=1)
    return develop(network, shown, rule, schedule=schedule, homeostasis=[], seeds=seeds, recorder=watch)


def test_a_wave_is_a_front_in_one_eye_that_travels() -> None:
    shown = bursts(windows=6, speed=2)
    assert ((shown[..., :12].sum(2) == 0) ^ (shown[..., 12:].sum(2) == 0)).all()  # one eye at a time
    assert (shown.sum(2) == 4).all()
    wave = shown.view(2, -1, 6, 24)
    either = wave[..., :12] + wave[..., 12:]
    for turn in (2, -2):
        follows = (either[:, :, 1:] == torch.roll(either[:, :, :-1], turn, -1)).all(-1).all(-1)
        assert 0.4 < follows.float().mean() < 0.6  # half of them either way round
    np.testing.assert_allclose(shown.mean(1), 4 / 24, atol=0.02)  # every cell as often


def test_synchrony_and_shuffling_keep_the_rates() -> None:
    together = bursts(synchrony=1.0)
    assert torch.equal(together[..., :12], together[..., 12:])
    shuffled = bursts(shuffled=True)
    np.testing.assert_allclose(shuffled.mean(1), 4 / 24, atol=0.02)
    correlation = np.corrcoef(shuffled[0].T.numpy())[~np.eye(24, dtype=bool)]
    assert np.abs(correlation).max() < 0.06  # of 12000 samples, 276 pairs
    waves = np.corrcoef(bursts()[0].T.numpy())
    assert waves[0, 1] > 0.5 and waves[0, 12] < -0.1


def test_a_replicate_is_shown_its_own_seed() -> None:
    both, alone = bursts((3, 8)), bursts((8,))
    assert torch.equal(both[1:], alone) and not torch.equal(both[0], both[1])


def test_the_difference_of_the_eyes_grows_as_linear_theory_says() -> None:
    """Far below its bounds the rule is linear: dw/dt = rate*((1 + apart) C - apart f 1') w, C the chances of common bursts.

    Over development its expectation is the matrix exponential, here of the drive's exact statistics.
    """
    network = nucleus((0, 1, 2), ganglion=12, cells=40, bias=0, spread=0.3)
    start = network.projections["retina-lgn"].weight.double().numpy().copy()
    development = grown(network, (0, 1, 2), rate=1, apart=0.3, trifle=0, axon=1e7, target=1e7)
    last = development.circuit.weight["retina-lgn"].astype(np.float64)
    distance = np.abs((np.arange(12)[:, None] - np.arange(12) + 6) % 12 - 6)
    eye = np.clip(4 - distance, 0, None) / 24  # chance of a common burst: f = 4/24 at distance 0
    common = np.block([[eye, np.zeros((12, 12))], [np.zeros((12, 12)), eye]])
    growth = 1.3 * common - 0.3 * 4 / 24
    values, vectors = np.linalg.eigh(growth)
    expected = np.einsum("ij,rjc->ric", vectors @ np.diag(np.exp(values)) @ vectors.T, start)
    for side, sign in (("sum", 1), ("difference", -1)):
        found, wanted = (w[:, :12].sum(1) + sign * w[:, 12:].sum(1) for w in (last, expected))
        slope = (found * wanted).sum() / (wanted * wanted).sum()
        assert slope == pytest.approx(1, abs=0.1), side


def test_waves_part_the_eyes_and_controls_do_not() -> None:
    options: dict[str, Any] = {"ganglion": 12, "cells": 12}
    waves = grown(nucleus(**options))
    found = eyes.measure(waves, drive(nucleus(**options), width=4)).metrics
    assert min(found["segregation"]) > 0.9 and max(found["inputs"]) < 24 / 3 and max(found["silent"]) == 0
    together = grown(nucleus(**options), drives={"synchrony": 1.0})
    assert max(eyes.measure(together, drive(nucleus(**options), width=4)).metrics["segregation"]) < 0.1
    shuffled = eyes.measure(grown(nucleus(**options), drives={"shuffled": True}), drive(nucleus(**options), width=4)).metrics
    assert max(shuffled["beyond_chance"]) < 0.25


def test_indices_by_hand() -> None:
    weight = np.zeros((1, 8, 4))
    weight[0, [0, 1, 4], 0] = 3, 1, 2  # 4 against 2
    weight[0, 5, 1] = 1  # one eye, one place
    weight[0, :, 2] = 1  # all alike
    assert eyes.segregation(weight)[0, :3].tolist() == [pytest.approx(1 / 3), 1, 0] and np.isnan(eyes.segregation(weight)[0, 3])
    spread = eyes.scatter(weight)[0]
    assert spread[0] == pytest.approx(1 - abs(3 + 1j) / 4) and spread[1] == pytest.approx(0) and spread[2] == pytest.approx(1)
    chance = eyes.by_chance(weight, (0,))[0]
    assert chance[1] == 1 and chance[2] == 0
    dealt = itertools.permutations(range(8), 3)  # the places of the weights 3, 1, 2: four in either eye
    exact = [abs(sum(w if p < 4 else -w for w, p in zip((3, 1, 2), places, strict=True))) / 6 for places in dealt]
    assert chance[0] == pytest.approx(np.mean(exact), abs=0.08)


@pytest.mark.parametrize(
    ("options", "key"),
    [({"synchrony": -0.1}, "synchrony"), ({"width": 0}, "width"), ({"width": 13}, "width"), ({"windows": 0}, "windows"),
     ({"speed": -1}, "speed"), ({"window": 0}, "window"), ({"waves": 3}, "waves"), ({"batch": 0}, "batch")],
)  # fmt: skip
def test_a_drive_refuses_nonsense(options: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError) as error:
        drive(nucleus(ganglion=12), **options)
    assert error.value.key == (key,)


def test_mistakes_in_the_scenario_are_told_of_with_their_line(cli: Cli, tmp_path: Path) -> None:
    mistakes = (
        ("cells: 24}", "cells: 0}", "model.cells: a nucleus needs at least one cell, not 0"),
        ("synchrony: 0.0}", "width: 30}", "drive.width: a front must be 1 to 24 cells wide, not 30"),
        ("{drive.shuffled: true}", "{drive.shuffled: perhaps}", "conditions.shuffled.drive.shuffled: input should be a valid boolean"),
    )
    assert_told_of(cli, tmp_path, "retinal-waves", mistakes)
