"""SNIP (Lee, Ajanthan & Torr 2019, https://arxiv.org/abs/1810.02340): connection sensitivity at birth.

    score = abs(w dL/dw),      L the mean cross-entropy over ~10 samples a class

One batch-summed gradient of the dense network; all edges of the network compete.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import InputError
from biosim.scorers.base import Progress
from biosim.scorers.descent import gradients, labelled, weights_of
from biosim.scorers.keep import Scope
from biosim.synapses import Network

_WHO = "a score of the loss"


@dataclass(frozen=True)
class SlopeScorer:
    """What scores of the loss at birth share: see :class:`Scorer` for the fields."""

    scope: Scope = "network"
    samples: int = 10
    level: ClassVar[str] = "gradient"

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError("needs at least one sample a class", ("samples",))


@dataclass(frozen=True)
class Scorer(SlopeScorer):
    """Connection sensitivity.

    Attributes
    ----------
    scope : {"network", "layer", "neuron"}
        ``network`` is the published method.
    samples : int
        Samples a class.
    """

    frozen_note: ClassVar[str] = "made to be retrained: it keeps the edges that training would change most"

    def score(
        self, network: Network, drive: Drive, density: float, seeds: tuple[int, ...], progress: Progress | None = None
    ) -> dict[str, Tensor]:
        """Return abs(w dL/dw) at birth."""
        inputs, labels = samples_of_each_class(drive, self.samples, seeds, network.device)
        births = weights_of(network)
        slopes, _ = gradients(network, births, {}, inputs, labels)
        return {n: slopes[n].mul_(w).abs_() for n, w in births.items()}


def samples_of_each_class(drive: Drive, count: int, seeds: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the first ``count`` samples shown of every class: (R, C*count, n_input) and (R, C*count).

    Raises
    ------
    InputError
        When the drive has no labels or shows a class too rarely.
    """
    classes, rows = drive.outputs, len(seeds)
    if classes is None:
        raise InputError(f"{_WHO} needs a drive with labels")
    found: list[list[list[Tensor]]] = [[[] for _ in range(classes)] for _ in range(rows)]
    for inputs, shown in labelled(drive, seeds, device, _WHO):
        for r, own in enumerate(found):
            for c, kept in enumerate(own):
                if len(kept) < count:
                    kept.extend(inputs[r][shown[r] == c][: count - len(kept)])
        if all(len(kept) == count for own in found for kept in own):
            labels = torch.arange(classes, device=device).repeat_interleave(count).expand(rows, -1)
            return torch.stack([torch.stack([x for kept in own for x in kept]) for own in found]), labels
    rare = next(c for own in found for c, kept in enumerate(own) if len(kept) < count)
    raise InputError(f"class {rare} is shown fewer than {count} times; lower samples", ("samples",))
