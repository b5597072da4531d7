"""What limits a local rule: does the credit that reaches a synapse point where the gradient does?

    python benchmarks/credit.py [--dataset digits] [--train-size N] [--epochs 30] [--density .2] [--seeds 3]

Develops one network under each of several teaching signals and, at moments of development, compares what it has with
what gradient descent would have, on the same samples:

- alignment: cosine between a hidden population's teaching signal and the derivative of the log probability of the
  right class by the neurons' summed input, which takes the surviving weights to know;
- turnover: share of the active synapses that were silent a hundredth of development before;
- silent neurons: share of hidden neurons that no sample excites.

Accuracy is that of the circuit left, on a fifth of the training images held out: nothing here sees a test image.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from biosim.drives import ImageDrive, Images, load_images
from biosim.homeostasis import InDegree
from biosim.nursery.nursery import Nursery
from biosim.recorder import Recorder
from biosim.rules import load_rule
from biosim.schedule import Schedule
from biosim.substrates.rate import propagate
from biosim.synapses import Network
from biosim.teaching import Feedback, readout_error

CASES = [
    ("three-factor", "random"),
    ("mirrored-three-factor", "random"),
    ("three-factor", "kolen-pollack"),
    ("three-factor", "weight-mirror"),
    ("mirrored-three-factor", "weight-mirror"),
    ("mirrored-three-factor", "reciprocal"),
    ("node-perturbation", None),
]
Row = dict[str, float | str]


def slopes(network: Network, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the derivative of the log probability of the right class by every neuron's summed input, (R, S, size)."""
    effective = {n: p.effective.clone() for n, p in network.projections.items()}
    gains = {n: p.gain.clone() for n, p in network.populations.items()}
    names = list(network.populations)[1:]
    push = {n: torch.zeros(*labels.shape, network.populations[n].size, requires_grad=True) for n in names}
    output = propagate(network, effective, gains, inputs, push)[names[-1]]
    score = torch.log_softmax(output, -1).gather(2, labels.unsqueeze(-1)).sum()
    return dict(zip(names, torch.autograd.grad(score, list(push.values())), strict=True))


def cosines(teach: Mapping[str, Tensor], exact: Mapping[str, Tensor], hidden: list[str]) -> list[float]:
    """Return the mean cosine over samples between what is taught and what is exact, by hidden population."""
    return [float(torch.cosine_similarity(teach[n], exact[n], dim=2).mean()) for n in hidden]


def develop_one(name: str, kind: str | None, images: Images, arguments: argparse.Namespace) -> Row:
    """Develop under one rule and feedback; return the row of the table."""
    seeds = tuple(range(arguments.seeds))
    network = Network.layered([images.test.shape[1], *arguments.hidden, images.classes], seeds, weights="signed-constant")
    drive = ImageDrive(images, arguments.batch, arguments.epochs)
    feedback = None if kind is None else Feedback(network, kind, seeds)
    hidden = list(network.populations)[1:-1]
    every = max(1, drive.clock.steps // 100)
    moments: list[list[float]] = []
    turnover: list[float] = []
    with torch.inference_mode():
        nursery = Nursery(network, drive, load_rule(name), Schedule(density=arguments.density), [InDegree()], feedback, seeds, Recorder())
        before = {n: p.active.clone() for n, p in network.projections.items()}
        for step, shown in enumerate(drive.presentations(seeds, network.device)):
            activity = nursery.step(step, shown)
            if (step + 1) % every == 0:
                now = {n: p.active.clone() for n, p in network.projections.items()}
                turnover.append(sum(int((now[n] & ~before[n]).sum()) for n in now) / sum(int(m.sum()) for m in now.values()))
                before = now
            if feedback is not None and shown.labels is not None and (step + 1) % (10 * every) == 0:
                teach = feedback.carry(readout_error(activity["output"], shown.labels), activity)
                with torch.inference_mode(False), torch.enable_grad():
                    exact = slopes(network, shown.inputs.clone(), shown.labels.clone())
                moments.append(cosines(teach, exact, hidden))
        nursery.final_cut()
        values = nursery.substrate.respond(torch.from_numpy(images.test[:2000]).unsqueeze(0))
    correct = (values["output"].argmax(-1).numpy() == images.test_labels[:2000]).mean(1)
    silent = [float((values[n] == 0).all(1).float().mean()) for n in hidden]
    row: Row = {"rule": name, "feedback": kind or "none", "accuracy": 100 * float(correct.mean()), "spread": 100 * float(correct.std())}
    for k, population in enumerate(hidden):
        row[f"alignment.{population}"] = float(np.mean([m[k] for m in moments])) if moments else float("nan")
    return row | {"turnover": float(np.mean(turnover[len(turnover) // 2 :])), "silent neurons": float(np.mean(silent))}


def main() -> None:
    """Run every case and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--train-size", type=int, default=None)
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--density", type=float, default=0.2)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    images = load_images(arguments.dataset, train_size=arguments.train_size, validation=0.2)
    header = False
    for name, kind in CASES:
        row = develop_one(name, kind, images, arguments)
        if not header:
            print("| " + " | ".join(row) + " |\n|" + "---|" * len(row), flush=True)
            header = True
        print("| " + " | ".join(v if isinstance(v, str) else f"{v:.3g}" for v in row.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
