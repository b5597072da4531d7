"""Labelled images: scikit-learn's digits, Fashion-MNIST as Debian ships it, any IDX folder or npz file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import torch

from biosim.drives.base import Presentation
from biosim.drives.encoding import encode, expected
from biosim.drives.image_files import RawImages, read_files
from biosim.drives.teacher import Teacher, read_teacher
from biosim.equations import Clock
from biosim.errors import DataError, InputError
from biosim.lif import Encoding
from biosim.streams import generator

SPLIT_SEED = 0  # the digits' train/test split and every validation split are fixed, whatever the run's seed


@dataclass(frozen=True)
class Images:
    """A labelled image data set, standardised on its training split.

    Attributes
    ----------
    train, test : (n, pixels) float32
        Pixels minus the training mean, over the training standard deviation (one number each, so that
        no pixel is amplified). ``test`` is the validation split when one was asked for.
    train_labels, test_labels : (n,) int64
    side : (height, width)
    name : str
    source : str
        Where it was read from.
    evaluated_on : {"test", "validation"}
    """

    train: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int64]
    test: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int64]
    side: tuple[int, int]
    name: str
    source: str
    evaluated_on: str = "test"

    @cached_property
    def classes(self) -> int:
        """Number of classes: the largest label plus one."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything in it."""
        total = hashlib.sha256()
        for part in (self.train, self.train_labels, self.test, self.test_labels):
            total.update(np.ascontiguousarray(part).tobytes())
        return total.hexdigest()


def load_images(dataset: str = "digits", *, train_size: int | None = None, validation: float = 0.0) -> Images:
    """Load a data set by name or folder.

    Parameters
    ----------
    dataset : str
        ``digits`` (bundled with scikit-learn), ``teacher`` (random inputs labelled by a planted circuit: :mod:`biosim.drives.teacher`),
        ``fashion-mnist`` or ``mnist`` (looked for in
        ``BIOSIM_DATA_DIR``, the user's cache and /usr/share/datasets), a folder of four IDX files,
        raw or .gz, or an ``.npz`` file with ``train_images``, ``train_labels``, ``test_images`` and ``test_labels``.
    train_size : int, optional
        Use this many training images, a fixed random subset.
    validation : float
        Hold out this share of the training images and evaluate on it instead of the test split: what
        to use for tuning.

    Raises
    ------
    DataError
        When it is not found (every path tried is listed), truncated, or holds what no image holds.

    Examples
    --------
    >>> from biosim import load_images
    >>> images = load_images("digits")
    >>> images.train.shape, images.test.shape, images.side, images.classes
    ((1442, 64), (355, 64), (8, 8), 10)
    >>> load_images("digits", validation=0.2).evaluated_on
    'validation'
    """
    teacher = read_teacher(dataset)
    raw = _taught(teacher) if teacher is not None else _digits() if dataset == "digits" else read_files(dataset)
    train, train_labels, test, test_labels, side, source = raw
    for part, values, labels in (("training", train, train_labels), ("test", test, test_labels)):
        _check(part, values, labels, source)
    evaluated_on = "test"
    order = generator(SPLIT_SEED, "images/split").permutation(len(train))
    if not 0 <= validation < 1:
        raise InputError(f"validation is the share of training images held out, in [0, 1), not {validation}", ("validation",))
    if validation > 0:
        held, order = np.split(order, [max(1, round(validation * len(order)))])
        test, test_labels, evaluated_on = train[held], train_labels[held], "validation"
    if train_size is not None:
        if not 1 <= train_size <= len(order):
            raise InputError(f"there are {len(order)} training images, not {train_size}", ("train_size",))
        order = order[:train_size]
    if train_size is not None or validation > 0:
        order = np.sort(order)
        train, train_labels = train[order], train_labels[order]
    if teacher is None:  # the teacher's labels hold for its inputs as they are
        mean, deviation = float(train.mean(dtype=np.float64)), float(train.std(dtype=np.float64))
        if deviation == 0:
            raise DataError(f"every training pixel of {source} is the same")
        train, test = ((x - np.float32(mean)) / np.float32(deviation) for x in (train, test))
    return Images(train, train_labels, test, test_labels, side, dataset, source, evaluated_on)


@cache
def _bundled() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Read once what nobody writes to: a text, slow to read, that a run and its report ask for many times."""
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    return np.asarray(pixels), np.asarray(targets)


def _digits() -> RawImages:
    """8x8 digits; a fixed stratified fifth of them is the test split."""
    pixels, targets = _bundled()
    values, labels = pixels.astype(np.float32), targets.astype(np.int64)
    order = generator(SPLIT_SEED, "images/digits").permutation(len(values))
    test = np.sort(np.concatenate([(own := order[labels[order] == c])[: len(own) // 5] for c in range(10)]))
    train = np.setdiff1d(np.arange(len(values)), test)
    return values[train], labels[train], values[test], labels[test], (8, 8), "scikit-learn load_digits"


def _taught(teacher: Teacher) -> RawImages:
    """Random inputs and a teacher's labels: 8000 to train on, 2000 to test."""
    source = f"teacher {teacher.seed}: random inputs, labelled by a sparse random circuit"
    return *teacher.samples(8000, "train"), *teacher.samples(2000, "test"), (8, teacher.sizes[0] // 8), source


def _check(part: str, values: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], source: str) -> None:
    if len(values) == 0:
        raise DataError(f"{source}: the {part} split is empty")
    bad = np.flatnonzero(~np.isfinite(values).all(1))
    if bad.size:
        raise DataError(f"{source}: {part} image {bad[0]} holds NaN or infinite pixels ({bad.size} such images)")
    if labels.min() < 0 or labels.max() > 9999:
        raise DataError(f"{source}: {part} labels run from {labels.min()} to {labels.max()}")


@dataclass(frozen=True)
class ImageDrive:
    """Shows a data set in shuffled batches, each replicate in its own order.

    Attributes
    ----------
    images : Images
    batch : int
        Samples a step. An epoch's last incomplete batch is left out; every epoch is shuffled anew.
    epochs : int
    presentation : float
        Seconds one image is shown.
    encoding : Encoding, optional
        Show spikes of the input neurons in place of pixels; :meth:`encoded` sets it.

    Examples
    --------
    >>> from biosim import ImageDrive, load_images
    >>> drive = ImageDrive(load_images("digits"), batch=32, epochs=2)
    >>> drive.inputs, drive.outputs, drive.clock.steps
    (64, 10, 90)
    """

    images: Images
    batch: int = 128
    epochs: int = 30
    presentation: float = 0.05
    encoding: Encoding | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= len(self.images.train):
            raise InputError(f"a batch must lie between 1 and the {len(self.images.train)} training images", ("batch",))
        if self.epochs < 1:
            raise InputError("development needs at least one epoch", ("epochs",))

    @property
    def clock(self) -> Clock:
        """Presentation time, samples a step, steps of development."""
        return Clock(self.presentation, self.batch, self.epochs * (len(self.images.train) // self.batch))

    @property
    def inputs(self) -> int:
        """Pixels."""
        return int(self.images.train.shape[1])

    @property
    def outputs(self) -> int:
        """Classes."""
        return self.images.classes

    def encoded(self, encoding: Encoding, centred: bool = True) -> ImageDrive:
        """Return the same drive for a spiking network.

        The window is the presentation, brightness runs over the range of the training images, and tonic inhibition
        cancels their mean (``centred``).
        """
        low, high = float(self.images.train.min()), float(self.images.train.max())
        made = replace(encoding, window=self.presentation, low=low, high=high, baseline=0.0)
        return replace(self, encoding=replace(made, baseline=expected(self.images.train, made)) if centred else made)

    def with_epochs(self, epochs: int) -> ImageDrive:
        """Return the same drive, shown for another number of epochs."""
        return replace(self, epochs=epochs)

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        """Yield ``clock.steps`` presentations; replicate k depends on ``seeds[k]`` alone."""
        pixels = torch.from_numpy(self.images.train).to(device)
        labels = torch.from_numpy(self.images.train_labels).to(device)
        streams = [generator(seed, "images/order") for seed in seeds]
        spikes = [generator(seed, "images/spikes") for seed in seeds]
        per_epoch = len(self.images.train) // self.batch
        for _ in range(self.epochs):
            order = torch.from_numpy(np.stack([s.permutation(len(self.images.train)) for s in streams])).to(device)
            for b in range(per_epoch):
                chosen = order[:, b * self.batch : (b + 1) * self.batch]
                shown = pixels[chosen] if self.encoding is None else encode(pixels[chosen], self.encoding, spikes)
                yield Presentation(shown, labels[chosen])
