"""Circuits that tests send and read back."""

from __future__ import annotations

import numpy as np

from biosim.circuit import Circuit

RECORDS = [{"time": 0.0, "step": 0, "density": [1.0, 1.0]}, {"time": 2.5, "step": 1, "density": [0.5, 0.25]}]


def made(replicates: int = 2, loops: bool = False, seed: int = 0) -> Circuit:
    """Return a circuit with sparse births, gains, weights of every size, and (asked for) a loop and a leak."""
    random = np.random.default_rng(seed)
    populations = (("input", 5, "linear"), ("hidden1", 7, "tanh"), ("output", 3, "linear"))
    projections = (("input-hidden1", "input", "hidden1"), ("hidden1-output", "hidden1", "output"))
    projections += (("hidden1-hidden1", "hidden1", "hidden1"),) if loops else ()
    size = {n: k for n, k, _ in populations}
    born = {n: random.random((replicates, size[a], size[b])) < 0.9 for n, a, b in projections}
    weight = {
        n: (b * random.standard_normal(b.shape) * 10.0 ** random.integers(-30, 30, b.shape)).astype(np.float32) for n, b in born.items()
    }
    mask = {n: b & (random.random(b.shape) < 0.5) for n, b in born.items()}
    gain = {n: (random.random((replicates, k)) + 0.5).astype(np.float32) for n, k, _ in populations}
    about = {"rule": "three-factor", "locality": "broadcast", "seeds": [3, 4]}
    return Circuit(populations, projections, mask, born, weight, gain, about, 3 if loops else 1, {"hidden1": 0.5} if loops else {})


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def living(circuit: Circuit, name: str) -> np.ndarray:
    return np.where(circuit.mask[name], circuit.weight[name], np.float32(0))


def connectome(n: int = 30) -> np.ndarray:
    random = np.random.default_rng(5)
    return np.where(random.random((n, n)) < 0.2, random.integers(1, 40, (n, n)), 0).astype(np.float64)
