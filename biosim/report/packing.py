"""The life of every synapse, packed for a page: the frame in which each forms and is gone, and its weight in 127 steps.

A page shows development in at most 200 frames. Frame k is the network after ``at[k]`` steps, and a synapse that was eliminated
at step d is gone in every frame with ``at[k] > d``: the frames are exact, only moments between two of them are left out.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

FRAMES = 200
LEVELS = 127  # of weights
NEVER = 255  # the frame in which a synapse dies that lives
_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Edges:
    """The births of one projection in one replicate.

    Attributes
    ----------
    pre, post : (n,) integer arrays
        Sorted by ``pre``, then ``post``.
    formed, died : (n,) integer arrays
        Steps: formed at step s it is there once more than s steps were taken, -1 from the start; died -1 while it lives.
    weight : (n,) float array
    births : int
        How many could exist, those that never formed among them.
    """

    pre: _Array
    post: _Array
    formed: _Array
    died: _Array
    weight: _Array
    births: int

    @property
    def scale(self) -> float:
        """The largest magnitude of a weight; 1 where there is none."""
        return float(np.nanmax(np.abs(self.weight), initial=0.0)) or 1.0

    def alive(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return how many are there after ``at`` steps, (frames,)."""
        n = len(at) + 1
        came = np.bincount(frame_of(self.formed, at), minlength=n)[:n]
        went = np.bincount(np.where(self.died == -1, len(at), frame_of(self.died, at)), minlength=n)[:n]
        return np.asarray(np.cumsum(came - went)[: len(at)])

    def among(self, rows: _Array, columns: _Array) -> Edges:
        """Return the synapses between some of the neurons, (n_pre,) and (n_post,) bool; ``births`` stays that of all."""
        kept = rows[self.pre] & columns[self.post]
        return replace(self, **{name: getattr(self, name)[kept] for name in ("pre", "post", "formed", "died", "weight")})


def frames(total: int, most: int = FRAMES) -> npt.NDArray[np.int64]:
    """Return the steps after which a page shows the network, the first 0 and the last ``total``."""
    return np.unique(np.round(np.linspace(0, total, min(total, most) + 1)).astype(np.int64))


def frame_of(step: _Array, at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the first frame that shows what happened at each step (0 for -1)."""
    return np.searchsorted(at, step, side="right") * (step >= 0)


def dense_edges(death: _Array, formed: _Array | None, weight: _Array) -> Edges:
    """Return the edges of (n_pre, n_post) death steps (-1 alive, -2 not born, -3 never formed), steps of forming and weights."""
    pre, post = np.nonzero(death >= -1)
    first = np.full(len(pre), -1) if formed is None else formed[pre, post].astype(np.int64)
    return Edges(pre, post, first, death[pre, post].astype(np.int64), weight[pre, post], int((death != -2).sum()))


def pack(edges: Edges, at: npt.NDArray[np.int64], shape: tuple[int, int], scale: float) -> dict[str, Any]:
    """Return edges as plain data with deflated base64 texts.

    ``died`` and, where synapses formed later, ``formed``: uint8 frames. ``weight``: int8 in units of ``scale``/127; or ``sign``,
    one bit an edge, where all magnitudes are ``scale``. ``rows`` (uint32) and ``post`` (uint32) unless every pair is an edge.
    """
    found: dict[str, Any] = {"edges": len(edges.pre), "births": edges.births, "scale": scale}
    died = np.where(edges.died == -1, NEVER, frame_of(edges.died, at)).astype(np.uint8)
    found["died"] = deflate(died)
    if (edges.formed >= 0).any():
        found["formed"] = deflate(frame_of(edges.formed, at).astype(np.uint8))
    if len(edges.weight) and np.allclose(np.abs(edges.weight), scale, rtol=1e-5):
        found["sign"] = deflate(np.packbits(edges.weight > 0, bitorder="little"))
    else:
        found["weight"] = deflate(np.round(np.nan_to_num(edges.weight) * (LEVELS / scale)).clip(-LEVELS, LEVELS).astype(np.int8))
    if len(edges.pre) < shape[0] * shape[1]:
        found["rows"] = deflate(np.bincount(edges.pre, minlength=shape[0]).astype("<u4"))
        found["post"] = deflate(edges.post.astype("<u4"))
    return found


def deflate(array: _Array) -> str:
    """Return the bytes of an array, deflated, as base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 6)).decode()


def size_of(packed: Mapping[str, Any]) -> int:
    """Return the characters that packed edges take on a page."""
    return sum(len(v) for v in packed.values() if isinstance(v, str))
