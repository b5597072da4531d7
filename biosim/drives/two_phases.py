"""Images in two phases: shown, and then the network left to itself from there; the sign of the phase is the reward.

Pixels are made the probabilities of visible neurons' being on, and drawn anew every time an image is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from biosim.drives.base import TICKETS, Presentation
from biosim.drives.images import Images, load_images
from biosim.equations import Clock
from biosim.equations.units import parse_seconds
from biosim.errors import InputError, at_least, under
from biosim.streams import generator
from biosim.substrates.rbm import EXTRA
from biosim.synapses import Network


@dataclass(frozen=True)
class TwoPhaseDrive:
    """Shows shuffled batches of images: the first half of a step's samples is the shown phase, the second the free one.

    Attributes
    ----------
    images : Images
    batch, epochs : int
    presentation : float
        Seconds a phase lasts.
    """

    images: Images
    batch: int
    epochs: int
    presentation: float
    outputs: None = None

    @property
    def clock(self) -> Clock:
        """Two presentations an image."""
        return Clock(self.presentation, 2 * self.batch, self.epochs * (len(self.images.train) // self.batch))

    @property
    def inputs(self) -> int:
        """Pixels, a ticket and the phase."""
        return int(self.images.train.shape[1]) + EXTRA

    def probabilities(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return pixels scaled to [0, 1] over the range of the training images."""
        low, high = float(self.images.train.min()), float(self.images.train.max())
        return np.asarray(np.clip((pixels - low) / (high - low), 0, 1), np.float32)

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield presentations, (R, 2 batch, pixels + 2), with rewards of +1 and -1; replicate k depends on ``seeds[k]`` alone."""
        chance = self.probabilities(self.images.train)
        streams = [generator(seed, "two-phases") for seed in seeds]
        reward = torch.tensor([1.0, -1.0], device=device).repeat_interleave(self.batch).expand(len(seeds), -1)
        for _ in range(self.epochs):
            orders = [stream.permutation(len(chance)) for stream in streams]
            for start in range(0, len(chance) - self.batch + 1, self.batch):
                shown = [
                    self._step(chance[order[start : start + self.batch]], stream) for order, stream in zip(orders, streams, strict=True)
                ]
                yield Presentation(torch.from_numpy(np.stack(shown)).to(device), None, reward)

    def _step(self, chance: npt.NDArray[np.float32], stream: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return one replicate's samples: the same states twice, with the step's ticket and the phase."""
        samples, neurons = chance.shape
        shown = np.empty((2, samples, neurons + EXTRA), np.float32)
        shown[:, :, :-EXTRA] = stream.random(chance.shape) < chance
        shown[:, :, -EXTRA] = stream.integers(TICKETS)
        shown[0, :, -1], shown[1, :, -1] = 1, 0
        return shown.reshape(-1, shown.shape[2])


def drive(
    network: Network,
    *,
    dataset: str = "digits",
    batch: int = 32,
    epochs: int = 40,
    train_size: int | None = None,
    validation: float = 0.0,
    presentation: str = "50 ms",
) -> TwoPhaseDrive:
    """Return images in two phases.

    Parameters
    ----------
    network : Network
        Its visible population must have a neuron for every pixel.
    dataset : str
        As for image scenarios: digits, fashion-mnist, mnist, or a folder of IDX files.
    batch : int
        Images a step.
    epochs : int
        Passes over the training images.
    train_size : int, optional
        Use a fixed subset of this many training images.
    validation : float
        Hold out this share of the training images and evaluate on it instead of the test images.
    presentation : str
        How long a phase lasts.
    """
    if not 0 <= validation < 1:
        raise InputError(f"a share lies in [0, 1), not {validation}", ("validation",))
    if train_size is not None:
        at_least(1, train_size=train_size)
    images = load_images(dataset, train_size=train_size, validation=validation)
    if not 1 <= batch <= len(images.train):
        raise InputError(f"a batch must lie between 1 and the {len(images.train)} training images", ("batch",))
    at_least(1, epochs=epochs)
    return TwoPhaseDrive(images, batch, epochs, under("presentation", parse_seconds, presentation))
