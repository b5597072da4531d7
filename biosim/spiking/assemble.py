"""Lay a network out as the flat arrays of :class:`~biosim.spiking.world.World`, one replicate at a time."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import poisson

from biosim.equations.kernel import MAX_STACK
from biosim.errors import InputError
from biosim.spiking.compaction import born_rows
from biosim.spiking.layout import Layout
from biosim.spiking.network import PoissonDrive, Projection
from biosim.spiking.neurons import GivenSpikes, PoissonPopulation
from biosim.spiking.plan import DEFAULT, NEVER, EventPlan
from biosim.spiking.receptors import Conductance, Current, Delta
from biosim.spiking.row_kernels import BLOCK, SLOTS
from biosim.spiking.world import World
from biosim.streams import edge_streams

SPAN = 24  # steps between two boundaries from which potentiation is summed
KEPT = 64  # boundaries kept; a row without arrivals for longer is brought up to date
CAPACITY = 1 << 18  # recorded spikes a replicate holds before they are taken from it, at least
MOST_COUNTS = 256  # spikes of a Poisson drive in one step
Fields = dict[str, Any]


def bits(probability: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Return the number of which a 32-bit draw lies below with this probability."""
    return np.asarray(np.minimum(np.rint(np.asarray(probability, np.float64) * 2.0**32), 2.0**32 - 1).astype(np.uint32))


def hashes(seed: int, component: str, size: int) -> npt.NDArray[np.uint32]:
    """Return the key of each neuron's own stream."""
    return np.random.default_rng(int(edge_streams((seed,), component)[0])).integers(0, 2**32, size, np.uint32)


def born_world(layout: Layout, r: int, seed: int) -> World:
    """Return the arrays of replicate ``r`` as born."""
    return World(
        dt=np.array([layout.network.dt]),
        **_neurons(layout, seed),
        **_drives(layout, seed),
        **_sources(layout, r, seed),
        **_spikes(layout),
        **_projections(layout, seed),
        **_programs(layout),
        **_deferral(layout),
        **born_rows(layout, r),
    )


def _neurons(layout: Layout, seed: int) -> Fields:
    f: Fields = {}
    dt, count = layout.network.dt, sum(p.size for p in layout.neurons.values())
    pop, pop_real = np.zeros((len(layout.neurons), 7), np.int64), np.zeros((len(layout.neurons), 5))
    f["v"] = np.zeros(count, layout.real)
    for k, (name, p) in enumerate(layout.neurons.items()):
        own = [c for (owner, _, _), (c, _) in layout.channels.items() if owner == name]
        flows = any(not isinstance(receptor, Delta) for owner, receptor, _ in layout.channels if owner == name)
        first = min(own, default=0)
        n, at = p.neuron, layout.first[name]
        pop[k] = at, p.size, round(n.refractory / dt), layout.emitters[name], first, first + len(own), flows
        pop_real[k] = math.exp(-dt / n.tau_m), n.v_rest + n.bias, n.v_reset, n.v_threshold, dt / n.tau_m
        f["v"][at : at + p.size] = p.potentials((seed,))[0]
    f["pop"], f["pop_real"] = pop, pop_real
    f["part"] = np.zeros((layout.parts, len(layout.neurons), 2), np.int64)
    for k, p in enumerate(layout.neurons.values()):
        f["part"][:, k] = list(itertools.pairwise(layout.cuts(p.size)))
    f["free_at"], f["flag"] = np.full(count, -(2**30), np.int32), np.zeros(count, np.uint8)
    f["base"], f["leak"] = np.zeros(count, layout.real), np.ones(count, layout.real)
    f["channel"], f["channel_real"] = np.zeros((len(layout.channels), 2), np.int64), np.zeros((len(layout.channels), 3))
    for (_, receptor, scale), (c, at) in layout.channels.items():
        f["channel"][c] = (Delta, Current, Conductance).index(type(receptor)), at
        keep = 0.0 if isinstance(receptor, Delta) else math.exp(-dt / receptor.tau)
        f["channel_real"][c] = keep, getattr(receptor, "reversal", 0.0), scale
    f["x"] = np.zeros(layout.channel_values, layout.real)
    return f


def _drives(layout: Layout, seed: int) -> Fields:
    f: Fields = {}
    drives = layout.network.drives
    table, keys = np.zeros((len(drives), 4), np.int64), []
    limits = [_limits(d, layout.network.dt) for d in drives]
    f["drive_limit"] = np.zeros((len(drives), max([len(x) for x in limits], default=1)), np.uint32)
    at = 0
    for k, d in enumerate(drives):
        size = layout.neurons[d.population].size
        table[k] = layout.places[d.population], layout.channels[d.population, d.receptor, 1.0][1], at, len(limits[k])
        f["drive_limit"][k, : len(limits[k])] = limits[k]
        keys.append(hashes(seed, f"drive/{k}/{d.population}", size + 1))
        at += size
    f["drive"] = table
    f["drive_key"] = np.array([h[-1] for h in keys], np.uint32)
    f["drive_hash"] = np.concatenate([np.zeros(0, np.uint32), *[h[:-1] for h in keys]])
    f["drive_weight"] = np.array([d.weight for d in drives], np.float64)
    return f


def _sources(layout: Layout, r: int, seed: int) -> Fields:
    f: Fields = {}
    table = np.zeros((len(layout.inputs), 7), np.int64)
    size = sum(p.size for p in layout.inputs)
    f["source_key"], f["mother_limit"] = np.zeros((2, len(layout.inputs)), np.uint32)
    f["source_hash"], f["source_limit"] = np.zeros((2, size), np.uint32)
    f["group"] = np.full(size, -1, np.int32)
    steps, neurons = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    at = mothers = given = 0
    for k, p in enumerate(layout.inputs):
        table[k, :4] = layout.emitters[p.name], p.size, int(isinstance(p, GivenSpikes)), at
        table[k, 5] = mothers
        own = slice(at, at + p.size)
        if isinstance(p, GivenSpikes):
            step, neuron = p.steps(r, layout.network.dt)
            steps.append(step)
            neurons.append(neuron)
            given += len(step)
        else:
            key = hashes(seed, f"poisson/{p.name}", p.size + 1)
            f["source_hash"][own], f["source_key"][k] = key[:-1], key[-1]
            f["source_limit"][own], f["mother_limit"][k] = thresholds(p, p.rate, r, layout.network.dt)
            member = np.repeat(np.arange(len(p.groups)), p.groups)
            f["group"][at : at + len(member)] = mothers + member
            table[k, 4] = len(p.groups)
            mothers += len(p.groups)
        table[k, 6] = given
        at += p.size
    f["source"], f["mother"] = table, np.zeros(max(1, mothers), np.bool_)
    f["given_step"], f["given_neuron"] = np.concatenate(steps), np.concatenate(neurons)
    f["position"] = np.concatenate([[0], table[:-1, 6]]).astype(np.int64)[: len(layout.inputs)]
    return f


def _spikes(layout: Layout) -> Fields:
    f: Fields = {}
    populations = layout.network.populations
    total = sum(p.size for p in populations)
    capacity = max(CAPACITY, 2 * total * layout.window)
    f["recorded"] = np.array([p.name in layout.recorded for p in populations], np.bool_)
    f["spikes"], f["cursor"] = np.zeros(len(populations), np.int64), np.zeros(1, np.int64)
    f["out_step"] = np.zeros(capacity, np.int64)
    f["out_emitter"], f["out_neuron"] = np.zeros((2, capacity), np.int32)
    f["room"] = np.array([total], np.int64)
    own = sum(p.size for p in layout.neurons.values())
    f["fired"] = np.zeros((layout.parts, max(1, own * layout.window)), np.int32)
    f["fired_at"] = np.zeros((layout.parts, layout.window * len(layout.neurons) + 1), np.int64)
    return f


def _projections(layout: Layout, seed: int) -> Fields:
    f: Fields = {}
    projections = layout.network.projections
    f["proj"], f["proj_real"] = np.zeros((len(projections), 32), np.int64), np.zeros((len(projections), 4))
    at = dict.fromkeys(("rows", "queue", "queued", "pre", "post", "column", "trace"), 0)
    f["fade"], f["rise"] = [], []
    for k, p in enumerate(projections):
        b, delays, plan = p.births, layout.delays[p.name], layout.plans.get(p.name)
        slots = int(delays.max(initial=0)) + layout.window + 1
        row = f["proj"][k]
        row[:8] = layout.emitters[p.pre], layout.places[p.post], at["rows"], b.n_pre, _channel(layout, p), at["queue"], at["queued"], slots
        row[9], row[26], row[27], row[30] = len(np.unique(delays)) > 1, b.n_post, at["column"], at["rows"]
        row[14:21] = NEVER
        row[31] = layout.deferred.index(p.name) if p.name in layout.deferred else -1
        if plan is not None:
            row[8] = ("static", "deferred", "general").index(plan.path)
            row[10:14] = at["pre"], len(plan.pre), at["post"], len(plan.post)
            row[28], row[29] = at["trace"], at["trace"] + len(plan.pre)
            _place_programs(layout, row, p.name, plan)
            f["proj_real"][k] = plan.bounds
            for trace in (*plan.pre, *plan.post):
                rate, drive = plan.fade[trace]
                keep = math.exp(rate * layout.network.dt)
                f["fade"].append((keep, drive * (layout.network.dt if rate == 0 else math.expm1(rate * layout.network.dt) / rate)))
                f["rise"].append(layout.places_of_programs.get((p.name, f"rise.{trace}"), DEFAULT))
            at["pre"] += len(plan.pre) * b.n_pre
            at["post"] += len(plan.post) * b.n_post
            at["trace"] += len(plan.fade)
        at["rows"] += b.n_pre
        at["queue"] += slots * b.n_pre
        at["queued"] += slots
        at["column"] += b.n_post + 1
    f["fade"], f["rise"] = np.array(f["fade"], np.float64).reshape(-1, 2), np.array(f["rise"], np.int64)
    f["delay"] = np.concatenate([np.zeros(0, np.int32), *[layout.delays[p.name] for p in projections]]).astype(np.int32)
    f["queue"], f["queued"] = np.zeros(at["queue"], np.uint32), np.zeros(at["queued"], np.int64)
    f["pre_trace"], f["post_trace"] = np.zeros((layout.parts, at["pre"])), np.zeros(at["post"])
    f["stream"] = np.array([[edge_streams((seed,), f"events/{p.name}")[0]] for p in projections], np.uint32).reshape(-1, 1)
    f["since"], f["row_value"] = np.full((layout.parts, at["rows"]), -1, np.int32), np.zeros((layout.parts, at["rows"]))
    return f


def _channel(layout: Layout, p: Projection) -> int:
    return layout.channels[p.post, p.receptor, p.scale][1]


def _place_programs(layout: Layout, row: npt.NDArray[np.int64], name: str, plan: EventPlan) -> None:
    def place(key: str, otherwise: int) -> int:
        return layout.places_of_programs.get((name, key), otherwise)

    row[14], row[15] = place("on_pre", NEVER), place("on_post", NEVER)
    if plan.path == "deferred":
        row[16] = place("scale", DEFAULT) if plan.additive else NEVER
        row[17], row[18] = place("post", NEVER), place("shift", NEVER)
        row[19], row[20] = place("row", NEVER), place("gain", NEVER)


def _programs(layout: Layout) -> Fields:
    f: Fields = {}
    table = np.zeros((len(layout.programs), 4), np.int64)
    code, constants, slots = [np.zeros((0, 2), np.int64)], [np.zeros(0)], [np.zeros((0, 3), np.int64)]
    lines = values = numbers = 0
    for k, p in enumerate(layout.programs):
        own = p.code.copy()
        own[(own[:, 0] == 3) | (own[:, 0] >= 30), 1] += numbers
        table[k] = lines, lines + len(own), values, values + len(p.slots)
        code.append(own)
        constants.append(p.constants)
        slots.append(np.array(p.slots, np.int64).reshape(-1, 3))
        lines, values, numbers = lines + len(own), values + len(p.slots), numbers + len(p.constants)
    f["program"], f["code"] = table, np.concatenate(code)
    f["constant"], f["slot"] = np.concatenate(constants).astype(layout.real), np.concatenate(slots)
    f["reg"], f["loc"] = np.zeros((layout.parts, MAX_STACK, BLOCK), layout.real), np.zeros((layout.parts, SLOTS, BLOCK), layout.real)
    f["fresh"] = np.zeros((layout.parts, SLOTS))
    return f


def _deferral(layout: Layout) -> Fields:
    f: Fields = {}
    count, parts, width = len(layout.deferred), layout.parts, layout.widest
    length = (KEPT + 3) * SPAN
    f["span"], f["burst"] = np.full(count, SPAN, np.int64), np.ones(count, np.int64)
    f["decay_table"] = np.ones((count, length + 1), layout.real)
    capacity = 64
    for d, name in enumerate(layout.deferred):
        post = layout.neurons[layout.network.projection(name).post]
        f["burst"][d] = (SPAN - 1) // max(1, round(post.neuron.refractory / layout.network.dt)) + 1
        f["decay_table"][d] = np.exp(layout.plans[name].rate * layout.network.dt * np.arange(length + 1))
        capacity = max(capacity, post.size * (8 + 2 * int(f["burst"][d])))
    capacity = 1 << (capacity - 1).bit_length()
    f["ring"] = np.zeros((count, KEPT, width), layout.real)
    f["sums"], f["gain"] = np.zeros((count, parts, width), layout.real), np.zeros((count, width), layout.real)
    f["total"] = np.zeros((parts, width), layout.real)
    f["log_first"], f["log_last"] = np.zeros((2, count, parts, KEPT + 2), np.int64)
    f["log_step"], f["log_neuron"] = np.zeros((2, count, parts, capacity if count else 1), np.int32)
    f["log_gain"] = np.zeros((count, parts, capacity if count else 1), layout.real)
    return f


def _limits(drive: PoissonDrive, dt: float) -> npt.NDArray[np.uint32]:
    """Return what random bits must reach to count for one spike, two, ... in a step."""
    mean = drive.rate * dt
    if mean == 0 or drive.weight == 0:
        return np.zeros(0, np.uint32)
    counts = np.arange(MOST_COUNTS)
    found = bits(poisson.cdf(counts, mean))
    if found[-1] < np.uint32(2**32 - 1):
        raise InputError(
            f"a Poisson drive of {drive.rate:g} Hz gives {mean:g} spikes in a step of {dt:g} s: use a bias instead", ("drives",)
        )
    return found[: int(np.argmax(found == np.uint32(2**32 - 1))) + 1]


def thresholds(p: PoissonPopulation, rate: float | npt.NDArray[np.float64], r: int, dt: float) -> tuple[npt.NDArray[np.uint32], np.uint32]:
    """Return the limits of each neuron's draws and of those of the groups' common trains."""
    values = np.asarray(rate, np.float64)
    own = np.broadcast_to(values[r] if values.ndim == 2 else values, (p.size,))
    chance = own * dt
    if not p.groups:
        return bits(chance), np.uint32(0)
    grouped = np.arange(p.size) < sum(p.groups)
    highest = float(own[grouped].max())
    share = p.correlation * own / highest if highest > 0 else own
    return bits(np.where(grouped, share, chance)), np.uint32(bits(highest * dt / p.correlation))
