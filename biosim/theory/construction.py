"""The depth-2L construction: a mask on a random network that computes what a given network computes.

A target with layers W_1..W_L (ReLU between them, linear readout) is approximated by keeping synapses of a random network with
2L layers of weights (Malach et al. 2020, https://arxiv.org/abs/2002.00585; by subset sums: Pensia et al. 2020,
https://arxiv.org/abs/2006.07990). Layer W with weights w_io becomes a random layer A of gadget neurons and a random layer V:

    gadget neuron h keeps one input i:                     relu(a_ih x_i)
    output o keeps, of the gadget neurons of i, those that give  sum_h v_ho |a_ih| = +-w_io,  sign of a_ih

because x = relu(x) - relu(-x). Where inputs are rates, x >= 0, neurons with a_ih > 0 are enough.

The tolerance of each layer comes from a bound that holds for *every* input with norm |x|_1 <= B_0. With rho the largest
row sum of abs(W), d the width and tau the largest error of a weight,

    B_l = rho_l B_(l-1),      E_l <= rho_l E_(l-1) + d_l tau_l (B_(l-1) + E_(l-1)),
    output error <= max abs(W_L) E_(L-1) + tau_L (B_(L-1) + E_(L-1))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from biosim.circuit import Circuit
from biosim.errors import BiosimError, InputError
from biosim.synapses import Network, Population, Projection
from biosim.theory.subset_sum import best_subsets

MOST = 40  # gadget neurons of one input and sign
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """One layer of the target, as two random layers and the synapses kept of them.

    Attributes
    ----------
    first, first_mask : (d_in, H)
        Random weights into gadget neurons; each neuron keeps one or none.
    second, second_mask : (H, d_out)
    pool : int
        Gadget neurons of each input and sign.
    error : float
        Largest error of a weight.
    """

    first: _Floats
    first_mask: npt.NDArray[np.bool_]
    second: _Floats
    second_mask: npt.NDArray[np.bool_]
    pool: int
    error: float

    @property
    def born(self) -> int:
        """Synapses of the two random layers."""
        return self.first.size + self.second.size

    @property
    def kept(self) -> int:
        """Synapses kept, those of gadget neurons that lead nowhere left out."""
        return int(self.first_mask[:, self.second_mask.any(1)].sum() + self.second_mask.sum())


def build_layer(weights: npt.ArrayLike, tolerance: float, random: np.random.Generator, *, signed: bool, pool: int | None = None) -> Layer:
    """Return gadgets whose every weight comes within ``tolerance`` of the target's, or as near as ``pool`` gadget neurons come.

    Random weights are uniform, in (-1, 1) for the first layer and in (-s, s) for the second, s twice the largest weight of the
    target, which so lies in the interval of Lueker's theorem. ReLU is homogeneous: any other scale is a factor on the output.
    Gadget neurons are added, one for every input and sign a round, until the last weight is reached; a weight that is reached
    keeps the subset it has.

    Parameters
    ----------
    weights : (d_in, d_out) array
    tolerance : float
    random : Generator
    signed : bool
        Whether inputs may be negative.
    pool : int, optional
        Gadget neurons of each input and sign; as many as the tolerance takes when left out.

    Raises
    ------
    BiosimError
        When 40 gadget neurons an input and sign do not reach the tolerance.
    """
    target = np.asarray(weights, np.float64)
    d_in, d_out = target.shape
    scale = 2 * float(np.abs(target).max())
    slots = [(i, sign) for sign in ((1, -1) if signed else (1,)) for i in range(d_in)]
    wanted = np.array([sign * target[i] for i, sign in slots])  # (slots, d_out)
    columns: list[_Floats] = []
    pools: list[list[int]] = [[] for _ in slots]
    outgoing = np.empty((0, d_out))
    chosen = np.zeros((len(slots), d_out, MOST), np.bool_)
    error = np.full(wanted.shape, np.inf)
    start, most = (max(2, round(np.log2(scale / tolerance))), MOST) if pool is None else (pool, pool)
    for size in range(1, most + 1):
        _recruit(slots, pools, columns, d_in, random)
        outgoing = np.concatenate([outgoing, random.uniform(-scale, scale, (len(columns) - len(outgoing), d_out))])
        if size < start or ((size - start) % 2 and size < most):
            continue
        members = np.array(pools)  # (slots, size)
        sent = np.abs(np.array([[columns[h][i] for h in own] for own, (i, _) in zip(pools, slots, strict=True)]))
        left = np.argwhere(error > tolerance)
        products = outgoing[members[left[:, 0]], left[:, 1:]] * sent[left[:, 0]]
        found = best_subsets(products, wanted[left[:, 0], left[:, 1]])
        chosen[left[:, 0], left[:, 1], :size], error[left[:, 0], left[:, 1]] = found.chosen, found.error
        if error.max() <= tolerance or size == pool:
            return _assembled(columns, outgoing, members, slots, chosen[:, :, :size], float(error.max()))
    raise BiosimError(f"{MOST} gadget neurons an input do not bring every weight within {tolerance:g}: allow a larger error")


def _recruit(
    slots: Sequence[tuple[int, int]], pools: list[list[int]], columns: list[_Floats], d_in: int, random: np.random.Generator
) -> None:
    """Draw neurons until every slot has one more: each goes where its weight has the right sign and is largest; some go nowhere."""
    inputs, signs = np.array(slots).T
    open_ = np.ones(len(slots), np.bool_)
    while open_.any():
        column = random.uniform(-1, 1, d_in)
        fit = np.where(open_, column[inputs] * signs, -1.0)
        best = int(fit.argmax())
        columns.append(column)
        if fit[best] > 0:
            pools[best].append(len(columns) - 1)
            open_[best] = False


def _assembled(
    columns: list[_Floats],
    outgoing: _Floats,
    members: npt.NDArray[np.int64],
    slots: Sequence[tuple[int, int]],
    chosen: npt.NDArray[np.bool_],
    error: float,
) -> Layer:
    first = np.array(columns).T
    first_mask, second_mask = np.zeros(first.shape, np.bool_), np.zeros(outgoing.shape, np.bool_)
    for own, (i, _), kept in zip(members, slots, chosen, strict=True):
        first_mask[i, own] = True
        second_mask[own] = kept.T
    return Layer(first, first_mask, outgoing, second_mask, members.shape[1], error)


def tolerances(layers: Sequence[_Floats], eps: float, reach: float) -> list[float]:
    """Return the largest error of a weight, by layer, that keeps the output within eps for all inputs of norm up to ``reach``."""
    depth, last = len(layers), float(np.abs(layers[-1]).max())
    rho = [float(np.abs(w).sum(1).max()) for w in layers]
    norms = [reach]
    for r in rho[:-1]:
        norms.append(norms[-1] * r)
    share = eps / depth
    found = [share / (last * float(np.prod(rho[k + 1 : -1])) * layers[k].shape[1] * norms[k]) for k in range(depth - 1)]
    found.append(share / norms[-1])
    while certified(layers, found, reach) > eps:  # the products of errors, which the line above leaves out
        found = [0.99 * t for t in found]
    return found


def certified(layers: Sequence[_Floats], errors: Sequence[float], reach: float) -> float:
    """Return the bound on the output's error, given the largest error of a weight in each layer."""
    norm, off = reach, 0.0
    for w, tau in zip(layers[:-1], errors[:-1], strict=True):
        rho = float(np.abs(w).sum(1).max())
        norm, off = rho * norm, rho * off + w.shape[1] * tau * (norm + off)
    return float(np.abs(layers[-1]).max()) * off + errors[-1] * (norm + off)


@dataclass(frozen=True)
class Construction:
    """The masked random network, and what it took.

    Attributes
    ----------
    circuit : Circuit
        One replicate, 2L layers of weights as born, a mask on them.
    layers : tuple of Layer
    bound : float
        No input of norm up to ``reach`` has a larger error.
    """

    circuit: Circuit
    layers: tuple[Layer, ...]
    bound: float

    @property
    def born(self) -> int:
        """Synapses of the random network."""
        return sum(layer.born for layer in self.layers)

    @property
    def kept(self) -> int:
        """Synapses of the mask."""
        return sum(layer.kept for layer in self.layers)


def construct(layers: Sequence[npt.ArrayLike], eps: float, reach: float, random: np.random.Generator) -> Construction:
    """Find, by subset sums, the mask on a random network of depth 2L that computes a target of depth L within eps.

    Parameters
    ----------
    layers : sequence of (d_in, d_out) arrays
        Of the target, ReLU between them.
    eps : float
        Largest error of an output.
    reach : float
        Largest sum of absolute inputs for which it is guaranteed.
    random : Generator
        Draws the random network.

    Raises
    ------
    InputError
        On layers that do not follow one another, a layer of zeros, and an error or a reach that is not positive.
    BiosimError
        When 40 gadget neurons an input and sign do not reach the error.
    """
    if not (eps > 0 and reach > 0):
        raise InputError(f"the largest error and the reach must be positive, not {eps} and {reach}", ("eps",))
    target = _target(layers)
    made = tuple(
        build_layer(w, tau, random, signed=k == 0) for k, (w, tau) in enumerate(zip(target, tolerances(target, eps, reach), strict=True))
    )
    bound = certified(target, [layer.error for layer in made], reach)
    return Construction(_circuit(made), made, bound)


def construct_with(layers: Sequence[npt.ArrayLike], pool: int, random: np.random.Generator) -> Construction:
    """Find the best mask that ``pool`` gadget neurons of each input and sign allow; no error is guaranteed, so the bound is infinite.

    Layers after the first, which have few inputs here, get twice the pool: one unlucky weight of theirs would spoil all.
    """
    if not 1 <= pool <= MOST:
        raise InputError(f"a pool holds between 1 and {MOST} gadget neurons, not {pool}", ("pool",))
    target = _target(layers)
    made = tuple(build_layer(w, 0.0, random, signed=k == 0, pool=pool if k == 0 else min(2 * pool, MOST)) for k, w in enumerate(target))
    return Construction(_circuit(made), made, np.inf)


def _target(layers: Sequence[npt.ArrayLike]) -> list[_Floats]:
    found = [np.asarray(w, np.float64) for w in layers]
    if not found or any(w.ndim != 2 for w in found) or any(a.shape[1] != b.shape[0] for a, b in pairwise(found)):
        raise InputError("a target is layers of (d_in, d_out) weights, each with an input for every output of the one before")
    if not all(np.isfinite(w).all() and w.any() for w in found):
        raise InputError("the weights of a target must be finite, and not all zero in any layer")
    return found


def _circuit(layers: Sequence[Layer]) -> Circuit:
    sizes, weights, masks = [layers[0].first.shape[0]], [], []
    for layer in layers:
        sizes += [layer.first.shape[1], layer.second.shape[1]]
        weights += [layer.first, layer.second]
        masks += [layer.first_mask, layer.second_mask]
    names = ["input", *(f"hidden{k}" for k in range(1, len(sizes) - 1)), "output"]
    populations = [
        Population(n, s, "linear" if k in (0, len(sizes) - 1) else "relu") for k, (n, s) in enumerate(zip(names, sizes, strict=True))
    ]
    projections = []
    for k, weight in enumerate(weights):
        drawn = torch.from_numpy(weight.astype(np.float32)[None])
        projections.append(
            Projection(f"{names[k]}-{names[k + 1]}", populations[k], populations[k + 1], drawn, torch.ones_like(drawn).bool())
        )
    network = Network(populations, projections)
    mask = {p.name: torch.from_numpy(m[None]) for p, m in zip(projections, masks, strict=True)}
    return Circuit.of(network, {"construction": "subset sums"}, mask)
