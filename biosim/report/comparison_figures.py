"""Figures of a comparison: measures between chance and ceiling, degrees, CKA, two-paths, adjacency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biosim.circuit import Circuit
from biosim.compare.causal import INTERVENTIONS
from biosim.compare.flow import SIGNS
from biosim.compare.group import correlation, take
from biosim.compare.nulls import draw_null
from biosim.errors import UndefinedError
from biosim.graphs import Communities, Graph, communities
from biosim.report.comparison import HEADLINE, primary
from biosim.report.drawing import BLUE, GREEN, GREY
from biosim.report.inline_svg import DARK_MARK, LIGHT_MARK

OBSERVED, CEILING, NULL = BLUE, GREEN, GREY
STARTS, NULLS = 3, 5  # searches for communities, of the circuits and of each null

Mask = npt.NDArray[np.bool_]


def comparison_figures(data: Mapping[str, Any], circuits: Mapping[str, Circuit]) -> dict[str, Figure]:
    """Return every figure of a comparison: ``circuits`` by method, of the first search of each."""
    figures = {"compare-measures": measures(data)}
    others = [n for n in data["pairs"] if n in circuits]
    reference = data["reference"]
    if reference in circuits and others:
        figures["compare-degrees"] = degree_scatter(reference, circuits[reference], others[0], circuits[others[0]])
        figures["compare-adjacency"] = adjacency(reference, circuits[reference], others[0], circuits[others[0]])
    if data["cka"]["populations"]:
        figures["compare-cka"] = cka(data)
    if any(c["character"].startswith("two_paths") for c in data["characters"]):
        figures["compare-two-paths"] = two_paths(data)
    if data["interventions"]:
        figures["compare-interventions"] = interventions(data)
    return figures


def _whisker(axes: Axes, row: Mapping[str, Any], name: str, y: float, colour: str, label: str, mark: str) -> None:
    value, bounds = row[name], row[f"{name}_interval"]
    if value is None:
        return
    low, high = (value, value) if bounds is None else bounds
    axes.plot([low, high], [y, y], color=colour, lw=2.2, alpha=0.55, solid_capstyle="butt")
    axes.plot(value, y, mark, color=colour, ms=4.5, label=label)


def measures(data: Mapping[str, Any]) -> Figure:
    """Draw every headline measure between its null and its ceiling, a panel a method."""
    others = list(data["pairs"])
    shown = [m for m in HEADLINE if any(r["measure"] == m for r in primary(data, others[0]))]
    rows = {o: [(m, r) for m in shown for r in primary(data, o) if r["measure"] == m] for o in others}
    lines = [(m, r["layer"]) for m, r in rows[others[0]]]
    figure = Figure(figsize=(3.0 + 2.9 * len(others), 1.1 + 0.2 * len(lines)), layout="constrained")
    panels = figure.subplots(1, len(others), sharey=True, squeeze=False)[0]
    for axes, other in zip(panels, others, strict=True):
        for y, (_, row) in enumerate(rows[other]):
            for k, (name, colour, label, mark) in enumerate(
                (("null", NULL, "null", "|"), ("ceiling", CEILING, f"ceiling: {other} twice", "D"), ("observed", OBSERVED, "observed", "o"))
            ):
                _whisker(axes, row, name, y + 0.2 * (k - 1), colour, label if y == 0 else "_", mark)
        axes.set(title=f"{data['reference']} and {other}", xlabel="value (bars: 95 %)")
        axes.axvline(0, color="0.85", lw=0.8, zorder=0)
        axes.grid(axis="y", color="0.93", lw=0.6)
        axes.set_ylim(len(lines) - 0.3, -0.7)
        left, right = axes.get_xlim()
        axes.set_xlim(max(left, -0.6), min(right, 1.04))  # intervals of two births may leave the range of a measure
    labels = [f"{m.split('.')[1].replace('_', ' ')}, {layer}" if layer else m.split(".")[1].replace("_", " ") for m, layer in lines]
    panels[0].set_yticks(range(len(lines)), labels, fontsize=7)
    for text, (_, layer) in zip(panels[0].get_yticklabels(), lines, strict=True):
        text.set_fontweight("normal" if layer else "bold")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.suptitle(f"Between chance and ceiling (n = {data['births']} births)", fontsize=10)
    return figure


def degree_scatter(first: str, one: Circuit, second: str, other: Circuit) -> Figure:
    """Draw degrees in one circuit against those in the other, a panel a side of every projection; all births together."""
    figure = Figure(figsize=(7.6, 2.5 * len(one.projections)), layout="constrained")
    grid = figure.subplots(len(one.projections), 2, squeeze=False)
    jitter = np.random.default_rng(0)
    for row, (name, pre, post) in zip(grid, one.projections, strict=True):
        for axes, axis, text in ((row[0], 2, f"out-degree of {pre}"), (row[1], 1, f"in-degree of {post}")):
            x, y = one.mask[name].sum(axis).astype(float), other.mask[name].sum(axis).astype(float)
            found = [correlation(a, b) for a, b in zip(x, y, strict=True)]
            known = [r for r in found if np.isfinite(r)]
            said = f"r = {np.mean(known):.2f} (mean of {len(known)} births)" if known else "r undefined: one side is constant"
            spread = jitter.uniform(-0.25, 0.25, (2, x.size))
            axes.plot(x.ravel() + spread[0], y.ravel() + spread[1], ".", ms=2.5, alpha=0.4, color=OBSERVED)
            axes.set(xlabel=f"{text}: {first}", ylabel=second, title=said)
            axes.title.set_fontsize(8)
    figure.suptitle("Degrees (a dot a neuron, jittered by less than half a synapse)", fontsize=10)
    return figure


def adjacency(first: str, one: Circuit, second: str, other: Circuit) -> Figure:
    """Draw the first projection of both circuits and what they share, birth 0, neurons sorted by the communities of the two together.

    Communities are those of best modularity in the graph of both, a shared synapse counting twice; within one, neurons stand in
    order of degree. Chance gives communities too, so the modularity stands beside that of the same masks with their degrees kept.
    """
    name, pre, post = one.projections[0]
    a, b = one.mask[name][0], other.mask[name][0]
    shift = 0 if pre == post else a.shape[0]
    found = _communities(a, b, shift)
    labels = np.zeros(shift + a.shape[1], np.int64) if found is None else found.labels
    sides = (labels[: a.shape[0]], labels[shift:])
    rows, columns = (np.lexsort((-(a.astype(int) + b).sum(1 - axis), own)) for axis, own in enumerate(sides))
    several = int((np.bincount(labels) > 1).sum())  # neurons without synapses are communities of one, and come last
    figure = Figure(figsize=(8.6, 3.4), layout="constrained")
    for axes, (title, mask) in zip(figure.subplots(1, 3), ((first, a), (second, b), ("both", a & b)), strict=True):
        axes.imshow(mask[np.ix_(rows, columns)], cmap="Greys", aspect="auto", interpolation="nearest")
        for draw, own in zip((axes.axhline, axes.axvline), sides, strict=True):
            for end in np.cumsum(np.bincount(own))[:several]:
                draw(end - 0.5, color=OBSERVED, lw=0.7)
        axes.set(title=f"{title}: {int(mask.sum()):,} synapses", xlabel=f"neurons of {post}")
        axes.title.set_fontsize(8)
    figure.axes[0].set_ylabel(f"neurons of {pre}")
    said = "no synapses to sort by"
    if found is not None:
        said = f"modularity {found.modularity:.3f}, shuffled {_by_chance(one, other, name, shift):.3f}"
    figure.suptitle(f"{name}, birth 0, neurons sorted by community of both together ({said})", fontsize=10)
    return figure


def _communities(a: Mask, b: Mask, shift: int) -> Communities | None:
    """Return the communities of two (n_pre, n_post) masks together; the second side's neurons are numbered from ``shift``.

    Between two populations this modularity is that of bipartite graphs (Barber 2007, https://doi.org/10.1103/PhysRevE.76.066102).
    """
    both = a.astype(np.int64) + b
    i, j = np.nonzero(both)
    try:
        return communities(Graph.from_edges(shift + a.shape[1], i, j + shift, both[i, j]), weighted=True, starts=STARTS)
    except UndefinedError:
        return None


def _by_chance(one: Circuit, other: Circuit, name: str, shift: int) -> float:
    """Return the mean modularity of a projection of both circuits shuffled, every degree kept."""
    first = [take(circuit, [0]) for circuit in (one, other)]
    drawn = [[draw_null("degree-preserving", c, seed, k).mask[name][0] for seed, c in enumerate(first)] for k in range(NULLS)]
    return float(np.mean([found.modularity for a, b in drawn if (found := _communities(a, b, shift)) is not None]))


def cka(data: Mapping[str, Any]) -> Figure:
    """Draw CKA between all populations: within a method, two searches; between methods."""
    names, found = data["cka"]["populations"], {k: v for k, v in data["cka"].items() if k != "populations"}
    titles = {k: f"{k[1:]} twice" if k.startswith("/") else f"{data['reference']} and {k}" for k in found}
    figure = Figure(figsize=(1.1 + 2.1 * len(found), 2.7), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    image = None
    for axes, (key, values) in zip(panels, found.items(), strict=True):
        matrix = np.array(values, float)
        image = axes.imshow(matrix, vmin=0, vmax=1, cmap="viridis")
        for (i, j), value in np.ndenumerate(matrix):
            text = "n/a" if np.isnan(value) else f"{value:.2f}"
            axes.text(j, i, text, ha="center", va="center", fontsize=7, color=LIGHT_MARK if not value > 0.6 else DARK_MARK)
        axes.set_title(titles[key], fontsize=8)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=7)
        axes.set_yticks(range(len(names)), names if axes is panels[0] else [""] * len(names), fontsize=7)
    assert image is not None
    figure.colorbar(image, ax=panels, shrink=0.8, label="debiased CKA")
    figure.suptitle(f"Representations (mean of n = {data['births']} births)", fontsize=10)
    return figure


def two_paths(data: Mapping[str, Any]) -> Figure:
    """Draw the excess of signed two-paths over both structural nulls, a panel a null and population."""
    rows = [c for c in data["characters"] if c["character"].startswith("two_paths")]
    layers, kinds = list(dict.fromkeys(c["layer"] for c in rows)), list(dict.fromkeys(c["null_kind"] for c in rows))
    methods = list(dict.fromkeys(c["method"] for c in rows))
    figure = Figure(figsize=(1.2 + 3.1 * len(kinds), 0.8 + 2.0 * len(layers)), layout="constrained")
    grid = figure.subplots(len(layers), len(kinds), sharey=True, squeeze=False)
    for row, layer in zip(grid, layers, strict=True):
        for axes, kind in zip(row, kinds, strict=True):
            for m, method in enumerate(methods):
                own = {
                    c["character"].removeprefix("two_paths_"): c
                    for c in rows
                    if (c["layer"], c["null_kind"], c["method"]) == (layer, kind, method)
                }
                for k, signs in enumerate(SIGNS):
                    place = k + (m - (len(methods) - 1) / 2) * 0.8 / len(methods)
                    if own[signs]["effect"] is None:
                        continue
                    low, high = own[signs]["effect_interval"] or (own[signs]["effect"],) * 2
                    axes.bar(place, own[signs]["effect"], 0.7 / len(methods), color=f"C{m}", label=method if k == 0 else "_")
                    axes.plot([place, place], [low, high], color="0.2", lw=0.9)
            axes.axhline(0, color="0.4", lw=0.7)
            axes.set_xticks(range(4), ["+ +", "+ -", "- +", "- -"])
            axes.set_title(f"through {layer}, null {kind}", fontsize=8)
        row[0].set_ylabel("share of two-paths - null")
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.suptitle(f"Signed two-paths (n = {data['births']} births, bars: 95 %)", fontsize=10)
    return figure


def interventions(data: Mapping[str, Any]) -> Figure:
    """Draw accuracy under interventions."""
    methods, kinds = [data["reference"], *data["pairs"]], list(INTERVENTIONS)
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    axes = figure.subplots()
    for m, method in enumerate(methods):
        values = 100 * np.array([data["interventions"][method][kind] for kind in kinds], float)
        place = np.arange(len(kinds)) + (m - (len(methods) - 1) / 2) * 0.8 / len(methods)
        spread = np.abs(np.stack([values.min(1), values.max(1)]) - values.mean(1))
        axes.bar(place, values.mean(1), 0.72 / len(methods), yerr=spread, color=f"C{m}", label=method, error_kw={"lw": 0.8})
    axes.axhline(100 * data["chance"], color="0.4", ls=":", lw=1, label="chance")
    axes.set_xticks(range(len(kinds)), [k.replace("-", " ") for k in kinds])
    axes.set(ylabel="accuracy (%)", title=f"What the wiring does (n = {data['births']} births, bars: range)")
    axes.legend(frameon=False, fontsize=7)
    return figure
