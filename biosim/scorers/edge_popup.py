"""Edge-popup (Ramanujan et al. 2020, https://arxiv.org/abs/1911.13299): learn a score, never a weight.

Weights stay as born. Scores start uniform in +-1/sqrt(fan_in) (Kaiming uniform, a = sqrt 5); the forward
pass keeps the top k of abs(S), and gradients pass straight through to every edge:

    dL/dS = dL/dW_eff * W * sign(S)

SGD on the scores: lr .1, momentum .9, weight decay 1e-4, cosine, cross-entropy of the readout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim import backend
from biosim.drives.base import Drive
from biosim.scorers.backprop import Backprop
from biosim.scorers.base import Progress
from biosim.scorers.descent import at_least_one, check_sgd, for_epochs, half_cosine, labelled, weights_of
from biosim.scorers.keep import Scope, gains_after, keep
from biosim.scorers.popup_device import DeviceStep
from biosim.scorers.popup_kernels import CHUNK, drop_ties, full_threshold, threshold, transmit, update
from biosim.streams import edge_streams, generator
from biosim.synapses import Network


@dataclass(frozen=True)
class Scorer:
    """Edge-popup.

    Attributes
    ----------
    scope : {"neuron", "layer", "network"}
        ``layer`` is the published method.
    epochs : int, optional
        As long as the local rule when left out.
    rate, momentum, decay : float
        Of SGD on the scores.
    """

    scope: Scope = "layer"
    epochs: int | None = None
    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 1e-4
    level: ClassVar[str] = "gradient"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "edge-popup": {},
        "edge-popup-neuron": {"scope": "neuron"},
        "edge-popup-network": {"scope": "network"},
    }

    def __post_init__(self) -> None:
        at_least_one("edge-popup", epochs=self.epochs)
        check_sgd(self.rate, self.momentum, self.decay)

    @torch.inference_mode()
    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return abs(S) after training; the births are read, never written."""
        drive = for_epochs(drive, self.epochs)
        steps = drive.clock.steps
        search = Search(self, network, density, seeds, steps)
        for step, (inputs, labels) in enumerate(labelled(drive, seeds, network.device, "edge-popup")):
            accuracy = search.step(step, inputs, labels)
            if progress is not None and (step + 1) % max(1, steps // 50) == 0:
                progress(step + 1, steps, {"density": density, "accuracy": float(accuracy)})
        return {n: s.abs() for n, s in search.scores.items()}


class Search:
    """Scores, their speed, and one step of SGD on them.

    Attributes
    ----------
    scores : dict
        (R, n_pre, n_post) by projection, signed.
    """

    def __init__(self, scorer: Scorer, network: Network, density: float, seeds: tuple[int, ...], steps: int) -> None:
        self.scorer, self.network, self.density, self.seeds, self.steps = scorer, network, density, seeds, steps
        self.scores = {n: _initial_scores(network, n, seeds) for n in network.projections}
        self.weights = weights_of(network)
        self.backprop = Backprop(network, gains_after(network, density, scorer.scope))
        counts = {n: [math.floor(density * b + 0.5) for b in p.fan_in.sum(1).tolist()] for n, p in network.projections.items()}
        self.fused = backend.fused(network.device)
        self.on_device: DeviceStep | None = None
        if not self.fused and scorer.scope != "neuron" and all(len(set(own)) == 1 for own in counts.values()):
            groups = [([n], own[0]) for n, own in counts.items()]
            if scorer.scope == "network":
                groups = [(list(counts), math.floor(density * float(network.born[0]) + 0.5))]
            self.on_device = DeviceStep(self.scores, self.weights, groups, self.backprop, scorer.momentum, scorer.decay)
            return
        self.speed = {n: torch.zeros_like(s) for n, s in self.scores.items()}
        self.effective = {n: torch.empty_like(s) for n, s in self.scores.items()}
        self.cuts: dict[tuple[str, int], _Cut] = {}
        for name, own in counts.items() if self.fused else ():
            streams = edge_streams(seeds, f"keep/{name}")
            for r, count in enumerate(own):
                self.cuts[name, r] = _Cut(count, self.weights[name][r].numel(), streams[r])

    def masks(self) -> dict[str, Tensor]:
        """Return what the scores keep now, exactly."""
        return keep({n: s.abs() for n, s in self.scores.items()}, self.network, self.density, self.scorer.scope, self.seeds)

    @torch.inference_mode()
    def step(self, number: int, inputs: Tensor, labels: Tensor) -> Tensor:
        """Take one step on (R, S, n) inputs with (R, S) labels; return the accuracy, ()."""
        rate = half_cosine(self.scorer.rate, number, self.steps)
        if self.on_device is not None:
            return self.on_device(rate, inputs, labels)
        self.select()
        gradients, accuracy = self.backprop.step(self.effective, inputs, labels)
        momentum, decay = self.scorer.momentum, self.scorer.decay
        for name, score in self.scores.items():
            if not self.fused:
                through = gradients[name].mul_(self.weights[name]).mul_(score.sign())
                self.speed[name].mul_(momentum).add_(through).add_(score, alpha=decay)
                score.sub_(self.speed[name], alpha=rate)
                continue
            for r in range(len(score)):
                arrays = [_flat(t[r]) for t in (score, self.speed[name], gradients[name], self.weights[name])]
                self.cuts[name, r].update(arrays, momentum, decay, rate)
        return accuracy

    def select(self) -> None:
        """Bring ``effective`` in step with the scores."""
        if not self.fused or self.scorer.scope != "layer":
            for name, mask in self.masks().items():
                torch.mul(self.weights[name], mask, out=self.effective[name])
            return
        for (name, r), cut in self.cuts.items():
            cut.apply(_flat(self.scores[name][r]), _flat(self.weights[name][r]), _flat(self.effective[name][r]))


class _Cut:
    """The top-k threshold of one projection of one replicate, followed from step to step.

    Parameters
    ----------
    k : int
        Synapses kept.
    edges : int
    stream : uint32
        Breaks ties.
    """

    def __init__(self, k: int, edges: int, stream: np.uint32) -> None:
        chunks = -(-edges // CHUNK)
        room = min(CHUNK, 1024)
        self.k, self.stream = k, stream
        self.window = np.empty((chunks, room), np.float32)
        self.size, self.above = np.zeros(chunks, np.int64), np.zeros(chunks, np.int64)
        self.pool = np.empty(chunks * room, np.float32)
        self.low, self.high = np.float32(np.inf), np.float32(-np.inf)  # an empty window
        self.last = math.nan

    def update(self, arrays: Sequence[npt.NDArray[np.float32]], momentum: float, decay: float, rate: float) -> None:
        """Update scores and speed by gradient and weight, and collect around the last threshold."""
        scores, speed, gradient, weight = arrays
        factors = np.float32(momentum), np.float32(decay), np.float32(rate)
        update(scores, speed, gradient, weight, *factors, self.low, self.high, self.window, self.size, self.above)

    def apply(self, scores: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], effective: npt.NDArray[np.float32]) -> None:
        """Write what transmits: exactly k edges, ties by seeded hash (all that tie at a score of 0, which no draw gives)."""
        if self.k == 0:
            effective.fill(0)
            return
        cut, reached = threshold(self.k, self.window, self.size, self.above, self.pool)
        if math.isnan(cut):
            cut, reached = full_threshold(scores, self.k)
        margin = 2e-3 * cut if math.isnan(self.last) else 3 * abs(cut - self.last) + 1e-4 * cut
        self.low, self.high, self.last = np.float32(cut - margin), np.float32(cut + margin), float(cut)
        transmit(scores, weight, np.float32(cut), effective)
        if reached > self.k and cut > 0:
            drop_ties(scores, np.float32(cut), reached - self.k, self.stream, effective)


def _flat(tensor: Tensor) -> npt.NDArray[np.float32]:
    return np.asarray(tensor.numpy().reshape(-1))


def _initial_scores(network: Network, name: str, seeds: tuple[int, ...]) -> Tensor:
    p = network.projections[name]
    bound = 1 / math.sqrt(p.shape[1])
    draws = [generator(seed, f"edge-popup/{name}").uniform(-bound, bound, p.shape[1:]) for seed in seeds]
    scores = torch.stack([torch.from_numpy(d) for d in draws]).to(network.device, torch.float32)
    return scores * p.born  # an edge that was not born scores 0, the least there is
