"""How well a graph carries messages: efficiency, and what is cut off when edges are lost.

Efficiency is the mean of 1/hops over all pairs of a source and a target, 0 where there is no path. Robustness is the share of
pairs without a path, as development left the graph and after a tenth of its edges went at random.

Beside it stands the cut of the paper, which no local rule can take: the same messages, the same number of edges lost at every
step, but the least used of the *whole network*. It is computed here, for comparison only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from biosim.develop import Development
from biosim.drives.messages import MessageDrive
from biosim.errors import InputError, at_least
from biosim.findings import Findings
from biosim.streams import generator
from biosim.substrates.routing_kernels import hops_between, messages, route
from biosim.theory.drawing import band, legend

METRICS = {
    "efficiency": "mean of 1/hops over all pairs of a source and a target; 0 where there is no path",
    "disconnected": "share of the pairs without a path",
    "disconnected_after": "the same once a share of the edges, a tenth unless told otherwise, went at random",
    "hops": "mean hops of the pairs that have a path",
    "direct": "share of the edges that lead straight from a source to a target",
    "network_efficiency": "efficiency where the least used edges of the whole network were cut (not local)",
    "network_disconnected": "disconnected, the same cut",
    "network_disconnected_after": "disconnected_after, the same cut",
    "network_direct": "direct, the same cut",
}
Mask = npt.NDArray[np.bool_]
MOMENTS = 25  # points of the curve over development
LOSSES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
LOCAL, WHOLE = "#1b6ca8", "#d1495b"


def check(network: Any, drive: Any, *, loss: float = 0.1, draws: int = 20) -> None:
    """Refuse what cannot be measured; parameters as for :func:`measure`."""
    if not (hasattr(drive, "sources") and hasattr(drive, "targets")):
        raise InputError("routing is measured on the demand of a drive of messages", ("name",))
    if not 0 < loss < 1:
        raise InputError(f"a share lies between 0 and 1, not {loss}", ("loss",))
    at_least(1, draws=draws)


def measure(development: Development, drive: MessageDrive, *, loss: float = 0.1, draws: int = 20) -> Findings:
    """Measure the graph that development left, and the one that the cut of the whole network leaves.

    Parameters
    ----------
    development : Development
    drive : MessageDrive
    loss : float
        Share of the edges that goes at random.
    draws : int
        Random losses of edges, for each replicate.
    """
    seeds: Sequence[int] = development.circuit.provenance["seeds"]
    (projection,) = development.network.projections.values()
    born, death = projection.born.cpu().numpy(), projection.death_step.cpu().numpy()
    steps = drive.clock.steps
    moments = sorted({round(s) for s in np.linspace(0, steps, MOMENTS)})
    local = [[_alive(death[r], t + (t == steps)) for t in moments] for r in range(len(seeds))]  # at the end, without the final cut
    left = np.array([[int(_alive(death[r], t + 1).sum()) for t in range(steps)] for r in range(len(seeds))])
    whole = [network_wide(born[r], left[r], drive, seed, moments) for r, seed in enumerate(seeds)]
    both = {"": local, "network_": whole}  # by the prefix of their metrics
    curves = {prefix: np.array([[efficiency(m, drive)[0] for m in own] for own in masks]) for prefix, masks in both.items()}
    share = np.array([[m.sum() for m in own] for own in local]) / born.sum((1, 2))[:, None]
    metrics: dict[str, list[float]] = {}
    losses = {}
    for prefix, masks in both.items():
        final = [own[-1] for own in masks]
        metrics |= {f"{prefix}{name}": values for name, values in _state(final, drive).items() if f"{prefix}{name}" in METRICS}
        metrics[f"{prefix}disconnected_after"] = [after_loss(m, drive, s, loss, draws) for m, s in zip(final, seeds, strict=True)]
        losses[prefix] = np.array([[after_loss(m, drive, s, x, draws) for x in LOSSES] for m, s in zip(final, seeds, strict=True)])
    u = np.array(moments) / steps
    rows = [
        {"seed": seed, "u": float(t), "density": float(share[r, k]), "efficiency": float(curves[""][r, k]),
         "network_efficiency": float(curves["network_"][r, k])}
        for r, seed in enumerate(seeds) for k, t in enumerate(u)
    ]  # fmt: skip
    return Findings({"routing": _draw(u, share, curves, losses)}, {"routing": rows}, metrics)


def _alive(death: npt.NDArray[np.int32], step: int) -> Mask:
    """Return the edges that were there before ``step``."""
    return np.asarray((death == -1) | (death >= step))


def network_wide(born: Mask, left: npt.NDArray[np.int64], drive: MessageDrive, seed: int, moments: Sequence[int]) -> list[Mask]:
    """Cut the least used edges of the whole network; return the graph at each of the moments.

    Parameters
    ----------
    born : (nodes, nodes) bool
    left : (steps,) int
        Edges that each step leaves.
    drive : MessageDrive
        The same messages as development's under ``seed``.
    seed : int
    moments : sequence of int
        Steps, before which the graph is returned.
    """
    alive, used = born.copy(), np.zeros(born.shape, np.int64)
    ties, found = generator(seed, "routing/ties"), []
    for step, shown in enumerate(drive.presentations((seed,), torch.device("cpu"))):
        if step in moments:
            found.append(alive.copy())
        sent, received = route(alive, *messages(shown.inputs[0].numpy()))
        moving = sent >= 0
        np.add.at(used, (sent[moving], received[moving]), 1)
        candidates = np.flatnonzero(alive)
        surplus = len(candidates) - int(left[step])
        if surplus > 0:
            order = np.lexsort((ties.random(len(candidates)), used.flat[candidates]))
            alive.flat[candidates[order[:surplus]]] = False
    return [*found, alive] if drive.clock.steps in moments else found


def efficiency(alive: Mask, drive: MessageDrive) -> tuple[float, float, float]:
    """Return efficiency, the share of pairs without a path, and the mean hops of the others."""
    hops = hops_between(alive, drive.sources, drive.targets)
    there = hops > 0
    mean = float(hops[there].mean()) if there.any() else float("nan")
    return float((1 / hops[there]).sum() / hops.size), float(1 - there.mean()), mean


def after_loss(alive: Mask, drive: MessageDrive, seed: int, loss: float, draws: int) -> float:
    """Return the mean share of pairs without a path after a share of the edges went at random."""
    random, edges, found = generator(seed, f"routing/loss/{loss:g}"), np.flatnonzero(alive), []
    for _ in range(draws if loss else 1):
        hurt = alive.copy()
        hurt.flat[random.choice(edges, round(loss * len(edges)), replace=False)] = False
        found.append(efficiency(hurt, drive)[1])
    return float(np.mean(found))


def _state(masks: Sequence[Mask], drive: MessageDrive) -> dict[str, list[float]]:
    values = np.array([efficiency(m, drive) for m in masks])
    straight = [float(m[np.ix_(drive.sources, drive.targets)].sum() / max(m.sum(), 1)) for m in masks]
    return {"efficiency": values[:, 0].tolist(), "disconnected": values[:, 1].tolist(), "hops": values[:, 2].tolist(), "direct": straight}


def _draw(u: npt.NDArray[np.float64], share: npt.NDArray[np.float64], curves: Mapping[str, Any], losses: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(9.6, 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    band(left, u, share, "black", "edges")
    left.set(xlabel="time (share of development)", ylabel="edges / edges born", title="Edges", ylim=(0, None))
    for prefix, colour, label in (("", LOCAL, "cut within a neuron"), ("network_", WHOLE, "cut in the whole network")):
        band(middle, u, curves[prefix], colour, label)
        band(right, 100 * np.array(LOSSES), losses[prefix], colour, label)
    middle.set(xlabel="time (share of development)", ylabel="efficiency (mean of 1/hops)", title="Efficiency", ylim=(0, 1.02))
    right.set(xlabel="edges lost at random (%)", ylabel="pairs without a path", title="Robustness", ylim=(0, 1.02))
    for axes in (middle, right):
        legend(axes)
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Messages from one patch to the other (n = {len(share)} replicates; line: mean, band: range)", fontsize=9)
    return figure
