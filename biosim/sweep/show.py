"""What a sweep came to: means and 95 % intervals over seeds, and a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from biosim.errors import BiosimError, did_you_mean
from biosim.sweep.table import AFTER, Row

PREFERRED = ("accuracy", "circuit.accuracy", "density")
MOST_LINES = 12


def metrics(rows: Sequence[Row]) -> list[str]:
    """Return the table's metrics, the one to show first in front."""
    names = list(dict.fromkeys(r["metric"] for r in rows))
    return sorted(names, key=lambda n: PREFERRED.index(n) if n in PREFERRED else len(PREFERRED))


def check_metric(metric: str, known: Sequence[str]) -> None:
    """Raise a BiosimError that lists what there is when a metric is not measured."""
    if metric not in known:
        raise BiosimError(f"--metric {metric}: not measured{did_you_mean(metric, list(known))}; there are: {', '.join(known)}")


def swept(rows: Sequence[Row]) -> list[str]:
    """Return the swept keys, as columns."""
    return [c for c in rows[0] if c not in ("run", "scenario", *AFTER)]


def summarise(rows: Sequence[Row], metric: str | None = None) -> tuple[str, list[Row]]:
    """Return the metric shown and, for each setting, method, regime and density, n, mean and 95 % interval over seeds.

    The interval is Student's: mean ± t(0.975, n - 1) s / sqrt(n); none for a single seed.

    Raises
    ------
    BiosimError
        When there are no rows, or none of that metric.
    """
    from scipy.stats import t

    known = metrics(rows)
    if not known:
        raise BiosimError("the sweep has no results yet")
    if metric is not None:
        check_metric(metric, known)
    chosen = known[0] if metric is None else metric
    places = [*swept(rows), "method", "regime", "density"]
    groups: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        if row["metric"] == chosen:
            groups.setdefault(tuple(row[p] for p in places), []).append(row["value"])
    found = []
    for place, values in groups.items():
        n, mean = len(values), float(np.mean(values))
        half = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else math.nan
        found.append(dict(zip(places, place, strict=True)) | {"n": n, "mean": mean, "low": mean - half, "high": mean + half})
    return chosen, found


def text_rows(summary: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return heading and rows of the summary as text; columns that say nothing are left out."""
    columns = [c for c in summary[0] if c not in ("mean", "low", "high") and any(r[c] not in ("", None) for r in summary)]
    head = [*columns, "mean", "95 % interval"]
    rows = []
    for r in summary:
        interval = "" if math.isnan(r["low"]) else f"{r['low']:.4g} to {r['high']:.4g}"
        rows.append([_text(r[c]) for c in columns] + [f"{r['mean']:.4g}", interval])
    return head, rows


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def figure(metric: str, summary: Sequence[Row], keys: Sequence[str], title: str) -> Any:
    """Return a matplotlib figure: the metric against one swept key, a line for each of the rest."""
    from matplotlib.figure import Figure

    across = _across(summary, keys)
    numeric = _numbers([r[across] for r in summary])
    ticks = list(dict.fromkeys(r[across] for r in summary))
    lines: dict[str, list[Row]] = {}
    apart = [c for c in ("method", "regime", *keys, "density") if c != across and not _follows(summary, c, across)]
    for row in summary:
        lines.setdefault(", ".join(_label(c, row[c]) for c in apart), []).append(row)
    drawn = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = drawn.add_subplot()
    for k, (label, own) in enumerate(list(lines.items())[:MOST_LINES]):
        x = np.array([float(r[across]) if numeric else ticks.index(r[across]) + 0.06 * (k - len(lines) / 2) for r in own])
        order = np.argsort(x)
        mean, low, high = (np.array([r[c] for r in own])[order] for c in ("mean", "low", "high"))
        errors = np.nan_to_num(np.stack([mean - low, high - mean]))
        joined = 1.2 if numeric else 0
        axes.errorbar(x[order], mean, errors, marker="o", ms=4, capsize=3, lw=joined, elinewidth=1.2, label=label or None)
    if numeric and min(places := [float(v) for v in ticks]) > 0 and max(places) > 8 * min(places):
        axes.set_xscale("log")
    if not numeric:
        axes.set_xticks(range(len(ticks)), [_text(v) for v in ticks])
    most = max(r["n"] for r in summary)
    axes.set(xlabel=across, ylabel=metric, title=f"{title}: mean and 95 % interval, n = {most} seed{'s' * (most > 1)}")
    axes.spines[["top", "right"]].set_visible(False)
    if any(lines):
        rest = f"{len(lines) - MOST_LINES} more lines in the table" if len(lines) > MOST_LINES else None
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), title=rest)
    return drawn


def _label(column: str, value: Any) -> str:
    return _text(value) if column in ("method", "regime") else f"{column} {_text(value)}"


def _across(summary: Sequence[Row], keys: Sequence[str]) -> str:
    """Return what stands along the axis: a swept number, any swept key, else densities or methods."""
    many = [k for k in [*keys, "density"] if len({r[k] for r in summary}) > 1]
    numbers = [k for k in many if _numbers([r[k] for r in summary])]
    return (numbers or many or ["method"])[0]


def _follows(summary: Sequence[Row], column: str, across: str) -> bool:
    """Return whether a column says nothing that the axis does not say."""
    return len({(r[across], r[column]) for r in summary}) == len({r[across] for r in summary})


def _numbers(values: Sequence[Any]) -> bool:
    try:
        return all(math.isfinite(float(v)) for v in values)
    except (TypeError, ValueError):
        return False
