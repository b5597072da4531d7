"""What a bound rule keeps from step to step: of every birth edge, or only of the live synapses once those are packed."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from biosim.equations.places import Places
from biosim.state import State, part, tensor


class Held:
    """The values of a rule on one projection.

    Parameters
    ----------
    shape : tuple of int
        (replicates, n_pre, n_post).
    device, dtype
    sides : mapping
        How many neurons have each trace.

    Attributes
    ----------
    arrays : dict
        One value a synapse, by name: states, coincidences, scratch. (R, n_pre, n_post); packed, (1, 1, N).
    vectors : dict
        One value a neuron: sums of one side, of this step only. (R, n).
    traces : dict
        (R, n).
    places : Places or None
        Where each synapse lies once only the live ones are kept.
    """

    def __init__(self, shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype, sides: dict[str, int]) -> None:
        self.whole, self.device, self.dtype = shape, device, dtype
        self.arrays: dict[str, Tensor] = {}
        self.vectors: dict[str, Tensor] = {}
        self.traces = {name: torch.zeros(shape[0], size, device=device, dtype=dtype) for name, size in sides.items()}
        self.places: Places | None = None
        self._truth: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(R, n_pre, n_post), or packed (1, 1, N)."""
        return self.whole if self.places is None else self.places.shape

    def scratch(self, name: str) -> None:
        """Make room for one value a synapse."""
        self.arrays[name] = torch.zeros(self.whole, device=self.device, dtype=self.dtype)

    def array(self, name: str, synapses: Mapping[str, Tensor]) -> Tensor:
        """Return the values of a name, one a synapse: held here, or else the synapses' own."""
        return self.arrays[name] if name in self.arrays else synapses[name]

    def truth(self) -> Tensor:
        """Return room for one truth value a synapse, the same at every call."""
        if self._truth is None or tuple(self._truth.shape) != self.shape:
            self._truth = torch.zeros(self.shape, dtype=torch.bool, device=self.device)
        return self._truth

    def replicate(self, r: int) -> Held:
        """Return what is held of replicate ``r`` alone: views."""
        alone = copy.copy(self)
        alone.whole, alone._truth = (1, *self.whole[1:]), None
        alone.arrays, alone.vectors, alone.traces = (
            {n: v[r : r + 1] for n, v in values.items()} for values in (self.arrays, self.vectors, self.traces)
        )
        return alone

    def pack(self, places: Places) -> None:
        """Keep only the values of the synapses in ``places``; of one replicate."""
        self.places = places
        for name in self.arrays:
            self.arrays[name] = places.pick(self.arrays[name][0])

    def take(self, stay: Tensor) -> None:
        """Keep only the packed synapses at the places ``stay``."""
        for name in self.arrays:
            self.arrays[name] = self.arrays[name][..., stay]

    def state(self, states: Iterable[str]) -> State:
        """Return the ``states`` and the traces; all else is computed anew in every step."""
        return {"synapse": {n: self.arrays[n] for n in states if n in self.arrays}, "trace": dict(self.traces)}

    def restore(self, state: State, states: Iterable[str]) -> None:
        """Take states and traces over, of the synapses that are kept here."""
        saved, names = part(state, "synapse"), set(states)
        for name, own in self.arrays.items():
            if name in names:
                self.arrays[name] = tensor(saved.get(name), own, name, self.shape)
            elif tuple(own.shape) != self.shape:
                self.arrays[name] = own.new_zeros(self.shape)
        self.traces = {n: tensor(part(state, "trace").get(n), own, n) for n, own in self.traces.items()}
