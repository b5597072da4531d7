"""Eigenvalues, slow modes, and how many dimensions a weight matrix has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse.linalg

from biosim.errors import InputError, UndefinedError
from biosim.graphs.graph import Graph, Numbers
from biosim.graphs.paths import components

Values = npt.NDArray[np.complex128]

WHOLE_UP_TO = 600  # nodes of a component whose eigenvalues are all found; of a larger one the leading ones


def eigenvalues(graph: Graph) -> Values:
    """Return all eigenvalues of the signed weight matrix, largest magnitude first.

    A matrix ordered by its strongly connected components is block triangular, so its eigenvalues are those of the blocks: exactly
    zero for a neuron on no loop.
    """
    alone, blocks = _blocks(graph)
    values = np.concatenate([alone, *(scipy.linalg.eigvals(block.dense()) for block in blocks)])
    return np.asarray(values[np.lexsort((values.imag, values.real, -np.abs(values)))], np.complex128)


@dataclass(frozen=True)
class LeadingModes:
    """The modes that matter for activity on the graph.

    Attributes
    ----------
    radius : float
        Largest magnitude of an eigenvalue.
    abscissa : float
        Largest real part of an eigenvalue.
    slowest : ndarray
        (modes,) time constants of the slowest modes of ``tau dx/dt = -x + W^T x``, in units of tau: ``1 / (1 - Re lambda)``;
        infinity for a mode that does not decay (``Re lambda >= 1``).
    """

    radius: float
    abscissa: float
    slowest: Numbers


def leading_modes(graph: Graph, modes: int = 6, gain: float = 1.0) -> LeadingModes:
    """Return spectral radius, spectral abscissa and the slowest modes of the signed weight matrix times ``gain``.

    Components of more than 600 nodes give their leading eigenvalues alone (ARPACK, fixed start), others all of them.

    Raises
    ------
    UndefinedError
        When there are no nodes.
    InputError
        When the gain is not positive.
    """
    if not graph.nodes:
        raise UndefinedError("a spectrum is not defined without nodes")
    if gain <= 0:
        raise InputError(f"a gain is a positive number, not {gain}")
    alone, blocks = _blocks(graph)
    largest, rightmost = [alone], [alone]
    for block in blocks:
        whole = np.asarray(scipy.linalg.eigvals(block.dense()), np.complex128) if block.nodes <= WHOLE_UP_TO else None
        largest.append(_leading(block, "LM", 1) if whole is None else whole)
        rightmost.append(_leading(block, "LR", modes) if whole is None else whole)
    real = gain * np.sort(np.concatenate(rightmost).real)[::-1][:modes]
    slowest = np.divide(1.0, 1.0 - real, out=np.full(real.size, np.inf), where=real < 1)
    return LeadingModes(gain * float(np.abs(np.concatenate(largest)).max()), float(real[0]), slowest)


def _blocks(graph: Graph) -> tuple[Values, list[Graph]]:
    """Return the eigenvalues of the components of one node (their self-loops), and the larger components."""
    label = components(graph)
    size = np.bincount(label, minlength=1)
    loop = np.zeros(graph.nodes, np.complex128)
    own = graph.source == graph.target
    loop[graph.source[own]] = graph.weight[own]
    return loop[size[label] == 1], [graph.select(label == c) for c in np.flatnonzero(size > 1)]


def _leading(block: Graph, which: str, modes: int) -> Values:
    start = np.random.default_rng(0).standard_normal(block.nodes)
    try:
        found = scipy.sparse.linalg.eigs(block.matrix(), modes, which=which, ncv=60, v0=start, return_eigenvectors=False)
        return np.asarray(found, np.complex128)
    except scipy.sparse.linalg.ArpackNoConvergence:  # eigenvalues too close together: find them all
        return np.asarray(scipy.linalg.eigvals(block.dense()), np.complex128)


@dataclass(frozen=True)
class Dimensions:
    """How many dimensions a matrix maps into; s are its singular values.

    Attributes
    ----------
    effective_rank : float
        ``exp(-sum p log p)``, ``p = s / sum s`` (Roy & Vetterli 2007): the rank, if all s are equal.
    participation_ratio : float
        ``(sum s^2)^2 / sum s^4``: effective number of squared singular values.
    stable_rank : float
        ``sum s^2 / max s^2``.
    """

    effective_rank: float
    participation_ratio: float
    stable_rank: float


def dimensions(matrix: npt.ArrayLike) -> Dimensions:
    """Return the effective dimensions of a (n_pre, n_post) signed weight matrix.

    Raises
    ------
    InputError
        When it is not a matrix of finite numbers.
    UndefinedError
        When every weight is 0.
    """
    values = np.asarray(matrix, np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise InputError(f"dimensions are those of a matrix of finite numbers, not of shape {values.shape} with NaN or infinity")
    values = values[(values != 0).any(1)][:, (values != 0).any(0)]  # empty rows and columns add only singular values 0
    if not values.size:
        raise UndefinedError("the dimensions of a matrix without weights are not defined")
    s = np.asarray(scipy.linalg.svdvals(values / np.abs(values).max()))
    share = s[s > 0] / s.sum()
    power = s**2
    return Dimensions(
        float(np.exp(-(share * np.log(share)).sum())), float(power.sum() ** 2 / (power**2).sum()), float(power.sum() / power.max())
    )
