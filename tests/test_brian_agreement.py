"""Networks generated for Brian2 live as the description says: the same spikes, the same weights, the same deaths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from brian_setup import quick_brian
from dense_reference import Reference
from spiking_worlds import RULES, rule, world

from biosim.substrates.brian import brian_network


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with quick_brian():
        yield


def assert_same(one: Any, other: Any) -> None:
    """Identical spike trains and synapses, weights within 1e-9."""
    for name in ("excitatory", "inhibitory", "input"):
        for mine, theirs in zip(one.trains(name), other.trains(name), strict=True):
            assert np.array_equal(mine, theirs), name
    for name in ("feed", "loop", "up", "down"):
        (i, j, w), (k, m, x) = one.edges(name), other.edges(name)
        assert np.array_equal(i, k) and np.array_equal(j, m), name
        np.testing.assert_allclose(w, x, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("kind", ["delta", "filtered"])
@pytest.mark.parametrize("name", RULES)
def test_brian2_agrees_with_the_description_before_and_after_eliminations(name: str, kind: str) -> None:
    description = world(kind, seed=3)
    rules = {"feed": rule(name), "loop": rule("additive")}
    brian, reference = brian_network(description, rules, seed=5), Reference(description, rules, seed=5)
    died = 0
    for window in (0.04, 0.025, 0.015):
        for one in (brian, reference):
            one.run(window)
        assert_same(brian, reference)
        for projection in rules:
            dead = reference.decide(projection, window)
            assert brian.decide(projection, window) == dead
            died += dead
        assert_same(brian, reference)
    assert died > 5
    assert len(brian.trains("excitatory")[0]) > 15 and len(brian.trains("inhibitory")[0]) > 10
    for state in rules["feed"].state:
        mine, theirs = np.array(getattr(brian.synapses["feed"], f"{state}_state")), reference.synapses["feed"].values[state]
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12, err_msg=state)
