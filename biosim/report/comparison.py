"""What a comparison says, as tables: a row a measure, with its null, its ceiling and an effect size."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from biosim.compare.causal import INTERVENTIONS
from biosim.report.parts import inline, noted, table

HEAD = ["measure", "layer", "observed", "null", "ceiling", "effect", "g", "ratio"]
BRIEF = "± is half the 95 % interval over births; ratio: effect / (ceiling - null), 0 chance, 1 as alike as two searches by one method"
HEADLINE = ("overlap.jaccard", "overlap.kappa", "profiles.out_degree", "profiles.in_degree", "flow.path_mass", "flow.signed_path",
            "function.agreement", "function.error_consistency", "function.cka", "function.selectivity",
            "causal.transplant", "causal.union", "causal.intersection")  # fmt: skip


def number(value: float | None, signed: bool = False) -> str:
    """Return a number with three decimals, or a dash where there is none."""
    return "-" if value is None else f"{value:+.3f}" if signed else f"{value:.3f}"


def interval(bounds: Sequence[float] | None, signed: bool = False) -> str:
    """Return `` [low, high]``, or nothing where there is none."""
    return "" if bounds is None else f" [{number(bounds[0], signed)}, {number(bounds[1], signed)}]"


def half(bounds: Sequence[float] | None) -> str:
    """Return `` ± h`` for an interval of half-width h, or nothing where there is none."""
    return "" if bounds is None else f" ± {(bounds[1] - bounds[0]) / 2:.3f}"


def measure_rows(rows: Sequence[Mapping[str, Any]], brief: bool = False) -> tuple[list[list[str]], list[str]]:
    """Return rows as text under ``HEAD``, and numbered reasons for ratios that are not there; ``brief`` for a terminal."""
    found, notes = [], []
    for row in rows:
        reason = row["reason"]
        if reason and reason not in notes:
            notes.append(reason)
        g = "-" if row["hedges_g"] is None else f"{row['hedges_g']:.1f}"
        ratio = f"[{notes.index(reason) + 1}]" if reason else f"{row['ratio']:.2f}" + _bounds(row["ratio_interval"])
        cells = [row["measure"], row["layer"] or "all"]
        for name in ("observed", "null", "ceiling", "effect"):
            bounds, signed = row[f"{name}_interval"], name == "effect"
            spread = "" if brief and name == "null" else half(bounds) if brief else interval(bounds, signed)
            cells.append(number(row[name], signed) + spread)
        found.append([*cells, g, ratio])
    return found, [f"[{k}] {note}" for k, note in enumerate(notes, 1)]


def _bounds(bounds: Sequence[float] | None) -> str:
    return "" if bounds is None else f" [{bounds[0]:.2f}, {bounds[1]:.2f}]"


def primary(data: Mapping[str, Any], other: str) -> list[dict[str, Any]]:
    """Return a method's rows against their primary nulls: the first null that each measure and layer has."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in data["pairs"][other]:
        found.setdefault((row["measure"], row["layer"]), row)
    return list(found.values())


ASKED = (
    ("same synapses?", "overlap.jaccard", 0, "Jaccard"),
    ("same degrees?", "profiles.out_degree", 1, "correlation of the out-degrees of {layer}:"),
    ("same function?", "function.agreement", 0, "predictions agree on"),
)


def answers(data: Mapping[str, Any], other: str) -> list[str]:
    """Return the three questions and their answers, a line each."""
    lines = []
    for question, measure, layered, text in ASKED:
        rows = [r for r in primary(data, other) if r["measure"] == measure and bool(r["layer"]) == bool(layered)]
        if not rows:
            continue
        row = rows[0]
        show = (lambda v: "undefined" if v is None else f"{100 * v:.1f} %") if measure == "function.agreement" else number
        ceiling = "" if row["ceiling"] is None else f", {other} twice {show(row['ceiling'])}"
        way = f"; ratio not given: {row['reason']}" if row["reason"] else f"; {row['ratio']:.2f} of the way from chance to that"
        chance = {"degree-preserving": "chance with these degrees", "independent-errors": "independent errors"}.get(
            row["null_kind"], "chance"
        )
        said = text.format(layer=row["layer"])
        lines.append(f"{question:<16}{said} {show(row['observed'])} ({chance} {show(row['null'])}{ceiling}){way}")
    return lines


def intervention_rows(data: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return heading and rows of accuracies under interventions, a row a method."""
    kinds = [k for k in INTERVENTIONS if k in next(iter(data["interventions"].values()), {})]
    rows = []
    for method in (data["reference"], *data["pairs"]):
        own = data["interventions"][method]
        cells = ["-" if None in own[kind] else f"{100 * sum(own[kind]) / len(own[kind]):.1f}" for kind in kinds]
        rows.append([method, *cells])
    return ["accuracy %", *(k.replace("-", " ") for k in kinds)], rows


def section(data: Mapping[str, Any], drawn: Mapping[str, str]) -> str:
    """Return the part of a page that answers whether circuits are the same."""
    parts = []
    for other in data["pairs"]:
        rows, notes = measure_rows(primary(data, other))
        own = data["searches"]
        title = f"{data['reference']} ({own[data['reference']]} searches a birth) and {other} ({own[other]}), {data['births']} births"
        asked = "<br>".join(html.escape(line) for line in answers(data, other))
        parts.append(f"<h3>{html.escape(title)}</h3><p>{asked}</p>{table(HEAD, rows, title)}{noted(notes)}")
    if data["interventions"]:
        parts.append(f"<h3>What the wiring does</h3>{table(*intervention_rows(data), 'Interventions')}")
    return "".join(parts) + READING + inline(drawn)


READING = """<p class=quiet>Observed: mean over pairs of searches, one by each method, on the same birth. Null: the same measure once
synapses are placed anew (overlap: every neuron's degrees kept; agreement and error consistency: errors independent given the true
class; transplant, union and intersection: random synapses in place of the other circuit's). Ceiling: two searches by the second method.
Effect: observed - null. Intervals: 95 %, Student over births; of the null, quantiles of its draws. g: Hedges' g over births. Ratio:
effect / (ceiling - null), 0 is chance and 1 as alike as two searches by one method, with Fieller's interval; suppressed where the
ceiling's interval holds the null. Interventions: synapses placed anew within each layer; the same with every degree kept; birth
weights dealt out anew; every sign flipped or not, by the toss of a coin.</p>"""
