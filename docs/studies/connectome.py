"""Is a circuit that lost its synapses built like a nervous system? One network of ours, one graph file, and C. elegans, beside nulls.

python docs/studies/connectome.py [--graph FILE] [--out FOLDER]

The file (``my_connectome.csv``, an edge list with a header) is made up: 60 neurons in a sheet, near ones joined. Put your own in its place.
C. elegans is added where the extra ``connectome`` is installed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from biosim import Feedback, ImageDrive, Schedule, load_images, load_rule
from biosim.connectomes import celegans, read_graph
from biosim.develop import develop
from biosim.errors import BiosimError
from biosim.graphs import Graph, from_circuit, measures
from biosim.library import find, load_module

FILE = Path(__file__).with_name("my_connectome.csv")
SHOWN = ("reciprocity", "clustering", "path length", "modularity", "triads.030T", "triads.030C", "triads.300")
NULLS = 10


def developed() -> Graph:
    """Return the recurrent part of a network that kept a tenth of its synapses: 100 neurons that project to each other."""
    images = load_images("digits")
    network = load_module(find("models", "recurrent")).build(64, 10, [0], hidden=100)
    drive = ImageDrive(images, batch=32, epochs=10)
    development = develop(
        network,
        drive,
        load_rule("mirrored-three-factor"),
        schedule=Schedule(density=0.1),
        feedback=Feedback(network, "random", (0,)),
        seeds=[0],
    )
    circuit = development.circuit
    (recurrent,) = [name for name, pre, post in circuit.projections if pre == post]
    right = (circuit.predict(images.test) == images.test_labels).mean()
    print(f"our circuit reads {100 * right:.1f} % of the test digits with {100 * float(circuit.density()[0]):.0f} % of its synapses")
    return from_circuit(circuit, 0, recurrent)


def connectomes(file: Path) -> dict[str, Graph]:
    """Return the graphs of a file and, where it is installed, of an adult C. elegans."""
    found = {file.stem: read_graph(file)}
    try:
        stages = celegans()
    except BiosimError as error:
        print(f"without C. elegans: {error}")
        return found
    name = next(reversed(stages))
    return found | {f"C. elegans {name}": stages[name]}


def main(file: Path, out: Path | None) -> None:
    """Print each measure beside its nulls' mean, and draw the distances."""
    graphs = {"our circuit": developed(), **connectomes(file)}
    found = {}
    for name, graph in graphs.items():
        rows = {row.measure: row.flat() for row in measures(graph.binary(), NULLS, seed=0, starts=3, weighted=False)}
        found[name] = [rows[m] for m in SHOWN]
        print(f"\n{name}: {graph.nodes} neurons, {graph.edges} edges, density {graph.edges / (graph.nodes * (graph.nodes - 1)):.3f}")
        print("  measure         observed   nulls   distance")
        for row in found[name]:
            print(f"  {row['measure']:<14} {row['value']:9.3f} {row['null_mean']:8.3f} {row['normalised']:+10.2f}")
    if out is not None:
        draw(found, out / "connectome.svg")


def draw(found: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw every measure's distance from nulls with the same degrees."""
    from biosim.findings import svg

    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    axes = figure.subplots()
    for k, (name, rows) in enumerate(found.items()):
        place = np.arange(len(SHOWN)) + 0.2 * (k - (len(found) - 1) / 2)
        axes.plot(place, [row["normalised"] for row in rows], "osD"[k % 3], ms=5, label=name)
    axes.axhline(0, color="0.6", lw=0.8)
    axes.set_xticks(range(len(SHOWN)), SHOWN, rotation=20)
    axes.set(ylabel="distance from nulls", title=f"(observed - null) / (|observed| + |null|), {NULLS} degree-preserving nulls each")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    path.write_text("\n".join(line.rstrip() for line in svg(figure).splitlines()) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--graph", type=Path, default=FILE, help="an edge list or adjacency matrix (.csv .tsv), GraphML, or SONATA edges")
    parser.add_argument("--out", type=Path, default=None, help="a folder for the figure")
    given = parser.parse_args()
    main(given.graph, given.out)
