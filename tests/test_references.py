"""What the published references do to the letter: rounds of IMP, budgets of searches, a maker that makes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from biosim.drives import ImageDrive
from biosim.errors import InputError, UndefinedError
from biosim.scorers import Made, Task, Training, keep, keep_counts, load_scorer, make, prune
from biosim.scorers.imp import density_after, rounds_to
from biosim.scorers.keep import whole_counts
from biosim.scorers.mask_search import MaskSearch
from biosim.scorers.training import train
from biosim.synapses import Network

Births = Callable[..., Network]
SHORT = Training(epochs=1)


def tickets(network: Network, drive: ImageDrive, densities: tuple[float, ...], seeds: tuple[int, ...], **options: object) -> list[Made]:
    return list(make(load_scorer("imp", options), Task(network, drive, densities, seeds, SHORT)))


@settings(max_examples=60)
@given(st.floats(0.001, 1), st.floats(0.05, 0.9), st.floats(0.1, 1))
def test_a_density_is_met_after_its_rounds(density: float, drop: float, readout: float) -> None:
    born, shares = {"a": 900.0, "b": 100.0}, {"a": 1 - drop, "b": 1 - drop * readout}
    rounds = rounds_to(density, born, shares)
    assert density_after(rounds, born, shares) == pytest.approx(density)
    assert rounds_to(0.8**2, born, {"a": 0.8, "b": 0.8}) == 2  # not a third round, for the sake of a rounding error


def test_imp_at_a_round_s_own_density_takes_no_further_round(births: Births, drive: ImageDrive, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[int] = []

    def counted(*arguments: object, **options: object) -> dict[str, Tensor]:
        trained.append(1)
        return train(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("biosim.scorers.imp.train", counted)
    for density, rounds in ((0.64, 2), (0.6, 3), (0.8, 1), (1.0, 1)):
        trained.clear()
        (made,) = tickets(births((0,)), drive, (density,), (0,), readout=1.0)
        assert len(trained) == rounds and made.target == density


@pytest.mark.parametrize("scope", ["layer", "network"])
def test_imp_is_train_drop_rewind(scope: str, births: Births, drive: ImageDrive) -> None:
    network, seeds = births((2, 3)), (2, 3)
    chain = {m.target: m for m in tickets(network, drive, (0.3, 0.6), seeds, scope=scope)}
    last = list(network.projections)[-1]
    for density in (0.6, 0.3):
        masks = {n: p.born for n, p in network.projections.items()}
        for r in range(1, 20):  # written plainly: one density, from the start
            scores = {n: torch.where(masks[n], w.abs(), -1.0) for n, w in train(network, masks, drive, seeds, SHORT).items()}
            before, left = masks, {n: int(p.born[0].sum()) * (0.9 if n == last else 0.8) ** r for n, p in network.projections.items()}
            if scope == "network":
                masks = keep(scores, network, max(density, 0.8**r), "network", seeds)
                met = density >= 0.8**r
            else:
                met = density * float(network.born[0]) >= sum(left.values())
                counts = {n: torch.full((2,), math.floor(c + 0.5)) for n, c in left.items()}
                if not met:
                    masks = keep_counts(scores, network, counts, seeds)
            if met:
                break
            assert not any(bool((masks[n] & ~before[n]).any()) for n in masks)
        found = chain[density].masks[0]
        kept = {n: m.sum((1, 2)) for n, m in found.items()}
        assert sum(kept.values()).tolist() == [math.floor(density * float(network.born[0]) + 0.5)] * 2  # type: ignore[union-attr]
        if scope == "layer":
            assert all(torch.equal(found[n], m) for n, m in keep_counts(scores, network, kept, seeds).items())
            assert all(float(c[0]) >= left[n] - 1 for n, c in kept.items())
        else:
            assert all(torch.equal(found[n], masks[n]) for n in masks)
        assert chain[density].start is None
    late = tickets(network, drive, (0.6,), seeds, rewind=1)[0].start
    assert late is not None and all(not torch.equal(late[n], p.weight) for n, p in network.projections.items())


def test_imp_drops_the_readout_at_half_the_rate(births: Births, drive: ImageDrive) -> None:
    network = births((0,))
    (made,) = tickets(network, drive, (0.1,), (0,))
    shares = [float(m.float().mean()) for m in made.masks[0].values()]
    rounds = math.log(shares[0]) / math.log(0.8)
    assert shares[-1] == pytest.approx(0.9**rounds, abs=0.03) and shares[-1] > 2 * shares[0]
    with pytest.raises(InputError, match="readout"):
        load_scorer("imp", {"readout": 0.0})


@settings(max_examples=60)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_whole_counts_sum_to_their_total(a: float, b: float, c: float) -> None:
    network = Network.layered([7, 5, 4, 3], [0, 1], probability=0.6)
    born = {n: p.fan_in.sum(1).double() for n, p in network.projections.items()}
    ideal = {n: x * share for (n, x), share in zip(born.items(), (a, b, c), strict=True)}
    total = torch.stack(list(ideal.values())).sum(0).round()
    counts = whole_counts(ideal, network, total)
    assert torch.equal(torch.stack(list(counts.values())).sum(0), total.long())
    assert all(bool(((counts[n] - ideal[n]).abs() <= 1).all() and (counts[n] <= born[n]).all()) for n in counts)


@settings(max_examples=60)
@given(st.floats(1, 3), st.floats(0, 1.5), st.floats(0, 1))
def test_what_full_projections_cannot_take_goes_to_the_others(a: float, b: float, c: float) -> None:
    network = Network.layered([7, 5, 4, 3], [0, 1], probability=0.6)
    born = {n: p.fan_in.sum(1).double() for n, p in network.projections.items()}
    ideal = {n: x * share for (n, x), share in zip(born.items(), (a, b, c), strict=True)}
    total = torch.minimum(torch.stack(list(ideal.values())).sum(0).round(), torch.stack(list(born.values())).sum(0))
    counts = whole_counts(ideal, network, total)
    assert torch.equal(torch.stack(list(counts.values())).sum(0), total.long())
    assert all(bool(((counts[n] <= born[n]) & (counts[n] >= ideal[n].minimum(born[n]).floor())).all()) for n in counts)


def test_ideals_that_sum_to_more_than_the_total_are_cut_to_it() -> None:
    network = Network.layered([7, 5, 4, 3], [0, 1])
    ideal = {n: p.fan_in.sum(1).double() * 0.5 for n, p in network.projections.items()}  # 17.5, 10, 6
    for total in (33, 32, 31, 12, 0):
        counts = torch.stack(list(whole_counts(ideal, network, torch.full((2,), float(total), dtype=torch.float64)).values()))
        assert counts.sum(0).tolist() == [total, total] and bool((counts >= 0).all())


@pytest.mark.parametrize("evaluations", [1, 2, 5, 33, 34, 80])
def test_annealing_looks_as_often_as_its_budget(
    evaluations: int, births: Births, drive: ImageDrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, judge = [1], MaskSearch.judge  # the first mask itself

    def counted(search: MaskSearch, swaps: object) -> object:
        looked.append(1)
        return judge(search, swaps)  # type: ignore[arg-type]

    monkeypatch.setattr(MaskSearch, "judge", counted)
    prune("annealing", load_scorer("annealing", {"evaluations": evaluations, "samples": 32}), births((0,)), drive, 0.2, (0,))
    assert len(looked) == evaluations


@dataclass(frozen=True)
class Nothing:
    """A maker that makes nothing."""

    level: str = "none"

    def make(self, task: Task) -> Iterator[Made]:
        return iter(())


def test_a_maker_that_makes_nothing_is_told_so(births: Births, drive: ImageDrive) -> None:
    with pytest.raises(UndefinedError, match="nothing: it made no circuit"):
        prune("nothing", Nothing(), births((0,)), drive, 0.2, (0,))


def test_synaptic_flow_that_differs_by_rounding_alone_ties(drive: ImageDrive) -> None:
    network = Network.layered([36, 20, 4], [0, 0], weights="signed-constant")
    scores = load_scorer("synflow", {"rounds": 1}).score(network, drive, 0.3, (0, 0))  # type: ignore[union-attr]
    for mask in keep(scores, network, 0.3, "layer", (0, 1)).values():
        assert not torch.equal(mask[0], mask[1])  # the seed decides
