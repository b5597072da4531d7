"""What is left of a spiking network's synapses, with every birth edge and when it died."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.errors import InputError
from biosim.spiking.births import Births
from biosim.spiking.network import Network
from biosim.spiking.simulation import Simulation

ALIVE = -1


@dataclass(frozen=True)
class Wiring:
    """The synapses of one projection in one replicate, one entry a birth edge.

    Attributes
    ----------
    pre, post : (n,) integer arrays
    birth_weight, weight : (n,) float arrays
        At birth, and at the end; NaN for the dead.
    death_step : (n,) int32
        Step of the simulation at which it was eliminated, -1 while it lives.
    """

    pre: npt.NDArray[Any]
    post: npt.NDArray[Any]
    birth_weight: npt.NDArray[Any]
    weight: npt.NDArray[Any]
    death_step: npt.NDArray[np.int32]

    @property
    def alive(self) -> npt.NDArray[np.bool_]:
        """Which synapses live, (n,)."""
        alive: npt.NDArray[np.bool_] = self.death_step == ALIVE
        return alive


@dataclass(frozen=True)
class SpikingCircuit:
    """A spiking network's survivors.

    Attributes
    ----------
    populations : mapping of (int, str)
        Size and sign by name.
    projections : mapping of (str, str, float)
        Pre- and postsynaptic population and scale by name.
    wiring : mapping of tuple of Wiring
        By projection, one for each replicate.
    dt : float
        Seconds a step.
    plastic : tuple of str
        Projections that a rule governed.
    """

    populations: Mapping[str, tuple[int, str]]
    projections: Mapping[str, tuple[str, str, float]]
    wiring: Mapping[str, tuple[Wiring, ...]]
    dt: float
    plastic: tuple[str, ...]

    @classmethod
    def of(cls, simulation: Simulation, plastic: Sequence[str]) -> SpikingCircuit:
        """Take the survivors of a simulation as it stands; ``plastic`` names the projections that a rule governed."""
        network: Network = simulation.network
        populations = {p.name: (p.size, str(p.sign)) for p in network.populations}
        projections = {p.name: (p.pre, p.post, float(p.scale)) for p in network.projections}
        wiring = {p.name: tuple(_wiring(simulation, p.name, r) for r in range(len(simulation.seeds))) for p in network.projections}
        return cls(populations, projections, wiring, network.dt, tuple(plastic))

    @property
    def replicates(self) -> int:
        """Number of replicates."""
        return len(next(iter(self.wiring.values())))

    def density(self, projection: str | None = None) -> npt.NDArray[np.float64]:
        """Return synapses alive over synapses born, (R,): of one projection, or of all that a rule governed."""
        names = self.plastic if projection is None else (projection,)
        alive, born = np.zeros(self.replicates), np.zeros(self.replicates)
        for name in names:
            if name not in self.wiring:
                raise InputError(f"there is no projection '{name}'; there are: {', '.join(self.wiring)}")
            alive += [w.alive.sum() for w in self.wiring[name]]
            born += [len(w.alive) for w in self.wiring[name]]
        return alive / born

    def network(self, born: Network) -> Network:
        """Return the network that was born with the survivors alone, at the weights they have now."""
        left = []
        for p in born.projections:
            own = self.wiring[p.name]
            edges = [(w.pre[w.alive], w.post[w.alive], w.weight[w.alive]) for w in own]
            left.append(replace(p, births=Births.from_edges(p.births.n_pre, p.births.n_post, edges)))
        return replace(born, projections=left)

    def to_networkx(self, replicate: int = 0) -> Any:
        """Return the surviving network as a networkx ``DiGraph``: nodes ``(population, neuron)``, edges with ``weight`` (signed)."""
        import networkx

        graph = networkx.DiGraph()
        for name, (size, sign) in self.populations.items():
            graph.add_nodes_from(((name, i) for i in range(size)), population=name, sign=sign)
        for name, (pre, post, scale) in self.projections.items():
            own = self.wiring[name][replicate]
            at = np.flatnonzero(own.alive)
            edges = zip(own.pre[at].tolist(), own.post[at].tolist(), (scale * own.weight[at]).tolist(), strict=True)
            graph.add_edges_from((((pre, i), (post, j), {"weight": w, "projection": name}) for i, j, w in edges))
        return graph

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return every array by name: ``PROJECTION.REPLICATE.pre`` and so on."""
        found: dict[str, npt.NDArray[Any]] = {}
        for name, replicates in self.wiring.items():
            for r, own in enumerate(replicates):
                for what in ("pre", "post", "birth_weight", "weight", "death_step"):
                    found[f"{name}.{r}.{what}"] = np.ascontiguousarray(getattr(own, what))
        return found

    def about(self) -> dict[str, Any]:
        """Return what is not in :meth:`tensors`, as plain data."""
        return {
            "populations": {n: list(v) for n, v in self.populations.items()},
            "projections": {n: list(v) for n, v in self.projections.items()},
            "dt": self.dt,
            "plastic": list(self.plastic),
            "replicates": self.replicates,
        }

    @classmethod
    def read(cls, about: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> SpikingCircuit:
        """Put together again what :meth:`about` and :meth:`tensors` took apart.

        Raises
        ------
        InputError
            When the arrays do not fit together.
        """
        populations = {str(n): (int(size), str(sign)) for n, (size, sign) in about["populations"].items()}
        projections = {str(n): (str(a), str(b), float(s)) for n, (a, b, s) in about["projections"].items()}
        wiring = {}
        for name, (pre, post, _) in projections.items():
            own = []
            for r in range(int(about["replicates"])):
                parts = [tensors[f"{name}.{r}.{what}"] for what in ("pre", "post", "birth_weight", "weight", "death_step")]
                if len({p.shape for p in parts}) != 1 or parts[0].ndim != 1:
                    raise InputError(f"the arrays of projection '{name}' do not have the same length")
                for index, population in ((parts[0], pre), (parts[1], post)):
                    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < populations[population][0]:
                        raise InputError(f"projection '{name}' names a neuron that population '{population}' does not have")
                own.append(Wiring(*parts))
            wiring[name] = tuple(own)
        return cls(populations, projections, wiring, float(about["dt"]), tuple(str(n) for n in about["plastic"]))


def _wiring(simulation: Simulation, name: str, r: int) -> Wiring:
    births = simulation.network.projection(name).births
    pre, post, weight = births.edges(r)
    left = simulation.weights(name, r)
    now = np.full(len(pre), np.nan, left.dtype)
    now[simulation.birth_edges(name, r)] = left
    small = births.targets[r].dtype
    sources = pre.astype(np.uint16 if births.n_pre <= 1 << 16 else np.uint32)
    return Wiring(sources, post.astype(small), np.asarray(weight, left.dtype), now, simulation.death_steps(name, r).astype(np.int32))
