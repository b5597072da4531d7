"""Lottery tickets: the ordinary, the strong and the local one from the same births, and what re-drawn weights do to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from biosim.circuit import Circuit
from biosim.compare import overlap
from biosim.compare.function import circuit_accuracy
from biosim.drives import ImageDrive, load_images
from biosim.errors import InputError
from biosim.findings import Findings
from biosim.progress import Stages
from biosim.scorers import load_scorer
from biosim.scorers.base import Task, make, prune
from biosim.scorers.descent import weights_of
from biosim.scorers.keep import gains_after
from biosim.scorers.training import Training, retrain
from biosim.streams import generator, stable_hash
from biosim.synapses import Network
from biosim.theory.drawing import COLOURS, legend, panels
from biosim.theory.grown import grown

TICKETS = {
    "ordinary": "train, prune, rewind, again (Frankle & Carbin)",
    "strong": "edge-popup (Ramanujan et al.)",
    "local": "mirrored three-factor rule",
}
CHANGES = {
    "as_born": "as born",
    "signs": "sizes re-drawn, signs kept",
    "redrawn": "weights re-drawn",
    "shuffled": "mask shuffled in each layer",
}
PAIRS = (("ordinary", "strong"), ("ordinary", "local"), ("strong", "local"))
_Masks = Mapping[str, Tensor]

METRICS = {
    "dense": "test accuracy of the network trained whole",
    **{f"{t}_frozen_{c}": f"test accuracy of the {t} ticket, weights frozen: {what}" for t in TICKETS for c, what in CHANGES.items()},
    **{f"{t}_trained_{c}": f"test accuracy of the {t} ticket, weights trained: {what}" for t in TICKETS for c, what in CHANGES.items()},
    **{f"kappa_{a}_{b}": f"overlap of the {a} and the {b} ticket beyond chance (Cohen's kappa; 0 is chance)" for a, b in PAIRS},
    "kappa_strong_again": "overlap of two strong tickets from the same births, other search seeds: a ceiling",
    "kappa_local_again": "overlap of two local tickets from the same births, other search seeds: a ceiling",
    "density": "largest share of synapses kept by a ticket",
}


def run(
    seeds: Sequence[int],
    *,
    hidden: list[int] = [100, 100],  # noqa: B006 (never changed; a default a scenario can read)
    density: float = 0.2,
    epochs: int = 6,
    batch: int = 32,
    progress: Stages | None = None,
) -> Findings:
    """Find three tickets in the same births, on digits; run and train each under other weights and other masks.

    Parameters
    ----------
    seeds : sequence of int
    hidden : list of int
        Neurons of each hidden population.
    density : float
        Share of synapses a ticket keeps.
    epochs : int
        Of edge-popup, of the local rule, of training, and of each round of the ordinary ticket.
    batch : int
    progress : callable, optional
    """
    if not 0 < density < 1:
        raise InputError(f"a ticket keeps a share of the synapses, in (0, 1), not {density}", ("density",))
    images, own = load_images("digits"), tuple(seeds)
    drive, training = ImageDrive(images, batch, epochs), Training(epochs=epochs)

    def births(prefix: str = "") -> Network:
        drawn = own if not prefix else tuple(stable_hash(f"{prefix}/{seed}") for seed in own)
        return Network.layered([drive.inputs, *hidden, drive.outputs], drawn, weights="kaiming-normal")

    network, other = births(), births("tickets/redrawn")
    again = tuple(stable_hash(f"tickets/again/{seed}") for seed in own)
    masks = {"ordinary": _ordinary(network, drive, density, own, training)}
    masks["strong"], second = (_strong(network, drive, density, s) for s in (own, again))
    masks["local"], third = (_tensors(grown("mirrored-three-factor", births(), drive, density, s)) for s in (own, again))
    metrics: dict[str, npt.NDArray[np.float64]] = {}
    whole = retrain(network, network.masks(), drive, own, training)
    metrics["dense"] = circuit_accuracy(whole, images.test, images.test_labels)
    weights = _weights(network, other)
    for step, ticket in enumerate(TICKETS):
        for change in CHANGES:
            kept = _shuffled(masks[ticket], own) if change == "shuffled" else masks[ticket]
            frozen = Circuit.of(network, {}, kept, gains_after(network, density, "layer"), weights[change])
            metrics[f"{ticket}_frozen_{change}"] = circuit_accuracy(frozen, images.test, images.test_labels)
            trained = retrain(network, kept, drive, own, training, start=weights[change])
            metrics[f"{ticket}_trained_{change}"] = circuit_accuracy(trained, images.test, images.test_labels)
        if progress is not None:
            progress("re-drawing", step + 1, len(TICKETS), {})
    for a, b in PAIRS:
        metrics[f"kappa_{a}_{b}"] = _kappa(network, masks[a], masks[b])
    metrics["kappa_strong_again"] = _kappa(network, masks["strong"], second)
    metrics["kappa_local_again"] = _kappa(network, masks["local"], third)
    metrics["density"] = np.max([Circuit.of(network, {}, m).density() for m in masks.values()], 0)
    return _findings(network, masks, metrics)


def _ordinary(network: Network, drive: ImageDrive, density: float, seeds: tuple[int, ...], training: Training) -> _Masks:
    (made,) = make(load_scorer("imp"), Task(network, drive, (density,), seeds, training))
    return made.masks[0]


def _strong(network: Network, drive: ImageDrive, density: float, seeds: tuple[int, ...]) -> _Masks:
    return _tensors(prune("edge-popup", load_scorer("edge-popup"), network, drive, density, seeds))


def _tensors(circuit: Circuit) -> _Masks:
    return {name: torch.from_numpy(mask.copy()) for name, mask in circuit.mask.items()}


def _weights(network: Network, other: Network) -> dict[str, dict[str, Tensor]]:
    """Return the weights under each change, by projection."""
    own, drawn = weights_of(network), weights_of(other)
    signs = {n: w.sign() * drawn[n].abs() for n, w in own.items()}
    return {"as_born": own, "signs": signs, "redrawn": drawn, "shuffled": own}


def _shuffled(masks: _Masks, seeds: tuple[int, ...]) -> _Masks:
    """Return masks with as many synapses in each layer, at random places."""
    found = {}
    for name, mask in masks.items():
        rows = [generator(seed, f"tickets/shuffled/{name}").permutation(m.flatten().numpy()) for seed, m in zip(seeds, mask, strict=True)]
        found[name] = torch.from_numpy(np.stack(rows)).view(mask.shape)
    return found


def _kappa(network: Network, first: _Masks, second: _Masks) -> npt.NDArray[np.float64]:
    """Return the mean of kappa over layers, each weighted by its synapses."""
    layers = overlap(Circuit.of(network, {}, first), Circuit.of(network, {}, second))
    sizes = [float(network.projections[name].weight[0].numel()) for name in layers]
    return np.asarray(np.average([own.kappa for own in layers.values()], axis=0, weights=sizes))


def _findings(network: Network, masks: Mapping[str, _Masks], metrics: dict[str, npt.NDArray[np.float64]]) -> Findings:
    table = [
        {"ticket": ticket, "made_by": made_by, "weights": regime, "change": CHANGES[change], "accuracy": float(values.mean()),
         "lowest": float(values.min()), "highest": float(values.max())}
        for ticket, made_by in TICKETS.items() for regime in ("frozen", "trained") for change in CHANGES
        for values in (metrics[f"{ticket}_{regime}_{change}"],)
    ]  # fmt: skip
    overlaps = []
    for a, b in PAIRS:
        for name, own in overlap(Circuit.of(network, {}, masks[a]), Circuit.of(network, {}, masks[b])).items():
            overlaps.append(
                {"first": a, "second": b, "layer": name, "jaccard": float(own.jaccard.mean()), "by_chance": float(own.chance.mean()),
                 "deviations": float(((own.jaccard - own.chance) / own.deviation).mean()), "kappa": float(own.kappa.mean())}
            )  # fmt: skip
    figure = _draw(metrics)
    return Findings({"tickets": figure}, {"accuracy": table, "overlap": overlaps}, metrics)


def _draw(metrics: Mapping[str, npt.NDArray[np.float64]]) -> Figure:
    figure, ((frozen, trained, shared),) = panels(3, width=3.8, height=3.2)
    for axes, regime in ((frozen, "frozen"), (trained, "trained")):
        for k, (change, what) in enumerate(CHANGES.items()):
            values = 100 * np.array([metrics[f"{t}_{regime}_{change}"] for t in TICKETS])
            spread = np.abs(np.stack([values.min(1), values.max(1)]) - values.mean(1))
            axes.bar(np.arange(3) + 0.2 * (k - 1.5), values.mean(1), 0.18, yerr=spread, color=COLOURS[k], label=what, error_kw={"lw": 0.8})
        axes.axhline(100 * metrics["dense"].mean(), color="k", ls=":", lw=1, label="trained whole")
        axes.set_xticks(range(3), list(TICKETS))
        axes.set(ylabel="test accuracy (%)", ylim=(0, 165), yticks=range(0, 101, 20), title=f"Weights {regime}")
    legend(frozen, loc="upper left")
    names = [*(f"{a}_{b}" for a, b in PAIRS), "strong_again", "local_again"]
    values = np.array([metrics[f"kappa_{name}"] for name in names])
    spread = np.abs(np.stack([values.min(1), values.max(1)]) - values.mean(1))
    shared.barh(range(len(names)), values.mean(1), xerr=spread, color=[*[COLOURS[0]] * 3, *["0.6"] * 2], error_kw={"lw": 0.8})
    shared.set_yticks(range(len(names)), [name.replace("_again", ", other seed").replace("_", " and ") for name in names])
    shared.set(xlabel="overlap beyond chance (kappa)", title="Shared synapses")
    shared.invert_yaxis()
    figure.suptitle(f"Three tickets from the same births, digits: n = {len(metrics['dense'])} replicates, bars: range", fontsize=9)
    return figure
