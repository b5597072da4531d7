"""Is the surviving circuit built like a brain? The same measures and nulls on circuits and on C. elegans, or any connectome.

biosim analyse connectome-comparison RUN          or          python analysis/connectome_comparison.py RUN [--connectome FILE]
python analysis/connectome_comparison.py --stages          (the eight stages of C. elegans from birth to adulthood)

Raw values depend on size and density, so each measure is drawn as its distance from nulls with the same degrees:
(observed - null) / (|observed| + |null|). Circuits and brains differ in much else: a layered circuit cannot have reciprocal
synapses or cycles, while its nulls, which keep degrees and not layers, have them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from biosim.analysis import Findings, write_findings
from biosim.circuit import Circuit
from biosim.connectomes import celegans, missing_edges, read_graph
from biosim.errors import BiosimError
from biosim.graphs import Graph, communities, from_circuit, measures, reciprocity
from biosim.graphs.nulls import contrast, degree_preserving_undirected
from biosim.store import Run, open_run

NULLS, STARTS = 10, 3
DRAWN = (
    "reciprocity", "clustering", "path length", "global efficiency", "modularity", "rich club",
    "triads.021D", "triads.021U", "triads.021C", "triads.030T", "triads.030C", "triads.120D", "triads.120U", "triads.210", "triads.300",
)  # fmt: skip


def analyse(run: Run, connectome: Path | None = None, nulls: int = NULLS) -> Findings:
    """Measure every method's circuits and a connectome against their own nulls."""
    brains = (
        {connectome.stem: read_graph(connectome)} if connectome else {f"C. elegans {k}": g for k, g in celegans().items() if "adult" in k}
    )
    return compare(run.circuits, brains, run.name, nulls)


def compare(circuits: Mapping[str, Circuit], brains: Mapping[str, Graph], title: str, nulls: int = NULLS) -> Findings:
    """Tabulate the measures of circuits and connectomes and draw their distances from the nulls."""
    graphs = [(name, r, from_circuit(c, r)) for name, c in circuits.items() for r in range(c.replicates)]
    graphs += [(name, 0, graph) for name, graph in brains.items()]
    rows = [
        {"graph": name, "replicate": r, "nodes": graph.nodes, "edges": graph.edges, **row.flat()}
        for name, r, graph in graphs
        for row in measures(graph.binary(), nulls, seed=r, starts=STARTS, weighted=False)
    ]
    figure = Figure(figsize=(8.2, 4.6), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(name for name, _, _ in graphs))
    for k, name in enumerate(names):
        values = [[r["normalised"] for r in rows if r["graph"] == name and r["measure"] == m] for m in DRAWN]
        mean = [float(np.mean(v)) for v in values]
        spread = [float(np.std(v)) if len(v) > 1 else 0.0 for v in values]
        brain, colour = name in brains, "black" if name in brains else f"C{k}"
        face = "white" if brain and k % 2 else colour
        place = np.arange(len(DRAWN)) + 0.6 * (k + 0.5) / len(names) - 0.3
        axes.errorbar(
            place, mean, spread, fmt="D" if brain else "o", color=colour, markerfacecolor=face, markersize=4, linewidth=1, label=name
        )
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set_xticks(range(len(DRAWN)), [m.replace("triads.", "") for m in DRAWN], rotation=50, ha="right", fontsize=8)
    axes.set(ylabel="distance from degree-preserving nulls", ylim=(-1.05, 1.05))
    n = max(c.replicates for c in circuits.values())
    axes.set_title(f"{title}: circuits (n = {n} replicates, mean ± sd) and connectomes, {nulls} nulls each", fontsize=9)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return Findings({"connectome_comparison": figure}, {"connectome_comparison": rows})


def stages(graphs: Mapping[str, Graph], nulls: int = 20, starts: int = 20) -> Findings:
    """Tabulate and draw reciprocity and modularity over developmental stages; the last two, both adult, show how individuals vary."""
    rows = [{"stage": stage, **_stage(graph, nulls, starts)} for stage, graph in graphs.items()]
    last, adults = rows[-2:], list(graphs.values())[-2:]
    varied = {key: float(np.ptp([r[key] for r in last])) for key in ("reciprocity", "modularity", "modularity_over_null")}
    rows_between = {"stage": "range of the adults", **{key: varied.get(key, float("nan")) for key in rows[0] if key != "stage"}}
    figure = Figure(figsize=(8.4, 2.9), layout="constrained")
    panels = figure.subplots(1, 3)
    titles = ("reciprocity", "modularity", "modularity_over_null")
    for axes, key in zip(panels, titles, strict=True):
        values = [r[key] for r in rows]
        axes.axhspan(min(r[key] for r in last), max(r[key] for r in last), color="0.85", label="2 adults")
        axes.plot(range(len(rows)), values, "o-", color="C0", markersize=4)
        axes.set_xticks(range(len(rows)), [r["stage"] for r in rows], rotation=60, fontsize=7)
        axes.set(title=key.replace("_", " "), ylabel="ratio" if "null" in key else "share of edges" if key == "reciprocity" else "Q")
    panels[0].legend(frameon=False, fontsize=7)
    figure.suptitle(
        f"{graphs[rows[0]['stage']].nodes} neurons in all stages, chemical synapses, n = 1 animal a stage; {nulls} nulls", fontsize=9
    )
    single = [missing_edges(a, b, most=1) for a, b in (adults, reversed(adults))]
    differ = {"edges": "of one synapse", "missing_in_8_of_7": single[0], "missing_in_7_of_8": single[1]}
    return Findings({"stages": figure}, {"stages": [*rows, rows_between], "adults": [differ]})


def _stage(graph: Graph, nulls: int, starts: int) -> dict[str, Any]:
    undirected = graph.without_loops().symmetric().binary()
    observed = communities(undirected, starts=starts).modularity
    drawn = (degree_preserving_undirected(undirected, 0, k) for k in range(nulls))
    found = contrast(observed, [communities(g, starts=starts).modularity for g in drawn])
    n = graph.nodes
    return {
        "edges": graph.edges, "density": graph.edges / (n * (n - 1)), "reciprocity": reciprocity(graph), "modularity": observed,
        "null_modularity": found.mean, "null_deviation": found.deviation, "modularity_over_null": found.ratio, "z": found.z,
    }  # fmt: skip


def main() -> None:
    """Compare runs with a connectome, or follow C. elegans through its stages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, help="run directories")
    parser.add_argument("--connectome", type=Path, default=None, help="edge list, adjacency matrix, GraphML or SONATA edges")
    parser.add_argument("--stages", action="store_true", help="the eight stages of C. elegans")
    parser.add_argument("--nulls", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    try:
        if given.stages:
            findings = stages(celegans(), given.nulls or 20)
            for row in findings.tables["stages"]:
                numbers = [row[k] for k in ("reciprocity", "modularity", "null_modularity", "modularity_over_null")]
                print("{:<20}".format(row["stage"]), *("" if np.isnan(v) else f"{v:.3f}" for v in numbers), sep="\t")  # noqa: T201
            written = write_findings(findings, given.out or Path("runs/connectome_comparison"))
        else:
            written = []
            for folder in given.runs:
                target = given.out or folder / "analysis" / "connectome_comparison"
                written += write_findings(analyse(open_run(folder), given.connectome, given.nulls or NULLS), target)
        for path in written:
            print(path)  # noqa: T201
    except BiosimError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
