"""Elimination in a Brian2 model: what goes on is what a network born with only the survivors would do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import brian2 as b2
import numpy as np
import pytest
from brian2 import Hz, ms
from brian2.devices.device import RuntimeDevice
from brian2.synapses.spikequeue import SpikeQueue
from brian_setup import quick_brian
from hypothesis import given, settings
from hypothesis import strategies as st
from pyparsing import ParserElement

from biosim.errors import InputError
from biosim.substrates.brian import eliminate, eliminated_recordings


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with quick_brian():
        yield


MODEL = """
w : 1
gate : 1
mark : integer
dapre/dt = -apre/(20*ms) : 1 (event-driven)
dapost/dt = -apost/(15*ms) : 1 (event-driven)
ddrift/dt = (w - drift)/(30*ms) : 1 (clock-driven)
"""
ON_PRE = "v_post += 6*mV*w*gate; w = clip(w + apost, 0, 1); apre += 0.01"
ON_POST = {"post": "w = clip(w + apre, 0, 1); apost -= 0.012", "echo": "w = clip(w + 0.001*gate, 0, 1)"}


class World(NamedTuple):
    network: Any
    synapses: Any
    spikes: Any
    record: Any


def world(seed: int, *, homogeneous: bool = False, chosen: Any = None, gate: Any = None, size: int = 6, n: int = 40) -> World:
    """Return a network on given input; with ``chosen`` only those synapses are ever made, ``gate`` 0 makes one deaf."""
    random = np.random.default_rng(seed)
    i, j = random.integers(0, size, n), random.integers(0, size, n)  # some pairs have several synapses
    w, steps = random.random(n), random.integers(0, 60, (3, n))
    times = np.unique(random.integers(0, 800, 150)) * 0.1 * ms
    source = b2.SpikeGeneratorGroup(size, random.integers(0, size, len(times)), times)
    target = b2.NeuronGroup(
        size, "dv/dt = -v/(10*ms) : volt (unless refractory)", threshold="v > 10*mV", reset="v = 0*mV", refractory=1 * ms, method="exact"
    )
    delay = {"pre": 2.3 * ms, "post": 0.7 * ms, "echo": 3 * ms} if homogeneous else None
    synapses = b2.Synapses(source, target, MODEL, on_pre=ON_PRE, on_post=ON_POST, delay=delay, multisynaptic_index="k", method="exact")
    chosen = np.arange(n) if chosen is None else chosen
    synapses.connect(i=i[chosen], j=j[chosen])
    synapses.w, synapses.mark, synapses.gate = w[chosen], chosen, 1 if gate is None else gate
    if not homogeneous:
        synapses.pre.delay, synapses.post.delay, synapses.echo.delay = steps[:, chosen] * 0.1 * ms
    spikes = b2.SpikeMonitor(target)
    record = b2.StateMonitor(synapses, ["w", "apre"], record=True)
    return World(b2.Network(source, target, synapses, spikes, record), synapses, spikes, record)


def own_variables(synapses: Any) -> dict[str, np.ndarray]:
    names = ("w", "gate", "mark", "apre", "apost", "drift", "lastupdate", "i", "j", "N_incoming", "N_outgoing")
    found = {
        name: np.array(synapses.variables[name].get_value()) if name[0] == "N" else np.array(getattr(synapses, name)) for name in names
    }
    return found | {f"{p}.delay": np.array(getattr(synapses, p).delay) for p in ("pre", "post", "echo")}


def assert_alike(one: World, other: World) -> None:
    """The same spikes and, bit for bit, the same variables of every synapse."""
    for a, b in zip(*[(np.array(x.spikes.i), np.array(x.spikes.t)) for x in (one, other)], strict=True):
        assert np.array_equal(a, b)
    mine, theirs = own_variables(one.synapses), own_variables(other.synapses)
    for name in mine:
        assert np.array_equal(mine[name], theirs[name]), name


@pytest.mark.parametrize("queue", ["c++", "python"])
@pytest.mark.parametrize("homogeneous", [True, False])
def test_runs_on_as_a_network_born_with_only_the_survivors(homogeneous: bool, queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if queue == "python":
        monkeypatch.setattr(RuntimeDevice, "spike_queue", lambda self, source_start, source_end: SpikeQueue(source_start, source_end))
    doomed = np.random.default_rng(5).random(40) < 0.5
    whole = world(1, homogeneous=homogeneous, gate=np.where(doomed, 0, 1))  # the doomed transmit nothing, so births do not differ
    few = world(1, homogeneous=homogeneous, chosen=np.flatnonzero(~doomed))
    for one in (whole, few):
        one.network.run(31 * ms)
    assert eliminate(whole.synapses, "gate < 0.5") == doomed.sum()
    assert_alike(whole, few)
    assert np.array_equal(whole.synapses.k, few.synapses.k)
    for one in (whole, few):
        one.network.run(30 * ms)
    assert_alike(whole, few)
    assert whole.spikes.num_spikes > 20
    assert np.array_equal(whole.record.w, few.record.w)
    assert np.array_equal(whole.record.apre, few.record.apre)


@settings(max_examples=4)
@given(seed=st.integers(0, 10**6), homogeneous=st.booleans(), cuts=st.lists(st.floats(0, 1), min_size=1, max_size=2))
def test_what_is_in_flight_reaches_survivors_once_and_the_dead_never(seed: int, homogeneous: bool, cuts: list[float]) -> None:
    dying, carrying = world(seed, homogeneous=homogeneous), world(seed, homogeneous=homogeneous)
    random, alive = np.random.default_rng(seed), np.ones(40, bool)
    for cut in cuts:
        for one in (dying, carrying):
            one.network.run(17.3 * ms)
        gone = alive & (random.random(40) < cut)
        alive &= ~gone
        assert eliminate(dying.synapses, np.isin(dying.synapses.mark, np.flatnonzero(gone))) == gone.sum()
        carrying.synapses.gate = np.where(alive, 1, 0)  # dead ones are carried, and transmit nothing
    for one in (dying, carrying):
        one.network.run(25 * ms)
    assert np.array_equal(dying.spikes.t, carrying.spikes.t)
    assert np.array_equal(dying.spikes.i, carrying.spikes.i)
    mine, theirs = own_variables(dying.synapses), own_variables(carrying.synapses)
    for name in mine:
        if name[0] != "N":
            expected = theirs[name] if np.ndim(theirs[name]) == 0 else theirs[name][alive]
            assert np.array_equal(mine[name], expected), name
    assert np.array_equal(mine["N_incoming"], np.bincount(theirs["j"][alive], minlength=6))
    assert np.array_equal(mine["N_outgoing"], np.bincount(theirs["i"][alive], minlength=6))
    assert len(dying.synapses) == alive.sum()


@pytest.mark.slow
def test_cython_agrees_with_numpy() -> None:
    results = []
    for target in ("numpy", "cython"):
        b2.prefs.codegen.target = target
        one = world(3)
        one.network.run(30 * ms)
        eliminate(one.synapses, "w < 0.5")
        one.network.run(30 * ms)
        eliminate(one.synapses, "w < 0.7")
        one.network.run(20 * ms)
        results.append(one)
    assert np.array_equal(results[0].spikes.t, results[1].spikes.t)
    np.testing.assert_allclose(results[0].synapses.w, results[1].synapses.w, rtol=1e-12)
    np.testing.assert_allclose(results[0].record.w, results[1].record.w, rtol=1e-12)


def small() -> Any:
    group = b2.NeuronGroup(4, "v : volt\nx : 1", threshold="v > 1*volt", reset="v = 0*volt")
    group.x = "i"
    synapses = b2.Synapses(group, group, "g : siemens", on_pre="v_post += 1*mV")
    synapses.connect()
    synapses.g = np.arange(16) * b2.nS
    return group, synapses


@pytest.mark.parametrize(
    ("condition", "gone"),
    [
        ("g < 5*nS", range(5)),
        ("g < limit and i == j", [0]),
        ("x_pre > 2", range(12, 16)),
        ("N_incoming > 3", range(16)),
        (np.arange(16) % 2 == 0, range(0, 16, 2)),
        ([3, 3, 5], [3, 5]),
        (np.array([], int), []),
        (7, [7]),
        ("True", range(16)),
        ("rand() < 0", []),
        ("t - lastspike_like > 10*second", []),
    ],
)
def test_conditions(condition: Any, gone: Any) -> None:
    group, synapses = small()
    limit, lastspike_like = 4 * b2.nS, 0 * b2.second
    left = np.setdiff1d(np.arange(16), list(gone))
    assert eliminate(synapses, condition) == len(list(gone))
    assert limit and lastspike_like == 0
    assert len(synapses) == synapses.N == len(left)
    np.testing.assert_allclose(synapses.g / b2.nS, left)
    assert np.array_equal(synapses.i, left // 4)
    assert np.array_equal(synapses.N_incoming_post, np.bincount(left % 4, minlength=4))
    b2.Network(group, synapses).run(1 * ms)


def test_a_subgroup_is_a_condition_and_an_old_one_is_refused() -> None:
    _, synapses = small()
    weak, old = synapses["g < 3*nS"], synapses["g > 3*nS"]
    assert eliminate(synapses, weak) == 3
    with pytest.raises(RuntimeError, match="removed"):
        eliminate(synapses, old)
    with pytest.raises(InputError, match="is not one of"):
        eliminate(synapses, small()[1]["g < 3*nS"])


@pytest.mark.parametrize(
    ("condition", "error", "message"),
    [
        ("g", InputError, "not a condition"),
        ("g < 5", b2.DimensionMismatchError, "units"),
        ("weight < 5", KeyError, "weight"),
        ([16], InputError, "0 to 15"),
        ([-1], InputError, "0 to 15"),
        ([0.5], InputError, "float64"),
        (np.ones(5, bool), InputError, "16 synapses"),
        (True, InputError, "16 synapses"),
        (np.zeros((2, 2), int), InputError, "shape"),
        (None, InputError, "object"),
    ],
)
def test_what_is_no_condition_changes_nothing(condition: Any, error: type[Exception], message: str) -> None:
    _, synapses = small()
    with pytest.raises(error, match=message):
        eliminate(synapses, condition)
    assert len(synapses) == 16


def test_recordings_of_the_dead_are_set_aside() -> None:
    one = world(4)
    some = b2.StateMonitor(one.synapses, "w", record=[7, 3, 30])
    one.network.add(some)
    one.network.run(20 * ms)
    before, i = np.array(one.record.w), np.array(one.synapses.i)
    assert eliminate(one.synapses, [3, 10, 11]) == 3
    with pytest.raises(TypeError, match="run"):
        some.record_single_timestep()
    one.network.run(10 * ms)
    (gone,) = eliminated_recordings(one.record)
    assert np.array_equal(gone.index, [3, 10, 11]) and np.array_equal(gone.i, i[[3, 10, 11]]) and len(gone.t) == 200
    assert np.array_equal(gone.values["w"], before[[3, 10, 11]])
    assert one.record.w.shape == (37, 300)
    assert np.array_equal(one.record.w[:, :200], np.delete(before, [3, 10, 11], 0))
    assert np.array_equal(some.record, [6, 27])
    assert np.array_equal(some[6].w, one.record[6].w) and np.array_equal(some.w[1], one.record.w[27])
    assert eliminate(one.synapses, "True") == 37
    one.network.run(5 * ms)
    assert one.record.w.shape == (0, 350)
    assert [r.values["w"].shape for r in eliminated_recordings(one.record)] == [(3, 200), (37, 300)]


@pytest.mark.parametrize("homogeneous", [True, False])
def test_stored_states_are_restored_across_eliminations(homogeneous: bool, tmp_path: Any) -> None:
    one, other = world(6, homogeneous=homogeneous), world(6, homogeneous=homogeneous)
    for network in (one.network, other.network):
        network.run(20 * ms)
    one.network.store("whole")
    one.network.store("whole", filename=str(tmp_path / "state"))
    eliminate(one.synapses, "mark < 20")
    one.network.run(5 * ms)
    one.network.store("half")
    one.network.run(10 * ms)
    w = np.array(one.synapses.w)
    eliminate(one.synapses, "mark < 30")
    one.network.run(10 * ms)
    one.network.restore("whole")
    assert eliminated_recordings(one.record) == []
    for network in (one.network, other.network):
        network.run(20 * ms)
    assert_alike(one, other)
    assert np.array_equal(one.record.w, other.record.w)
    one.network.restore("half")
    assert len(eliminated_recordings(one.record)) == 1
    one.network.run(10 * ms)
    assert np.array_equal(one.synapses.w, w)
    assert one.record.w.shape == (20, 350)
    if not homogeneous:
        with pytest.raises(InputError, match="stored in a file before"):
            one.network.restore("whole", filename=str(tmp_path / "state"))


def test_parts_of_groups_sums_operations_and_later_births() -> None:
    """Subgroups, a summed variable, run_regularly, and synapses connected afterwards."""

    def build(chosen: np.ndarray) -> tuple[Any, Any, Any, Any]:
        source = b2.PoissonGroup(9, 0 * Hz)
        group = b2.NeuronGroup(8, "total : 1\ndv/dt = (total - v)/(5*ms) : 1", method="euler")
        synapses = b2.Synapses(source[3:], group[2:6], "w : 1\nflag : boolean\ntotal_post = w : 1 (summed)", on_pre="w += 1")
        i, j = np.divmod(chosen, 4)
        synapses.connect(i=i, j=j)
        synapses.w, synapses.flag = chosen * 0.1, chosen % 3 == 0
        synapses.run_regularly("w = w*0.9 + 0.01*i + 0.1*int(flag)", dt=1 * ms)
        return source, group, synapses, b2.Network(source, group, synapses)

    left = np.flatnonzero(np.random.default_rng(8).random(24) < 0.4)
    *_, group, synapses, network = build(np.arange(24))
    eliminate(synapses, np.setdiff1d(np.arange(24), left))
    *_, group_few, few, network_few = build(left)
    for one in (network, network_few):
        one.run(3 * ms)
    for name in ("i", "j", "w", "flag", "N_incoming_post", "N_outgoing_pre"):
        assert np.array_equal(getattr(synapses, name)[:], getattr(few, name)[:]), name
    assert np.array_equal(group.v, group_few.v) and np.max(group.v) > 0
    for each in (synapses, few):
        each.connect(i=[0, 1], j=[3, 3])
        assert np.array_equal(each.w[-2:], [0, 0]) and not each.flag[-1]
    assert np.array_equal(synapses.N_incoming_post, few.N_incoming_post)
    eliminate(synapses, "True")
    network.run(3 * ms)
    assert len(synapses) == 0 and not synapses.N_incoming_post.any() and not np.any(group.total)


def test_synapses_that_others_lead_onto_are_refused() -> None:
    ParserElement.enable_packrat()  # as matplotlib does
    group, synapses = small()
    upper = b2.Synapses(group, synapses, on_pre="g_post += 1*nS")
    upper.connect(i=0, j=5)
    with pytest.raises(InputError, match=upper.name):
        eliminate(synapses, [0])
    assert len(synapses) == 16
    assert eliminate(synapses, []) == 0
    assert eliminate(upper, [0]) == 1
    del upper
    assert eliminate(synapses, [0]) == 1


def test_refused_during_a_run_in_standalone_mode_and_on_other_things() -> None:
    group, synapses = small()
    operation = b2.NetworkOperation(lambda: eliminate(synapses, [0]))
    network = b2.Network(group, synapses, operation)
    with pytest.raises(Exception, match="between two runs") as caught:
        network.run(1 * ms)
    assert isinstance(caught.value, InputError) or isinstance(caught.value.__cause__, InputError)
    network.remove(operation)
    network.run(0 * ms)
    assert eliminate(synapses, [0]) == 1
    with pytest.raises(InputError, match=r"brian2\.Synapses"):
        eliminate(group, [0])
    b2.set_device("cpp_standalone", build_on_run=False)
    try:
        _, synapses = small_unset()
        with pytest.raises(InputError, match="runtime mode"):
            eliminate(synapses, "i > 2")
    finally:
        b2.device.reinit()
        b2.set_device("runtime")


def small_unset() -> Any:
    group = b2.NeuronGroup(4, "v : volt", threshold="v > 1*volt", reset="v = 0*volt")
    synapses = b2.Synapses(group, group, "g : siemens", on_pre="v_post += 1*mV")
    synapses.connect()
    return group, synapses
