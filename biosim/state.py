"""The state of what changes over development, as data: what a checkpoint holds.

Whatever has state of its own has ``state()``, which returns it, and ``restore(state)``, which takes it over into an object that was
made anew from the same scenario. A state is a dictionary of arrays, plain values and further states, by name. It holds what
changes and nothing that a scenario decides; random draws are functions of seed and step, so no generator is in it.
``state()`` may return the arrays themselves, not copies: write them before the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.errors import DamageError

State = dict[str, Any]


@runtime_checkable
class Stateful(Protocol):
    """An object whose state can be taken out and put back."""

    def state(self) -> State:
        """Return all that changes."""
        ...

    def restore(self, state: State) -> None:
        """Take a state over; raises DamageError where it does not fit."""


class Keeper(Protocol):
    """Keeps the state of work that goes on in steps (:class:`biosim.rundir.checkpoint.AtWork`)."""

    def load(self, restore: Callable[[State], None]) -> bool:
        """Give what was kept to ``restore``; return whether there was anything."""
        ...

    def offer(self, state: Callable[[], State]) -> None:
        """Between two steps: keep the state when it is time to; raises Interrupted, having kept it, when asked to stop."""


def tensor(saved: Any, like: Tensor, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
    """Return a saved array as a tensor of its own, of the type and device of ``like``, and its shape unless another is given."""
    return _found(saved, like.dtype, tuple(like.shape) if shape is None else shape, name).to(like.device, copy=True)


def fill(into: Tensor, saved: Any, name: str) -> None:
    """Copy a saved array into a tensor, in place."""
    into.copy_(_found(saved, into.dtype, tuple(into.shape), name))


def _found(saved: Any, kind: torch.dtype, shape: tuple[int, ...], name: str) -> Tensor:
    if not isinstance(saved, np.ndarray):
        raise DamageError(f"'{name}' is not there")
    found = torch.from_numpy(saved)
    if tuple(saved.shape) != shape or found.dtype != kind:
        raise DamageError(f"'{name}' is {found.dtype} {tuple(saved.shape)}, not {kind} {shape}")
    return found


def array(saved: Any, kind: npt.DTypeLike, shape: tuple[int, ...], name: str, low: float | None = None, high: float | None = None) -> Any:
    """Return a saved array once its type and shape were found right, and its values within ``low`` and ``high``."""
    if not isinstance(saved, np.ndarray) or saved.dtype != np.dtype(kind) or saved.shape != shape:
        found = f"{saved.dtype} {saved.shape}" if isinstance(saved, np.ndarray) else "not there"
        raise DamageError(f"'{name}' is {found}, not {np.dtype(kind)} {shape}")
    if saved.size and ((low is not None and saved.min() < low) or (high is not None and saved.max() > high)):
        raise DamageError(f"'{name}' runs from {saved.min()} to {saved.max()}, beyond {low} to {high}")
    return saved


def part(state: Mapping[str, Any], name: str) -> State:
    """Return a state within a state."""
    found = state.get(name)
    if not isinstance(found, dict):
        raise DamageError(f"'{name}' is not there")
    return found
