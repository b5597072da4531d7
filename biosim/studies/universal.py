"""Universal approximator: functions of one and two variables, by masks on random networks and by training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from biosim.circuit import Circuit
from biosim.compare.group import take
from biosim.drives import SampleDrive
from biosim.errors import InputError
from biosim.findings import Findings
from biosim.progress import Stages
from biosim.scorers import load_scorer
from biosim.scorers.base import prune
from biosim.scorers.training import Training, retrain, train
from biosim.streams import generator, stable_hash
from biosim.synapses import Network
from biosim.theory.construction import MOST, construct_with
from biosim.theory.drawing import COLOURS, band, panels
from biosim.theory.grown import grown

_Floats = npt.NDArray[np.float64]
FUNCTIONS: dict[str, tuple[int, Callable[[_Floats], _Floats]]] = {  # variables, and the function of (n, variables) points in [-1, 1]
    "step": (1, lambda x: np.where(x[:, 0] > 0.2, 1.0, -1.0)),
    "sine": (1, lambda x: np.sin(2 * np.pi * x[:, 0])),
    "checkerboard": (2, lambda x: np.where(np.cos(1.5 * np.pi * x).prod(1) > 0, 1.0, -1.0)),
    "hat": (2, lambda x: (1 - (r2 := (x**2).sum(1) / 0.35**2)) * np.exp(-r2 / 2)),
}
METHODS = ("construction", "edge-popup", "greedy-flips", "mirrored-three-factor", "trained")
TARGET = 16  # hidden neurons, in each of two layers, of the trained network that the construction imitates
LONGER = 8  # times as many epochs for that small network
REPEATS = 4  # times a point is shown, with labels in the proportion that its value says
DENSITY = 0.4
_KEYS = {m: m.replace("-", "_") for m in METHODS}

METRICS = {
    **{
        f"{_KEYS[m]}_{f}": f"RMS error of {m} on the {f}, most over-parameterised; the values lie in [-1, 1]"
        for m in METHODS
        for f in FUNCTIONS
    },
    **{f"gain_{_KEYS[m]}": f"mean RMS error of {m} at the least over-parameterisation less that at the most" for m in METHODS},
    "target": "mean RMS error of the trained networks that the construction imitates",
    "beyond_target": "largest RMS distance of the largest construction from its target",
}


def run(
    seeds: Sequence[int],
    *,
    widths: list[int] = [16, 64],  # noqa: B006 (never changed; a default a scenario can read)
    pools: list[int] = [4, 10, 16],  # noqa: B006
    epochs: int = 100,
    evaluations: int = 600,
    progress: Stages | None = None,
) -> Findings:
    """Fit four functions.

    A function's values are shown as chances: of the labels of a point the share (1 + f)/2 is 1. Two readout neurons learn
    them by cross-entropy, as in classification, and the fit is tanh((z_1 - z_0)/2). One input is always 1, for networks
    have no bias.

    Parameters
    ----------
    seeds : sequence of int
    widths : list of int
        Hidden neurons, in each of two layers, of the networks that are pruned, and of those that are trained.
    pools : list of int
        Gadget neurons of each input and sign in the construction.
    epochs : int
        Of training, of edge-popup and of the local rule.
    evaluations : int
        Masks looked at by the search without gradients.
    progress : callable, optional
    """
    if len(widths) < 2 or len(pools) < 2 or min(*widths, *pools) < 2:
        raise InputError("universal needs two widths and two pools, of two neurons or more")
    if max(pools) > MOST:
        raise InputError(f"a pool holds at most {MOST} gadget neurons", ("pools",))
    rows: list[dict[str, Any]] = []
    fits: dict[tuple[str, str], _Floats] = {}
    for step, dims in enumerate((1, 2)):
        names = [name for name, (d, _) in FUNCTIONS.items() if d == dims]
        own = tuple(stable_hash(f"universal/{name}/{seed}") for name in names for seed in seeds)
        drive, targets = _drive(names, dims, len(seeds), epochs), dict[int, _Floats]()
        for method, size, born, circuits in _made(drive, own, sorted(widths), sorted(pools), evaluations):
            for k, circuit in enumerate(circuits):
                name, seed = names[k // len(seeds)], seeds[k % len(seeds)]
                grid = _grid(dims, 201 if dims == 1 else 41)
                fit = _fit(circuit, grid)
                error = float(np.sqrt(((fit - FUNCTIONS[name][1](grid)) ** 2).mean()))
                rows.append({"function": name, "method": method, "seed": seed, "size": size, "synapses_born": born[k], "rms_error": error})
                if k % len(seeds) == 0:
                    fits[name, method] = fit
                if method == "target":
                    targets[k] = fit
                elif method == "construction":
                    rows[-1]["from_target"] = float(np.sqrt(((fit - targets[k]) ** 2).mean()))
        if progress is not None:
            progress("fitting", step + 1, 2, {})
    return _findings(rows, fits, seeds)


def _grid(dims: int, side: int) -> _Floats:
    line = np.linspace(-1, 1, side)
    return np.stack(np.meshgrid(*[line] * dims, indexing="ij"), -1).reshape(-1, dims)


def _inputs(points: _Floats) -> npt.NDArray[np.float32]:
    return np.asarray(np.concatenate([points, np.ones((len(points), 1))], 1), np.float32)


def _fit(circuit: Circuit, points: _Floats) -> _Floats:
    """Return what one replicate says of points, in [-1, 1]."""
    out = np.asarray(circuit.respond(_inputs(points))[0], np.float64)
    return np.asarray(np.tanh((out[:, 1] - out[:, 0]) / 2))


def _drive(names: Sequence[str], dims: int, replicates: int, epochs: int) -> SampleDrive:
    """Return points on a grid with labels in proportion, the same for every replicate of a function."""
    points = _grid(dims, 64 if dims == 1 else 12)
    samples, labels = np.repeat(_inputs(points), REPEATS, 0), []
    for name in names:
        ones = np.floor(REPEATS * (1 + FUNCTIONS[name][1](points)) / 2 + 0.5)
        labels += [(np.arange(REPEATS)[None] < ones[:, None]).ravel()] * replicates
    shown = torch.from_numpy(np.broadcast_to(samples, (len(labels), *samples.shape)).copy())
    return SampleDrive(shown, torch.from_numpy(np.array(labels)).long(), 2, epochs, samples.shape[0] // 2)


def _made(
    drive: SampleDrive, seeds: tuple[int, ...], widths: Sequence[int], pools: Sequence[int], evaluations: int
) -> Iterator[tuple[str, int, list[int], list[Circuit]]]:
    """Yield (method, size, synapses born, circuits), the target first, the circuits one a replicate."""

    def births(width: int) -> Network:
        return Network.layered([drive.inputs, width, width, drive.outputs], seeds, weights="kaiming-normal")

    small = births(TARGET)
    weights = train(small, small.masks(), drive, seeds, Training(epochs=LONGER * drive.epochs))
    yield "target", TARGET, small.born.tolist(), _split(Circuit.of(small, {}, weight=weights))
    for pool in pools:
        made = [
            construct_with([w[k].numpy() for w in weights.values()], pool, generator(seed, f"universal/{pool}"))
            for k, seed in enumerate(seeds)
        ]
        yield "construction", pool, [one.born for one in made], [one.circuit for one in made]
    for width in widths:
        network = births(width)
        born = network.born.tolist()
        for method, options in (("edge-popup", {}), ("greedy-flips", {"evaluations": evaluations, "samples": 1024})):
            yield method, width, born, _split(prune(method, load_scorer(method, options), network, drive, DENSITY, seeds))
        yield "trained", width, born, _split(retrain(network, network.masks(), drive, seeds, Training()))
        yield "mirrored-three-factor", width, born, _split(grown("mirrored-three-factor", network, drive, DENSITY, seeds))


def _split(circuit: Circuit) -> list[Circuit]:
    """Return one circuit a replicate."""
    return [take(circuit, [k]) for k in range(circuit.replicates)]


def _findings(rows: list[dict[str, Any]], fits: dict[tuple[str, str], _Floats], seeds: Sequence[int]) -> Findings:
    def errors(method: str, function: str, key: str = "rms_error") -> _Floats:
        """Return (R, sizes)."""
        own = [row for row in rows if row["method"] == method and row["function"] == function]
        sizes = sorted({row["size"] for row in own})
        return np.array([[next(r[key] for r in own if r["seed"] == seed and r["size"] == size) for size in sizes] for seed in seeds])

    metrics = {f"{_KEYS[m]}_{f}": errors(m, f)[:, -1] for m in METHODS for f in FUNCTIONS}
    for m in METHODS:
        metrics[f"gain_{_KEYS[m]}"] = np.mean([errors(m, f)[:, 0] - errors(m, f)[:, -1] for f in FUNCTIONS], 0)
    metrics["target"] = np.mean([errors("target", f)[:, 0] for f in FUNCTIONS], 0)
    metrics["beyond_target"] = np.max([errors("construction", f, "from_target")[:, -1] for f in FUNCTIONS], 0)
    table = []
    for f in FUNCTIONS:
        for m in ("target", *METHODS):
            sizes = sorted({row["size"] for row in rows if row["method"] == m})
            for size, mine in zip(sizes, errors(m, f).T, strict=True):
                born = [row["synapses_born"] for row in rows if (row["function"], row["method"], row["size"]) == (f, m, size)]
                table.append(
                    {"function": f, "method": m, "size": size, "synapses_born": float(np.mean(born)), "replicates": len(seeds),
                     "rms_error": float(mine.mean()), "lowest": float(mine.min()), "highest": float(mine.max())}
                )  # fmt: skip
    figures = {"errors": _draw_errors(table, errors), "fits": _draw_fits(fits)}
    return Findings(figures, {"errors": table}, metrics)


def _draw_errors(table: list[dict[str, Any]], errors: Callable[..., _Floats]) -> Figure:
    figure, (row,) = panels(4, width=3.0, height=3.2)
    for axes, f in zip(row, FUNCTIONS, strict=True):
        for colour, m in zip(COLOURS, METHODS, strict=False):
            born = [line["synapses_born"] for line in table if line["function"] == f and line["method"] == m]
            band(axes, born, errors(m, f), colour, m)
        axes.axhline(errors("target", f).mean(), color="k", ls=":", lw=1, label="the construction's target")
        axes.set(xscale="log", yscale="log", xlabel="synapses born", ylabel="RMS error", title=f)
    figure.legend(*row[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    n = len(errors("target", "step"))
    figure.suptitle(f"Error against over-parameterisation: n = {n} replicates, band: range", fontsize=9)
    return figure


def _draw_fits(fits: dict[tuple[str, str], _Floats]) -> Figure:
    figure, grid = panels(len(METHODS) + 1, len(FUNCTIONS), width=1.75, height=1.65)
    for k, (row, (name, (dims, function))) in enumerate(zip(grid, FUNCTIONS.items(), strict=True)):
        points = _grid(dims, 201 if dims == 1 else 41)
        for axes, method in zip(row, ("function", *METHODS), strict=True):
            values = function(points) if method == "function" else fits[name, method]
            if dims == 1:
                axes.plot(points[:, 0], function(points), color="0.75", lw=2.5)
                axes.plot(points[:, 0], values, color=COLOURS[0], lw=1.1)
                axes.set(ylim=(-1.3, 1.3), xlabel="x", yticks=[-1, 1])
            else:
                axes.imshow(values.reshape(41, 41).T, origin="lower", extent=(-1, 1, -1, 1), vmin=-1, vmax=1, cmap="RdBu_r")
                axes.set(xlabel="x", xticks=[-1, 1], yticks=[-1, 1])
            if k == 0:
                axes.set_title(method, fontsize=8)
        row[0].set_ylabel(f"{name}" if dims == 1 else f"{name}: y", fontsize=8)
    figure.suptitle("The most over-parameterised fit of each method (n = 1, replicate 0; red 1, blue -1)", fontsize=9)
    return figure
