"""The arrays of a projection: one value a birth edge, or packed once few synapses live."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.processes.team import Share
from biosim.replay import Replay
from biosim.state import State, fill, part, tensor
from biosim.streams import edge_uniform
from biosim.tiles import matmul
from biosim.wiring import structure
from biosim.wiring.packed import Packed, worth_packing
from biosim.wiring.select import compete, rank


class SynapseArrays:
    """What is stored of every birth edge, whichever way it is stored; see :class:`~biosim.synapses.Projection`.

    Parameters
    ----------
    name : str
    weight, born : Tensor
        (R, n_pre, n_post) float32 and bool; ``weight`` is kept, not copied.
    share : Share
        Which columns these are; where processes share a network, n_post is how many this one has.
    """

    def __init__(self, name: str, weight: Tensor, born: Tensor, share: Share) -> None:
        self.name, self._weight, self.born, self.share = name, weight, born, share
        self.alive: Tensor = born.clone()
        self._active: Tensor = born.clone()
        self.death_step = torch.full(weight.shape, -1, dtype=torch.int32, device=weight.device).masked_fill_(~born, -2)
        self._silent_since = torch.full_like(weight, math.inf)
        self._effective = torch.where(born, weight, weight.new_zeros(()))  # what transmits: the weight where active, zero elsewhere
        self.in_degree = structure.count_columns(born)  # active synapses of each postsynaptic neuron
        self.packed: dict[int, Packed] = {}
        self.ranking = Replay(rank)  # of the live synapses, which lie where they are
        self.birth_step = torch.zeros_like(weight[:, :1, :1]).expand_as(weight)  # at which each synapse formed, last

    @property
    def shape(self) -> tuple[int, int, int]:
        """(replicates, n_pre, n_post)."""
        return tuple(self._weight.shape)  # type: ignore[return-value]

    @property
    def weight(self) -> Tensor:
        """(R, n_pre, n_post) float32."""
        for own in self.packed.values():
            own.write_back()
        return self._weight

    @property
    def active(self) -> Tensor:
        """(R, n_pre, n_post) bool."""
        return self._spread(self._active, "active", torch.zeros)

    @property
    def silent_since(self) -> Tensor:
        """(R, n_pre, n_post) float32."""
        return self._spread(self._silent_since, "silent_since", lambda shape, dtype: torch.full(shape, math.inf, dtype=dtype))

    @property
    def effective(self) -> Tensor:
        """(R, n_pre, n_post) float32."""
        return self.weight * self.active if self.packed else self._effective

    def _spread(self, whole: Tensor, name: str, fresh: Callable[..., Tensor]) -> Tensor:
        """Return ``whole``, or with packed replicates a new tensor that holds theirs too."""
        if not self.packed:
            return whole
        out = fresh(self.shape, dtype=whole.dtype)
        for r in range(self.shape[0]):
            if r in self.packed:
                self.packed[r].spread(getattr(self.packed[r], name), out[r])
            else:
                out[r] = whole[r]
        return out

    # -- packing --------------------------------------------------------------------------------
    def replicate(self, r: int) -> Self:
        """Return replicate ``r`` alone, its tensors views of these."""
        alone = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(alone, name, value[r : r + 1])
        alone.packed = {}
        return alone

    def sparse(self) -> list[bool]:
        """Return, for each replicate, whether so few synapses live, in all processes, that they are better packed."""
        counts = self.share.total(structure.count_columns(self.alive).sum(1)).tolist()
        return [worth_packing(n, self.shape[1] * self.share.edges[-1]) for n in counts]

    def pack(self, r: int) -> Packed:
        """Pack the live synapses of replicate ``r``, on the CPU; what dies must not regrow."""
        self.packed[r] = self._pack(r, self._active, self._silent_since)
        self._forget_whole()
        return self.packed[r]

    def _pack(self, r: int, active: Tensor, since: Tensor) -> Packed:
        whole = self.alive[r], self.death_step[r], self.in_degree[r], self._weight[r]
        return Packed(self.name, *whole, active[r], since[r], self.share.span)

    def _forget_whole(self) -> None:
        if len(self.packed) == self.shape[0]:  # nobody needs these any more
            for name in ("_active", "_silent_since", "_effective"):
                setattr(self, name, getattr(self, name).new_empty(0))

    def parts(self) -> list[Self | Packed]:
        """Return each replicate by itself, packed where it is."""
        return [self.packed[r] if r in self.packed else self.replicate(r) for r in range(self.shape[0])]

    # -- checkpoints ----------------------------------------------------------------------------
    def state(self) -> State:
        """Return weights and structure, those of packed replicates as they are packed."""
        kept: State = {"weight": self.weight, "alive": self.alive, "death_step": self.death_step, "in_degree": self.in_degree}
        if len(self.packed) < self.shape[0]:
            kept |= {"active": self._active, "silent_since": self._silent_since, "effective": self._effective}
        if self.birth_step.stride()[-1]:
            kept["birth_step"] = self.birth_step
        kept["packed"] = {str(r): {"active": p.active, "silent_since": p.silent_since} for r, p in self.packed.items()}
        return kept

    def restore(self, state: State) -> None:
        """Take a state over, in place; replicates that were packed are packed again."""
        for name in ("weight", "alive", "death_step", "in_degree"):
            fill(self._weight if name == "weight" else getattr(self, name), state.get(name), name)
        if "birth_step" in state:
            self.birth_step = tensor(state["birth_step"], self.birth_step, "birth_step")
        packed = {int(r): own for r, own in part(state, "packed").items()}
        if len(packed) < self.shape[0]:
            for name in ("active", "silent_since", "effective"):
                fill(getattr(self, f"_{name}"), state.get(name), name)
        self.packed = {}
        for r, own in packed.items():
            self.packed[r] = self._pack(r, self.alive, self._weight)
            for name in ("active", "silent_since"):
                fill(getattr(self.packed[r], name), own.get(name), name)
        self._forget_whole()

    # -- activity and counts --------------------------------------------------------------------
    def arriving(self, values: Tensor) -> Tensor:
        """Return what arrives at each postsynaptic neuron of this process: (R, S, n_pre) -> (R, S, n_post)."""
        if not self.packed:
            return matmul(values, self._effective)
        out = values.new_empty(*values.shape[:2], self.shape[2])
        for r in range(self.shape[0]):
            if r in self.packed:
                out[r] = self.packed[r].transmit(values[r])
            else:
                out[r] = matmul(values[r : r + 1], self._effective[r : r + 1])[0]
        return out

    def count(self, mask: Tensor, within: str = "post") -> Tensor:
        """Return the true entries of (R, n_pre, n_post) ``mask`` in each neuron, (R, n)."""
        return structure.count_columns(mask) if within == "post" else structure.count_rows(mask)

    def degree(self, within: str) -> Tensor:
        """Return the active synapses of each neuron on this side, (R, n)."""
        if within == "post":
            return self.in_degree
        if not self.packed:
            return structure.count_rows(self._active)
        return torch.cat([p.count(p.active, "pre") for p in self.parts()])

    def summed(self, within: str) -> Tensor:
        """Return the summed weight of each neuron's active synapses, (R, n)."""
        if not self.packed:
            return self._effective.sum(1 if within == "post" else 2)
        return torch.cat([p.summed(within) for p in self.parts()])

    def summed_magnitude(self) -> Tensor:
        """Return the summed magnitude of each postsynaptic neuron's active weights, (R, n_post)."""
        if not self.packed:
            return self._effective.abs().sum(1)
        return torch.cat([p.summed_magnitude() for p in self.parts()])

    def pick(self, whole: Tensor) -> Tensor:
        """Return (n_pre, n_post) ``whole`` as one replicate's values, (1, n_pre, n_post)."""
        return whole.unsqueeze(0)

    # -- what a decision asks -------------------------------------------------------------------
    def uniform(self, streams: npt.NDArray[np.uint32], step: int) -> Tensor:
        """Return one draw in [0, 1) for every birth edge, (R, n_pre, n_post)."""
        return edge_uniform(streams, step, self.shape[1:], slice(None), self._weight.device, self.share.span)

    def compete(self, scores: Tensor, candidate: Tensor, quota: Tensor, streams: npt.NDArray[np.uint32], within: str, step: int) -> Tensor:
        """Keep, within each neuron, its quota of the candidates with the largest scores (:func:`biosim.wiring.select.compete`)."""
        ranking = self.ranking if candidate is self.alive and within == "post" else None
        return compete(scores, candidate, quota, streams, within, self.name, step, ranking, self.share.span)
