"""Lay a network out as the flat arrays of :class:`~biosim.spiking.world.World`, one replicate at a time."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import poisson

from biosim.equations.kernel import MAX_STACK
from biosim.equations.opcodes import Op
from biosim.errors import InputError
from biosim.spiking import tables
from biosim.spiking.compaction import born_rows
from biosim.spiking.layout import Layout
from biosim.spiking.network import PoissonDrive
from biosim.spiking.neurons import GivenSpikes, PoissonPopulation
from biosim.spiking.receptors import Conductance, Current, Delta
from biosim.spiking.row_kernels import BLOCK, SLOTS
from biosim.spiking.tables import CONDUCTANCE, CURRENT, DEFAULT, DELTA, GIVEN, NEVER, POISSON
from biosim.spiking.world import World
from biosim.streams import edge_streams

SPAN = 24  # steps between two boundaries from which potentiation is summed
KEPT = 64  # boundaries kept; a row without arrivals for longer is brought up to date
CAPACITY = 1 << 18  # recorded spikes a replicate holds before they are taken from it, at least
MOST_COUNTS = 256  # spikes of a Poisson drive in one step
KINDS = {Delta: DELTA, Current: CURRENT, Conductance: CONDUCTANCE}
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
    f["pop"], f["channel"] = np.zeros(len(layout.neurons), tables.POPULATION), np.zeros(len(layout.channels), tables.CHANNEL)
    f["v"] = np.zeros(count, layout.real)
    for k, (name, p) in enumerate(layout.neurons.items()):
        own = [c for (owner, _, _), (c, _) in layout.channels.items() if owner == name]
        flows = any(not isinstance(receptor, Delta) for owner, receptor, _ in layout.channels if owner == name)
        first = min(own, default=0)
        n, at = p.neuron, layout.first[name]
        whole = at, round(n.refractory / dt), layout.emitters[name], first, first + len(own), flows
        f["pop"][k] = *whole, math.exp(-dt / n.tau_m), n.v_rest + n.bias, n.v_reset, n.v_threshold, dt / n.tau_m
        f["v"][at : at + p.size] = p.potentials((seed,))[0]
    f["part"] = np.zeros((layout.parts, len(layout.neurons), 2), np.int64)
    for k, p in enumerate(layout.neurons.values()):
        f["part"][:, k] = list(itertools.pairwise(layout.cuts(p.size)))
    f["free_at"], f["flag"] = np.full(count, -(2**30), np.int32), np.zeros(count, np.uint8)
    f["base"], f["leak"] = np.zeros(count, layout.real), np.ones(count, layout.real)
    for (_, receptor, scale), (c, at) in layout.channels.items():
        keep = 0.0 if isinstance(receptor, Delta) else math.exp(-dt / receptor.tau)
        f["channel"][c] = KINDS[type(receptor)], at, keep, getattr(receptor, "reversal", 0.0), scale
    f["x"] = np.zeros(layout.channel_values, layout.real)
    return f


def _drives(layout: Layout, seed: int) -> Fields:
    f: Fields = {}
    drives = layout.network.drives
    table, keys = np.zeros(len(drives), tables.DRIVE), []
    limits = [_limits(d, layout.network.dt) for d in drives]
    f["drive_limit"] = np.zeros((len(drives), max([len(x) for x in limits], default=1)), np.uint32)
    at = 0
    for k, d in enumerate(drives):
        size = layout.neurons[d.population].size
        table[k] = layout.places[d.population], layout.channels[d.population, d.receptor, 1.0][1], at, len(limits[k]), d.weight
        f["drive_limit"][k, : len(limits[k])] = limits[k]
        keys.append(hashes(seed, f"drive/{k}/{d.population}", size + 1))
        at += size
    f["drive"] = table
    f["drive_key"] = np.array([h[-1] for h in keys], np.uint32)
    f["drive_hash"] = np.concatenate([np.zeros(0, np.uint32), *[h[:-1] for h in keys]])
    return f


def _sources(layout: Layout, r: int, seed: int) -> Fields:
    f: Fields = {}
    table = np.zeros(len(layout.inputs), tables.SOURCE)
    size = sum(p.size for p in layout.inputs)
    f["source_key"], f["mother_limit"] = np.zeros((2, len(layout.inputs)), np.uint32)
    f["source_hash"], f["source_limit"] = np.zeros((2, size), np.uint32)
    f["group"] = np.full(size, -1, np.int32)
    steps, neurons = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    at = mothers = given = 0
    for k, p in enumerate(layout.inputs):
        own, groups = slice(at, at + p.size), 0
        if isinstance(p, GivenSpikes):
            step, neuron = p.steps(r, layout.network.dt)
            steps.append(step)
            neurons.append(neuron)
            given += len(step)
        else:
            key = hashes(seed, f"poisson/{p.name}", p.size + 1)
            f["source_hash"][own], f["source_key"][k] = key[:-1], key[-1]
            f["source_limit"][own], f["mother_limit"][k] = thresholds(p, p.rate, r, layout.network.dt)
            groups = len(p.groups)
            member = np.repeat(np.arange(groups), p.groups)
            f["group"][at : at + len(member)] = mothers + member
        table[k] = layout.emitters[p.name], p.size, GIVEN if isinstance(p, GivenSpikes) else POISSON, at, groups, mothers, given
        mothers += groups
        at += p.size
    f["source"], f["mother"] = table, np.zeros(max(1, mothers), np.bool_)
    f["given_step"], f["given_neuron"] = np.concatenate(steps), np.concatenate(neurons)
    f["position"] = np.concatenate([[0], table["given_end"][:-1]]).astype(np.int64)[: len(layout.inputs)]
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
    f["proj"] = np.zeros(len(projections), tables.PROJECTION)
    at = dict.fromkeys(("rows", "columns", "queue", "queued", "pre_traces", "post_traces"), 0)
    f["fade"], f["rise"] = [], []
    for k, p in enumerate(projections):
        b, delays, plan = p.births, layout.delays[p.name], layout.plans.get(p.name)
        pre, post = (plan.pre, plan.post) if plan is not None else ((), ())
        slots = int(delays.max(initial=0)) + layout.window + 1
        f["proj"][k] = tables.row(
            tables.PROJECTION, **at, **_programs_of(layout, p.name), emitter=layout.emitters[p.pre], population=layout.places[p.post],
            n_pre=b.n_pre, n_post=b.n_post, out=layout.channels[p.post, p.receptor, p.scale][1], slots=slots,
            mixed=len(np.unique(delays)) > 1, path=("static", "deferred", "general").index(layout.paths[p.name]),
            n_pre_traces=len(pre), n_post_traces=len(post), pre_fade=len(f["fade"]), post_fade=len(f["fade"]) + len(pre),
            deferred=layout.deferred.index(p.name) if p.name in layout.deferred else -1,
        )  # fmt: skip
        if plan is not None:
            _, f["proj"][k]["top"], f["proj"][k]["low"], f["proj"][k]["high"] = plan.bounds
            for trace in (*pre, *post):
                rate, drive = plan.fade[trace]
                keep = math.exp(rate * layout.network.dt)
                f["fade"].append((keep, drive * (layout.network.dt if rate == 0 else math.expm1(rate * layout.network.dt) / rate)))
                f["rise"].append(layout.places_of_programs.get((p.name, f"rise.{trace}"), DEFAULT))
        used = {"rows": b.n_pre, "columns": b.n_post + 1, "queue": slots * b.n_pre, "queued": slots}
        used |= {"pre_traces": len(pre) * b.n_pre, "post_traces": len(post) * b.n_post}
        at = {name: first + used[name] for name, first in at.items()}
    f["fade"], f["rise"] = np.array(f["fade"], np.float64).reshape(-1, 2), np.array(f["rise"], np.int64)
    f["delay"] = np.concatenate([np.zeros(0, np.int32), *[layout.delays[p.name] for p in projections]]).astype(np.int32)
    f["queue"], f["queued"] = np.zeros(at["queue"], np.uint32), np.zeros(at["queued"], np.int64)
    f["pre_trace"], f["post_trace"] = np.zeros((layout.parts, at["pre_traces"])), np.zeros(at["post_traces"])
    f["stream"] = np.array([[edge_streams((seed,), f"events/{p.name}")[0]] for p in projections], np.uint32).reshape(-1, 1)
    f["since"], f["row_value"] = np.full((layout.parts, at["rows"]), -1, np.int32), np.zeros((layout.parts, at["rows"]))
    return f


def _programs_of(layout: Layout, name: str) -> dict[str, int]:
    """Return which programs a projection's events run."""
    found = {key: layout.places_of_programs.get((name, key), NEVER) for key in tables.EVENTS}
    if name in layout.plans and layout.plans[name].additive and found["scale"] == NEVER:
        found["scale"] = DEFAULT
    return found


def _programs(layout: Layout) -> Fields:
    f: Fields = {}
    table = np.zeros(len(layout.programs), tables.PROGRAM)
    code, constants, slots = [np.zeros((0, 2), np.int64)], [np.zeros(0)], [np.zeros(0, tables.SLOT)]
    lines = values = numbers = 0
    for k, p in enumerate(layout.programs):
        own = p.code.copy()
        own[(own[:, 0] == Op.constant) | (own[:, 0] >= Op.add_constant), 1] += numbers
        table[k] = lines, lines + len(own), values, values + len(p.slots)
        code.append(own)
        constants.append(p.constants)
        slots.append(np.array(list(p.slots), tables.SLOT))
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
