"""Whether a pruned linear network still has the modes it was born with, the slow ones above all.

The modes of ``dx/dt = A x`` decay with the eigenvalues of A. Those at birth are the true spectrum; the error of mode k is
``|lambda_k - true_k| / |true_k|``, both sorted from the slowest.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from pydantic import Field

from biosim.develop import Development
from biosim.drives import Drive
from biosim.errors import InputError
from biosim.findings import Findings
from biosim.linear import LinearNetwork, rates
from biosim.synapses import Network
from biosim.theory.drawing import COLOURS, band, legend, panels

METRICS = {
    "error": "mean relative error of the slowest modes' eigenvalues",
    "worst": "relative error of the one that is furthest off",
    "median": "median relative error over all modes",
    "density": "synapses left over synapses born",
    "strength": "summed weight of the synapses left over that of all as born",
}
Floats = npt.NDArray[np.float64]


def linear_network(network: Network) -> LinearNetwork:
    """Return the network as a linear one, or refuse it."""
    if not isinstance(network, LinearNetwork):
        raise InputError("modes are those of a linear network, such as the model clustered-linear", ("name",))
    return network


def check(network: Network, drive: Drive, *, modes: Annotated[int, Field(ge=1)] = 5) -> None:
    """Refuse a network that is not linear, or has fewer modes."""
    neurons = linear_network(network).births.shape[-1]
    if modes > neurons:
        raise InputError(f"the network has {neurons} modes, not {modes}", ("modes",))


def spectrum(weight: npt.NDArray[np.float32], leak: float) -> Floats:
    """Return the eigenvalues of A, (R, N) in 1/s, slowest first."""
    import torch

    return np.asarray(torch.linalg.eigvalsh(rates(torch.from_numpy(weight), leak)).flip(-1))


def measure(development: Development, drive: Drive, *, modes: Annotated[int, Field(ge=1)] = 5) -> Findings:
    """Compare the spectrum after development with the one at birth.

    Parameters
    ----------
    development : Development
        Of a linear network.
    drive : Drive
        Not asked.
    modes : int
        How many of the slowest modes the error is taken over.
    """
    network = linear_network(development.network)
    (name,) = network.projections
    circuit = development.circuit
    births, left = np.asarray(network.births.cpu()), circuit.weight[name] * circuit.mask[name]
    true, found = spectrum(births, network.leak), spectrum(left, network.leak)
    error = np.abs(found - true) / np.abs(true)
    metrics = {
        "error": error[:, :modes].mean(1),
        "worst": error[:, :modes].max(1),
        "median": np.median(error, 1),
        "density": circuit.density(),
        "strength": np.abs(left).sum((1, 2), dtype=np.float64) / np.abs(births).sum((1, 2), dtype=np.float64),
    }
    rows = [
        {"replicate": r, "mode": k + 1, "true": true[r, k], "pruned": found[r, k], "error": error[r, k]}
        for r in range(len(true))
        for k in range(min(4 * modes, true.shape[1]))
    ]
    return Findings({"slow-modes": _draw(true, found, error, modes)}, {"slow-modes": rows}, {n: v.tolist() for n, v in metrics.items()})


def _draw(true: Floats, found: Floats, error: Floats, modes: int) -> Figure:
    figure, grid = panels(2, width=3.6, height=3.1)
    left, right = grid[0]
    ends = [0.8 * -true.max(), 1.3 * -true.min()]
    left.loglog(ends, ends, color="0.6", lw=0.8)
    left.loglog(-true[:, modes:].ravel(), -found[:, modes:].ravel(), ".", color=COLOURS[6], ms=2, alpha=0.5, label="other modes")
    left.loglog(-true[:, :modes].ravel(), -found[:, :modes].ravel(), "o", color=COLOURS[1], ms=4, label=f"{modes} slowest")
    left.set(xlabel="decay rate as born (1/s)", ylabel="decay rate after pruning (1/s)", title=f"Modes (n = {len(true)} replicates)")
    legend(left)
    band(right, np.arange(1, 4 * modes + 1), error[:, : 4 * modes], COLOURS[1], "range over replicates")
    right.set(xlabel="mode, slowest first", ylabel="relative error of the decay rate", title="Error")
    right.set_ylim(bottom=0)
    legend(right)
    return figure
