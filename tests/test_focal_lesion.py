"""The focal lesion: spiking substrate against written-out equations, rule against its probabilities, the return and its controls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import assert_told_of

from biosim.develop import develop
from biosim.drives.scotoma import Scotoma, drive
from biosim.equations import Rule
from biosim.equations.sensed import Sensed
from biosim.errors import DamageError, InputError
from biosim.library import find, load_module
from biosim.measures import recovery
from biosim.nursery.growth import Growth
from biosim.nursery.nursery import Nursery
from biosim.nursery.site import Site
from biosim.recorder import Recorder
from biosim.rundir.state_file import read_state, write_state
from biosim.scenario import ConditionsScenario, read_scenario
from biosim.schedule import Schedule
from biosim.sheet import by_nearness, distances, side_of
from biosim.state import Stateful
from biosim.store import open_run
from biosim.substrates import substrate_of
from biosim.synapses import Network

Cli = Callable[..., Any]
FREE = Schedule(kind="free", opens=0, closes=1)
SHORT: dict[str, Any] = {"background": 6, "input": 3, "zone": 0.25, "step": "1 s", "duration": "240 s"}


def sheet(seeds: tuple[int, ...] = (0, 1), **options: Any) -> Network:
    options = {"side": 6, "reach": 2.0, "jump": 1.5} | options
    network: Network = load_module(find("models", "cortical-sheet")).build(seeds, **options)
    return network


@pytest.fixture(scope="module")
def rules() -> Mapping[str, Rule]:
    scenario = read_scenario(find("scenarios", "focal-lesion"))
    assert isinstance(scenario, ConditionsScenario)
    return {name: own.rule for name, own in scenario.conditions.items()}  # type: ignore[attr-defined]


def lived(rule: Rule, seeds: tuple[int, ...], model: dict[str, Any] | None = None, **drives: Any) -> tuple[dict[str, Any], Any]:
    network = sheet(seeds, **({"side": 10, "reach": 2.5} | (model or {})))
    shown = drive(network, **(SHORT | drives))
    recorder = Recorder(120, listen=lambda *now: {f"measure.{k}": v for k, v in recovery.listen(*now, shown).items()})
    options: dict[str, Any] = {"schedule": FREE, "homeostasis": [], "seeds": seeds, "growth": Growth(None, 0.02)}
    development = develop(network, shown, rule, recorder=recorder, **options)
    return dict(recovery.measure(development, shown).metrics), development


def test_distances_are_the_short_way_round_and_the_zone_lies_in_the_middle() -> None:
    found = distances(5)
    for i in range(25):
        for j in range(25):
            row, column = (min(abs(a - b), 5 - abs(a - b)) for a, b in zip(divmod(i, 5), divmod(j, 5), strict=True))
            assert found[i, j] == pytest.approx(math.hypot(row, column))
    assert by_nearness(5)[0] == 12 and sorted(by_nearness(5)[1:5]) == [7, 11, 13, 17] and sorted(by_nearness(5)) == list(range(25))
    with pytest.raises(InputError):
        side_of(24)


def written_out(weight: np.ndarray, held: np.ndarray, per_window: int, hold: int, threshold: float, keep: float) -> np.ndarray:
    """Return the spikes a window, neuron by neuron, as the substrate's equations read."""
    size = weight.shape[0]
    v, wait, sent = [0.0] * size, [0] * size, [False] * size
    count = np.zeros(held.shape)
    for s in range(len(held)):
        for _ in range(per_window):
            fired = [False] * size
            for j in range(size):
                if wait[j]:
                    wait[j] -= 1
                    continue
                v[j] = v[j] * keep + held[s, j] * (1 - keep) + sum(weight[i, j] for i in range(size) if sent[i])
                if v[j] >= threshold:
                    fired[j], v[j], wait[j] = True, 0.0, hold
            sent = fired
            count[s] += fired
    return count


def test_the_substrate_is_its_equations_and_runs_on_without_a_break() -> None:
    network = sheet((3, 4), side=4, jump=2.0, refractory="3 ms")
    held = torch.randn(2, 60, 16, generator=torch.Generator().manual_seed(0)) * 12 + 11
    whole = substrate_of(network).respond(held)["cortex"]
    parted = substrate_of(network)
    pieces = [parted.respond(held[:, a:b])["cortex"] for a, b in ((0, 7), (7, 8), (8, 60))]
    assert torch.equal(torch.cat(pieces, 1), whole)
    for r in range(2):
        weight = network.projections["horizontal"].effective[r].double().numpy()
        wanted = written_out(weight, held[r].double().numpy(), 5, 3, 15.0, math.exp(-1 / 20))
        assert wanted.sum() > 100
        np.testing.assert_allclose(whole[r].numpy() * 0.005, wanted, atol=1e-6)


def test_a_network_that_was_stopped_runs_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    network = sheet((3, 4))
    shown = next(iter(drive(network, **(SHORT | {"background": 20})).presentations((3, 4), network.device))).inputs
    whole, first, second = (substrate_of(network) for _ in range(3))
    expected = whole.respond(shown)["cortex"]
    begun = first.respond(shown[:, :77])["cortex"]
    assert isinstance(first, Stateful) and isinstance(second, Stateful)
    write_state(tmp_path / "state", {}, first.state())
    kept = read_state(tmp_path / "state")[1]
    first.respond(shown)  # a state that was taken over is nobody else's
    second.restore(kept)
    rest = second.respond(shown[:, 77:])["cortex"]
    assert float(expected.sum()) > 0 and torch.equal(torch.cat([begun, rest], 1), expected)
    assert not torch.equal(substrate_of(network).respond(shown[:, 77:])["cortex"], rest)
    for name in kept:
        with pytest.raises(DamageError, match=name):
            second.restore({**kept, name: kept[name][:1]})


@pytest.mark.parametrize("current", [16.0, 20.0, 40.0])
def test_a_neuron_by_itself_fires_as_the_closed_form_says(current: float) -> None:
    """The potential reaches the threshold after ``ceil(ln(1 - theta/I)/ln k)`` steps, and waits out the refractory ones."""
    network = sheet((0,), side=3)
    network.projections["horizontal"].silence(torch.zeros(1, 9, 9, dtype=torch.bool), 0)
    period = math.ceil(math.log(1 - 15 / current) / (-1 / 20)) + 2
    rate = substrate_of(network).respond(torch.full((1, 4000, 9), current))["cortex"].mean()
    assert float(rate) == pytest.approx(1000 / period, rel=0.01)


def test_places_are_drawn_by_distance() -> None:
    born = sheet(tuple(range(8)), side=12, reach=2.0, contact=0.8).projections["horizontal"].born.double().mean(0).numpy()
    assert not born.diagonal().any()
    apart = distances(12)
    for d in (1.0, 2.0, math.sqrt(8), 4.0):
        pairs = np.isclose(apart, d)
        chance, n = 0.8 * math.exp(-(d**2) / 8), 8 * pairs.sum()
        assert born[pairs].mean() == pytest.approx(chance, abs=4.5 * math.sqrt(chance * (1 - chance) / n))


def test_the_drive_takes_the_input_of_the_middle_and_nothing_else() -> None:
    network = sheet(side=10)
    shown = drive(network, **SHORT, onset=0.5, noise=2)
    assert shown.clock.steps == 240 and shown.clock.samples == 200 and len(shown.zone) == 25
    steps = [p.inputs for p in shown.presentations((0, 1), torch.device("cpu"))]
    rest = np.setdiff1d(np.arange(100), shown.zone)
    for name, some, zone in (("before", steps[118:120], 9.0), ("after", steps[120:122], 6.0)):
        seen = torch.cat(some, 1)
        assert float(seen[:, :, shown.zone].mean()) == pytest.approx(zone, abs=0.1), name
        assert float(seen[:, :, rest].mean()) == pytest.approx(9, abs=0.1), name
        assert float(seen[:, :, rest].std()) == pytest.approx(2, rel=0.05), name
    alone = next(iter(shown.presentations((1,), torch.device("cpu")))).inputs
    assert torch.equal(steps[0][1:], alone)
    spared = [p.inputs for p in drive(network, **SHORT, onset=None, noise=0).presentations((0,), torch.device("cpu"))]
    assert all(bool((x == 9).all()) for x in spared)


def elements(rule: Rule, rate: float) -> tuple[Nursery, Any]:
    """Return a nursery whose neurons all have the calcium of ``rate``, and the site of its projection."""
    network = sheet((0,), side=12, reach=3)
    shown = drive(network, **SHORT, onset=None)
    nursery = Nursery(network, shown, rule, FREE, [], None, (0,), Recorder())
    site = nursery.sites[0]
    for name in ("calcium_pre", "calcium_post"):
        site.decisions[0].compiled.held.traces[name] = torch.full((1, 144), rate)
    return nursery, site


def sensed_at(site: Site, rate: float) -> Sensed:
    still = torch.full((1, 200, 144), rate)
    return Sensed(still, still, None, None, None, site.neurons(None), site.synapses, 0)


@pytest.mark.parametrize("rate", [1.0, 2.5, 4.0, 4.5, 6.0, 8.0, 12.0])
def test_elements_grow_as_the_published_curve_says(rules: Mapping[str, Rule], rate: float) -> None:
    """dz/dt = nu (2 exp(-((Ca - xi)/zeta)**2) - 1), xi = (eta + eps)/2, zeta = (eps - eta)/(2 sqrt(ln 2))."""
    with torch.inference_mode():
        _, site = elements(rules["lesion"], rate)
        site.decisions[0].compiled.step(sensed_at(site, rate))
    for name, least in (("boutons_pre", 4.0), ("spines_post", 1.0)):
        centre, width = (least + 8) / 2, (8 - least) / (2 * math.sqrt(math.log(2)))
        wanted = 0.3 * (2 * math.exp(-(((rate - centre) / width) ** 2)) - 1)
        np.testing.assert_allclose(site.decisions[0].compiled.held.traces[name].numpy(), wanted, atol=1e-5)
        assert {least: abs(wanted) < 1e-9, 8.0: abs(wanted) < 1e-9, centre: abs(wanted - 0.3) < 1e-9}.get(rate, True)


@pytest.mark.parametrize(("spines", "boutons"), [(4.0, 1e3), (1e3, 5.0), (4.0, 5.0), (-1.0, 1e3)])
def test_a_surplus_of_synapses_is_lost_in_the_mean(rules: Mapping[str, Rule], spines: float, boutons: float) -> None:
    with torch.inference_mode():
        nursery, site = elements(rules["lesion"], 8.0)
        p = nursery.network.projections["horizontal"]
        neurons = site.neurons(None)
        site.decisions[0].compiled.held.traces["spines_post"] = torch.full((1, 144), spines)
        site.decisions[0].compiled.held.traces["boutons_pre"] = torch.full((1, 144), boutons)
        before = int(p.alive.sum())
        stay = (spines / neurons["degree_post"]).clamp(0, 1).unsqueeze(1) * (boutons / neurons["degree_pre"]).clamp(0, 1).unsqueeze(2)
        stay = stay[p.alive].double()
        assert site.decisions[0].eliminate(sensed_at(site, 8.0).known, 0.5)
        spread = math.sqrt(float((stay * (1 - stay)).sum()))
        assert abs(int(p.alive.sum()) - float(stay.sum())) <= 4 * spread + 1e-9 and int(p.alive.sum()) < before


def test_vacant_elements_meet_by_the_product_of_their_numbers(rules: Mapping[str, Rule]) -> None:
    with torch.inference_mode():
        nursery, site = elements(rules["lesion"], 8.0)
        p = nursery.network.projections["horizontal"]
        p.eliminate(p.alive.clone(), 0)
        spines, boutons = torch.arange(144.0).view(1, -1) % 5 - 1, torch.arange(144.0).view(1, -1) % 4
        site.decisions[0].compiled.held.traces["spines_post"], site.decisions[0].compiled.held.traces["boutons_pre"] = spines, boutons
        chance = (0.02 * boutons.unsqueeze(2) * spines.clamp(min=0).unsqueeze(1))[p.born].double()
        assert site.decisions[0].regrow(sensed_at(site, 8.0).known, 0.5) is not None
        formed = int(p.alive.sum())
        assert abs(formed - float(chance.sum())) < 4 * math.sqrt(float((chance * (1 - chance)).sum()))
        assert not bool((p.alive & ((spines <= 0).unsqueeze(1) | (boutons <= 0).unsqueeze(2))).any())


def test_rates_come_back_and_controls_do_not(rules: Mapping[str, Rule]) -> None:
    found = {name: lived(rules[name], (0, 1))[0] for name in ("lesion", "fixed", "losing", "reversed", "demanding")}
    own = found.pop("lesion")
    assert max(own["error_before"]) < 0.1 and max(own["error_outside"]) < 0.15
    assert max(own["rate_after"]) < 4.5 and max(own["error_end"]) < 0.3
    assert min(own["spines"]) > 1.5
    assert all(e > b for e, b in zip(own["turnover_end"], own["turnover_before"], strict=True)) and min(own["turnover_before"]) > 0.5
    for name, metrics in found.items():
        assert min(metrics["error_end"]) > 0.45, name
    assert max(found["fixed"]["turnover_end"]) == 0 and max(found["losing"]["spines"]) < 0.8


def test_a_replicate_alone_is_the_replicate_of_a_batch(rules: Mapping[str, Rule]) -> None:
    both, alone = (lived(rules["lesion"], seeds, {"side": 6}, zone=0.2)[1].circuit for seeds in ((4, 9), (9,)))
    assert (both.mask["horizontal"][1:] == alone.mask["horizontal"]).all() and alone.mask["horizontal"].any()


def test_turnover_is_what_two_sessions_show(rules: Mapping[str, Rule]) -> None:
    network = sheet((0,), side=8)
    shown = drive(network, **(SHORT | {"duration": "60 s"}))
    p, masks, told = network.projections["horizontal"], [], []

    def listen(network: Network, activity: Mapping[str, torch.Tensor], step: int) -> dict[str, Any]:
        masks.append(p.alive[0].clone())
        told.append((step, recovery.listen(network, activity, step, shown, imaging="2 s")))
        return {}

    options: dict[str, Any] = {"schedule": FREE, "homeostasis": [], "seeds": (0,), "growth": Growth(None, 0.3)}
    develop(network, shown, rules["spared"], recorder=Recorder(60, listen=listen), **options)
    far = torch.from_numpy(recovery.parts_of(shown)["far"])
    compared = 0
    for (step, found), now in zip(told[2:], masks[2:], strict=True):
        first, middle = masks[step - 3], masks[step - 2]
        assert found["inputs.far"][0] == pytest.approx(float(now[:, far].sum(0).double().mean()))
        if bool((first & now & ~middle)[:, far].any()):
            continue  # one that went and came back between two sessions is told by its age, which no imaging would show
        seen = ((first ^ now)[:, far]).sum() / (2 * len(far))
        assert found["turned.far"][0] == pytest.approx(float(seen), abs=1e-6)
        compared += bool(seen > 0)
    assert compared > 5


def test_half_times_by_hand() -> None:
    rate = np.array([[8.0, 8, 2, 3, 4, 5, 6, 8], [8, 8, 2, 3, 3, 3, 3, 3]])
    before = np.arange(8) < 2
    assert recovery._half(rate, before, ~before, np.arange(8.0) - 1).tolist() == [4, 6]


def test_parts_are_every_neuron_once() -> None:
    shown = drive(sheet(side=10), **SHORT)
    parts = recovery.parts_of(shown)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
    assert [len(own) for own in parts.values()] == [13, 12, 25, 50]
    assert set(parts["centre"]) | set(parts["border"]) == set(shown.zone)
    assert isinstance(shown, Scotoma)


@pytest.mark.parametrize(
    ("options", "key"),
    [({"zone": 0}, "zone"), ({"zone": 1.0}, "zone"), ({"onset": 0}, "onset"), ({"onset": 1.5}, "onset"), ({"noise": -1}, "noise"),
     ({"input": -3}, "input"), ({"step": "7 ms"}, "step"), ({"duration": "0.5 s"}, "duration"), ({"duration": "100.5 s"}, "duration")],
)  # fmt: skip
def test_a_drive_refuses_nonsense(options: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError) as error:
        drive(sheet(), **({"step": "1 s", "duration": "100 s"} | options))
    assert error.value.key == (key,)


def test_what_is_averaged_before_and_after_the_lesion_must_be_there(cli: Cli, tmp_path: Path) -> None:
    text = find("scenarios", "focal-lesion").read_text()
    path = tmp_path / "s.yaml"
    for old, new, expected in (
        ("onset: 0.4", "onset: 0.04", "needs 5% of development before the onset"),
        ("onset: 0.4", "onset: 0.96", "needs 5% of development before the onset"),
        ("moments: 200", "moments: 19", "it takes 20 moments, not 19"),
    ):
        path.write_text(text.replace(old, new, 1))
        result = cli("run", str(path), "--out", str(tmp_path / "run"))
        assert result.code == 2 and expected in result.err and not (tmp_path / "run").exists(), result.err
    few = {"drive.duration": "60s", "model.side": 6, "moments": 20, "measure.imaging": "2s"}
    settings = [f"--set={key}={value}" for key, value in few.items()]
    short = text.split("conditions:")[0].replace("replicates: 5", "replicates: 1")
    for onset in (0.05, 0.95, "null"):
        path.write_text(short.replace("onset: 0.4", f"onset: {onset}"))
        result = cli("run", str(path), "--out", str(tmp_path / f"run {onset}"), *settings)
        assert result.code == 0, result.err
        found = open_run(tmp_path / f"run {onset}").results["metrics"]
        assert all(math.isfinite(v) for name, values in found.items() if name.startswith("measure.") for v in values)


def test_mistakes_in_the_scenario_are_told_of_with_their_line(cli: Cli, tmp_path: Path) -> None:
    mistakes = (
        ("side: 14", "side: 0", "model.side: needs at least 3, not 0"),
        ("jump: 1.5", "jump: -1", "model.jump: must be positive, not -1"),
        ("onset: 0.4", "onset: 1.4", "drive.onset: the onset is a share of development, in (0, 1), not 1.4"),
        ("noise: 12", "noise: -12", "drive.noise: needs at least 0, not -12"),
        ("imaging: 10 s", "imaging: 100 s", "measure.imaging: two sessions lie between a step of 1 s and 20 s apart, not 100 s"),
        ("measure: {name: recovery, target: 8", "measure: {name: recovery, target: 0", "measure.target: a target rate must be positive"),
        ("jump: 1.5", "jump: 1.5, dt: 2 ms", "model: window: a window must last a whole number of time steps"),
        ("jump: 1.5", "jump: 1.5, refractory: 1e30 s", "model: refractory: must last at most 1e+09 time steps"),
        ("jump: 1.5", "jump: 1.5, dt: 1e-320 s", "model: window: must last at most 1e+09 time steps"),
        ("reach: 2.5", "reach: 1e-300", "model.reach: no axon that reaches 1e-300 neurons far comes close to a dendrite"),
        ("zone: 0.25", "zone: .nan", "drive.zone: needs finite numbers, not nan"),
        ("onset: 0.4", "onset: .inf", "drive.onset: needs finite numbers, not inf"),
    )
    assert_told_of(cli, tmp_path, "focal-lesion", mistakes)
