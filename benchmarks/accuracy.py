"""Accuracy of one method at one density: a cell of the tables in docs/limits.md.

    python benchmarks/accuracy.py mirrored-three-factor --feedback weight-mirror --density .2 --epochs 40
    python benchmarks/accuracy.py edge-popup --density .2 --epochs 30 --seeds 3 --device cuda

784-500-500-10, signed-constant births, batch 128, Fashion-MNIST; the last line is one JSON object. ``--validation .2``
evaluates on a fifth of the training images instead of the test images: that is what defaults are chosen on.
"""

from __future__ import annotations

import argparse
import json
import time

from biosim.circuit import Circuit
from biosim.develop import develop
from biosim.drives import ImageDrive, load_images
from biosim.rules import load_rule, rule_paths
from biosim.schedule import Schedule
from biosim.scorers import load_scorer, prune
from biosim.synapses import Network
from biosim.teaching import Feedback


def made(arguments: argparse.Namespace, drive: ImageDrive) -> Circuit:
    """Return the circuit that the method leaves."""
    seeds = tuple(range(arguments.seed, arguments.seed + arguments.seeds))
    network = Network.layered([drive.inputs, *arguments.hidden, drive.outputs], seeds, weights="signed-constant").to(arguments.device)
    if arguments.method not in rule_paths():
        return prune(arguments.method, load_scorer(arguments.method, {}), network, drive, arguments.density, seeds)
    development = develop(
        network,
        drive,
        load_rule(arguments.method),
        schedule=Schedule(density=arguments.density),
        feedback=Feedback(network, arguments.feedback, seeds) if arguments.feedback else None,
        readout=load_rule(arguments.readout) if arguments.readout else None,
        plasticity=load_rule(arguments.plasticity, "plasticity") if arguments.plasticity else None,
        seeds=seeds,
    )
    return development.circuit


def main() -> None:
    """Make one cell and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("method", help="a pruning rule or a scorer")
    parser.add_argument("--feedback", help="random, direct, reciprocal, weight-mirror, ...")
    parser.add_argument("--readout", help="a rule for the readout's synapses")
    parser.add_argument("--plasticity", help="a rule that changes weights")
    parser.add_argument("--density", type=float, default=0.2)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500])
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--train-size", type=int)
    parser.add_argument("--validation", type=float, default=0.0)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    arguments = parser.parse_args()
    images = load_images(arguments.dataset, train_size=arguments.train_size, validation=arguments.validation)
    began = time.perf_counter()
    circuit = made(arguments, ImageDrive(images, 128, arguments.epochs))
    accuracy = (circuit.predict(images.test) == images.test_labels).mean(1)
    cell = {
        "method": arguments.method,
        "feedback": arguments.feedback,
        "density": circuit.density().tolist(),
        "effective_density": circuit.effective_density().tolist(),
        "accuracy": accuracy.tolist(),
        "mean": float(accuracy.mean()),
        "seconds": time.perf_counter() - began,
    }
    print(json.dumps(cell))


if __name__ == "__main__":
    main()
