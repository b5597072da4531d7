"""How a sheet of neurons comes back to its usual rates after a part of it has lost its input, and what its synapses do meanwhile.

The part that lost its input, the *zone*, is looked at as centre and border (its half nearer to the middle of the sheet, and the rest);
outside it the neurons next to it, as many again as the zone has where there are so many, are its *surround*, all others are *far*.
Turnover is what two imaging sessions would show: half the synapses that are there and were not ``imaging`` ago, and half of those
that were and are not, a neuron; one that came and went in between is not seen. One that went and came back is told by its age,
which no imaging would show, and counts as one that is new.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from torch import Tensor

from biosim.develop import Development
from biosim.drives import Drive
from biosim.drives.scotoma import Scotoma
from biosim.equations.units import parse_seconds
from biosim.errors import InputError, under
from biosim.findings import Findings
from biosim.sheet import by_nearness, side_of
from biosim.synapses import Network

METRICS = {
    "rate_before": "rate in the zone before the lesion, Hz",
    "rate_after": "the lowest it falls to, Hz",
    "rate_end": "rate in the zone in the end, Hz",
    "rate_outside": "rate outside it in the end, Hz",
    "recovered": "share of the fall that is made good in the end",
    "error_before": "absolute difference of the sheet's rate from the target before the lesion, over the target",
    "error_end": "the same of the zone in the end",
    "error_outside": "the same of the rest in the end",
    "half_centre": "seconds until the centre of the zone has made good half of its fall; the time that was left where it never does",
    "half_border": "the same of its border",
    "spines": "inputs of a neuron of the zone in the end, over those before",
    "boutons": "outputs of a neuron of the surround at their most after the lesion, over those before",
    "boutons_end": "the same in the end",
    "boutons_zone": "outputs of a neuron of the zone at their least in the time after the lesion, over those before",
    "turnover_before": "turnover of the synapses onto a neuron of the zone before the lesion",
    "turnover_peak": "the same at its most after it",
    "turnover_end": "the same in the end",
    "turnover_outside": "the same outside the zone in the end",
}
PARTS = {"centre": "#d1495b", "border": "#edae49", "surround": "#2e8b57", "far": "#1b6ca8"}
WINDOW = 0.05  # share of development over which numbers of before and of the end are averaged
Array = npt.NDArray[np.float64]


def check(network: Network, drive: Drive, *, target: float = 8.0, imaging: str = "10 s", moments: int) -> None:
    """Refuse what cannot be measured; parameters as for :func:`measure`, and how many records development makes."""
    if not isinstance(drive, Scotoma):
        raise InputError("recovery is measured where a part of a sheet loses its input: drive kind scotoma", ("name",))
    if not target > 0:
        raise InputError(f"a target rate must be positive, not {target}", ("target",))
    between = under("imaging", parse_seconds, imaging)
    if not drive.clock.dt <= between <= WINDOW * drive.clock.duration:
        most = WINDOW * drive.clock.duration
        raise InputError(f"two sessions lie between a step of {drive.clock.dt:g} s and {most:g} s apart, not {between:g} s", ("imaging",))
    least, steps = math.ceil(1 / WINDOW), drive.clock.steps
    if moments < min(least, steps):
        raise InputError(f"recovery is averaged over {WINDOW:.0%} of development: it takes {min(least, steps)} moments, not {moments}")
    if drive.lesion_step < steps and not WINDOW * steps <= drive.lesion_step <= (1 - WINDOW) * steps:
        raise InputError(f"recovery needs {WINDOW:.0%} of development before the onset of the lesion and after it")


def parts_of(drive: Scotoma) -> dict[str, npt.NDArray[np.int64]]:
    """Return the neurons of each part, by name."""
    order, size = by_nearness(side_of(drive.inputs)), len(drive.zone)
    inner = (size + 1) // 2
    ring = min(size, (drive.inputs - size + 1) // 2)
    cut = {"centre": (0, inner), "border": (inner, size), "surround": (size, size + ring), "far": (size + ring, None)}
    return {name: order[slice(*ends)] for name, ends in cut.items()}


def listen(network: Network, activity: Mapping[str, Tensor], step: int, drive: Drive, *, imaging: str = "10 s") -> dict[str, Any]:
    """Return the rates and synapses of each part for a record."""
    assert isinstance(drive, Scotoma)
    (p,) = network.projections.values()
    alive, rate = p.alive.cpu().numpy(), activity[p.post.name].mean(1).cpu().numpy()
    since = step - 1 - round(parse_seconds(imaging) / drive.clock.dt)
    birth, death = p.birth_step.cpu().numpy(), p.death_step.cpu().numpy()
    gained, lost = alive & (birth > since), ~alive & (death > since) & (birth <= since)
    found = {}
    for name, own in parts_of(drive).items():
        found[f"rate.{name}"] = rate[:, own].mean(1)
        found[f"inputs.{name}"] = alive[:, :, own].sum(1).mean(1)
        found[f"outputs.{name}"] = alive[:, own].sum(2).mean(1)
        found[f"turned.{name}"] = (gained[:, :, own].sum((1, 2)) + lost[:, :, own].sum((1, 2))) / (2 * len(own))
    return found


def measure(development: Development, drive: Drive, *, target: float = 8.0, imaging: str = "10 s") -> Findings:
    """Measure recovery from the records of a development.

    Parameters
    ----------
    development : Development
    drive : Scotoma
        Its clock, its zone and the moment of the lesion are read; without a lesion, the middle of development stands for it.
    target : float
        Hz, what the rule is meant to hold.
    imaging : quantity
        Time between two imaging sessions; at most a twentieth of development.
    """
    assert isinstance(drive, Scotoma)
    records, sizes = development.history.records, {name: len(own) for name, own in parts_of(drive).items()}
    u, step = (np.array([r[k] for r in records]) for k in ("u", "step"))
    lesion = drive.lesion_step if drive.lesion_step < drive.clock.steps else drive.clock.steps // 2
    before, end = (step <= lesion) & (step > lesion - WINDOW * drive.clock.steps), u > 1 - WINDOW
    after = step > lesion
    shown = [f"{what}.{name}" for what in ("rate", "inputs", "outputs", "turned") for name in PARTS]
    data = {key: np.array([r[f"measure.{key}"] for r in records], np.float64).T for key in shown}

    def of(what: str, *names: str) -> Array:
        weight = np.array([sizes[n] for n in names], np.float64)
        return np.asarray(np.average(np.stack([data[f"{what}.{n}"] for n in names]), 0, weight))

    zone, rest = of("rate", "centre", "border"), of("rate", "surround", "far")
    sheet = of("rate", *PARTS)
    smooth = {n: _smooth(data[f"rate.{n}"], int(end.sum())) for n in ("centre", "border")}
    low = _smooth(zone, int(end.sum()))[:, after].min(1)
    first, last = zone[:, before].mean(1), zone[:, end].mean(1)
    inputs, turnover = of("inputs", "centre", "border"), _smooth(of("turned", "centre", "border"), int(end.sum()))
    outside, inside = (_smooth(of("outputs", *n), int(end.sum())) for n in (("surround",), ("centre", "border")))
    seconds = (step - lesion) * drive.clock.dt
    usual_outside, usual_inside = outside[:, before].mean(1), inside[:, before].mean(1)
    found = {
        "rate_before": first, "rate_after": low, "rate_end": last, "rate_outside": rest[:, end].mean(1),
        "recovered": (last - low) / np.maximum(first - low, 1e-9),
        "error_before": np.abs(sheet[:, before].mean(1) - target) / target,
        "error_end": np.abs(last - target) / target,
        "error_outside": np.abs(rest[:, end].mean(1) - target) / target,
        "half_centre": _half(smooth["centre"], before, after, seconds), "half_border": _half(smooth["border"], before, after, seconds),
        "spines": inputs[:, end].mean(1) / np.maximum(inputs[:, before].mean(1), 1e-9),
        "boutons": outside[:, after].max(1) / np.maximum(usual_outside, 1e-9),
        "boutons_end": outside[:, end].mean(1) / np.maximum(usual_outside, 1e-9),
        "boutons_zone": inside[:, after].min(1) / np.maximum(usual_inside, 1e-9),
        "turnover_before": turnover[:, before][:, -1], "turnover_peak": turnover[:, after].max(1),
        "turnover_end": turnover[:, -1], "turnover_outside": of("turned", "surround", "far")[:, end].mean(1),
    }  # fmt: skip
    minutes = np.array([r["time"] for r in records]) / 60
    return Findings(
        {"recovery": _figure(minutes, data, lesion * drive.clock.dt / 60, target)}, {}, {k: v.tolist() for k, v in found.items()}
    )


def _smooth(values: Array, width: int) -> Array:
    """Return the running mean of (R, T) over the last ``width`` records, fewer where there were not so many."""
    total = np.cumsum(np.pad(values, ((0, 0), (1, 0))), 1)
    stop = np.arange(1, values.shape[1] + 1)
    begin = np.maximum(stop - max(width, 1), 0)
    return np.asarray((total[:, stop] - total[:, begin]) / (stop - begin))


def _half(rate: Array, before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_], seconds: Array) -> Array:
    """Return when each replicate's rate, past its least, has made good half of its fall, in seconds since the lesion."""
    usual, times, left = rate[:, before].mean(1), seconds[after], rate[:, after]
    found = np.full(len(rate), times[-1])
    for r, own in enumerate(left):
        least = int(own.argmin())
        back = np.flatnonzero(own[least:] >= (usual[r] + own[least]) / 2)
        if len(back):
            found[r] = times[least + back[0]]
    return found


def _figure(minutes: Array, data: Mapping[str, Array], lesion: float, target: float) -> Figure:
    figure = Figure(figsize=(9.6, 5.2), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True)
    titles = {
        "rate": "rate (Hz)", "turned": "turnover of its inputs",
        "inputs": "inputs (spines in synapses)", "outputs": "outputs (boutons in synapses)",
    }  # fmt: skip
    width = max(1, len(minutes) // 50)
    for axes, (what, title) in zip(panels.ravel(), titles.items(), strict=True):
        for name, colour in PARTS.items():
            shown = _smooth(data[f"{what}.{name}"], width)
            axes.plot(minutes, shown.mean(0), color=colour, lw=1.4, label=name)
            axes.fill_between(minutes, shown.min(0), shown.max(0), color=colour, alpha=0.15, lw=0)
        axes.axvline(lesion, color="0.5", lw=0.8, ls=":")
        axes.set(ylabel=title, ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0, 0].axhline(target, color="k", lw=0.8, ls="--")
    panels[0, 0].legend(frameon=False, fontsize=7, ncols=2)
    for axes in panels[1]:
        axes.set(xlabel="time (min)")
    n = len(next(iter(data.values())))
    figure.suptitle(
        f"A neuron of each part; input of centre and border lost at the dotted line; n = {n} replicates, band: range", fontsize=9
    )
    return figure
