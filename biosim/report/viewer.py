"""The viewer's part of a page: data, controls, and what stands there without JavaScript."""

from __future__ import annotations

import html
from collections.abc import Mapping
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.report.assets import asset
from biosim.report.life import Life, life_of, order_of
from biosim.report.packing import Edges, deflate, frame_of, frames, pack, size_of
from biosim.report.parts import Section
from biosim.report.shell import embedded
from biosim.store import Run

ROOM = 1_700_000  # characters of packed edges on a page; the first replicate is there in any case
HELD = 1_000_000  # births of a replicate that a page holds whole
LARGEST = 30_000_000  # births of a replicate that are sorted and counted for a page
DRAWN, DOTS = 1_500, 48  # births that the drawing of the network shows, neurons of a population
_Array = npt.NDArray[Any]


def viewer_data(run: Run, life: Life, room: int = ROOM) -> dict[str, Any]:
    """Return what the viewer shows of a run, as plain data."""
    at = frames(life.steps)
    counts: dict[str, list[list[int]]] = {name: [] for name in life.projections}
    births: dict[str, list[int]] = {name: [] for name in life.projections}
    held: list[dict[str, Any]] = []
    spent = 0
    for r in range(life.replicates):
        edges = {name: life.edges(name, r) for name in life.projections}
        for name, of in edges.items():
            counts[name].append(of.alive(at).tolist())
            births[name].append(of.births)
        if spent <= room:
            own = _replicate(life, edges, at)
            spent += sum(size_of(p["edges"]) for p in own["projections"].values())
            held += [own] if spent <= room or not held else []
    return {
        "name": run.name,
        "at": at.tolist(),
        "clock": life.clock,
        "seconds": life.seconds,
        "populations": [[name, size] for name, size in life.populations.items()],
        "projections": [[name, pre, post] for name, (pre, post) in life.projections.items()],
        "pixels": life.pixels(run.about.get("image_side")),
        "seeds": run.about["seeds"],
        "alive": counts,
        "births": births,
        "weights": life.weights,
        "recorded": [list(entry) for entry in life.recorded],
        "replicates": held,
        "notes": [*life.notes, *_left_out(held, life.replicates)],
    }


def _left_out(held: list[dict[str, Any]], replicates: int) -> list[str]:
    notes = []
    if len(held) < replicates:
        notes.append(f"The page holds the synapses of {len(held)} of {replicates} replicates, for its size; densities are given for all.")
    if sampled := sorted({n for own in held for n, p in own["projections"].items() if "of" in p}):
        notes.append(f"Of {', '.join(sampled)} it holds the synapses among some neurons only, evenly spaced; densities count all.")
    return notes


def _replicate(life: Life, edges: Mapping[str, Edges], at: npt.NDArray[np.int64]) -> dict[str, Any]:
    orders, groups, score = order_of(life, edges)
    packed, total = {}, sum(len(own.pre) for own in edges.values())
    for name, (pre, post) in life.projections.items():
        shape = life.populations[pre], life.populations[post]
        rows, columns = _sample(HELD / max(1, total), shape, orders[pre], orders[post])
        whole = rows.all() and columns.all()
        shown = edges[name] if whole else edges[name].among(rows, columns)
        packed[name] = {"edges": pack(shown, at, shape, edges[name].scale)} | (
            {} if whole else {"of": [int(rows.sum()), int(columns.sum())]}
        )
    return {
        "projections": packed,
        "order": {name: deflate(order.astype("<u4")) for name, order in orders.items()},
        "groups": groups,
        "modularity": score,
        "drawing": _drawing(life, edges, at, orders),
    }


def _sample(room: float, shape: tuple[int, int], rows: _Array, columns: _Array) -> tuple[_Array, _Array]:
    """Return the neurons whose synapses a page holds: all, or evenly spaced ones that make up this share of all pairs."""
    share = min(1.0, room**0.5)
    found = []
    for size, order in zip(shape, (rows, columns), strict=True):
        chosen = np.zeros(size, np.bool_)
        chosen[order[_spaced(size, max(1, int(share * size)))]] = True
        found.append(chosen)
    return found[0], found[1]


def _spaced(size: int, most: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(np.int64)) if size else np.zeros(0, np.int64)


def _drawing(life: Life, edges: Mapping[str, Edges], at: npt.NDArray[np.int64], orders: Mapping[str, _Array]) -> dict[str, Any]:
    """Return some neurons of each population, and births among them drawn by lot (seed 0), the same for the same run."""
    dots = {name: orders[name][_spaced(size, DOTS)] for name, size in life.populations.items()}
    place = {name: np.full(life.populations[name], -1) for name in dots}
    for name, chosen in dots.items():
        place[name][chosen] = np.arange(len(chosen))
    among: list[tuple[int, Edges]] = []
    for k, (name, (pre, post)) in enumerate(life.projections.items()):
        among.append((k, edges[name].among(place[pre] >= 0, place[post] >= 0)))
    total = sum(len(e.pre) for _, e in among)
    chosen = np.zeros(total, np.bool_)
    chosen[np.random.default_rng(0).permutation(total)[:DRAWN]] = True
    lines: list[list[int]] = []
    start, ends = 0, list(life.projections.values())
    for k, few in among:
        own = np.flatnonzero(chosen[start : start + len(few.pre)])
        start += len(few.pre)
        died = np.where(few.died == -1, len(at), frame_of(few.died, at))
        columns = (
            np.full(len(own), k), place[ends[k][0]][few.pre[own]], place[ends[k][1]][few.post[own]],
            frame_of(few.formed, at)[own], died[own], np.round(100 * few.weight[own] / few.scale).astype(int),
        )  # fmt: skip
        lines += np.stack(columns, 1).astype(int).tolist() if len(own) else []
    return {"dots": {name: chosen.tolist() for name, chosen in dots.items()}, "lines": lines, "among": total}


def viewer_section(
    run: Run, prefix: str = "", title: str = "Watch the circuit shrink", short: str = "Viewer", room: int = ROOM
) -> Section | None:
    """Return the section of a page that holds the viewer; ``prefix`` tells two viewers of one page apart."""
    life = life_of(run)
    if life is None or not life.projections or life.steps < 1:
        return None
    if life.size > LARGEST:
        said = f"A replicate has {life.size:,} births, more than the {LARGEST:,} that a page is made from; the figures show them all."
        return Section(title, f"<p>{said}</p>", short)
    return Section(title, markup(viewer_data(run, life, room) | {"prefix": prefix}), short)


def markup(data: Mapping[str, Any]) -> str:
    """Return the viewer's elements, with its data as a text that no parser takes for markup."""
    said = "".join(f"<li>{html.escape(note)}</li>" for note in data["notes"])
    notes = f"<ul class=quiet>{said}</ul>" if said else ""
    name, last = html.escape(data["name"]), len(data["at"]) - 1
    return Template(asset("viewer.html")).substitute(prefix=data["prefix"], name=name, last=last, notes=notes, data=embedded(data))
