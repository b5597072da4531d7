"""Do a local rule and edge-popup find the same synapses? Digits, three densities, beside chance and edge-popup's second search.

python docs/studies/local_global.py [--out FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from biosim import Circuit, Feedback, ImageDrive, Network, Schedule, load_images, load_rule, load_scorer, overlap, prune
from biosim.develop import develop
from biosim.drives import Images

SEEDS, SECOND = (0, 1, 2), (1000, 1001, 1002)
DENSITIES = (0.5, 0.2, 0.05)
SIZES = (64, 100, 100, 10)
EPOCHS = 10
HIDDEN = "hidden1-hidden2"


def births() -> Network:
    """Return the same births every time."""
    return Network.layered(list(SIZES), seeds=list(SEEDS), weights="signed-constant")


def local(drive: ImageDrive, density: float) -> Circuit:
    """Return what the local rule leaves."""
    network = births()
    schedule = Schedule(density=density)
    rule, feedback = load_rule("mirrored-three-factor"), Feedback(network, "random", SEEDS)
    return develop(network, drive, rule, schedule=schedule, feedback=feedback, seeds=list(SEEDS)).circuit


def accuracy(circuit: Circuit, images: Images) -> np.ndarray:
    """Return the share of test images that each replicate reads right."""
    return np.asarray((circuit.predict(images.test) == images.test_labels).mean(1))


def main(out: Path | None) -> None:
    """Print a row a density, and draw overlap beside chance and ceiling."""
    images = load_images("digits")
    drive = ImageDrive(images, batch=32, epochs=EPOCHS)
    popup = load_scorer("edge-popup")
    rows = []
    print("density   accuracy %: local  edge-popup   shared (Jaccard): observed  chance  ceiling   kappa   same answers %")
    for density in DENSITIES:
        ours = local(drive, density)
        theirs, again = (prune("edge-popup", popup, births(), drive, density, seeds) for seeds in (SEEDS, SECOND))
        found, ceiling = overlap(ours, theirs)[HIDDEN], overlap(again, theirs)[HIDDEN]
        agree = (ours.predict(images.test) == theirs.predict(images.test)).mean()
        row = {
            "local": 100 * accuracy(ours, images).mean(),
            "edge-popup": 100 * accuracy(theirs, images).mean(),
            "observed": found.jaccard.mean(),
            "chance": found.chance.mean(),
            "ceiling": ceiling.jaccard.mean(),
            "kappa": found.kappa.mean(),
            "agree": 100 * agree,
        }
        rows.append(row)
        print(
            f"{100 * density:4.0f} %    {row['local']:16.1f} {row['edge-popup']:11.1f} {row['observed']:28.3f} {row['chance']:7.3f} "
            f"{row['ceiling']:8.3f} {row['kappa']:7.3f} {row['agree']:16.1f}"
        )
    if out is not None:
        draw(rows, out / "local_global.svg")


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """Draw accuracy and overlap against density."""
    from biosim.findings import svg

    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, names in ((left, ("local", "edge-popup", "agree")), (right, ("observed", "ceiling", "chance"))):
        for name in names:
            axes.plot([100 * d for d in DENSITIES], [row[name] for row in rows], "o-" if name != "chance" else "k--", ms=4, label=name)
        axes.set(xlabel="density (%)", xscale="log", xticks=[5, 20, 50], xticklabels=["5", "20", "50"])
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=7)
    left.set(ylabel="test images (%)", title=f"right, and answered alike (n = {len(SEEDS)})")
    right.set(ylabel="Jaccard index", title="synapses shared, hidden1 to hidden2")
    path.write_text("\n".join(line.rstrip() for line in svg(figure).splitlines()) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=None, help="a folder for the figure")
    main(parser.parse_args().out)
