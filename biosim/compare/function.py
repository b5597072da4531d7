"""What circuits do: accuracy, how often two of them say the same, and whether their neurons represent the same.

    agreement            share of samples on which two circuits predict the same class
    error_consistency    (c - e)/(1 - e): c the share of samples that both get right or both wrong, e = p q + (1 - p)(1 - q)
                         what accuracies p and q give by chance (Geirhos et al. 2020, https://arxiv.org/abs/2006.16736):
                         agreement at matched accuracy. NaN where both are always right or always wrong
    cka                  linear centred kernel alignment of a population's activity, debiased (below)
    selectivity          a neuron's tuning is its mean activity by true class, centred and of length 1; neurons of the two
                         circuits are matched one to one to maximise the summed correlation of tuning (Hungarian
                         algorithm, Kuhn 1955): the mean over as many pairs as the circuit with fewer tuned neurons has
    selectivity_same     the same with every neuron matched to itself, over those tuned in both: on shared births it has a self

Debiased CKA: with Gram matrices K = X X^T, L = Y Y^T over n samples, U-centred (row and column means of the off-diagonal
removed, diagonal 0; Szekely & Rizzo 2014, https://doi.org/10.1214/14-AOS1255),

    HSIC_1(K, L) = sum_{a != b} K_ab L_ab / (n (n - 3)),    CKA = HSIC_1(K, L) / sqrt(HSIC_1(K, K) HSIC_1(L, L))

(Song et al. 2012; Kornblith et al. 2019, https://arxiv.org/abs/1905.00414; debiased: Nguyen et al. 2021,
https://arxiv.org/abs/2010.15327). The biased form rises towards 1 with the ratio of neurons to samples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from biosim.circuit import Circuit
from biosim.compare.group import Floats, Group, Layers, Pairs, mean_of

MEASURES = ("agreement", "error_consistency", "cka", "selectivity", "selectivity_same")


def accuracy(predictions: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the share of (R, n) predictions that equal the (n,) labels, one number a replicate."""
    return np.asarray((predictions == labels).mean(1))


def circuit_accuracy(circuit: Circuit, inputs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the accuracy of each replicate of a circuit."""
    return accuracy(circuit.predict(inputs), labels)


def agreement(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the share of samples on which two (R, n) predictions agree, replicate by replicate."""
    return np.asarray((first == second).mean(1))


def error_consistency(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """Return Cohen's kappa of being right, for (n,) whether each circuit is right."""
    p, q = float(first.mean()), float(second.mean())
    by_chance = p * q + (1 - p) * (1 - q)
    return (float((first == second).mean()) - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")


def debiased_cka(activity: npt.NDArray[np.float32]) -> Floats:
    """Return the debiased linear CKA of every two circuits, (C, C), from (C, n, size) activity; NaN where one is silent."""
    count, n, _ = activity.shape
    if n < 4:
        return np.full((count, count), np.nan)
    x = activity - activity.mean(1, keepdims=True)
    gram = (x @ x.transpose(0, 2, 1)).astype(np.float64)
    diagonal = np.arange(n)
    gram[:, diagonal, diagonal] = 0
    sums = gram.sum(2, keepdims=True) / (n - 2)
    gram += gram.sum((1, 2), keepdims=True) / ((n - 1) * (n - 2)) - sums - sums.transpose(0, 2, 1)
    gram[:, diagonal, diagonal] = 0
    flat = gram.reshape(count, -1)
    hsic = flat @ flat.T
    own = hsic.diagonal()
    scale = np.sqrt(np.outer(own, own))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, hsic / scale, np.nan)


def tuning(activity: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Floats:
    """Return each neuron's tuning over the classes that occur, (C, size, classes), centred and of length 1; 0 where flat."""
    means = np.stack([activity[:, labels == c].mean(1, dtype=np.float64) for c in np.unique(labels)], -1)
    means -= means.mean(-1, keepdims=True)
    length = np.sqrt((means**2).sum(-1, keepdims=True))
    return np.asarray(np.divide(means, length, out=np.zeros_like(means), where=length > 1e-9))


def matched(first: Floats, second: Floats) -> float:
    """Return the mean correlation of two (size, classes) tunings under the best one-to-one match of tuned neurons; NaN without any."""
    tuned = [own[own.any(-1)] for own in (first, second)]
    if not len(tuned[0]) or not len(tuned[1]):
        return float("nan")
    similar = tuned[0] @ tuned[1].T
    return float(similar[linear_sum_assignment(similar, maximize=True)].mean())


def same_selectivity(first: Floats, second: Floats) -> float:
    """Return the mean correlation of (size, classes) tunings, neuron by neuron, over those tuned in both; NaN without any."""
    both = first.any(-1) & second.any(-1)
    return float((first[both] * second[both]).sum(-1).mean()) if both.any() else float("nan")


def compare_predictions(predictions: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], pairs: Pairs) -> Layers:
    """Return agreement and error consistency of pairs of (C, n) predictions: (P,) each."""
    right = predictions == labels
    return {
        "agreement": np.array([(predictions[a] == predictions[b]).mean() for a, b in pairs]),
        "error_consistency": np.array([error_consistency(right[a], right[b]) for a, b in pairs]),
    }


def compare_function(group: Group, pairs: Pairs) -> Layers:
    """Return what pairs of circuits have in common in what they do: (P,) each, by population where it is about neurons."""
    found = compare_predictions(group.predictions, group.labels, pairs)
    layers: dict[str, Layers] = {"cka": {}, "selectivity": {}, "selectivity_same": {}}
    for name, _, _ in group.circuit.populations[1:]:
        cka = debiased_cka(group.activity[name])
        layers["cka"][f"cka.{name}"] = np.array([cka[a, b] for a, b in pairs])
    for name, _, _ in group.circuit.populations[1:-1]:
        own = tuning(group.activity[name], group.labels)
        layers["selectivity"][f"selectivity.{name}"] = np.array([matched(own[a], own[b]) for a, b in pairs])
        layers["selectivity_same"][f"selectivity_same.{name}"] = np.array([same_selectivity(own[a], own[b]) for a, b in pairs])
    for measure, own_layers in layers.items():
        found |= mean_of(own_layers, measure) if own_layers else {}
    return found


def independent_errors(group: Group, pairs: Pairs, random: np.random.Generator) -> Layers:
    """Return agreement and error consistency after dealing each circuit's predictions out anew among samples of one class."""
    dealt = group.predictions.copy()
    for label in np.unique(group.labels):
        places = np.flatnonzero(group.labels == label)
        for own in dealt:
            own[places] = own[random.permutation(places)]
    return compare_predictions(dealt, group.labels, pairs)


def cka_matrix(group: Group, first: int, second: int) -> Floats:
    """Return the debiased CKA of every population but the input of one circuit of a group with every one of another, (P, P)."""
    names = [n for n, _, _ in group.circuit.populations[1:]]
    width = max(s for _, s, _ in group.circuit.populations[1:])
    every = [group.activity[n][k] for k in (first, second) for n in names]
    padded = np.stack([np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in every])  # columns of 0 change no Gram matrix
    return debiased_cka(padded)[: len(names), len(names) :]
