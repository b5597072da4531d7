"""Schedules are pure functions of developmental time."""

from __future__ import annotations

import numpy as np
import pytest

from biosim.errors import InputError
from biosim.schedule import KINDS, Schedule


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("density", [0.02, 0.2, 1.0])
def test_targets_fall_from_dense_to_the_density_asked_for(kind: str, density: float) -> None:
    schedule = Schedule(kind, density, 0.2, 0.7)  # type: ignore[arg-type]
    targets = np.array([schedule.target(u) for u in np.linspace(0, 1, 101)])
    assert targets[0] == 1 and targets[-1] == pytest.approx(density)
    assert (np.diff(targets) <= 1e-12).all()
    assert schedule.may_die(1.0) == (kind != "critical-window")


def test_rates_are_what_their_names_say() -> None:
    inside = np.linspace(0.25, 0.65, 41)
    drops = {
        k: -np.diff([Schedule(k, 0.2, 0.2, 0.7).target(u) for u in inside]) for k in ("constant", "decreasing-rate", "increasing-rate")
    }  # type: ignore[arg-type]
    assert np.ptp(drops["constant"]) < 1e-12
    assert (np.diff(drops["decreasing-rate"]) < 0).all()
    assert (np.diff(drops["increasing-rate"]) > 0).all()


@pytest.mark.parametrize(
    ("kind", "half_way"),
    [("constant", 0.6), ("decreasing-rate", 0.2 + 0.8 / 8), ("increasing-rate", 1 - 0.8 / 8), ("constant-share", 0.2**0.5)],
)
def test_half_way_through_the_window_the_target_is_what_the_formula_says(kind: str, half_way: float) -> None:
    assert Schedule(kind, 0.2, 0.2, 0.6).target(0.4) == pytest.approx(half_way)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_dies_before_the_window_opens(kind: str) -> None:
    schedule = Schedule(kind, 0.2, 0.3, 0.7)  # type: ignore[arg-type]
    assert not any(schedule.may_die(u) for u in (0.0, 0.1, 0.29))
    assert schedule.may_die(0.31) == (kind != "end-only")


def test_silence_explores_at_the_final_density_unless_told_otherwise() -> None:
    assert [Schedule(density=0.2).active_target(u) for u in (0.0, 0.5, 1.0)] == pytest.approx([0.2] * 3)
    eased = [Schedule(density=0.2, active_at_most=0.6).active_target(u) for u in np.linspace(0, 1, 50)]
    assert eased[0] == 0.6 and eased[-1] == pytest.approx(0.2) and (np.diff(eased) <= 1e-12).all()


def test_a_critical_window_closes() -> None:
    schedule = Schedule("critical-window", 0.2, 0.3, 0.5)
    assert [schedule.may_die(u) for u in (0.2, 0.3, 0.5, 0.6)] == [False, True, True, False]


@pytest.mark.parametrize(
    "bad", [{"density": 0}, {"density": 1.7}, {"opens": 0.8, "closes": 0.2}, {"kind": "linear"}, {"active_at_most": 0}]
)
def test_nonsense_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Schedule(**bad)  # type: ignore[arg-type]
