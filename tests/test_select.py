"""Competition keeps exact counts, the right ones, and breaks ties by the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biosim.errors import NumericalError
from biosim.streams import edge_streams, edge_uniform
from biosim.wiring.select import _sorted_keep, compete, keep_largest

STREAMS = edge_streams((0, 1), "select")


def scores_of(kind: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    values = {
        "normal": random.standard_normal(shape),
        "ties": random.integers(0, 3, shape).astype(float),
        "constant": np.ones(shape),
        "heavy": np.exp(8 * random.standard_normal(shape)) * random.choice([-1, 1], shape),
        "extremes": random.choice([-np.inf, np.inf, 0.0, 1.0], shape),
        "tiny": random.standard_normal(shape) * 1e-42,
    }[kind]
    return torch.from_numpy(values.astype(np.float32))


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["normal", "ties", "constant", "heavy", "extremes", "tiny"]),
    st.integers(1, 90), st.integers(1, 40), st.integers(0, 1000), st.floats(0, 1),
)  # fmt: skip
def test_each_neuron_keeps_its_best(kind: str, n_pre: int, n_post: int, seed: int, chance: float) -> None:
    shape = (2, n_pre, n_post)
    scores, random = scores_of(kind, shape, seed), np.random.default_rng(seed)
    candidate = torch.from_numpy(random.random(shape) < chance)
    quota = torch.from_numpy(random.integers(0, n_pre + 2, (2, n_post)))
    kept = compete(scores, candidate, quota, STREAMS)
    assert not bool((kept & ~candidate).any())
    assert torch.equal(kept.sum(1), torch.minimum(candidate.sum(1), quota))
    lowest = scores.masked_fill(~kept, np.inf).amin(1)
    best_lost = scores.masked_fill(kept | ~candidate, -np.inf).amax(1)
    assert bool((lowest >= best_lost).all())
    lottery = edge_uniform(STREAMS, 0, (n_pre, n_post), slice(None), torch.device("cpu"))
    if len(torch.unique(lottery)) == lottery.numel():  # the accelerator's form breaks ties the same way
        assert torch.equal(kept, _sorted_keep(scores, candidate, quota, STREAMS)[0])


@pytest.mark.parametrize("kind", ["normal", "ties"])
def test_within_pre_each_presynaptic_neuron_keeps_its_best(kind: str) -> None:
    scores, quota = scores_of(kind, (2, 12, 9), 0), torch.arange(24).view(2, 12) % 10
    kept = compete(scores, torch.ones(2, 12, 9, dtype=torch.bool), quota, STREAMS, "pre")
    assert torch.equal(kept.sum(2), quota)
    assert bool((scores.masked_fill(~kept, np.inf).amin(2) >= scores.masked_fill(kept, -np.inf).amax(2)).all())


def test_ties_fall_by_seed_and_not_by_place() -> None:
    scores, candidate = torch.ones(2, 50, 2000), torch.ones(2, 50, 2000, dtype=torch.bool)
    quota = torch.full((2, 2000), 10)
    first, again = (compete(scores, candidate, quota, STREAMS) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
    places = first.sum(2).double()  # of 2000 neurons, each of which keeps one in five
    assert float((places - 400).abs().max()) < 5 * np.sqrt(2000 * 0.2 * 0.8)


@pytest.mark.parametrize("kind", ["normal", "ties", "constant", "heavy"])
def test_whole_layers_keep_exact_counts(kind: str) -> None:
    scores = scores_of(kind, (2, 5000), 1)
    count = torch.tensor([1234, 1])
    kept = keep_largest(scores, torch.ones_like(scores, dtype=torch.bool), count, STREAMS)
    assert torch.equal(kept.sum(1), count)
    for r in range(2):
        assert float(scores[r][kept[r]].min()) >= float(scores[r][~kept[r]].max())


def test_nan_is_an_error_that_names_the_projection_and_the_step() -> None:
    scores = torch.zeros(2, 4, 3)
    scores[1, 2, 0] = np.nan
    with pytest.raises(NumericalError, match=r"a-b.*step 7"):
        compete(scores, torch.ones(2, 4, 3, dtype=torch.bool), torch.full((2, 3), 2), STREAMS, "post", "a-b", 7)
    spread = torch.arange(24, dtype=torch.float32).view(2, 4, 3)  # no ties: the quick path must see it too
    spread[1, 2, 0] = np.nan
    for quota in (1, 2, 4):
        with pytest.raises(NumericalError, match="NaN"):
            compete(spread, torch.ones(2, 4, 3, dtype=torch.bool), torch.full((2, 3), quota), STREAMS)
    with pytest.raises(NumericalError, match="a score is NaN"):
        keep_largest(spread.view(2, 12), torch.ones(2, 12, dtype=torch.bool), torch.tensor([3, 3]), STREAMS)
    dead = torch.ones(2, 4, 3, dtype=torch.bool)
    dead[1, 2, 0] = False  # what does not compete may be anything
    compete(scores, dead, torch.full((2, 3), 2), STREAMS)
