"""What hidden neurons say of an image: a readout is fitted to their answers, and its accuracy on images never shown taken.

The network develops without labels. Afterwards multinomial logistic regression learns the labels of the training images from the
hidden neurons' states, each image shown once: neurons of two states say yes or no, and those that hardly care say it at random. It
decides nothing about synapses. ``accuracy_graded`` is what a readout of the chances P(h_j = 1 | image) would get, as if every image
could be shown for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.linear_model import LogisticRegression

from biosim.circuit import Circuit
from biosim.develop import Development
from biosim.errors import InputError
from biosim.findings import Findings
from biosim.streams import generator
from biosim.synapses import Network

METRICS = {
    "accuracy": "share of test images that a logistic readout of the hidden neurons' states gets right",
    "accuracy_graded": "the same of their chances of being on",
    "reconstruction": "mean squared error of P(v = 1 | P(h = 1 | image)) on test images",
    "uninformative": "share of the hidden neurons whose answer hardly differs between images (deviation below 0.01)",
    "weight": "mean magnitude of the weights left",
    "pixels": "share of the visible neurons with a synapse left",
}
STRENGTH = 1.0  # inverse of the readout's L2 penalty


def check(network: Network, drive: Any) -> None:
    """Refuse a drive without images, or a network that cannot be shown them."""
    if not (hasattr(drive, "images") and hasattr(drive, "probabilities")):
        raise InputError("an encoding is measured on the images of a drive in two phases", ("name",))


def measure(development: Development, drive: Any) -> Findings:
    """Read out the hidden neurons of every replicate.

    Parameters
    ----------
    development : Development
        Of a network with one projection, from visible to hidden neurons.
    drive : TwoPhaseDrive
    """
    circuit, images = development.circuit, drive.images
    train, test = drive.probabilities(images.train).astype(np.float64), drive.probabilities(images.test).astype(np.float64)
    seeds: Sequence[int] = circuit.provenance["seeds"]
    rows, weights = [], _effective(circuit)
    for seed, weight in zip(seeds, weights, strict=True):
        hidden, seen, random = respond(train, weight), respond(test, weight), generator(seed, "encoding/states")
        states = [(random.random(p.shape) < p).astype(np.float64) for p in (hidden, seen)]
        rows.append(
            {
                "accuracy": readout(states[0], images.train_labels, states[1], images.test_labels),
                "accuracy_graded": readout(hidden, images.train_labels, seen, images.test_labels),
                "reconstruction": float(((respond(seen, weight.T) - test) ** 2).mean()),
                "uninformative": float((hidden.std(0) < 0.01).mean()),
                "weight": float(np.abs(weight[weight != 0]).mean()) if weight.any() else 0.0,
                "pixels": float((weight != 0).any(1).mean()),
            }
        )
    table = [{"seed": seed} | row for seed, row in zip(seeds, rows, strict=True)]
    return Findings({"encoding": _draw(circuit, weights, images.side)}, {"encoding": table}, {n: [row[n] for row in rows] for n in METRICS})


def _effective(circuit: Circuit) -> npt.NDArray[np.float64]:
    ((name, _, _),) = circuit.projections
    return np.asarray(circuit.weight[name] * circuit.mask[name], np.float64)


def respond(states: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return P(on) of the neurons at the other end of ``weight``, (n, post), for (n, pre) states."""
    return np.asarray(1 / (1 + np.exp(-states @ weight)))


def readout(
    train: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], test: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]
) -> float:
    """Return the accuracy on ``test`` of a logistic readout fitted to ``train``, features standardised on it."""
    mean, deviation = train.mean(0), train.std(0)
    scale = np.where(deviation > 1e-9, deviation, np.inf)
    model = LogisticRegression(C=STRENGTH, max_iter=500).fit((train - mean) / scale, labels)
    return float((model.predict((test - mean) / scale) == truth).mean())


def _draw(circuit: Circuit, weights: npt.NDArray[np.float64], side: tuple[int, int]) -> Figure:
    """Draw where the first replicate's 24 first hidden neurons still look, and with what weight."""
    figure = Figure(figsize=(6.4, 3.0), layout="constrained")
    grid = figure.subplots(3, 8).ravel()
    ((name, _, _),) = circuit.projections
    kept, peak = circuit.mask[name][0], float(np.abs(weights[0]).max()) or 1.0
    picture = None
    for k, axes in enumerate(grid):
        axes.set_axis_off()
        if k < weights.shape[2]:
            field = np.where(kept[:, k], weights[0, :, k], np.nan).reshape(side)
            picture = axes.imshow(field, cmap="RdBu_r", vmin=-peak, vmax=peak)
            axes.add_patch(Rectangle((-0.5, -0.5), side[1], side[0], fill=False, edgecolor="0.6", lw=0.5, clip_on=False))
    assert picture is not None
    figure.colorbar(picture, ax=grid.tolist(), label="weight", shrink=0.7)
    share = 100 * float(kept.mean())
    figure.suptitle(f"Receptive fields of hidden neurons, {share:.0f} % of the synapses left (replicate 0)", fontsize=9)
    return figure
