"""A step of our edge-popup against the published formulation written plainly, in one process, on the same births.

    python benchmarks/edge_popup.py [--sizes 784-500-500-10 784-4096-4096-10] [--devices cpu cuda] [--rounds 7]

Plainly means: scores flattened and sorted, a custom autograd function, modules and torch's SGD with momentum and
weight decay; ``kth value`` stands for the same with a selection in place of the sort. The floor is the
matrix products alone. Blocks of steps alternate, and ratios are taken pair by pair, so that a noisy machine
disturbs both alike. Batch 128, layer scope, 20 % kept. Before timing, both take five steps and must agree.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence

import biosim  # noqa: F401 (first: it asks MKL for reproducible results)

import torch  # isort: skip
from common import Step, seconds
from torch import Tensor, nn

from biosim.scorers.edge_popup import Scorer, Search
from biosim.synapses import Network

BATCH, DENSITY, STEPS = 128, 0.2, 10_000


class _Sorted(torch.autograd.Function):
    """The mask of the k largest scores, by sorting all of them; gradients pass straight through."""

    @staticmethod
    def forward(ctx: object, scores: Tensor, kept: int) -> Tensor:
        out = scores.clone()
        _, order = scores.flatten().sort()
        flat, cut = out.flatten(), scores.numel() - kept
        flat[order[:cut]] = 0
        flat[order[cut:]] = 1
        return flat.view_as(scores)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _Selected(torch.autograd.Function):
    """The same by selecting the k-th value."""

    @staticmethod
    def forward(ctx: object, scores: Tensor, kept: int) -> Tensor:
        threshold = scores.flatten().kthvalue(scores.numel() - kept + 1).values
        return (scores >= threshold).float()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _Layer(nn.Module):
    def __init__(self, weight: Tensor, scores: Tensor, function: type[torch.autograd.Function]) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.scores, self.function = nn.Parameter(scores), function

    def forward(self, x: Tensor) -> Tensor:
        mask = self.function.apply(self.scores.abs(), math.floor(DENSITY * self.scores.numel() + 0.5))  # type: ignore[no-untyped-call]
        return nn.functional.linear(x, self.weight * mask) / math.sqrt(DENSITY)


def published(network: Network, inputs: Tensor, labels: Tensor, function: type[torch.autograd.Function]) -> tuple[Step, list[_Layer]]:
    """Return one step of the published formulation, and its layers."""
    search = Search(Scorer(), network, DENSITY, (0,), STEPS)
    layers = [_Layer(p.weight[0].T.contiguous(), search.scores[n][0].T.contiguous(), function) for n, p in network.projections.items()]
    modules: list[nn.Module] = [m for layer in layers for m in (layer, nn.ReLU())]
    model = nn.Sequential(*modules[:-1])
    optimiser = torch.optim.SGD([layer.scores for layer in layers], 0.1, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()

    return step, layers


def ours(network: Network, inputs: Tensor, labels: Tensor) -> tuple[Step, Search]:
    """Return one step of biosim's, and its state."""
    search = Search(Scorer(), network, DENSITY, tuple(range(network.replicates)), STEPS)
    numbers = iter(range(10**9))
    return lambda: search.step(next(numbers) % STEPS, inputs, labels), search


def floor(network: Network, inputs: Tensor) -> Step:
    """Return the matrix products of one step alone: forward, back to activities, back to weights."""
    weights = [p.weight[0] for p in network.projections.values()]
    activity = [inputs] + [torch.rand(len(inputs), w.shape[1], device=w.device) for w in weights]
    forward = [torch.empty_like(a) for a in activity]
    gradients = [torch.empty_like(w) for w in weights]

    def step() -> None:
        for k, w in enumerate(weights):
            torch.mm(activity[k], w, out=forward[k + 1])
        for k in reversed(range(len(weights))):
            torch.mm(activity[k].T, activity[k + 1], out=gradients[k])
            if k:
                torch.mm(activity[k + 1], weights[k].T, out=forward[k])

    return step


def made_up(replicates: int, sizes: Sequence[int], device: str) -> tuple[Network, Tensor, Tensor]:
    """Return births and one batch."""
    network = Network.layered(sizes, range(replicates), weights="signed-constant").to(device)
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(replicates, BATCH, sizes[0], generator=random).to(device)
    labels = torch.randint(0, sizes[-1], (replicates, BATCH), generator=random).to(device)
    return network, inputs, labels


def agreement(sizes: Sequence[int], device: str) -> float:
    """Return the share of synapses on which five steps of both agree whether they are kept."""
    network, inputs, labels = made_up(1, sizes, device)
    reference, layers = published(network, inputs[0], labels[0], _Sorted)
    step, search = ours(network, inputs, labels)
    for _ in range(5):
        reference()
        step()
    same = [
        (search.masks()[n][0] == _Sorted.apply(layer.scores.detach().abs(), math.floor(DENSITY * layer.scores.numel() + 0.5)).T.bool())  # type: ignore[no-untyped-call]
        for n, layer in zip(search.scores, layers, strict=True)
    ]
    return float(sum(s.sum() for s in same) / sum(s.numel() for s in same))


def measure(sizes: Sequence[int], device: str, rounds: int) -> list[str]:
    """Return table lines for one network on one device."""
    network, inputs, labels = made_up(1, sizes, device)
    batch = made_up(5, sizes, device)
    steps: dict[str, Step] = {
        "ours": ours(network, inputs, labels)[0],
        "published, sort": published(network, inputs[0], labels[0], _Sorted)[0],
        "published, kth value": published(network, inputs[0], labels[0], _Selected)[0],
        "matrix products alone": floor(network, inputs[0]),
        "ours, 5 replicates": ours(*batch)[0],
    }
    count = {}
    for name, step in steps.items():
        seconds(step, 3, device)
        count[name] = max(1, int(0.25 / seconds(step, 2, device)))
    times: dict[str, list[float]] = {n: [] for n in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds(step, count[name], device))
    title = "-".join(map(str, sizes))
    lines = []
    for name, own in times.items():
        ratio = statistics.median(b / a for a, b in zip(times["ours"], own, strict=True))
        lines.append(f"{title:<20} {device:<5} {name:<22} {1e3 * statistics.median(own):9.3f} ms  {ratio:6.2f} x ours")
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["784-500-500-10", "784-4096-4096-10"])
    parser.add_argument("--devices", nargs="+", choices=["cpu", "cuda"], default=["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    print(f"batch {BATCH}, {DENSITY:.0%} kept, {torch.get_num_threads()} CPU threads, median of {given.rounds} alternating blocks")
    for device in given.devices:
        for text in given.sizes:
            sizes = [int(s) for s in text.split("-")]
            print(f"{text:<20} {device:<5} masks agree with the published formulation on {agreement(sizes, device):.6f} of the synapses")
            print("\n".join(measure(sizes, device, given.rounds)), flush=True)


if __name__ == "__main__":
    main()
