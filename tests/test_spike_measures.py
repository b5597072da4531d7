"""Spike measures equal what their definitions say of trains made by hand and of renewal processes."""

from __future__ import annotations

import sys
import warnings

import neo
import numpy as np
import pytest
import quantities
from elephant.conversion import BinnedSpikeTrain
from elephant.spike_train_correlation import correlation_coefficient

from biosim.errors import BiosimError, InputError
from biosim.spike_measures import (
    SpikeTrains,
    correlations,
    cv,
    cv2,
    fano_factor,
    mean_correlation,
    rates,
    summary,
    synchrony,
)


def renewal(shape: float, n: int = 30, rate: float = 20.0, duration: float = 40.0, seed: int = 0) -> SpikeTrains:
    """Gamma intervals of this shape: CV 1/sqrt(shape)."""
    random = np.random.default_rng(seed)
    times, neurons = [], []
    for k in range(n):
        train = np.cumsum(random.gamma(shape, 1 / (rate * shape), int(3 * rate * duration)))
        times.append(train[train < duration])
        neurons.append(np.full(times[-1].size, k))
    order = random.permutation(sum(map(len, times)))
    return SpikeTrains(np.concatenate(times)[order], np.concatenate(neurons)[order], n, duration)


def test_rates_and_regularity_of_renewal_processes() -> None:
    for shape in (1.0, 4.0):
        spikes = renewal(shape)
        assert rates(spikes).mean() == pytest.approx(20, rel=0.05)
        assert cv(spikes).mean() == pytest.approx(shape**-0.5, rel=0.05)
        assert fano_factor(spikes, 1.0).mean() == pytest.approx(1 / shape, rel=0.25)
    assert cv2(renewal(1.0)).mean() == pytest.approx(1, rel=0.05)


def test_regularity_is_the_formula() -> None:
    trains = [np.array([0.1, 0.2, 0.4, 0.5]), np.array([0.3, 0.7]), np.array([])]
    spikes = SpikeTrains(np.concatenate(trains), np.repeat([0, 1, 2], [4, 2, 0]), 3, 1.0)
    i = np.diff(trains[0])
    assert rates(spikes).tolist() == [4, 2, 0]
    assert cv(spikes)[0] == pytest.approx(i.std() / i.mean())
    assert cv2(spikes)[0] == pytest.approx(np.mean(2 * abs(np.diff(i)) / (i[1:] + i[:-1])))
    assert np.isnan(cv(spikes)[1:]).all() and np.isnan(cv2(spikes)[1:]).all()


def test_correlations_are_those_of_binned_counts() -> None:
    spikes = renewal(1.0, n=6, duration=5.0)
    counts = np.stack([np.histogram(t, np.arange(0, 5.001, 0.05))[0] for t in spikes.trains()])
    assert np.allclose(correlations(spikes, 0.05), np.corrcoef(counts))
    assert mean_correlation(spikes, 0.05) == pytest.approx(np.corrcoef(counts)[np.triu_indices(6, 1)].mean())
    silent = SpikeTrains(spikes.times, spikes.neurons, 7, 5.0)
    assert np.isnan(correlations(silent, 0.05)[6]).all() and mean_correlation(silent, 0.05) == pytest.approx(mean_correlation(spikes, 0.05))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The 'copy' argument in Quantity")
        trains = [neo.SpikeTrain(t, units="s", t_stop=5.0) for t in spikes.trains()]
        peer = correlation_coefficient(BinnedSpikeTrain(trains, bin_size=0.05 * quantities.s))
    assert np.allclose(correlations(spikes, 0.05), peer)
    part = SpikeTrains(spikes.times, spikes.neurons, 6, 5.0)
    assert np.allclose(correlations(part, 0.3), np.corrcoef([np.histogram(t, np.arange(17) * 0.3)[0] for t in spikes.trains()]))


def test_synchrony_runs_from_none_to_all() -> None:
    apart = renewal(1.0, n=8, duration=5.0)
    one = apart.trains()[0]
    together = SpikeTrains(np.tile(one, 8), np.repeat(np.arange(8), one.size), 8, 5.0)
    random = np.random.default_rng(0)
    jittered = SpikeTrains(np.clip(together.times + random.normal(0, 0.004, together.times.size), 0, 5), together.neurons, 8, 5.0)
    assert synchrony(apart) + 0.2 < synchrony(jittered) < synchrony(together) and synchrony(together) > 0.9
    assert mean_correlation(together) == pytest.approx(1.0)


def test_nothing_is_defined_without_spikes_and_nothing_fails() -> None:
    for count in (0, 1, 3):
        empty = SpikeTrains(np.zeros(0), np.zeros(0, int), count, 1.0)
        assert not rates(empty).any() and np.isnan(cv(empty)).all() and np.isnan(synchrony(empty)) and np.isnan(mean_correlation(empty))
        assert np.isnan(correlations(empty)).all() and correlations(empty).shape == (count, count)
    assert summary(SpikeTrains(np.zeros(0), np.zeros(0, int), 3, 1.0))["silent"] == 1
    assert set(summary(renewal(1.0, n=3, duration=2.0))) == {"rate", "cv", "cv2", "fano_factor", "silent", "correlation", "synchrony"}


def test_bad_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    good = renewal(1.0, n=2, duration=1.0)
    for times, neurons, count, duration, words in (
        ([0.1], [0, 1], 2, 1.0, "one of each"),
        ([0.1], [2], 2, 1.0, "not among the 2"),
        ([1.1], [0], 2, 1.0, "outside"),
        ([np.nan], [0], 2, 1.0, "outside"),
        ([0.1], [0.5], 2, 1.0, "not among"),
        ([], [], 2, 0.0, "duration"),
    ):
        with pytest.raises(InputError, match=words):
            SpikeTrains(np.array(times), np.array(neurons), count, duration)
    for width in (0.0, 0.8):
        with pytest.raises(InputError, match="two"):
            correlations(good, width)
    monkeypatch.setitem(sys.modules, "elephant.statistics", None)
    with pytest.raises(BiosimError, match=r"pip install 'biosim\[spikes\]'"):
        cv(good)
