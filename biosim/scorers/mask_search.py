"""Walking from mask to mask at an exact density: swaps, their losses, and taking them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.scorers.base import Progress
from biosim.scorers.fixed_batch import Edit, FixedBatch, first_samples
from biosim.scorers.keep import Scope, gains_after, keep
from biosim.streams import generator
from biosim.synapses import Network

Losses = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
Tell = Callable[[int, Losses], None]


class SearchScorer(ABC):
    """What scorers that search over masks share: each is a dataclass with these fields."""

    scope: Scope
    evaluations: int
    samples: int
    level: ClassVar[str] = "network"

    @torch.inference_mode()
    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return 1 for the synapses of the mask found, else 0."""
        told = 0

        def tell(spent: int, loss: Losses) -> None:
            nonlocal told
            if progress is not None and spent * 50 // self.evaluations > told:
                told = spent * 50 // self.evaluations
                progress(min(spent, self.evaluations), self.evaluations, {"density": density, "loss": float(loss.mean())})

        return self.search(network, drive, density, seeds, tell)

    @abstractmethod
    def search(self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], tell: Tell) -> dict[str, Tensor]:
        """Return the scores; ``tell`` takes evaluations spent and (R,) losses."""


def random_masks(
    network: Network, density: float, scope: Scope, seeds: tuple[int, ...], random: list[np.random.Generator]
) -> dict[str, Tensor]:
    """Return random masks with the exact counts of a scope, (R, n_pre, n_post) by projection."""
    return keep(random_scores(network, random), network, density, scope, seeds)


def random_scores(network: Network, random: list[np.random.Generator]) -> dict[str, Tensor]:
    """Return one uniform draw a birth edge."""
    scores = {}
    for name, p in network.projections.items():
        draws = np.stack([g.random(p.shape[1:], np.float32) for g in random])
        scores[name] = torch.from_numpy(draws).to(network.device)
    return scores


class Ledger:
    """Which birth edges of one projection of one replicate are kept, listed so that draws cost O(1).

    Edges are numbered ``i * n_post + j``. They lie in groups (one neuron's synapses each, or one group in
    all); in row g of ``order`` the first ``kept[g]`` are kept, the others up to ``size[g]`` are not.
    """

    def __init__(self, mask: npt.NDArray[np.bool_], born: npt.NDArray[np.bool_], by_neuron: bool) -> None:
        n_pre, n_post = mask.shape

        def grouped(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return values.T if by_neuron else values.reshape(1, -1)

        ids, born, mask = grouped(np.arange(mask.size).reshape(n_pre, n_post)), grouped(born), grouped(mask)
        rank = np.argsort(np.where(mask, 0, np.where(born, 1, 2)), axis=1, kind="stable")
        self.order: _Ints = np.take_along_axis(ids, rank, 1)
        self.kept: _Ints = mask.sum(1)
        self.size: _Ints = born.sum(1)
        self.group_of = np.empty(mask.size, np.int64)
        self.place = np.empty(mask.size, np.int64)
        self.group_of[self.order] = np.arange(len(self.order))[:, None]
        self.place[self.order] = np.arange(self.order.shape[1])[None]

    def draw(self, uniform: npt.NDArray[np.float64], kept: bool, group: _Ints | None = None) -> tuple[_Ints, npt.NDArray[np.bool_], _Ints]:
        """Return a kept (or a pruned) edge for each pair of uniform draws (2, P), whether there was one, and its group."""
        drawn: _Ints = (uniform[0] * len(self.order)).astype(np.int64)
        group = drawn if group is None else group
        first = 0 if kept else self.kept[group]
        count = self.kept[group] if kept else self.size[group] - self.kept[group]
        place = first + (uniform[1] * count).astype(np.int64)
        return self.order[group, np.minimum(place, self.order.shape[1] - 1)], count > 0, group

    def toggle(self, edge: int) -> bool:
        """Prune a kept edge or keep a pruned one; return whether it is kept now."""
        g, here = self.group_of[edge], self.place[edge]
        now_kept = here >= self.kept[g]
        there = self.kept[g] if now_kept else self.kept[g] - 1
        other = self.order[g, there]
        self.order[g, there], self.order[g, here] = edge, other
        self.place[edge], self.place[other] = there, here
        self.kept[g] += 1 if now_kept else -1
        return bool(now_kept)


@dataclass(frozen=True)
class Swaps:
    """P candidate swaps a replicate: prune ``out`` of one projection, keep ``into`` of another or the same.

    Attributes
    ----------
    source, target : str
        Projections, the same for all candidates.
    out, into : (R, P) int64
        Edges.
    valid : (R, P) bool
        False where there was nothing to prune or nothing to keep.
    """

    source: str
    target: str
    out: _Ints
    into: _Ints
    valid: npt.NDArray[np.bool_]


class MaskSearch:
    """A mask a replicate, its loss on a fixed batch, and swaps that hold its density.

    Parameters
    ----------
    component : str
        Names the random streams.

    Attributes
    ----------
    loss : (R,) float64
        Of the masks as they are.
    """

    def __init__(
        self, network: Network, drive: Drive, density: float, scope: Scope, seeds: tuple[int, ...], samples: int, component: str
    ) -> None:
        self.network, self.scope = network, scope
        self.random = [generator(seed, component) for seed in seeds]
        self.layers = generator(0, f"{component}/layers")  # one projection for all replicates, so that they stay one batch
        self.masks = random_masks(network, density, scope, seeds, self.random)
        self.effective = {n: network.projections[n].weight * m for n, m in self.masks.items()}
        inputs, labels = first_samples(drive, seeds, network.device, samples)
        self.batch = FixedBatch(network, gains_after(network, density, scope), inputs, labels)
        self.loss = self._loaded(None)
        self.ledgers = {
            n: [Ledger(m[r].cpu().numpy(), network.projections[n].born[r].cpu().numpy(), scope == "neuron") for r in range(len(seeds))]
            for n, m in self.masks.items()
        }
        pairs = np.array([p.weight[0].numel() for p in network.projections.values()])  # births would depend on who else is in the batch
        self.names, self.share = list(network.projections), np.cumsum(pairs) / pairs.sum()

    def draw(self, candidates: int) -> Swaps:
        """Draw swaps within one projection, or between any two under network scope."""
        picks = np.searchsorted(self.share, self.layers.random(2), side="right")
        source = self.names[picks[0]]
        target = self.names[picks[1]] if self.scope == "network" else source
        out, into, valid = [], [], []
        for r, random in enumerate(self.random):
            uniform = random.random((4, candidates))
            edge, found, group = self.ledgers[source][r].draw(uniform[:2], kept=True)
            newborn, room, _ = self.ledgers[target][r].draw(uniform[2:], kept=False, group=group if self.scope == "neuron" else None)
            out.append(edge)
            into.append(newborn)
            valid.append(found & room)
        return Swaps(source, target, np.stack(out), np.stack(into), np.stack(valid))

    def judge(self, swaps: Swaps) -> Losses:
        """Return the loss each swap alone would lead to, (R, P); inf where there is no such swap."""
        edits = [self._edit(swaps.source, swaps.out, -1.0), self._edit(swaps.target, swaps.into, 1.0)]
        losses = self.batch.after(edits).double().cpu().numpy()
        return np.where(swaps.valid, losses, np.inf)

    def take(self, swaps: Swaps, chosen: Sequence[Sequence[int]]) -> None:
        """Carry out the chosen candidates of each replicate and measure the loss anew.

        Taking the same ones again undoes them.
        """
        for r, own in enumerate(chosen):
            for c in own:
                self.toggle(swaps.source, r, int(swaps.out[r, c]))
                self.toggle(swaps.target, r, int(swaps.into[r, c]))
        ends = [self.network.projections[n].post.name for n in (swaps.source, swaps.target)]
        if any(chosen):
            self.loss = self._loaded(min(ends, key=self.batch.order.index))

    def _edit(self, name: str, edges: _Ints, sign: float) -> Edit:
        weight = self.network.projections[name].weight
        index = torch.from_numpy(edges).to(weight.device)
        return Edit(name, index // weight.shape[2], index % weight.shape[2], sign * weight.flatten(1).gather(1, index))

    def toggle(self, name: str, r: int, edge: int) -> None:
        """Prune a kept edge of one replicate or keep a pruned one; the loss is not measured."""
        i, j = divmod(edge, self.masks[name].shape[2])
        kept = self.ledgers[name][r].toggle(edge)
        self.masks[name][r, i, j] = kept
        self.effective[name][r, i, j] = self.network.projections[name].weight[r, i, j] * kept

    def _loaded(self, start: str | None) -> Losses:
        return np.asarray(self.batch.load(self.effective, start=start).double().cpu().numpy())

    def scores(self) -> dict[str, Tensor]:
        """Return 1 for every edge kept, else 0: what ``keep`` turns back into the same mask."""
        return {n: m.to(torch.float32) for n, m in self.masks.items()}
