"""Where ``teach_post`` and ``reward`` come from: the readout's error and the wiring that carries it.

The readout is a softmax over the output population; its error ``target - softmax(output)`` reaches
each output neuron as its own teaching signal. Hidden neurons get theirs through feedback
projections, each neuron gating what arrives by its own slope:

    teach_i = slope_i * sum_j B_ji teach_j

What fills B decides the locality level, and only that: ``random`` draws it independently of the
forward weights (Lillicrap et al. 2016, https://doi.org/10.1038/ncomms13276), ``direct`` does so from
the readout straight to every hidden population (Nokland 2016, https://arxiv.org/abs/1609.01596),
``reciprocal`` copies the forward weights at birth. Any other kind names a rule with the role ``feedback``
(``weight-mirror``, ``kolen-pollack``, or a file of your own): the wiring is drawn as for ``random`` and then
follows those equations (:mod:`biosim.nursery.feedback_learning`).

Recurrent projections have no feedback of their own: a recurrent population is taught by what comes back
along its forward projections (or straight from the readout), and nothing is carried back through the
steps in which it settled.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from biosim.births import draw_weights
from biosim.errors import InputError
from biosim.rules.feedback_kinds import feedback_level, feedback_rule
from biosim.substrates.activation import slope
from biosim.synapses import Network, Projection
from biosim.tiles import matmul


class Feedback:
    """Feedback projections of one network.

    Parameters
    ----------
    network : Network
        Only its diagram is read, and its birth weights when ``kind`` is ``reciprocal``.
    kind : str
        ``random``, ``direct``, ``reciprocal``, or the name or path of a rule with the role ``feedback``.
    seeds : tuple of int
        One a replicate; the wiring draws from streams of its own.

    Examples
    --------
    >>> from biosim import Feedback, Network
    >>> network = Network.layered([64, 20, 10], seeds=[0])
    >>> Feedback(network, "direct", (0,)).level.name
    'broadcast'
    >>> Feedback(network, "reciprocal", (0,)).level.name
    'transport'
    """

    def __init__(self, network: Network, kind: str, seeds: tuple[int, ...]) -> None:
        self.level = feedback_level(kind)
        self.kind, self.network, self.rule = kind, network, feedback_rule(kind)
        names = list(network.populations)
        self.hidden, self.readout = names[1:-1], names[-1]
        self.wiring = self._wire(seeds)

    def _wire(self, seeds: tuple[int, ...]) -> dict[tuple[str, str], Tensor]:
        """Return (R, n_source, n_target) matrices by (source, target) population; of the target, the neurons that are here."""
        wiring = {}
        device = self.network.device
        for name in self.hidden:
            population = self.network.populations[name]
            own = population.share.columns
            if self.kind == "direct":
                size, stream = self.network.populations[self.readout].size, f"feedback/{self.readout}-{name}"
                drawn, _ = draw_weights(seeds, stream, size, population.size, scale=(size / 2) ** 0.5, columns=own)
                wiring[self.readout, name] = torch.from_numpy(drawn).to(device)
                continue
            forward = [p for p in self.network.outgoing(name) if not p.recurrent]
            if not forward:
                raise InputError(
                    f"population '{name}' has no forward projection for feedback to come back along; use direct", ("feedback",)
                )
            for projection in forward:
                source = projection.post.name
                if self.kind == "reciprocal":
                    wiring[source, name] = _outgoing(projection).transpose(1, 2).clone()
                else:
                    size = projection.post.size
                    scale = (size / population.size) ** 0.5  # the size a copy of the forward weights would have
                    drawn, _ = draw_weights(seeds, f"feedback/{source}-{name}", size, population.size, scale=scale, columns=own)
                    wiring[source, name] = torch.from_numpy(drawn).to(device)
        return wiring

    def carry(self, error: Tensor, activity: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the teaching signal of every population but the input, (R, S, size) each."""
        arrived = {self.readout: error}
        for name in reversed(self.hidden):
            total: Tensor | None = None
            for (source, target), matrix in self.wiring.items():
                if target == name:
                    part = matmul(arrived[source], matrix)
                    total = part if total is None else total + part
            assert total is not None
            total = self.network.populations[name].share.whole(total)
            gate = slope(activity[name], self.network.populations[name].activation)
            arrived[name] = total if gate is None else total * gate
        return arrived


def _outgoing(projection: Projection) -> Tensor:
    """Return the birth weights of the synapses that leave the presynaptic neurons that are here, (R, own, post.size)."""
    share, kept = projection.pre.share, projection.weight
    for rank in range(share.team.size):  # processes ask together: each block of rows is gathered, and one of them keeps it
        rows = projection.share.whole(projection.weight[:, share.block(rank)])
        kept = rows if rank == share.team.rank else kept
    return kept


def readout_error(output: Tensor, labels: Tensor) -> Tensor:
    """Return ``onehot(labels) - softmax(output)``, (R, S, classes)."""
    error = -torch.softmax(output, -1)
    error.scatter_add_(2, labels.unsqueeze(-1), torch.ones_like(error[..., :1]))
    return error


def reward(output: Tensor, labels: Tensor) -> Tensor:
    """Return 1 for a sample that the readout classifies correctly, else 0, (R, S)."""
    return (output.argmax(-1) == labels).to(output.dtype)
