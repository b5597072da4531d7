"""One step of edge-popup on an accelerator: no value travels to the host, and the step is replayed as one graph.

The threshold is the least of the k largest abs(S), so no scores are sorted. What ties with it transmits too while the
search goes on; ``keep`` breaks ties in the masks that come out. Where Triton is installed (it comes with torch for CUDA)
each pass over the scores is one kernel of :mod:`~biosim.scorers.popup_triton`, and torch's operations do the same elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from biosim.replay import Replay
from biosim.scorers.backprop import Backprop

_TRITON = (3, 3)  # the first with masked histograms


def _kernels(device: torch.device) -> ModuleType | None:
    """Return the Triton kernels, where they run."""
    if device.type != "cuda" or find_spec("triton") is None:
        return None
    release = str(import_module("triton").__version__)  # of the module: the package that brings it has several names
    if tuple(int(n) for n in release.split(".")[:2]) < _TRITON:
        return None
    return import_module("biosim.scorers.popup_triton")


class DeviceStep:
    """SGD on the scores of all projections.

    Parameters
    ----------
    scores, weights : mapping
        (R, n_pre, n_post) by projection; scores are changed in place.
    groups : sequence of (names, k)
        Projections whose edges compete with one another, and how many a replicate keeps.
    backprop : Backprop
    momentum, decay : float
    """

    def __init__(
        self,
        scores: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
        groups: Sequence[tuple[list[str], int]],
        backprop: Backprop,
        momentum: float,
        decay: float,
    ) -> None:
        self.scores, self.weights, self.groups, self.backprop = scores, weights, groups, backprop
        self.momentum, self.decay = momentum, decay
        self.speed = {n: torch.zeros_like(s) for n, s in scores.items()}
        self.effective = {n: torch.empty_like(s) for n, s in scores.items()}
        first = next(iter(scores.values()))
        self.kernels = _kernels(first.device)
        self.thresholds = [self.kernels.Threshold(k, len(first), first.device) if self.kernels and k else None for _, k in groups]
        self.rate, self.accuracy = first.new_zeros(()), first.new_zeros(())
        self._replay = Replay(self._step)

    def __call__(self, rate: float, inputs: Tensor, labels: Tensor) -> Tensor:
        """Take one step; return the accuracy, ()."""
        self.rate.fill_(rate)
        self._replay({"inputs": inputs, "labels": labels})
        return self.accuracy.clone()

    def select(self) -> None:
        """Set what transmits: the weight where abs(S) is among the k largest of its group, else 0."""
        for (names, k), threshold in zip(self.groups, self.thresholds, strict=True):
            if k == 0:
                for n in names:
                    self.effective[n].zero_()
            elif threshold is not None:
                threshold.find([self.scores[n] for n in names])
                for n in names:
                    threshold.transmit(self.scores[n], self.weights[n], self.effective[n])
            else:
                self._select(names, k)

    def _select(self, names: list[str], k: int) -> None:
        size = {n: self.scores[n].abs() for n in names}
        flat = torch.cat([s.flatten(1) for s in size.values()], 1) if len(names) > 1 else size[names[0]].flatten(1)
        cut = flat.topk(k, dim=1, sorted=False).values.amin(1).view(-1, 1, 1)
        for n in names:
            torch.mul(self.weights[n], size[n] >= cut, out=self.effective[n])

    def _step(self, given: Mapping[str, Tensor]) -> None:
        self.select()
        gradients, accuracy = self.backprop.step(self.effective, given["inputs"], given["labels"])
        for name, score in self.scores.items():
            if self.kernels is not None:
                arrays = score, self.speed[name], gradients[name].contiguous(), self.weights[name]
                self.kernels.update(*arrays, self.rate, self.momentum, self.decay)
                continue
            through = gradients[name].mul_(self.weights[name]).mul_(score.sign())
            self.speed[name].mul_(self.momentum).add_(through).add_(score, alpha=self.decay)
            score.addcmul_(self.speed[name], self.rate, value=-1.0)
        self.accuracy.copy_(accuracy)
