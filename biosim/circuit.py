"""The frozen survivor of a development, or of a scorer: mask over birth edges, weights, provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biosim.drives.encoding import encode
from biosim.effective import effective_density
from biosim.errors import InputError
from biosim.lif import SpikingDynamics
from biosim.streams import generator
from biosim.substrates.rate import propagate
from biosim.synapses import Network, Population, Projection

if TYPE_CHECKING:
    import networkx

BATCH = 2048  # images evaluated at a time
_NONE = np.empty(0)


@dataclass(frozen=True)
class Circuit:
    """A circuit of R replicates.

    Attributes
    ----------
    populations : tuple of (name, size, activation)
        In the order activity travels.
    projections : tuple of (name, pre, post)
    mask, born : mapping
        (R, n_pre, n_post) bool by projection: synapses left, synapses born.
    weight : mapping
        (R, n_pre, n_post) float32 by projection, of all birth edges.
    gain : mapping
        (R, size) float32 by population.
    provenance : mapping
        Where it came from: rule or scorer, locality, seeds.
    steps : int
        Settling steps for each sample.
    leak : mapping
        Leak of each population; one that is missing has leak 1.
    spiking : SpikingDynamics, optional
        Of a circuit of spiking neurons, with how it is shown images.
    substrate : str, optional
        The substrate that ran it, where that is neither of rate neurons nor of spiking ones; ``dynamics`` are its arguments.

    Examples
    --------
    >>> from biosim import ImageDrive, Network, load_images, load_scorer, prune
    >>> drive = ImageDrive(load_images("digits", train_size=200), batch=50, epochs=1)
    >>> circuit = prune("random", load_scorer("random"), Network.layered([64, 20, 10], seeds=[0]), drive, 0.5, (0,))
    >>> circuit.mask["hidden1-output"].sum((1, 2))
    array([100])
    >>> circuit.density()
    array([0.5])
    >>> circuit.predict(drive.images.test).shape
    (1, 355)
    >>> circuit.to_networkx(replicate=0).number_of_edges()
    740
    """

    populations: tuple[tuple[str, int, str], ...]
    projections: tuple[tuple[str, str, str], ...]
    mask: Mapping[str, npt.NDArray[np.bool_]]
    born: Mapping[str, npt.NDArray[np.bool_]]
    weight: Mapping[str, npt.NDArray[np.float32]]
    gain: Mapping[str, npt.NDArray[np.float32]]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 1
    leak: Mapping[str, float] = field(default_factory=dict)
    spiking: SpikingDynamics | None = None
    substrate: str | None = None
    dynamics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.substrate is None and self.steps < (2 if self._loops else 1):
            raise InputError(f"a circuit {'with loops ' * self._loops}cannot settle in {self.steps} steps", ("steps",))
        if not set(self.leak) <= {n for n, _, _ in self.populations} or not all(0 < a <= 1 for a in self.leak.values()):
            raise InputError(f"leak gives populations of the circuit a number in (0, 1], not {dict(self.leak)}", ("leak",))
        sizes, arrays = {n: s for n, s, _ in self.populations}, (self.mask, self.born, self.weight)
        for name, pre, post in self.projections:
            mask, born, weight = (array.get(name, _NONE) for array in arrays)
            shape = (self.replicates, sizes.get(pre, 0), sizes.get(post, 0))
            if not mask.shape == born.shape == weight.shape == shape or mask.dtype != bool or born.dtype != bool:
                found = ", ".join(f"{a.dtype} {a.shape}" for a in (mask, born, weight))
                raise InputError(f"mask and births (bool) and weights of '{name}' have the shape {shape}, not {found}", (name,))
            if (mask > born).any():
                raise InputError(f"{int((mask > born).sum())} synapses of '{name}' are left that were never born", (name,))

    @classmethod
    def of(
        cls,
        network: Network,
        provenance: Mapping[str, Any],
        mask: Mapping[str, Tensor] | None = None,
        gain: Mapping[str, Tensor] | None = None,
        weight: Mapping[str, Tensor] | None = None,
        born: Mapping[str, Tensor] | None = None,
    ) -> Circuit:
        """Freeze a network, with its live synapses, births and weights unless other masks (gains, weights, births) are given."""
        own = {n: p.alive for n, p in network.projections.items()} if mask is None else mask
        gains = {n: p.gain for n, p in network.populations.items()} if gain is None else gain
        births = {n: p.born for n, p in network.projections.items()} if born is None else born
        weights = {n: p.weight for n, p in network.projections.items()} if weight is None else weight

        def copy(tensor: Tensor) -> npt.NDArray[Any]:
            return np.array(tensor.detach().cpu().numpy())

        return cls(
            tuple((p.name, p.size, p.activation) for p in network.populations.values()),
            tuple((p.name, p.pre.name, p.post.name) for p in network.projections.values()),
            {n: copy(m) for n, m in own.items()},
            {n: copy(b) for n, b in births.items()},
            {n: copy(w) for n, w in weights.items()},
            {n: copy(g) for n, g in gains.items()},
            dict(provenance),
            network.steps,
            {n: p.leak for n, p in network.populations.items() if p.leak < 1},
            network.spiking,
            network.substrate,
            dict(network.dynamics),
        )

    @property
    def _loops(self) -> bool:
        place = {name: k for k, (name, _, _) in enumerate(self.populations)}
        return any(place[pre] >= place[post] for _, pre, post in self.projections)

    @property
    def settles(self) -> bool:
        """Whether activity unfolds over settling steps (loops or leaky neurons)."""
        return self.substrate is None and (self._loops or any(a < 1 for a in self.leak.values()))

    @property
    def replicates(self) -> int:
        """Number of replicates."""
        return int(next(iter(self.mask.values())).shape[0])

    @cached_property
    def network(self) -> Network:
        """A network with these synapses alive, to run or to develop further."""
        populations = {n: Population(n, s, a, leak=self.leak.get(n, 1.0)) for n, s, a in self.populations}  # type: ignore[arg-type]
        projections = []
        for name, pre, post in self.projections:
            weight, born = torch.from_numpy(self.weight[name].copy()), torch.from_numpy(self.born[name].copy())
            projection = Projection(name, populations[pre], populations[post], weight, born)
            projection.eliminate(torch.from_numpy(~self.mask[name]), 0)
            projections.append(projection)
        network = Network(list(populations.values()), projections, self.steps, self.spiking, self.substrate, self.dynamics)
        for name, population in network.populations.items():
            population.gain = torch.from_numpy(self.gain[name].copy())
        return network

    def activity(self, inputs: npt.NDArray[np.float32] | Tensor, only: Sequence[str] | None = None) -> dict[str, npt.NDArray[np.float32]]:
        """Return what the neurons of each population (or of those in ``only``) do: (R, n, size) for (n, inputs) samples.

        A spiking circuit encodes images itself, the same ones into the same spikes every time.
        """
        if self.substrate is not None:
            raise InputError(f"the circuit runs on the substrate '{self.substrate}': ask substrate_of(circuit.network)")
        network, values = self.network, torch.as_tensor(inputs)
        effective = {n: p.effective for n, p in network.projections.items()}
        gains = {n: p.gain for n, p in network.populations.items()}
        wanted = [n for n, _, _ in self.populations] if only is None else only
        parts: dict[str, list[Tensor]] = {n: [] for n in wanted}
        with torch.inference_mode():
            for shown in self._shown(values):
                found = propagate(network, effective, gains, shown)
                for name, own in parts.items():
                    own.append(found[name])
        return {n: np.asarray(torch.cat(own, 1)) for n, own in parts.items()}

    def respond(self, inputs: npt.NDArray[np.float32] | Tensor) -> npt.NDArray[np.float32]:
        """Return the readout's output for (n, inputs) samples: (R, n, outputs)."""
        readout = self.populations[-1][0]
        return self.activity(inputs, (readout,))[readout]

    def _shown(self, values: Tensor) -> Iterator[Tensor]:
        """Yield (1, S, ...) batches of what the network is shown."""
        random = [generator(0, "images/spikes/judged")]
        batch = BATCH if self.spiking is None else max(1, BATCH // self.spiking.encoding.steps)
        for start in range(0, len(values), batch):
            part = values[start : start + batch].unsqueeze(0)
            yield part if self.spiking is None else encode(part, self.spiking.encoding, random)

    def predict(self, inputs: npt.NDArray[np.float32] | Tensor) -> npt.NDArray[np.int64]:
        """Return the predicted class of (n, inputs) samples: (R, n)."""
        return np.asarray(self.respond(inputs).argmax(-1))

    def density(self) -> npt.NDArray[np.float64]:
        """Return synapses left over synapses born, one number a replicate."""
        kept = sum(m.sum((1, 2)) for m in self.mask.values())
        return np.asarray(kept / self.births())

    def births(self) -> npt.NDArray[np.int64]:
        """Return synapses born, one number a replicate."""
        return np.asarray(sum(b.sum((1, 2)) for b in self.born.values()))

    def effective_density(self) -> npt.NDArray[np.float64]:
        """Return synapses on an input-to-output path over synapses born, one number a replicate."""
        return effective_density(self.network, {n: torch.from_numpy(m) for n, m in self.mask.items()})

    def neurons(self) -> npt.NDArray[np.float64]:
        """Return the share of hidden neurons that have inputs and outputs left, one number a replicate (1 without hidden ones)."""
        hidden = [(name, size) for name, size, _ in self.populations[1:-1]]
        if not hidden:
            return np.ones(self.replicates)
        living = np.zeros(self.replicates)
        for name, size in hidden:
            reached, leads = np.zeros((2, self.replicates, size), np.bool_)
            for projection, pre, post in self.projections:
                reached |= self.mask[projection].any(1) if post == name else False
                leads |= self.mask[projection].any(2) if pre == name else False
            living += (reached & leads).sum(1)
        return np.asarray(living / sum(size for _, size in hidden))

    def to_networkx(self, replicate: int = 0) -> networkx.DiGraph[Any]:
        """Return one replicate as a directed graph.

        Nodes are ``(population, index)`` with attributes ``population`` and ``gain``; edges are the
        surviving synapses with attributes ``weight`` and ``projection``. The graph of a circuit that
        settles has the attributes ``steps`` and ``leak`` (by population), that of a spiking one ``spiking``.
        """
        import networkx as nx

        settling = {"steps": self.steps, "leak": {n: self.leak.get(n, 1.0) for n, _, _ in self.populations}}
        spiking = {} if self.spiking is None else {"spiking": self.spiking.data()}
        graph: networkx.DiGraph[Any] = nx.DiGraph(**(settling if self.settles else {}), **spiking)
        for name, size, _ in self.populations:
            gain = self.gain[name][replicate]
            graph.add_nodes_from(((name, i), {"population": name, "gain": float(gain[i])}) for i in range(size))
        for name, pre, post in self.projections:
            weight = self.weight[name][replicate]
            for i, j in np.argwhere(self.mask[name][replicate]).tolist():
                graph.add_edge((pre, i), (post, j), weight=float(weight[i, j]), projection=name)
        return graph
