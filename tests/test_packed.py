"""Packed synapses: a development that keeps only the live ones does what one that keeps them all does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from developed import Births, grow, recorded, threads

from biosim.drives import ImageDrive
from biosim.equations import Rule, parse_rule
from biosim.errors import InputError, NumericalError
from biosim.homeostasis import IncomingResource
from biosim.nursery.site import Site
from biosim.rules import load_rule, rule_paths
from biosim.schedule import Schedule
from biosim.streams import edge_streams, edge_uniform
from biosim.synapses import Network, Projection
from biosim.wiring import packed
from biosim.wiring.packed import Packed, worth_packing
from biosim.wiring.select import compete

INLINE: dict[str, dict[str, Any]] = {
    "all-it-may-read": {  # both sides of every neuron name, a trace, a draw, ages, an unfactorisable term, survivors' weights
        "parameters": {"tau": "5 % dev"},
        "state": {"tag": "random", "mark": 0, "late": 0},
        "traces": ["dtheta_post/dt = (post**2 - theta_post)/tau", "dm_pre/dt = (pre - m_pre)/tau"],
        "coincidences": [
            "c = tanh(pre - mean_post)*(post - mean_pre)", "d = exp(-(pre - post)**2)*reward + 0.1*random",
            "e = max(pre*noise_post*advantage, 0)",
        ],
        "synapse": [
            "dlate/dt = (tanh(pre*post) - late)/tau",
            "tag = 0.9*tag + 0.1*c*(1 + 0.01*random) + 0.001*m_pre*theta_post + 0.001*degree_pre/degree_post",
            "mark = mark + d + 0.1*e + 0.01*weight_sum_pre*var_post + 0*age + 0*silent_for",
        ],
        "eliminate": {"compete": {"within": "pre", "by": "tag + mark + late"}},
        "survivors": ["weight = weight*1.001"],
    },
    "a-random-few": {"state": {"mark": 0}, "synapse": ["mark = mark + 1"], "eliminate": "random < 0.3"},
    "ties": {"state": {"tag": 0}, "synapse": ["tag = 1"], "silence": {"compete": {"within": "pre", "by": "tag"}}, "eliminate": "tag > 0"},
}  # fmt: skip
ALL_RULES = [*sorted(rule_paths()), *INLINE]


def rule_named(name: str) -> Rule:
    if name == "hebbian-trace":  # on made-up images hardly any trace is weak
        return load_rule(name).with_parameters({"theta": 2, "grace": "3 % dev"})
    return parse_rule(INLINE[name], name) if name in INLINE else load_rule(name)


def packs(rule: Rule) -> bool:
    """What may regrow, or changes weights from step to step, is never packed."""
    return rule.regrow is None and all(line.target != "weight" for line in rule.synapse)


PACKABLE = [n for n in ALL_RULES if packs(rule_named(n))]


def switch(monkeypatch: pytest.MonkeyPatch, on: bool, density: float = 0.7) -> None:
    monkeypatch.setattr(packed, "SMALLEST", 1 if on else 1 << 60)
    monkeypatch.setattr(packed, "DENSITY", density)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pack as soon as three in ten synapses are gone, however small the projection."""
    switch(monkeypatch, True)
    yield


def run_site(rule: Rule, drive: ImageDrive, steps: int = 24) -> tuple[Site, Projection]:
    """Return a site after it sensed made-up activity, two replicates of one projection whose synapses start to die at once."""
    network = Network.layered([40, 30], [3, 4], weights="log-normal", probability=0.9)
    (p,) = network.projections.values()
    with torch.inference_mode():
        site = Site(p, network, rule, Schedule(density=0.2, opens=0.0, closes=0.2), drive.clock, (0, 1))
        for s in recorded(network, p.name, steps, 0):
            site.advance(replace(s, synapses=site.synapses), (s.step + 1) / drive.clock.steps)
    return site, p


@pytest.mark.filterwarnings("ignore:.*does not split into")
@pytest.mark.parametrize("name", PACKABLE)
def test_packed_synapses_do_what_whole_arrays_do(name: str, drive: ImageDrive, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = rule_named(name)
    switch(monkeypatch, False)
    whole, reference = run_site(rule, drive)
    switch(monkeypatch, True, density=1.0)  # at least the edges that never were are left out
    site, p = run_site(rule, drive)
    assert sorted(p.packed) == [0, 1] and len(whole.decisions) == 1 and not reference.packed
    for field in ("alive", "active", "death_step", "in_degree"):
        assert torch.equal(getattr(p, field), getattr(reference, field)), field
    live = p.alive
    for field in ("weight", "effective", "silent_since"):
        torch.testing.assert_close(getattr(p, field)[live], getattr(reference, field)[live], rtol=1e-5, atol=1e-6)
    for r, part in enumerate(site.decisions):
        assert isinstance(part.living, Packed)
        for state in rule.state:
            wanted = part.living.pick(whole.decisions[0].compiled.held.arrays[state][r])
            torch.testing.assert_close(part.compiled.held.arrays[state], wanted, rtol=1e-5, atol=1e-5)
    with torch.inference_mode():
        for side in ("pre", "post"):
            torch.testing.assert_close(p.summed(side), reference.summed(side), rtol=1e-5, atol=1e-6)
            assert torch.equal(p.degree(side), reference.degree(side))
        torch.testing.assert_close(p.summed_magnitude(), reference.summed_magnitude(), rtol=1e-5, atol=1e-6)
        sent = torch.randn(2, 5, 40)
        torch.testing.assert_close(p.transmit(sent), torch.bmm(sent, reference.effective), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["three-factor", "hebbian-trace"])
def test_a_whole_development_keeps_the_same_synapses(name: str, births: Births, drive: ImageDrive, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for on in (False, True):
        switch(monkeypatch, on)
        made.append(grow(births, drive, rule_named(name), homeostasis=[IncomingResource()]))
        assert bool(made[-1].network.projections["hidden1-hidden2"].packed) == on
    for projection in made[0].circuit.mask:
        assert (made[0].circuit.mask[projection] == made[1].circuit.mask[projection]).mean() > 0.995  # a rank may flip by rounding
    for wanted, got in zip(made[0].history.records, made[1].history.records, strict=True):
        assert got["density"] == pytest.approx(wanted["density"], abs=0.005)
        assert got["effective_density"] == pytest.approx(wanted["effective_density"], abs=0.01)


@pytest.mark.usefixtures("always")
@pytest.mark.filterwarnings("ignore:.*does not split into")
@pytest.mark.parametrize("name", ["three-factor", "hebbian-trace", "all-it-may-read", "a-random-few"])
def test_replicates_and_threads_change_nothing(name: str, births: Births, drive: ImageDrive) -> None:
    """Replicates are packed when their own counts say so, hence not all at the same step."""
    rule = rule_named(name)
    with threads(2):
        batch = grow(births, drive, rule, (10, 11, 12)).network
    alone = grow(births, drive, rule, (11,)).network
    for projection, p in batch.projections.items():
        q = alone.projections[projection]
        assert p.packed and q.packed
        for field in ("alive", "death_step", "weight"):
            assert torch.equal(getattr(p, field)[1], getattr(q, field)[0])


@pytest.mark.usefixtures("always")
def test_while_some_replicates_are_packed_all_read_and_change_as_one() -> None:
    with torch.inference_mode():
        network = Network.layered([30, 20], [0, 1, 2])
        (p,) = network.projections.values()
        g = torch.Generator().manual_seed(1)
        p.silence(torch.rand(p.shape, generator=g) < 0.7, 3)
        p.eliminate(torch.rand(p.shape, generator=g) < 0.5, 4)
        names = ("alive", "active", "death_step", "effective", "silent_since", "in_degree")
        before = {n: getattr(p, n).clone() for n in names}
        born = p.weight.clone()
        own = p.pack(1)
        for name, value in before.items():
            where = p.alive if name == "silent_since" else slice(None)
            assert torch.equal(getattr(p, name)[where], value[where]), name
        victims, wanted = torch.rand(p.shape, generator=g) < 0.3, torch.rand(p.shape, generator=g) < 0.5
        died = p.eliminate(victims, 5)
        assert torch.equal(died, (victims & before["alive"]).sum((1, 2)))
        p.silence(wanted, 6)
        alive = before["alive"] & ~victims
        assert torch.equal(p.alive, alive) and torch.equal(p.active, alive & wanted)
        assert torch.equal(p.in_degree, (alive & wanted).sum(1))
        assert (p.death_step[before["alive"] & victims] == 5).all()
        since = p.silent_since
        assert (since[alive & ~wanted & before["active"]] == 6).all() and torch.isinf(since[p.active]).all()
        own.compress()
        assert own.shape[2] == int(alive[1].sum()) and torch.equal(p.alive, alive) and torch.equal(p.active, alive & wanted)
        own.weight.mul_(2)
        own.refresh()
        assert torch.equal(p.effective[1], 2 * born[1] * p.active[1])
        with pytest.raises(InputError, match="gone for good"):
            p.regrow(torch.ones_like(alive), 9)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("within", ["post", "pre"])
@pytest.mark.parametrize("tied", [True, False])
def test_packed_competition_is_the_exact_one(within: str, tied: bool) -> None:
    """Brute force: the same winners as among whole arrays, ties and their lottery included."""
    with torch.inference_mode():
        (p,) = Network.layered([50, 70], [5], probability=0.4).projections.values()
        g, streams = torch.Generator().manual_seed(0), edge_streams((8,), "ties")
        scores = torch.randint(0, 3, p.shape, generator=g).float() if tied else torch.randn(p.shape, generator=g)
        quota = p.quota(0.5, within)
        wanted = compete(scores, p.alive, quota, streams, within)
        own = p.pack(0)
        got = own.compete(own.pick(scores[0]), own.alive, quota, streams, within, 1)
        assert torch.equal(got, own.pick(wanted[0]))
        assert torch.equal(own.uniform(streams, 7), own.pick(edge_uniform(streams, 7, p.shape[1:], slice(None), p.weight.device)[0]))
        broken = own.pick(scores[0])
        broken[0, 0, 3] = np.nan
        with pytest.raises(NumericalError, match=r"NaN among the values .* step 2"):
            own.compete(broken, own.alive, quota, streams, within, 2)


def test_when_to_pack_is_a_matter_of_counts() -> None:
    assert worth_packing(300_000, 1_000_000) and not worth_packing(300_001, 1_000_000)
    assert not worth_packing(1, 1000)
