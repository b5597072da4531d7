"""What the figures of all theory studies share: colours, panels, and a line with its range over replicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#1b6ca8", "#d1495b", "#66a182", "#edae49", "#5c4d7d", "#00798c", "#8d99ae", "#9e4a03")


def panels(columns: int, rows: int = 1, *, width: float = 3.6, height: float = 3.0) -> tuple[Figure, npt.NDArray[Any]]:
    """Return a figure and its axes, (rows, columns)."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, grid


def band(axes: Axes, x: npt.ArrayLike, values: npt.ArrayLike, colour: str, label: str, style: str = "o-") -> None:
    """Draw the mean over replicates and the range of all of them; values are (R, points), NaN where there is none."""
    y, at = np.asarray(values, np.float64), np.asarray(x, np.float64)
    shown = np.isfinite(y).any(0)
    y, at = y[:, shown], at[shown]
    axes.plot(at, np.nanmean(y, 0), style, color=colour, label=label, lw=1.5, ms=3.5)
    if len(y) > 1:
        axes.fill_between(at, np.nanmin(y, 0), np.nanmax(y, 0), color=colour, alpha=0.16, lw=0)


def legend(axes: Axes, **options: Any) -> None:
    """Add a small legend without a frame."""
    axes.legend(frameon=False, fontsize=7, **options)
