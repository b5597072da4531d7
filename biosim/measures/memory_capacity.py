"""How many memories a network holds while it loses synapses, and its signal-to-noise ratio beside the closed form.

One retrieval step from a memory itself leaves fields with a mean of 1 (say) between active and inactive neurons and a variance
around each; SNR is the squared difference of the means over that variance. Keeping the strongest share c of normally distributed
weights, ``|w| > t`` with ``c = 2 (1 - Phi(t))``, multiplies it by ``s = 2 t phi(t) + c``; a network that was born with as many
synapses as are left has ``sqrt(c)`` of the neurons, and so

    SNR(pruned) / SNR(dense, as many synapses) = s / sqrt(c)

(after Chechik, Meilijson & Ruppin 1998, https://doi.org/10.1162/089976698300017124). The dense network is measured, not assumed: it is
the population's first ``sqrt(c) N`` neurons with all the synapses among them as born.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from pydantic import Field
from torch import Tensor

from biosim.develop import Development
from biosim.drives import Drive
from biosim.errors import InputError
from biosim.findings import Findings
from biosim.memories import MemoryNetwork, degraded, memories_of, overlaps
from biosim.streams import generator
from biosim.substrates import attractor
from biosim.synapses import Network, Projection
from biosim.theory.drawing import COLOURS, band, legend, panels

METRICS = {
    "capacity": "memories at which the mean overlap after retrieval falls to the criterion",
    "capacity_at_birth": "the same before any synapse was lost",
    "overlap": "mean overlap after retrieval in the population that stores most",
    "snr_ratio": "SNR over that of a dense network of as many synapses, in the population that stores most",
    "snr_theory": "s / sqrt(c) at the share c that is left",
    "snr_error": "largest relative departure of the SNR ratio from s / sqrt(c) while a share of .2 or more is left",
}
LEAST = 0.2  # share of synapses down to which the closed form is held against the measurement
Floats = npt.NDArray[np.float64]
Share = Annotated[float, Field(gt=0, lt=1)]


def theory(share: float) -> float:
    """Return s, what is left of the SNR when the strongest ``share`` of normal weights is kept."""
    if share >= 1:
        return 1.0
    normal = NormalDist()
    t = normal.inv_cdf(1 - share / 2)
    return 2 * t * normal.pdf(t) + share


def check(network: Network, drive: Drive) -> None:
    """Refuse a network without memories, or one population only: a capacity needs several loads."""
    if len(memories_of(network).memories) < 2:
        raise InputError("a capacity is found between populations that store more memories and fewer; this network has one", ("name",))


def measure(
    development: Development,
    drive: Drive,
    *,
    criterion: Share = 0.95,
    cue: Share = 0.8,
    cues: Annotated[int, Field(ge=1)] = 60,
    moments: Annotated[int, Field(ge=2)] = 7,
) -> Findings:
    """Measure capacity and SNR as born, at the end and at moments between.

    Parameters
    ----------
    development : Development
        Of a network whose weights stay as born.
    drive : Drive
        Not asked.
    criterion : float
        Overlap that counts as recalled.
    cue : float
        Overlap of the cues.
    cues : int
        Memories tried in each population, its first ones.
    moments : int
        Moments at which the network is looked at, evenly spaced from birth to the end of its losses.
    """
    network = memories_of(development.network)
    probes = _Probes(network, attractor.substrate(network, **network.dynamics), cue, cues)
    last = max(1, max(int(p.death_step.max()) for p in network.projections.values()) + 1)
    shares, curves, ratios = [], [], []
    with torch.inference_mode():
        for step in np.unique(np.linspace(0, last, moments).round().astype(int)):
            shares.append(network_share(network, int(step)))
            curves.append(probes.overlap(int(step)))
            ratios.append(probes.ratio(int(step)))
    share, curve, ratio = np.stack(shares, 1), np.stack(curves, 1), np.stack(ratios, 1)
    expected = np.vectorize(lambda c: theory(c) / math.sqrt(c))(share)
    capacity = np.array([[crossing(probes.counts, c, criterion) for c in own] for own in curve])
    departure = np.where(share >= LEAST - 1e-3, np.abs(ratio / expected - 1), 0).max(1)
    metrics = {
        "capacity": capacity[:, -1],
        "capacity_at_birth": capacity[:, 0],
        "overlap": curve[:, -1, -1],
        "snr_ratio": ratio[:, -1],
        "snr_theory": expected[:, -1],
        "snr_error": departure,
    }
    rows = [
        {"replicate": r, "share": share[r, k], "capacity": capacity[r, k], "snr_ratio": ratio[r, k], "theory": expected[r, k]}
        for r in range(len(share))
        for k in range(share.shape[1])
    ]
    figure = _draw(probes.counts, share, curve, capacity, ratio, criterion)
    return Findings({"memory-capacity": figure}, {"memory-capacity": rows}, {n: v.tolist() for n, v in metrics.items()})


def alive_at(projection: Projection, step: int) -> Tensor:
    """Return which synapses were alive before ``step`` decided, (R, n_pre, n_post)."""
    died = projection.death_step
    return (died == -1) | (died >= step)


def network_share(network: Network, step: int) -> Floats:
    """Return synapses alive before ``step`` over synapses born, (R,)."""
    alive = torch.stack([alive_at(p, step).sum((1, 2)) for p in network.projections.values()]).sum(0)
    return np.asarray((alive.double() / network.born.double()).cpu())


def crossing(counts: Sequence[int], overlap: Floats, criterion: float) -> float:
    """Return where a curve over ``counts`` first falls to the criterion, by straight lines between them; the last count if never."""
    if overlap[0] < criterion:
        return float(counts[0] * overlap[0] / criterion)  # below the lightest load: the line from 0
    for k in range(1, len(counts)):
        if overlap[k] < criterion:
            part = (overlap[k - 1] - criterion) / (overlap[k - 1] - overlap[k])
            return float(counts[k - 1] + part * (counts[k] - counts[k - 1]))
    return float(counts[-1])


class _Probes:
    """The cues that every moment's network is tried with."""

    def __init__(self, network: MemoryNetwork, substrate: attractor.AttractorSubstrate, cue: float, cues: int) -> None:
        self.network, self.substrate = network, substrate
        self.counts = [m.shape[1] for m in network.memories.values()]
        longest = network.memories[list(network.memories)[-1]]
        drawn = [degraded(m[:cues], cue, network.coding, generator(s, "measure/cues")) for s, m in zip(network.seeds, longest, strict=True)]
        device = network.device
        self.memories, self.cues = torch.from_numpy(longest).to(device), torch.from_numpy(np.stack(drawn)).to(device)
        self.heaviest = network.incoming(network.readout.name)[0]

    def overlap(self, step: int) -> Floats:
        """Return the mean overlap after retrieval in each population as it was before ``step``, (R, populations)."""
        found = []
        for name, count in zip(self.network.memories, self.counts, strict=True):
            (p,) = self.network.incoming(name)
            tried = min(count, self.cues.shape[1])
            states, _ = self.substrate.retrieve(self.cues[:, :tried], {p.name: p.weight * alive_at(p, step)})
            found.append(overlaps(self.memories[:, :tried], states[name], self.network.coding).mean(1))
        return np.asarray(torch.stack(found, 1).cpu())

    def ratio(self, step: int) -> Floats:
        """Return the SNR before ``step`` over that of a dense network of as many synapses, (R,)."""
        alive, found = alive_at(self.heaviest, step), []
        for r in range(self.network.replicates):
            weight, memories = self.heaviest.weight[r], self.memories[r]
            share = float(alive[r].sum() / self.heaviest.born[r].sum())
            own = round(math.sqrt(share) * len(weight))
            found.append(_snr(weight * alive[r], memories) / _snr(weight[:own, :own], memories[:, :own]))
        return np.array(found)


def _snr(weight: Tensor, memories: Tensor) -> float:
    """Return the squared difference between the mean fields of active and inactive neurons over the variance around them."""
    field, active = (memories @ weight).double(), memories > 0
    on, off = field[active], field[~active]
    noise = (on.var(correction=0) * len(on) + off.var(correction=0) * len(off)) / field.numel()
    return float((on.mean() - off.mean()) ** 2 / noise)


def _draw(counts: Sequence[int], share: Floats, curve: Floats, capacity: Floats, ratio: Floats, criterion: float) -> Figure:
    figure, grid = panels(3, width=3.3, height=2.9)
    left, middle, right = grid[0]
    for k, colour, label in ((0, COLOURS[6], "as born"), (-1, COLOURS[0], f"{share[:, -1].mean():.0%} of the synapses")):
        band(left, counts, curve[:, k], colour, label)
    left.axhline(criterion, color="0.6", lw=0.8, ls=":")
    left.set(xlabel="memories stored", ylabel="overlap after retrieval", ylim=(0, 1.03), title=f"Recall (n = {len(share)} replicates)")
    at = share.mean(0)
    band(middle, at, capacity, COLOURS[0], "recalled")
    middle.axhline(counts[-1], color="0.6", lw=0.8, ls=":", label="largest number stored")
    middle.set(xlabel="share of birth synapses left", ylabel=f"memories recalled to {criterion:g}", title="Capacity")
    middle.set_ylim(bottom=0)
    fine = np.linspace(0.05, 1, 96)
    right.plot(fine, [theory(c) / math.sqrt(c) for c in fine], color="0.3", lw=1, label=r"$s/\sqrt{c}$, strongest kept")
    right.plot(fine, np.sqrt(fine), color="0.6", lw=1, ls="--", label=r"$\sqrt{c}$, random ones kept")
    band(right, at, ratio, COLOURS[1], "measured", "o")
    right.set(xlabel="share of birth synapses left, c", ylabel="SNR / that of a dense network", title="Signal to noise")
    for axes in (middle, right):
        axes.set_xlim(1.03, 0)
    for axes in (left, middle, right):
        legend(axes)
    return figure
