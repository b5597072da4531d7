"""What figures of runs share: colours, bands, axes of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

BLUE, RED, GREY, GREEN, YELLOW, PURPLE, TEAL = "#1b6ca8", "#d1495b", "#8d99ae", "#66a182", "#edae49", "#5c4d7d", "#00798c"
COLOURS = (BLUE, RED, GREY, GREEN, YELLOW, PURPLE, TEAL)  # blue: what the run is about
matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})


def colour(k: int) -> str:
    """Return the colour of the ``k``-th of several things; they come again after the last."""
    return COLOURS[k % len(COLOURS)]


def style(k: int, styles: Sequence[str]) -> str:
    """Return the line's style or the bar's hatch of the ``k``-th of several things: another one whenever colours come again."""
    return styles[k // len(COLOURS) % len(styles)]


def band(axes: Axes, x: npt.NDArray[np.float64], values: npt.NDArray[np.float64], colour: str, label: str, style: str = "-") -> None:
    """Plot the mean over replicates with the range of all of them; (moments, R) values."""
    axes.plot(x, values.mean(1), style, color=colour, label=label, lw=1.6)
    if values.shape[1] > 1:
        axes.fill_between(x, values.min(1), values.max(1), color=colour, alpha=0.18, lw=0)


def time_axis(records: Sequence[Mapping[str, Any]]) -> tuple[npt.NDArray[np.float64], str, float]:
    """Return the times of records, in a unit that suits them, the unit, and its seconds."""
    x = np.array([r["time"] for r in records], np.float64)
    unit, scale = ("s", 1.0) if x[-1] < 600 else ("min", 60.0) if x[-1] < 36000 else ("h", 3600.0) if x[-1] < 6e5 else ("days", 86400.0)
    return x / scale, unit, scale
