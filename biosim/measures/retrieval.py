"""What a network of binary neurons recalls from cues, and what it does when it is shown nothing.

Retrieval: mean overlap between memories and the states that their cues settle in. Spontaneous activity: share of neurons that fire in
the end when the network starts from silence. In both every neuron has noise of its own, normal and held over a retrieval. The score is

    score = retrieval * (1 - spontaneous)

so that a network that fires whatever it is shown is worth as little as one that recalls nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from pydantic import Field

from biosim.develop import Development
from biosim.drives import Drive
from biosim.findings import Findings
from biosim.memories import degraded, memories_of, overlaps
from biosim.streams import generator
from biosim.substrates import attractor
from biosim.synapses import Network
from biosim.theory.drawing import COLOURS, band, legend, panels

METRICS = {
    "retrieval": "mean overlap with the memory after retrieval from a cue",
    "spontaneous": "share of neurons that fire in the end when nothing is shown",
    "score": "retrieval * (1 - spontaneous)",
    "score_at_birth": "the same before most synapses may die: at the first record",
    "best_score": "largest score of any record",
    "best_density": "share of synapses left in that record",
}
TRACED = ("retrieval", "spontaneous", "score")
Share = Annotated[float, Field(ge=0, le=1)]
Noise = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Floats = npt.NDArray[np.float64]


def check(network: Network, drive: Drive) -> None:
    """Refuse a network without memories."""
    memories_of(network)


def observe(
    network: Network, drive: Drive, *, cue: Share = 0.8, noise: Noise = 0.0, cues: Count = 60
) -> Mapping[str, npt.NDArray[np.float64]]:
    """Return retrieval, spontaneous activity and score of the network as it is, (R,) each; the arguments are those of :func:`measure`."""
    stored = memories_of(network)
    substrate = attractor.substrate(stored, **stored.dynamics)
    wires = {name: p.transmit for name, p in network.projections.items()}
    recalled, fired = [], []
    for name, memories in stored.memories.items():
        tried = memories[:, :cues]
        drawn = [degraded(m, cue, stored.coding, generator(s, "measure/cues")) for s, m in zip(stored.seeds, tried, strict=True)]
        own = [generator(s, "measure/noise").standard_normal(tried.shape[1:], np.float32) * np.float32(noise) for s in stored.seeds]
        shown, push = (torch.from_numpy(np.stack(x)).to(network.device) for x in (drawn, own))
        wanted = torch.from_numpy(tried).to(network.device)
        states, silence = (substrate.retrieve(start, wires, {name: push})[0][name] for start in (shown, torch.zeros_like(shown)))
        recalled.append(overlaps(wanted, states, stored.coding).mean(1))
        fired.append(silence.double().mean((1, 2)))
    retrieval, spontaneous = (torch.stack(x).mean(0).cpu().numpy() for x in (recalled, fired))
    return {"retrieval": retrieval, "spontaneous": spontaneous, "score": retrieval * (1 - spontaneous)}


def measure(development: Development, drive: Drive, *, cue: Share = 0.8, noise: Noise = 0.0, cues: Count = 60) -> Findings:
    """Read retrieval, spontaneous activity and score from the history.

    Parameters
    ----------
    development : Development
    drive : Drive
        Not asked.
    cue : float
        Overlap of a cue with its memory.
    noise : float
        Standard deviation of a neuron's noise, in the unit of fields.
    cues : int
        Memories tried, the first ones.
    """
    records = development.history.records
    traces = {name: np.array([r[f"measure.{name}"] for r in records]).T for name in TRACED}
    density = np.array([r["density"] for r in records]).T
    score, replicates = traces["score"], np.arange(len(density))
    best = score.argmax(1)
    metrics = {name: trace[:, -1] for name, trace in traces.items()}
    metrics |= {"score_at_birth": score[:, 0], "best_score": score[replicates, best], "best_density": density[replicates, best]}
    rows = [
        {"replicate": int(r), "time": record["time"], "density": record["density"][r], **{n: record[f"measure.{n}"][r] for n in TRACED}}
        for r in replicates
        for record in records
    ]
    figure = _draw(development, density, traces)
    return Findings({"retrieval": figure}, {"retrieval": rows}, {n: np.asarray(v, np.float64).tolist() for n, v in metrics.items()})


def _draw(development: Development, density: Floats, traces: Mapping[str, Floats]) -> Figure:
    figure, grid = panels(2, width=3.7, height=3.0)
    left, right = grid[0]
    lost = 1 - density.mean(0)
    for name, colour in zip(TRACED, (COLOURS[0], COLOURS[3], COLOURS[1]), strict=True):
        band(left, lost, traces[name], colour, name)
    left.set(xlabel="synapses lost / synapses born", ylabel="overlap, share, score", title=f"Recall (n = {len(density)} replicates)")
    left.set_ylim(-0.03, 1.03)
    legend(left)
    network, circuit = memories_of(development.network), development.circuit
    kept = np.concatenate([circuit.weight[n][m] for n, m in circuit.mask.items()])
    born = np.concatenate([network.births[n][circuit.born[n]] for n in circuit.mask])
    bins = np.linspace(min(born.min(), kept.min(initial=0)), max(born.max(), kept.max(initial=0)), 61).tolist()
    right.hist(born, bins, color=COLOURS[6], alpha=0.6, label="as born")
    right.hist(kept, bins, color=COLOURS[0], histtype="step", lw=1.4, label="left in the end")
    right.set(xlabel="weight", ylabel="synapses", yscale="log", title="Weights")
    legend(right)
    return figure
