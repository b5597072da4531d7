"""Circuits: paths, overlap, files, graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biosim.circuit import Circuit
from biosim.compare import agreement, overlap
from biosim.effective import on_path
from biosim.errors import BiosimError, InputError
from biosim.rundir.circuit_file import circuit_bytes
from biosim.store import read_circuit
from biosim.synapses import Network

Births = Callable[..., Network]


def sparse(births: Births, density: float, seed: int = 0, seeds: tuple[int, ...] = (0, 1)) -> Circuit:
    network, random = births(seeds), np.random.default_rng(seed)
    for p in network.projections.values():
        p.eliminate(torch.from_numpy(random.random(p.shape) > density), 0)
    return Circuit.of(network, {"rule": "made up", "locality": "synapse", "seeds": list(seeds)})


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 0.5), st.integers(0, 99))
def test_effective_synapses_lie_on_a_path_as_networkx_finds_it(density: float, seed: int) -> None:
    circuit = sparse(lambda seeds: Network.layered([8, 6, 5, 3], list(seeds)), density, seed)
    found = on_path(circuit.network, {n: torch.from_numpy(m) for n, m in circuit.mask.items()})
    for r in range(2):
        graph = circuit.to_networkx(r)
        reached = set().union(*(nx.descendants(graph, ("input", i)) | {("input", i)} for i in range(8)))
        leads = set().union(*(nx.ancestors(graph, ("output", i)) | {("output", i)} for i in range(3)))
        wanted = {(u, v) for u, v in graph.edges if u in reached and v in leads}
        ours = {((pre, i), (post, j)) for n, pre, post in circuit.projections for i, j in np.argwhere(found[n][r].numpy()).tolist()}
        assert ours == wanted
    assert circuit.effective_density()[0] <= circuit.density()[0]


def test_the_graph_is_the_circuit(births: Births) -> None:
    circuit = sparse(births, 0.3)
    graph = circuit.to_networkx(1)
    assert graph.number_of_nodes() == 36 + 20 + 16 + 4
    assert graph.number_of_edges() == sum(int(m[1].sum()) for m in circuit.mask.values())
    i, j = np.argwhere(circuit.mask["hidden1-hidden2"][1])[7]
    edge = graph.edges[("hidden1", int(i)), ("hidden2", int(j))]
    assert edge == {"weight": pytest.approx(circuit.weight["hidden1-hidden2"][1, i, j]), "projection": "hidden1-hidden2"}


def test_a_circuit_computes_what_a_plain_loop_computes(births: Births) -> None:
    circuit = sparse(births, 0.4)
    circuit = replace(circuit, gain={n: g * 1.3 for n, g in circuit.gain.items()})
    x = np.random.default_rng(1).standard_normal((9, 36)).astype(np.float32)
    for r in range(2):
        y = x
        for name, _, post in circuit.projections:
            y = (y @ (circuit.weight[name][r] * circuit.mask[name][r])) * circuit.gain[post][r]
            y = np.maximum(y, 0) if post != "output" else y
        np.testing.assert_allclose(circuit.respond(x)[r], y, rtol=1e-4, atol=1e-5)


def test_overlap_equals_counting_and_its_null_equals_drawing(births: Births) -> None:
    first, second = sparse(births, 0.3, 1), sparse(births, 0.5, 2)
    found = overlap(first, second)["hidden1-hidden2"]
    a, b = first.mask["hidden1-hidden2"], second.mask["hidden1-hidden2"]
    random = np.random.default_rng(0)
    for r in range(2):
        assert found.jaccard[r] == pytest.approx((a[r] & b[r]).sum() / (a[r] | b[r]).sum())
        flat = a[r].ravel()
        draws = [random.permutation(b[r].ravel()) for _ in range(2000)]
        null = np.array([(flat & d).sum() / (flat | d).sum() for d in draws])
        assert found.chance[r] == pytest.approx(null.mean(), rel=0.01)
        assert found.deviation[r] == pytest.approx(null.std(), rel=0.1)
        agree, expected = (a[r] == b[r]).mean(), a[r].mean() * b[r].mean() + (1 - a[r].mean()) * (1 - b[r].mean())
        assert found.kappa[r] == pytest.approx((agree - expected) / (1 - expected))
    same = overlap(first, first)["input-hidden1"]
    assert (same.jaccard == 1).all() and (same.kappa == 1).all()


def test_circuits_of_other_births_are_not_matched(births: Births) -> None:
    with pytest.raises(InputError, match="births"):
        overlap(sparse(births, 0.3), sparse(lambda seeds: births(seeds, probability=0.5), 0.3))
    predictions = np.array([[0, 1, 2, 3]])
    assert agreement(predictions, np.array([[0, 1, 2, 0]]))[0] == 0.75


def test_files_give_back_the_circuit_and_the_same_bytes(births: Births, tmp_path: Path) -> None:
    circuit = sparse(births, 0.3)
    path = tmp_path / "c.safetensors"
    path.write_bytes(circuit_bytes(circuit))
    back = read_circuit(path)
    assert back.populations == circuit.populations and back.projections == circuit.projections
    for field in ("mask", "born", "weight", "gain"):
        for name, array in getattr(circuit, field).items():
            assert np.array_equal(getattr(back, field)[name], array) and getattr(back, field)[name].dtype == array.dtype
    assert circuit_bytes(back) == path.read_bytes() == circuit_bytes(circuit)


def test_masks_are_readable_without_biosim(births: Births, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    circuit = sparse(births, 0.3)
    path = tmp_path / "c.safetensors"
    path.write_bytes(circuit_bytes(circuit))
    tensors = load_file(path)
    assert np.array_equal(tensors["input-hidden1.mask"], circuit.mask["input-hidden1"])


def test_damaged_circuits_are_refused(births: Births, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    whole = circuit_bytes(sparse(births, 0.3))
    for content in (whole[:-100], whole[:20], b"", b"\xff" * 200):
        path.write_bytes(content)
        with pytest.raises(BiosimError, match="not a circuit"):
            read_circuit(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": np.ones((2, 3, 4), bool)}, r"have the shape \(1, 3, 4\)|have the shape \(2, 3, 4\)"),
        ({"mask": np.ones((1, 3, 4), np.float32)}, r"mask and births \(bool\) and weights of 'a-b' .* not float32 \(1, 3, 4\)"),
        ({"weight": np.ones((1, 4, 3), np.float32)}, r"not bool \(1, 3, 4\), bool \(1, 3, 4\), float32 \(1, 4, 3\)"),
        ({"born": np.zeros((1, 3, 4), bool)}, "12 synapses of 'a-b' are left that were never born"),
    ],
)
def test_a_circuit_refuses_what_none_can_be(change: dict[str, np.ndarray], message: str) -> None:
    whole = {"mask": np.ones((1, 3, 4), bool), "born": np.ones((1, 3, 4), bool), "weight": np.ones((1, 3, 4), np.float32)} | change
    arrays = {n: {"a-b": a} for n, a in whole.items()}
    with pytest.raises(InputError, match=message):
        Circuit((("a", 3, "linear"), ("b", 4, "relu")), (("a-b", "a", "b"),), **arrays, gain={})
