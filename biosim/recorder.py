"""What a development leaves behind, moment by moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.effective import effective_density
from biosim.errors import DamageError
from biosim.state import State
from biosim.synapses import Network
from biosim.wiring.structure import count_columns


@dataclass
class Recorder:
    """Records a network about ``moments`` times over its development.

    Attributes
    ----------
    moments : int
        How many records to make, evenly spaced, the last one at the end.
    sink : callable, optional
        Receives each record as it is made (the run directory appends it to ``metrics.jsonl``).
    watch : callable, optional
        Asked at each record for further numbers of the network, (R,) by name.
    listen : callable, optional
        The same, asked of the network, the activity of the step that was just taken, and the number of steps taken.
    records : list of dict
        ``step``, ``time`` (s), ``u``, and for each replicate ``density``, ``active``,
        ``effective_density``, ``accuracy`` on the samples shown since the last record (before they
        changed anything), ``alive.PROJECTION``, ``rate.POPULATION``, and
        ``neurons.POPULATION``, the share of hidden neurons alive.

    Examples
    --------
    >>> from biosim import ImageDrive, Network, Recorder, load_images, load_rule
    >>> from biosim.develop import develop
    >>> network = Network.layered([64, 10, 10], seeds=[0])
    >>> drive = ImageDrive(load_images("digits", train_size=200), batch=50, epochs=2)
    >>> development = develop(network, drive, load_rule("hebbian-trace"), seeds=[0], recorder=Recorder(moments=4))
    >>> [record["step"] for record in development.history.records]
    [1, 2, 4, 6, 8]
    """

    moments: int = 50
    sink: Callable[[dict[str, Any]], None] | None = None
    watch: Callable[[Network], Mapping[str, Sequence[float] | npt.NDArray[np.float64]]] | None = None
    listen: Callable[[Network, Mapping[str, Tensor], int], Mapping[str, Sequence[float] | npt.NDArray[np.float64]]] | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    _correct: Tensor | None = field(default=None, repr=False)
    _shown: int = field(default=0, repr=False)

    def due(self, step: int, steps: int) -> bool:
        """Whether the step (from 0) ends with a record."""
        return step == 0 or (step + 1) * self.moments // steps > step * self.moments // steps

    def saw(self, correct: Tensor, samples: int) -> None:
        """Take in the number of correct answers of each replicate in one step, (R,) int64; an accelerator is not waited for."""
        self._correct = correct if self._correct is None else self._correct + correct
        self._shown += samples

    def state(self) -> State:
        """Return the records, and what was seen since the last one."""
        return {"records": self.records, "shown": self._shown} | ({} if self._correct is None else {"correct": self._correct.cpu()})

    def restore(self, state: State) -> None:
        """Take records over; they are not handed to ``sink`` again."""
        if not isinstance(state["records"], list):
            raise DamageError("'records' is no list")
        self.records[:] = state["records"]
        self._shown = int(state["shown"])
        self._correct = torch.as_tensor(state["correct"]) if "correct" in state else None

    def record(self, network: Network, step: int, time: float, u: float, activity: Mapping[str, Tensor]) -> dict[str, Any]:
        """Make a record of the network as it is now, after a step with this activity."""
        entry: dict[str, Any] = {"step": step, "time": time, "u": u}
        entry["density"] = network.density().tolist()
        entry["active"] = network.density("active").tolist()
        entry["effective_density"] = effective_density(network, {n: p.active for n, p in network.projections.items()}).tolist()
        if self._correct is not None:
            entry["accuracy"] = (self._correct.cpu().numpy() / self._shown).tolist()
        for name, p in network.projections.items():
            alive, births = (p.share.total(counts.sum(1)) for counts in (count_columns(p.alive), p.fan_in))
            entry[f"alive.{name}"] = (alive / births).tolist()
        for population in list(network.populations.values())[1:-1]:
            entry[f"neurons.{population.name}"] = population.alive.double().mean(1).tolist()
        for name, values in activity.items():  # in double, then rounded: threads would show in the last digits of a sum in single
            entry[f"rate.{name}"] = values.mean((1, 2), dtype=torch.float64).float().tolist()
        further: dict[str, Sequence[float] | npt.NDArray[np.float64]] = {} if self.watch is None else dict(self.watch(network))
        further |= {} if self.listen is None else self.listen(network, activity, step)
        entry |= {name: np.asarray(values, np.float64).tolist() for name, values in further.items()}
        self._correct, self._shown = None, 0
        self.records.append(entry)
        if self.sink is not None:
            self.sink(entry)
        return entry
