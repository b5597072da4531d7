"""The loss of many masks on one fixed batch: common random numbers for searches without gradients.

All candidates are judged on the same samples, so a difference of losses is a difference of masks. Activity
is cached; a change is followed only through the populations it reaches:

    dz_j = g_j * sum_i (w_ij dy_i + dw_ij (y_i + dy_i)),    dy_j = phi(z_j + dz_j) - phi(z_j)

where dy is kept as a few columns until it meets a projection that spreads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biosim.drives.base import Drive
from biosim.errors import UndefinedError
from biosim.scorers.descent import labelled
from biosim.substrates.activation import activate
from biosim.synapses import Network
from biosim.tiles import matmul


@dataclass(frozen=True)
class Edit:
    """One synapse of each candidate whose effective weight changes.

    Attributes
    ----------
    projection : str
    pre, post : Tensor
        (R, P) int64, one edge a candidate.
    change : Tensor
        (R, P), what is added to its effective weight.
    """

    projection: str
    pre: Tensor
    post: Tensor
    change: Tensor


@dataclass(frozen=True)
class Column:
    """One neuron of each candidate whose activity changes: (R, P) neuron, (R, P, S) change."""

    neuron: Tensor
    change: Tensor


def first_samples(drive: Drive, seeds: tuple[int, ...], device: torch.device, samples: int) -> tuple[Tensor, Tensor]:
    """Return the first ``samples`` a drive shows each replicate, (R, S, n), and their labels, (R, S)."""
    inputs, labels, have = [], [], 0
    for shown, right in labelled(drive, seeds, device, "a search"):
        inputs.append(shown)
        labels.append(right)
        have += shown.shape[1]
        if have >= samples:
            break
    return torch.cat(inputs, 1)[:, :samples], torch.cat(labels, 1)[:, :samples]


class FixedBatch:
    """Mean cross-entropy of circuits on one batch a replicate.

    Parameters
    ----------
    network : Network
        Its wiring diagram and activations; weights come with :meth:`load`.
    gains : mapping
        (R, size) by population.
    inputs, labels : Tensor
        (R, S, n_input) and (R, S).
    """

    def __init__(self, network: Network, gains: Mapping[str, Tensor], inputs: Tensor, labels: Tensor) -> None:
        if network.spiking is not None:
            raise UndefinedError("this search follows changes of rates through a network, and this network spikes")
        if network.settles:
            raise UndefinedError("this search runs feedforward networks only, and this one has loops or leaky neurons")
        self.network, self.gains, self.labels = network, gains, labels
        self.order = list(network.populations)
        self.activity: dict[str, Tensor] = {self.order[0]: inputs.expand(network.replicates, -1, -1)}
        self.total: dict[str, Tensor] = {}
        self.effective: dict[str, Tensor] = {}
        self.gates: dict[str, Tensor] = {}

    def load(self, effective: Mapping[str, Tensor], gates: Mapping[str, Tensor] | None = None, start: str | None = None) -> Tensor:
        """Take weights (R, n_pre, n_post), and factors (R, size) on activities; return the loss, (R,).

        ``start`` names the first population whose input changed: what lies before it stays cached.
        """
        self.effective, self.gates = dict(effective), dict(gates or {})
        begin = 1 if start is None else self.order.index(start)
        for name in self.order[begin:]:
            parts = [matmul(self.activity[p.pre.name], self.effective[p.name]) for p in self.network.incoming(name)]
            self.total[name] = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
            self.activity[name] = self._respond(name, self.total[name].unsqueeze(1)).squeeze(1)
        return cross_entropy(self.activity[self.order[-1]].unsqueeze(1), self.labels)[:, 0]

    def regate(self, name: str, gate: Tensor) -> Tensor:
        """Change the factors on one hidden population's activity; return the loss, (R,)."""
        self.gates[name] = gate
        self.activity[name] = self.response(name) * gate.unsqueeze(1)
        return self.load(self.effective, self.gates, self.order[self.order.index(name) + 1])

    def response(self, name: str) -> Tensor:
        """Return what a population would do with no gate on it, (R, S, size)."""
        return activate(self.total[name] * self.gains[name].unsqueeze(1), self.network.populations[name].activation)

    def after(self, edits: Sequence[Edit] = (), switched: Mapping[str, Sequence[Column]] | None = None) -> Tensor:
        """Return the losses (R, P) of P candidates, each the loaded circuit with its own changes.

        Parameters
        ----------
        edits : sequence of Edit
            Synapses that change.
        switched : mapping
            Neurons whose activity changes, by population; their input must not change as well.
        """
        columns: dict[str, list[Column]] = {n: list(c) for n, c in (switched or {}).items()}
        dense: dict[str, Tensor] = {}
        for name in self.order[1:]:
            spread: Tensor | None = None
            direct: list[Column] = []
            for p in self.network.incoming(name):
                arriving = self._spread(p.pre.name, self.effective[p.name], columns, dense)
                if arriving is not None:
                    spread = arriving if spread is None else spread.add_(arriving)
                for edit in edits:
                    if edit.projection == p.name:
                        before = self._activity_of(p.pre.name, edit.pre, columns, dense)
                        direct.append(Column(edit.post, before * edit.change.unsqueeze(-1)))
            last = name == self.order[-1]
            if spread is None and direct and not last:
                columns.setdefault(name, []).extend(self._few(name, direct))
            elif spread is not None or direct:
                if spread is None:
                    spread = self.total[name].new_zeros(*direct[0].change.shape, self.total[name].shape[2])
                for column in direct:
                    where = column.neuron[:, :, None, None].expand(-1, -1, spread.shape[2], 1)
                    spread.scatter_add_(3, where, column.change.unsqueeze(-1))
                dense[name] = self._respond(name, spread.add_(self.total[name].unsqueeze(1)))
                if not last:
                    dense[name].sub_(self.activity[name].unsqueeze(1))
        if self.order[-1] in dense:
            return cross_entropy(dense[self.order[-1]], self.labels)
        candidates = next(iter([e.pre for e in edits] + [c.neuron for own in columns.values() for c in own])).shape[1]
        return cross_entropy(self.activity[self.order[-1]].unsqueeze(1), self.labels).expand(-1, candidates)

    def _spread(self, pre: str, effective: Tensor, columns: Mapping[str, list[Column]], dense: Mapping[str, Tensor]) -> Tensor | None:
        """Return what changes in ``pre`` add to the input of its targets, (R, P, S, n_post)."""
        if pre in dense:
            change = dense[pre]
            return matmul(change.flatten(1, 2), effective).view(*change.shape[:3], effective.shape[2])
        found: Tensor | None = None
        for column in columns.get(pre, ()):
            rows = torch.gather(effective, 1, column.neuron.unsqueeze(-1).expand(-1, -1, effective.shape[2]))
            arriving = column.change.unsqueeze(-1) * rows.unsqueeze(2)
            found = arriving if found is None else found.add_(arriving)
        return found

    def _activity_of(self, name: str, neuron: Tensor, columns: Mapping[str, list[Column]], dense: Mapping[str, Tensor]) -> Tensor:
        """Return the activity of one neuron a candidate, changes so far included, (R, P, S)."""
        value = _pick(self.activity[name], neuron)
        if name in dense:
            where = neuron[:, :, None, None].expand(-1, -1, value.shape[2], 1)
            return value + dense[name].gather(3, where).squeeze(3)
        for column in columns.get(name, ()):
            value = value + column.change * (column.neuron == neuron).unsqueeze(-1)
        return value

    def _few(self, name: str, direct: list[Column]) -> list[Column]:
        """Turn changes of summed input into changes of activity; entries on one neuron are added up first."""
        merged: list[Column] = []
        for column in direct:
            change = column.change
            for i, earlier in enumerate(merged):
                same = (earlier.neuron == column.neuron).unsqueeze(-1)
                merged[i] = Column(earlier.neuron, earlier.change + change * same)
                change = change * ~same
            merged.append(Column(column.neuron, change))
        population, found = self.network.populations[name], []
        for column in merged:
            gain = self.gains[name].gather(1, column.neuron).unsqueeze(-1)
            new = activate((_pick(self.total[name], column.neuron) + column.change) * gain, population.activation)
            if name in self.gates:
                new = new * self.gates[name].gather(1, column.neuron).unsqueeze(-1)
            found.append(Column(column.neuron, new - _pick(self.activity[name], column.neuron)))
        return found

    def _respond(self, name: str, total: Tensor) -> Tensor:
        activity = activate(total * self.gains[name][:, None, None], self.network.populations[name].activation)
        return activity * self.gates[name][:, None, None] if name in self.gates else activity


def _pick(values: Tensor, neuron: Tensor) -> Tensor:
    """Return columns of (R, S, n), one a candidate: (R, P) -> (R, P, S)."""
    return values.transpose(1, 2).gather(1, neuron.unsqueeze(-1).expand(-1, -1, values.shape[1]))


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of (R, P, S, classes) logits against (R, S) labels, (R, P)."""
    right = logits.gather(3, labels[:, None, :, None].expand(-1, logits.shape[1], -1, 1)).squeeze(3)
    return (logits.logsumexp(3) - right).mean(2)
