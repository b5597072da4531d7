"""When must an eye be closed? A sweep over the moment, in a network whose synapses can be lost from 30 to 70 % of development.

python docs/studies/window.py [--out FOLDER]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import biosim

SCENARIO = Path(__file__).with_name("window.yaml")
MOMENTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
LASTS = 0.2


def closed_from(start: float, folder: Path) -> dict[str, np.ndarray]:
    """Run the scenario with the left eye closed from ``start`` on; return what was measured, (R,) by name."""
    settings = [f"drive.opens={start}", f"drive.closes={start + LASTS:.1f}"]
    run, _ = biosim.run(biosim.read_scenario(SCENARIO, settings), folder / f"{start}", report=False)
    return {name: np.array(run.results["metrics"][f"measure.{name}"]) for name in ("odi", "left", "right")}


def main(out: Path | None) -> None:
    """Print a row a moment, and draw them."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for start in MOMENTS:
            rows.append(closed_from(start, Path(scratch)))
    print("closed from   dominance of the open eye   synapses left: closed eye   open eye")
    for start, row in zip(MOMENTS, rows, strict=True):
        print(
            f"{100 * start:3.0f} to {100 * (start + LASTS):3.0f} %   {row['odi'].mean():+.2f} (sd {row['odi'].std(ddof=1):.2f})"
            f"              {100 * row['left'].mean():4.1f} %                     {100 * row['right'].mean():4.1f} %"
        )
    if out is not None:
        draw(rows, out / "window.svg")


def draw(rows: list[dict[str, np.ndarray]], path: Path) -> None:
    """Draw dominance and synapses left against the moment."""
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    middle = 100 * (np.array(MOMENTS) + LASTS / 2)
    for axes, names, label in zip(
        figure.subplots(1, 2), (("odi",), ("left", "right")), ("dominance of the open eye", "synapses left / born"), strict=True
    ):
        axes.axvspan(30, 70, color="0.9", lw=0, label="synapses can be lost")
        for name in names:
            values = np.array([row[name] for row in rows])
            title = {"odi": "mean, n = 3, and each", "left": "closed eye", "right": "open eye"}[name]
            (line,) = axes.plot(middle, values.mean(1), "o-", ms=4, label=title)
            axes.plot(middle, values, ".", ms=4, color=line.get_color(), alpha=0.5)
        axes.set(xlabel="middle of the closure (% of development)", ylabel=label)
        axes.legend(frameon=False, fontsize=7)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG, the same for the same figure."""
    from biosim.findings import svg

    path.write_text("\n".join(line.rstrip() for line in svg(figure).splitlines()) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=None, help="a folder for the figure")
    main(parser.parse_args().out)
