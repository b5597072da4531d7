"""Births, elimination and quotas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biosim import backend, births
from biosim.births import DISTRIBUTIONS, draw_weights
from biosim.errors import InputError
from biosim.synapses import Network, Population
from biosim.wiring import structure


@pytest.mark.parametrize("kind", sorted(DISTRIBUTIONS))
def test_births_have_the_size_that_keeps_activity(kind: str) -> None:
    weight, born = draw_weights((0, 1), "p", 400, 300, kind)  # type: ignore[arg-type]
    assert born.all()
    assert weight.std() == pytest.approx(math.sqrt(2 / 400), rel=0.05 if kind == "log-normal" else 0.01)
    assert abs(weight.mean()) < 0.01 * weight.std() * 5
    assert not np.array_equal(weight[0], weight[1])


def test_signed_constants_differ_in_sign_only() -> None:
    weight, _ = draw_weights((3,), "p", 50, 40, "signed-constant")
    assert np.unique(np.abs(weight)).size == 1
    assert 0.4 < (weight > 0).mean() < 0.6


def test_dale_gives_every_neuron_one_sign() -> None:
    weight, _ = draw_weights((0,), "p", 200, 30, "log-normal", dale=0.8)
    signs = np.sign(weight[0])
    assert (signs == signs[:, :1]).all()
    assert (signs[:, 0] > 0).mean() == pytest.approx(0.8, abs=0.08)


def test_sparse_births_are_drawn_at_their_probability() -> None:
    weight, born = draw_weights((0, 1), "p", 300, 200, probability=0.1)
    assert born.mean() == pytest.approx(0.1, abs=0.005)
    assert (weight[~born] == 0).all() and (weight[born] != 0).all()
    assert weight[born].std() == pytest.approx(math.sqrt(2 / 30), rel=0.03)


def test_a_replicate_is_born_the_same_alone_and_in_a_batch() -> None:
    batch, _ = draw_weights((4, 5, 6), "p", 20, 10)
    alone, _ = draw_weights((5,), "p", 20, 10)
    other, _ = draw_weights((5,), "q", 20, 10)
    assert np.array_equal(batch[1], alone[0])
    assert not np.array_equal(alone, other)


@pytest.mark.parametrize("options", [{"probability": 0}, {"probability": 1.5}, {"dale": -0.1}, {"kind": "gamma"}])
def test_impossible_births_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        draw_weights((0,), "p", 5, 5, **options)  # type: ignore[arg-type]


def test_networks_refuse_nonsense() -> None:
    with pytest.raises(InputError, match="at least one neuron"):
        Population("empty", 0)
    with pytest.raises(InputError, match="at least an input"):
        Network.layered([3], [0])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 40), st.floats(0.001, 1), st.floats(0.05, 1), st.integers(0, 99))
def test_quotas_add_up_exactly_and_grow_with_density(n_pre: int, n_post: int, density: float, probability: float, seed: int) -> None:
    p = Network.layered([n_pre, n_post], [seed], probability=probability).projections["input-output"]
    for within, axis in (("post", 1), ("pre", 2)):
        quota = p.quota(density, within)
        assert int(quota.sum()) == math.floor(int(p.born.sum()) * density + 0.5)
        assert (quota <= p.born.sum(axis)).all()
        assert (quota <= p.quota(1.0, within)).all()
        assert float((quota.double() - density * p.born.sum(axis)).abs().max()) < 1 + 1e-9  # never a whole synapse off


@pytest.fixture
def projection():  # type: ignore[no-untyped-def]
    return Network.layered([30, 140], [0, 1], probability=0.7).projections["input-output"]


def test_structure_stays_consistent_under_any_sequence(projection) -> None:  # type: ignore[no-untyped-def]
    p, random = projection, np.random.default_rng(0)
    born = p.born.clone()
    for step in range(30):
        before, was_active, since = p.alive.clone(), p.active.clone(), p.silent_since.clone()
        mask = torch.from_numpy(random.random(p.shape) < 0.4)
        if step % 3 == 2:
            died = p.eliminate(mask, step)
            assert torch.equal(died, (mask & before).sum((1, 2)))
            assert torch.equal(p.alive, before & ~mask)
            assert (p.death_step[mask & before] == step).all()
        else:
            p.silence(mask, step)
            assert torch.equal(p.active, mask & before)
            assert (p.silent_since[was_active & ~p.active & p.alive] == step).all()
            still = ~was_active & ~p.active & p.alive
            assert torch.equal(p.silent_since[still].minimum(torch.tensor(step)), since[still].minimum(torch.tensor(step)))
        assert not (p.active & ~p.alive).any() and not (p.alive & ~born).any()
        assert torch.equal(p.effective, p.weight * p.active)
        assert torch.equal(p.in_degree, p.active.sum(1))
        assert torch.equal(p.alive, p.death_step == -1)
        assert torch.equal(born, p.death_step != -2)


def test_the_dead_stay_dead(projection) -> None:  # type: ignore[no-untyped-def]
    p = projection
    p.eliminate(torch.ones_like(p.alive), 3)
    p.silence(torch.ones_like(p.alive), 4)
    assert not p.alive.any() and not p.active.any() and not p.effective.any()
    assert (p.eliminate(torch.ones_like(p.alive), 5) == 0).all()
    assert (p.death_step[p.born] == 3).all()


def test_only_birth_edges_regrow(projection) -> None:  # type: ignore[no-untyped-def]
    p = projection
    p.eliminate(torch.ones_like(p.alive), 3)
    assert p.regrow(torch.ones_like(p.alive), 9) == int(p.born.sum())
    assert torch.equal(p.alive, p.born) and torch.equal(p.active, p.born)
    assert (p.birth_step[p.born] == 9).all()


@pytest.mark.parametrize("kind", sorted(DISTRIBUTIONS))
def test_births_do_not_depend_on_how_many_are_drawn_at_a_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for chunk in (1 << 20, 70):
        monkeypatch.setattr(births, "CHUNK", chunk)
        drawn.append(draw_weights((4, 5), "p", 40, 30, kind, probability=0.6, dale=0.7))  # type: ignore[arg-type]
    for one, other in zip(*drawn, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "torch"])
@pytest.mark.parametrize("columns", [1, 128, 300])
def test_either_form_of_a_change_of_structure_does_what_numpy_does(kernels: bool, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "fused", lambda device: kernels)
    random, shape = np.random.default_rng(columns), (2, 7, columns)
    alive = random.random(shape) < 0.6
    active, wanted, victims = (random.random(shape) < 0.5 for _ in range(3))
    active &= alive
    weight, fresh = (random.standard_normal(shape).astype(np.float32) for _ in range(2))
    since = np.where(active, np.inf, random.integers(0, 5, shape)).astype(np.float32)
    death = np.where(alive, -1, 2).astype(np.int32)
    a = {
        "alive": alive,
        "active": active,
        "weight": weight,
        "since": since,
        "death": death,
        "effective": weight * active,
        "degree": active.sum(1),
    }
    t = {n: torch.from_numpy(v.copy()) for n, v in a.items()}

    def equal(**expected: np.ndarray) -> None:
        a.update(expected)
        for name, value in a.items():
            np.testing.assert_array_equal(t[name].numpy(), value, err_msg=name)

    structure.set_active(torch.from_numpy(wanted), *(t[n] for n in ("alive", "active", "since", "weight", "effective", "degree")), 9)
    now = wanted & alive
    equal(since=np.where(now, np.inf, np.where(active, 9, since)), active=now, effective=weight * now, degree=now.sum(1))
    died = structure.kill(torch.from_numpy(victims), *(t[n] for n in ("alive", "active", "death", "effective", "degree")), 11)
    assert died.tolist() == (victims & alive).sum((1, 2)).tolist()
    alive, now, gone = alive & ~victims, now & ~victims, victims & alive
    equal(alive=alive, active=now, effective=weight * now, degree=now.sum(1), death=np.where(gone, 11, death))
    adopting = [t[n] for n in ("alive", "active", "weight", "effective")]
    assert structure.adopt(torch.from_numpy(fresh), *adopting)
    weight = np.where(alive, fresh, weight)
    equal(weight=weight, effective=weight * now)
    rows, chosen = random.random((2, 7)) < 0.5, random.random((2, columns)) < 0.5
    own, r, c = t["alive"], torch.from_numpy(rows), torch.from_numpy(chosen)
    assert structure.count_columns(own).tolist() == alive.sum(1).tolist() and structure.count_rows(own).tolist() == alive.sum(2).tolist()
    assert structure.any_in_columns(own, r).tolist() == (alive & rows[:, :, None]).any(1).tolist()
    assert structure.any_in_rows(own, c).tolist() == (alive & chosen[:, None]).any(2).tolist()
    assert structure.count_between(own, r, c).tolist() == (alive & rows[:, :, None] & chosen[:, None]).sum((1, 2)).tolist()
    for wild in (1.1e12, -1e13, np.nan):
        replicate, i, j = np.argwhere(alive)[-1]
        fresh[replicate, i, j] = wild
        assert not structure.adopt(torch.from_numpy(fresh), *adopting)
    fresh[replicate, i, j] = 0.9e12
    assert structure.adopt(torch.from_numpy(fresh), *adopting)
