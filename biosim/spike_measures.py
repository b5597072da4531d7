"""What spike trains look like: rates, regularity, correlations, synchrony. Through elephant, from plain arrays.

Needs the optional package elephant (``pip install 'biosim[spikes]'``), which is imported where it is used.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.extras import need

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SpikeTrains:
    """Spikes of n neurons over a stretch of time.

    Attributes
    ----------
    times : ndarray
        (spikes,) seconds, in any order.
    neurons : ndarray
        (spikes,) whose spike it is, 0 to ``count - 1``.
    count : int
        Number of neurons, silent ones included.
    duration : float
        Seconds; the stretch is [0, duration].

    Examples
    --------
    >>> import numpy as np
    >>> from biosim.spike_measures import SpikeTrains, rates
    >>> spikes = SpikeTrains(np.array([0.1, 0.2, 0.3, 0.15]), np.array([0, 0, 0, 1]), count=2, duration=0.5)
    >>> rates(spikes)
    array([6., 2.])
    """

    times: Numbers
    neurons: npt.NDArray[np.int64]
    count: int
    duration: float

    def __post_init__(self) -> None:
        times, neurons = np.asarray(self.times, np.float64), np.asarray(self.neurons)
        if times.ndim != 1 or times.shape != neurons.shape:
            raise InputError(f"{times.size} spike times and {neurons.size} neurons: a spike needs one of each")
        if not self.duration > 0:
            raise InputError(f"the duration is a positive number of seconds, not {self.duration}")
        if times.size and not (np.isfinite(times).all() and times.min() >= 0 and times.max() <= self.duration):
            raise InputError(f"a spike lies outside the stretch from 0 to {self.duration} s, or its time is not a number")
        if neurons.size and not (np.issubdtype(neurons.dtype, np.integer) and neurons.min() >= 0 and neurons.max() < self.count):
            raise InputError(f"a spike belongs to a neuron that is not among the {self.count}, numbered from 0")

    def trains(self) -> list[Numbers]:
        """Return the sorted spike times of each neuron."""
        order = np.lexsort((self.times, self.neurons))
        if not self.count:
            return []
        ends = np.cumsum(np.bincount(np.asarray(self.neurons, np.int64), minlength=self.count))[:-1]
        return np.split(np.asarray(self.times, np.float64)[order], ends)

    def intervals(self) -> list[Numbers]:
        """Return the inter-spike intervals of each neuron, seconds."""
        return [np.diff(train) for train in self.trains()]


def rates(spikes: SpikeTrains) -> Numbers:
    """Return the mean rate of each neuron, Hz: spikes over duration."""
    return np.asarray(np.bincount(np.asarray(spikes.neurons, np.int64), minlength=spikes.count) / spikes.duration)


def cv(spikes: SpikeTrains) -> Numbers:
    """Return the coefficient of variation of each neuron's intervals: deviation over mean; 1 for a Poisson process.

    NaN for a neuron with fewer than three spikes.
    """
    statistics = _elephant("statistics")
    return np.array([float(statistics.cv(i)) if i.size > 1 else np.nan for i in spikes.intervals()])


def cv2(spikes: SpikeTrains) -> Numbers:
    """Return the mean of ``2 |I_k+1 - I_k| / (I_k+1 + I_k)`` over each neuron's intervals (Holt et al. 1996).

    Unlike :func:`cv` it does not mistake a slowly changing rate for irregularity. NaN for a neuron with fewer than three spikes.
    """
    statistics = _elephant("statistics")
    return np.array([float(statistics.cv2(i)) if i.size > 1 else np.nan for i in spikes.intervals()])


def correlations(spikes: SpikeTrains, bin_size: float = 0.005) -> Numbers:
    """Return the Pearson correlation of the spike counts of every two neurons: (count, count), 1 on the diagonal.

    ``bin_size`` in seconds; whole bins only, spikes after the last are left out. NaN for a neuron that never spikes, or the same in
    every bin.

    Raises
    ------
    InputError
        When the stretch does not hold two bins.
    """
    counts = _counts(spikes, bin_size)
    varies = np.flatnonzero(np.ptp(counts, 1) > 0)
    found = np.full((spikes.count, spikes.count), np.nan)
    if varies.size:
        found[np.ix_(varies, varies)] = np.corrcoef(counts[varies]).reshape(varies.size, varies.size)
    return found


def mean_correlation(spikes: SpikeTrains, bin_size: float = 0.005) -> float:
    """Return the mean of :func:`correlations` over pairs of neurons for which it is defined; NaN without any."""
    matrix = correlations(spikes, bin_size)
    pairs = matrix[np.triu_indices(spikes.count, 1)]
    return float(np.nanmean(pairs)) if np.isfinite(pairs).any() else float("nan")


def synchrony(spikes: SpikeTrains) -> float:
    """Return spike-contrast synchrony: 0 asynchronous, near 1 all trains alike (Ciba et al. 2018, https://doi.org/10.1016/j.jneumeth.2017.09.008).

    It looks at all time scales at once, so there is no bin to choose. NaN with fewer than two neurons that spike.
    """
    active = np.unique(spikes.neurons)
    if active.size < 2 or np.unique(spikes.times).size < 2:
        return float("nan")
    measure = _elephant("spike_train_synchrony").spike_contrast
    import neo
    import quantities

    trains, end = spikes.trains(), spikes.duration * quantities.s
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The 'copy' argument in Quantity")  # neo still gives it
        return float(measure([neo.SpikeTrain(trains[k], units=quantities.s, t_start=0 * end, t_stop=end) for k in active]))


def fano_factor(spikes: SpikeTrains, window: float = 0.1) -> Numbers:
    """Return variance over mean of each neuron's counts in windows (seconds); 1 for a Poisson process, NaN for a silent neuron.

    Raises
    ------
    InputError
        When the stretch does not hold two windows.
    """
    counts = _counts(spikes, window)
    mean = counts.mean(1)
    return np.asarray(np.divide(counts.var(1), mean, out=np.full(spikes.count, np.nan), where=mean > 0))


def summary(spikes: SpikeTrains, bin_size: float = 0.005) -> dict[str, float]:
    """Return means over the neurons for which each measure is defined, and the synchrony of all."""
    values = {"rate": rates(spikes), "cv": cv(spikes), "cv2": cv2(spikes), "fano_factor": fano_factor(spikes)}
    means = {k: float(np.nanmean(v)) if np.isfinite(v).any() else float("nan") for k, v in values.items()}
    return {
        **means,
        "silent": float((rates(spikes) == 0).mean()),
        "correlation": mean_correlation(spikes, bin_size),
        "synchrony": synchrony(spikes),
    }


def _counts(spikes: SpikeTrains, width: float) -> npt.NDArray[np.int64]:
    """Return the spikes of each neuron in each whole bin: (count, bins). A spike on an edge belongs to the later bin."""
    bins = int(np.floor(spikes.duration / width + 1e-9)) if width > 0 else 0
    if bins < 2:
        raise InputError(f"bins of {width} s: a stretch of {spikes.duration} s must hold at least two")
    place = np.floor(np.asarray(spikes.times, np.float64) / width + 1e-8).astype(np.int64)
    inside = place < bins
    flat = np.asarray(spikes.neurons, np.int64)[inside] * bins + place[inside]
    return np.bincount(flat, minlength=spikes.count * bins).reshape(spikes.count, bins).astype(np.int64)


def _elephant(module: str) -> Any:
    return need(f"elephant.{module}", "spikes")
