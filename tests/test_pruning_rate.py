"""Messages on a graph: shortest paths, edges that count their uses, the cut within a neuron and the network's beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import pytest
import torch

from biosim.develop import Development, develop
from biosim.drives.messages import MessageDrive, drive
from biosim.errors import InputError
from biosim.library import find, load_module
from biosim.measures.routing import METRICS, after_loss, check, efficiency, measure, network_wide
from biosim.rules import load_rule
from biosim.schedule import Schedule, ScheduleKind
from biosim.substrates import substrate_of
from biosim.substrates.routing_kernels import hops_between, messages, route
from biosim.synapses import Network, Population, Projection

Cli = Callable[..., Any]
Mask = npt.NDArray[np.bool_]
build = load_module(find("models", "routing-graph")).build


def random_graph(seed: int, nodes: int = 30, chance: float = 0.08) -> Mask:
    alive = np.random.default_rng(seed).random((nodes, nodes)) < chance
    return np.asarray(alive & ~np.eye(nodes, dtype=bool))


def grown(kind: ScheduleKind, seeds: tuple[int, ...] = (0,), density: float = 0.1, **asked: Any) -> tuple[Development, MessageDrive]:
    network = build(seeds, nodes=24)
    demand = drive(network, **({"messages": 16, "steps": 20, "hops": 8} | asked))
    schedule = Schedule(kind, density, 0.0, 1.0)
    return develop(network, demand, load_rule("edge-use"), schedule=schedule, homeostasis=[], seeds=seeds), demand


@pytest.mark.parametrize("seed", range(5))
def test_hops_are_those_of_networkx(seed: int) -> None:
    alive = random_graph(seed)
    graph = nx.from_numpy_array(alive, create_using=nx.DiGraph)
    everyone = np.arange(len(alive))
    hops = hops_between(alive, everyone, everyone)
    for i, reached in nx.all_pairs_shortest_path_length(graph):
        np.testing.assert_array_equal(hops[i], [reached.get(j, -1) for j in everyone])


@pytest.mark.parametrize("seed", range(5))
def test_a_message_takes_a_shortest_path_over_live_edges(seed: int) -> None:
    alive, random = random_graph(seed), np.random.default_rng(seed)
    pairs = [(int(i), int(j)) for i, j in random.integers(30, size=(40, 2)) if i != j]
    source, target, ticket = np.full(30 * len(pairs), -1), np.full(30 * len(pairs), -1), np.zeros(30 * len(pairs), np.uint32)
    source[::30], target[::30] = np.array(pairs).T
    ticket[::30] = random.integers(2**24, size=len(pairs))
    sent, received = route(alive, source, target, ticket)
    hops = hops_between(alive, np.arange(30), np.arange(30))
    for k, (i, j) in enumerate(pairs):
        moved = slice(30 * k, 30 * k + max(int(hops[i, j]), 0))
        assert (sent[moved.stop : 30 * (k + 1)] == -1).all() and (received[moved.stop : 30 * (k + 1)] == -1).all()
        if hops[i, j] > 0:
            assert sent[moved][0] == i and received[moved][-1] == j
            np.testing.assert_array_equal(sent[moved][1:], received[moved][:-1])
            assert alive[sent[moved], received[moved]].all()


def test_a_message_without_time_left_is_lost() -> None:
    chain = np.eye(6, k=1, dtype=bool)
    source, target = np.array([0, -1, -1, 3, -1, -1]), np.array([5, -1, -1, 5, -1, -1])
    sent, received = route(chain, source, target, np.zeros(6, np.uint32))
    assert sent.tolist() == [0, 1, 2, 3, 4, -1] and received.tolist() == [1, 2, 3, 4, 5, -1]


def test_tickets_spread_messages_over_equal_paths() -> None:
    diamond = np.zeros((5, 5), bool)
    diamond[0, 1:4] = diamond[1:4, 4] = True
    source, target = np.full(6000, -1), np.full(6000, -1)
    source[::2], target[::2] = 0, 4
    ticket = np.repeat(np.random.default_rng(0).integers(2**24, size=3000), 2).astype(np.uint32)
    _, received = route(diamond, source, target, ticket)
    np.testing.assert_allclose(np.bincount(received[::2], minlength=5)[1:4] / 3000, 1 / 3, atol=0.03)


def test_a_sample_is_one_hop_on_an_active_edge() -> None:
    network = build((0, 1), nodes=20, probability=0.2)
    projection = network.projections["nodes-nodes"]
    projection.silence(projection.active & (torch.rand(projection.shape, generator=torch.manual_seed(0)) < 0.7), 0)
    demand, substrate = drive(network, messages=10, hops=6, steps=1), substrate_of(network)
    shown = next(iter(demand.presentations((3, 4), torch.device("cpu")))).inputs
    received = substrate.respond(shown)["nodes"]
    sent = substrate.arriving(projection, {"nodes": received})
    np.testing.assert_array_equal(sent.sum(2), received.sum(2))
    assert float(sent.sum(2).max()) == 1 and sent.shape == (2, 60, 20)
    uses = torch.einsum("rsi,rsj->rij", sent, received)
    assert bool((projection.active | (uses == 0)).all()) and float(uses.sum()) > 10


def test_the_substrate_wants_one_population() -> None:
    a, b = Population("a", 3, "linear"), Population("b", 3, "linear")
    network = Network([a, b], [Projection("a-b", a, b, torch.ones(1, 3, 3), torch.ones(1, 3, 3, dtype=torch.bool))], substrate="routing")
    with pytest.raises(InputError, match="one population"):
        substrate_of(network)


def test_within_a_neuron_the_least_used_edges_die() -> None:
    """Uses counted from the messages alone: of one neuron's edges, none that died was used more than one that lived on."""
    development, demand = grown("constant", (7,))
    death = development.network.projections["nodes-nodes"].death_step[0].numpy()
    born = development.network.projections["nodes-nodes"].born[0].numpy()
    used, died = np.zeros(death.shape), 0
    for step, shown in enumerate(demand.presentations((7,), torch.device("cpu"))):
        alive = born & ((death == -1) | (death >= step))
        sent, received = route(alive, *messages(shown.inputs[0].numpy()))
        np.add.at(used, (sent[sent >= 0], received[received >= 0]), 1)
        for j in range(24):
            gone, stays = alive[:, j] & (death[:, j] == step), alive[:, j] & (death[:, j] != step)
            died += int(gone.sum())
            assert not gone.any() or not stays.any() or used[gone, j].max() <= used[stays, j].min()
    assert died == born.sum() - development.network.projections["nodes-nodes"].alive.sum() > 400


def test_the_network_wide_cut_takes_the_least_used_of_all() -> None:
    demand = drive(build((0,), nodes=24), messages=16, steps=20, hops=8)
    born = ~np.eye(24, dtype=bool)
    left = np.linspace(born.sum(), 60, 20).round().astype(int)
    graphs = network_wide(born, left, demand, 5, list(range(21)))
    used = np.zeros(born.shape)
    for step, shown in enumerate(demand.presentations((5,), torch.device("cpu"))):
        before, after = graphs[step], graphs[step + 1]
        sent, received = route(before, *messages(shown.inputs[0].numpy()))
        np.add.at(used, (sent[sent >= 0], received[received >= 0]), 1)
        gone = before & ~after
        assert after.sum() == left[step] and not (after & ~before).any()
        assert not gone.any() or used[gone].max() <= used[after].min()


def test_end_only_learns_nothing_but_direct_edges() -> None:
    """In a complete graph every message goes straight from source to target: no other edge is ever used."""
    development, demand = grown("end-only", density=0.1, messages=64)
    found = measure(development, demand, draws=2).metrics
    assert found["network_direct"] == [1.0]
    sources, targets = len(demand.sources), len(demand.targets)
    edges = int(development.circuit.mask["nodes-nodes"].sum())
    assert found["network_efficiency"] == pytest.approx([edges / (sources * targets)])  # nobody else is reached
    assert 0 < found["direct"][0] < 1


def test_efficiency_in_closed_form() -> None:
    demand = drive(build((0,), nodes=10), messages=1, steps=1)
    everyone = ~np.eye(10, dtype=bool)
    assert efficiency(everyone, demand) == (1.0, 0.0, 1.0)
    assert efficiency(~everyone & False, demand)[:2] == (0.0, 1.0)
    ring = np.roll(np.eye(10, dtype=bool), 1, 1)
    hops = [t - s for s in range(5) for t in range(5, 10)]
    assert efficiency(ring, demand) == (pytest.approx(np.mean(1 / np.array(hops))), 0.0, pytest.approx(np.mean(hops)))
    assert after_loss(ring, demand, 0, 0.1, 50) > 0.2 and after_loss(everyone, demand, 0, 0.1, 5) == 0.0


def test_a_replicate_alone_equals_the_batch() -> None:
    batch, demand = grown("decreasing-rate", (3, 4))
    alone, _ = grown("decreasing-rate", (4,))
    np.testing.assert_array_equal(batch.circuit.mask["nodes-nodes"][1], alone.circuit.mask["nodes-nodes"][0])
    assert (batch.circuit.mask["nodes-nodes"][0] != batch.circuit.mask["nodes-nodes"][1]).any()
    together, single = measure(batch, demand, draws=2).metrics, measure(alone, demand, draws=2).metrics
    assert set(together) == set(METRICS) and all(together[name][1] == single[name][0] for name in METRICS)


def test_demand_runs_from_patch_to_patch() -> None:
    network = build((0,), nodes=40)
    shown = next(iter(drive(network, messages=4000, hops=1, steps=1, sources=0.25).presentations((0,), torch.device("cpu")))).inputs[0]
    source, target = shown[:, 0].numpy(), shown[:, 1].numpy()
    assert source.max() == 9 and target.min() == 10 and source.min() == 0 and target.max() == 39
    mixed = drive(network, messages=4000, hops=1, steps=1, sources=0.25, anywhere=1.0)
    source, target = next(iter(mixed.presentations((0,), torch.device("cpu")))).inputs[0, :, :2].numpy().T
    assert (source != target).all() and source.max() == 39 and target.min() == 0


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("model.nodes=2", "model.nodes: a graph that routes needs at least 4 nodes, not 2"),
        ("model.probability=0", "model.probability: the chance of a birth must lie in (0, 1], not 0"),
        ("drive.messages=0", "drive.messages: needs at least 1, not 0"),
        ("drive.sources=1", "drive.sources: both patches need a node"),
        ("drive.anywhere=2", "drive.anywhere: a share lies between 0 and 1, not 2"),
        ("drive.hop=10 V", "drive.hop: '10 V' needs a unit of time"),
        ("measure.loss=1.5", "measure.loss: a share lies between 0 and 1, not 1.5"),
        ("measure.draws=0", "measure.draws: needs at least 1, not 0"),
    ],
)
def test_nonsense_is_refused(cli: Cli, setting: str, expected: str) -> None:
    code, _, err = cli("validate", "pruning-rate", "--set", setting)
    assert code == 2 and expected in err


def test_routing_is_not_measured_on_another_drive() -> None:
    with pytest.raises(InputError, match="drive of messages"):
        check(build((0,), nodes=5), object())
