"""What an analysis or a study finds: figures, tables, and numbers that checks can refer to."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass
class Findings:
    """What an analysis or a study returns.

    Attributes
    ----------
    figures : mapping
        matplotlib figures by file name (without ending).
    tables : mapping
        Lists of rows (dicts with the same keys) by file name.
    metrics : mapping
        Of a study: one value a replicate, (R,), for each name in its ``METRICS``.
    """

    figures: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    metrics: Mapping[str, Sequence[float] | npt.NDArray[np.float64]] = field(default_factory=dict)


def mean_of_known(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean of (R, n) values over those that are numbers, (R,); NaN where none is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(1)
    return np.asarray(np.divide(total, known.sum(1), out=np.full(len(values), np.nan), where=known.any(1)))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV, the keys of the first one as heading."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def svg(figure: Any) -> str:
    """Return a matplotlib figure as SVG text, the same for the same figure."""
    import matplotlib

    buffer = io.StringIO()
    metadata: dict[str, Any] = {"Date": None}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "biosim"}):
        figure.savefig(buffer, format="svg", metadata=metadata)
    return buffer.getvalue()
