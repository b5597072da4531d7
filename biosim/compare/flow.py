"""Do two circuits carry influence from input to class in the same way? Paths and two-path motifs.

With A_p = abs(w_p) * m_p the surviving magnitudes of projection p and g the gains of its target,

    path mass     P_ic = sum over paths i -> ... -> c of the product of abs(w) * g along the path
    signed path   the same with w in place of abs(w): excitation minus inhibition

computed by products A_1 diag(g) A_2 ..., never by listing paths; in a circuit that settles for T steps a path has at
most T - 1 recurrent synapses. ReLU neurons all active would respond with the signed path times the input (path norm:
Neyshabur et al. 2015, https://arxiv.org/abs/1503.00036).

    two-paths     through neuron k: in_s(k) * out_t(k), signs s, t in {+, -}: the four signed motifs i -s-> k -t-> j

Compared by Pearson's correlation of P over all (input, class), and of the four counts over all neurons k of a hidden
population. Undefined, NaN, where no path is left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.compare.group import Floats, Group, Layers, Pairs, correlation, mean_of

MEASURES = ("path_mass", "signed_path", "two_paths")
SIGNS = ("plus-plus", "plus-minus", "minus-plus", "minus-minus")


def path_mass(circuit: Circuit, signed: bool = False) -> Floats:
    """Return the summed weight of all paths from each input to each readout neuron, (C, inputs, classes)."""
    size, order = circuit.populations[0][1], [n for n, _, _ in circuit.populations]
    place = {n: k for k, n in enumerate(order)}
    carry: dict[str, npt.NDArray[Any]] = {}
    for name, _, post in circuit.projections:
        weight = circuit.weight[name] * circuit.mask[name]
        carry[name] = (weight if signed else np.abs(weight)).astype(np.float64) * circuit.gain[post][:, None, :]
    total = np.zeros((circuit.replicates, size, circuit.populations[-1][1]))
    before: dict[str, npt.NDArray[Any]] = {}
    for crossed in range(circuit.steps):  # paths with exactly this many recurrent synapses
        now: dict[str, npt.NDArray[Any]] = {n: np.zeros((circuit.replicates, size, s)) for n, s, _ in circuit.populations[1:]}
        for name in order:
            for projection, pre, post in circuit.projections:
                if post != name:
                    continue
                if pre == order[0]:
                    now[name] += carry[projection] if crossed == 0 else 0
                elif place[pre] < place[post]:
                    now[name] += now[pre] @ carry[projection]
                elif before:
                    now[name] += before[pre] @ carry[projection]
        total += now[order[-1]]
        before = now
        if not any(place[a] >= place[b] for _, a, b in circuit.projections):
            break
    return total


def two_paths(circuit: Circuit) -> dict[str, Floats]:
    """Return signed two-paths through every hidden neuron, (C, 4, size) by population, in the order of ``SIGNS``."""
    found = {}
    for name, size, _ in circuit.populations:
        ins, outs = np.zeros((2, circuit.replicates, 2, size))
        for projection, pre, post in circuit.projections:
            for k, own in enumerate((circuit.weight[projection] > 0, circuit.weight[projection] < 0)):
                kept = own & circuit.mask[projection]
                ins[:, k] += kept.sum(1) if post == name else 0
                outs[:, k] += kept.sum(2) if pre == name else 0
        if name not in (circuit.populations[0][0], circuit.populations[-1][0]):
            found[name] = np.stack([ins[:, s] * outs[:, t] for s in (0, 1) for t in (0, 1)], 1)
    return found


def compare_flow(group: Group, pairs: Pairs) -> Layers:
    """Return correlations of path mass, signed paths and two-paths for pairs of circuits: (P,) each."""
    masses = {"path_mass": path_mass(group.circuit), "signed_path": path_mass(group.circuit, signed=True)}
    found = {name: np.array([correlation(m[a].ravel(), m[b].ravel()) for a, b in pairs]) for name, m in masses.items()}
    motifs = {
        f"two_paths.{n}": np.array([correlation(m[a].ravel(), m[b].ravel()) for a, b in pairs]) for n, m in two_paths(group.circuit).items()
    }
    return found | (mean_of(motifs, "two_paths") if motifs else {})
