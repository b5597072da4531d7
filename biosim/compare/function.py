"""What circuits do: accuracy, and how often two of them say the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit


def accuracy(predictions: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the share of (R, n) predictions that equal the (n,) labels, one number a replicate."""
    return np.asarray((predictions == labels).mean(1))


def circuit_accuracy(circuit: Circuit, inputs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the accuracy of each replicate of a circuit."""
    return accuracy(circuit.predict(inputs), labels)


def agreement(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the share of samples on which two (R, n) predictions agree, replicate by replicate."""
    return np.asarray((first == second).mean(1))
