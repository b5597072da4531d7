"""A task that a known subnetwork defines: random inputs, labelled by a sparse random circuit, the teacher.

    z_j = relu(sum_i m_ij w_ij x_i),    label = argmax_c sum_j m_jc w_jc z_j,    x_i, w ~ N(0, 1) independent

with the same number of teacher synapses m on every neuron, at random places. Inputs are drawn until every class has as
many as the next, so no class can be preferred. A network in whose births the teacher is hidden (``models/planted.py``)
holds a circuit that is right on every sample, found or not ("planted tickets": Fischer & Burkholz 2022,
https://arxiv.org/abs/2111.11153, plant solutions of other tasks).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.streams import generator

NAME = "teacher"
CHUNK = 20_000  # samples labelled at a time
PATIENCE = 200  # chunks without filling every class

Masks = list[npt.NDArray[np.bool_]]
Weights = list[npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Teacher:
    """A sparse random circuit of ReLU neurons with a linear readout.

    Attributes
    ----------
    seed : int
    sizes : tuple of int
        Neurons of each layer, input to readout.
    density : float
        Share of each neuron's inputs that it has a synapse from.
    """

    seed: int = 0
    sizes: tuple[int, ...] = (64, 100, 10)
    density: float = 0.2

    @cached_property
    def masks(self) -> Masks:
        """Teacher synapses, (n_pre, n_post) a layer; ``round(density * n_pre)`` on every neuron."""
        random, found = generator(self.seed, "teacher/masks"), []
        for n_pre, n_post in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            kept = max(1, round(self.density * n_pre))
            order = np.argsort(random.random((n_pre, n_post)), axis=0, kind="stable")
            found.append(np.argsort(order, axis=0, kind="stable") < kept)
        return found

    @cached_property
    def weights(self) -> Weights:
        """Weights of variance 1, (n_pre, n_post) a layer, zero where there is no synapse."""
        random = generator(self.seed, "teacher/weights")
        return [(random.standard_normal(m.shape) * m).astype(np.float32) for m in self.masks]

    def label(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Return the teacher's class of (n, inputs) samples."""
        for layer, weight in enumerate(self.weights):
            inputs = np.maximum(inputs, 0) @ weight if layer else inputs @ weight
        return np.asarray(inputs.argmax(1), np.int64)

    def samples(self, count: int, stream: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return ``count`` samples and their labels, classes even, in random order.

        Raises
        ------
        InputError
            When a class is so rare that it does not fill.
        """
        random, classes = generator(self.seed, f"teacher/{stream}"), self.sizes[-1]
        wanted = np.full(classes, count // classes) + (np.arange(classes) < count % classes)
        inputs, labels = [], []
        for _ in range(PATIENCE):
            drawn = random.standard_normal((CHUNK, self.sizes[0])).astype(np.float32)
            said = self.label(drawn)
            for c in range(classes):
                chosen = np.flatnonzero(said == c)[: wanted[c]]
                wanted[c] -= len(chosen)
                inputs.append(drawn[chosen])
                labels.append(said[chosen])
            if not wanted.any():
                order = random.permutation(count)
                return np.concatenate(inputs)[order], np.concatenate(labels)[order]
        raise InputError(f"teacher {self.seed} hardly ever says class {int(wanted.argmax())}; use another seed", ("dataset",))


def read_teacher(dataset: str) -> Teacher | None:
    """Return the teacher that a data set's name asks for: ``teacher``, or ``teacher-SEED``; None for other names."""
    name, _, seed = dataset.partition("-")
    if name != NAME or (seed and not seed.isdigit()) or dataset.endswith("-"):
        return None
    return Teacher(int(seed or 0))
