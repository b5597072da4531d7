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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounds", [1, 3, 20])
def test_in_rounds_the_target_moves_only_at_the_end_of_each(kind: str, rounds: int) -> None:
    smooth, schedule = (Schedule(kind, 0.12, 0.3, 0.95, rounds=n) for n in (None, rounds))  # type: ignore[arg-type]
    for n in range(rounds + 1):
        reached = smooth.target(0.3 + 0.65 * n / rounds)
        assert schedule.target(0.3 + 0.65 * (n + 0.01) / rounds) == pytest.approx(reached)
        assert n == rounds or schedule.target(0.3 + 0.65 * (n + 0.99) / rounds) == pytest.approx(reached)


def test_a_free_schedule_prescribes_nothing_but_the_window() -> None:
    free = Schedule("free", 0.2, 0.3, 0.7)
    assert {free.target(u) for u in (0.0, 0.3, 0.5, 1.0)} == {0.0} and free.final == 0
    assert [free.may_die(u) for u in (0.0, 0.29, 0.3, 0.7, 0.71, 1.0)] == [False, False, True, True, False, False]
    assert all(Schedule(kind, 0.2).final == 0.2 for kind in KINDS)


def test_silence_explores_at_the_final_density_unless_told_otherwise() -> None:
    assert [Schedule(density=0.2).active_target(u) for u in (0.0, 0.5, 1.0)] == pytest.approx([0.2] * 3)
    eased = [Schedule(density=0.2, active_at_most=0.6).active_target(u) for u in np.linspace(0, 1, 50)]
    assert eased[0] == 0.6 and eased[-1] == pytest.approx(0.2) and (np.diff(eased) <= 1e-12).all()
    assert Schedule(density=0.2, active_at_most=0.1).active_target(0.0) == 0.2  # never below what is left in the end


def test_a_critical_window_closes() -> None:
    schedule = Schedule("critical-window", 0.2, 0.3, 0.5)
    assert [schedule.may_die(u) for u in (0.2, 0.3, 0.5, 0.6)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("bad", "key"),
    [({"density": 0}, "density"), ({"density": 1.7}, "density"), ({"opens": 0.8, "closes": 0.2}, "opens"), ({"opens": -0.1}, "opens"),
     ({"opens": 0.5, "closes": 0.5}, "opens"), ({"closes": 1.1}, "opens"), ({"kind": "linear"}, "kind"), ({"active_at_most": 0}, "active_at_most"),
     ({"active_at_most": 1.1}, "active_at_most"), ({"rounds": 0}, "rounds")],
)  # fmt: skip
def test_nonsense_is_refused(bad: dict[str, object], key: str) -> None:
    with pytest.raises(InputError) as error:
        Schedule(**bad)  # type: ignore[arg-type]
    assert error.value.key == (key,)
    Schedule("constant", 1.0, 0.0, 1.0, active_at_most=1.0, rounds=1)  # the bounds themselves are allowed
