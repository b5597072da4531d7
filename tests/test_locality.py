"""Locality: what lies outside a synapse and its two neurons does not touch it; feedback is drawn apart from the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from developed import ALL_RULES, COMPETING, Births, recorded, rule_named, site_after

from biosim.drives import ImageDrive
from biosim.equations.sensed import Sensed
from biosim.library import find, load_module
from biosim.synapses import Network
from biosim.teaching import Feedback


def mixed(own: Sensed, noise: Sensed, pre: list[int], post: list[int]) -> Sensed:
    """Return ``noise`` with everything that belongs to these neurons, and the global scalars, as in ``own``."""

    def blend(a: torch.Tensor, b: torch.Tensor, which: list[int]) -> torch.Tensor:
        out = b.clone()
        out[..., which] = a[..., which]
        return out

    assert own.teach_post is not None and noise.teach_post is not None
    assert own.teach_pre is not None and noise.teach_pre is not None
    assert own.noise_post is not None and noise.noise_post is not None
    neurons = {n: blend(own.neurons[n], noise.neurons[n], pre if n.endswith("pre") else post) for n in own.neurons}
    teach = blend(own.teach_post, noise.teach_post, post), blend(own.teach_pre, noise.teach_pre, pre)
    assert own.noise_post is not None and noise.noise_post is not None
    explored = blend(own.noise_post, noise.noise_post, post), own.advantage
    return Sensed(blend(own.pre, noise.pre, pre), blend(own.post, noise.post, post), *teach, own.reward, neurons, {}, own.step, *explored)


def looped(seeds: tuple[int, ...]) -> Network:
    """Return births of models/recurrent.py."""
    build = load_module(find("models", "recurrent")).build
    return build(36, 4, seeds, hidden=20)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ALL_RULES)
@pytest.mark.parametrize("place", ["hidden1-hidden2", "hidden-hidden"])
@pytest.mark.parametrize("edge", [(0, 0), (7, 5), (19, 15)])
def test_a_synapse_is_decided_by_what_it_can_sense(name: str, place: str, edge: tuple[int, int], births: Births, drive: ImageDrive) -> None:
    """With activity and credit as recorded, all that lies outside (i, j), i and j may change: (i, j) does not."""
    (i, j), rule, g = edge, rule_named(name), torch.Generator().manual_seed(99)
    births = looped if place == "hidden-hidden" else births
    quiet = births((0,))
    sensed = recorded(quiet, place, 12, 0)
    reference = site_after(quiet, rule, drive, place, sensed)

    other = births((0,))
    p = other.projections[place]
    elsewhere = torch.ones_like(p.alive[0])
    elsewhere[i, :] = False
    elsewhere[:, j] = False
    p.weight[0][elsewhere] = torch.randn(int(elsewhere.sum()), generator=g)
    p.eliminate((elsewhere & (torch.rand(elsewhere.shape, generator=g) < 0.3)).unsqueeze(0), 0)
    p.refresh()
    for q in other.projections.values():
        if q is not p:
            drawn = torch.randn(q.weight.shape, generator=g)
            if q.pre is p.pre:  # neuron i's own, as those of a recurrent population are
                drawn[0, i] = q.weight[0, i]
            if q.post is p.post:
                drawn[0, :, j] = q.weight[0, :, j]
            q.weight.copy_(drawn)
            q.refresh()
    disturbed = [mixed(s, noise, [i], [j]) for s, noise in zip(sensed, recorded(other, place, 12, 1), strict=True)]
    after = site_after(other, rule, drive, place, disturbed)

    for state in rule.state:
        a, b = reference.decisions[0].compiled.held.arrays[state][0], after.decisions[0].compiled.held.arrays[state][0]
        assert float(a[i, j]) == float(b[i, j]), state
        assert not torch.equal(a, b) or not {line.target for line in rule.lines} & {state} or state == "drawn"
    mine, theirs = quiet.projections[place], p
    if bool(mine.alive[0, i, j]) and bool(theirs.alive[0, i, j]):
        assert float(mine.weight[0, i, j]) == float(theirs.weight[0, i, j])
    competing = {d.within for d in rule.decisions.values() if hasattr(d, "within")}
    if not competing:  # a competitor's fate depends on its rivals within the one neuron, which were disturbed too
        assert bool(mine.alive[0, i, j]) == bool(theirs.alive[0, i, j])
        assert bool(mine.active[0, i, j]) == bool(theirs.active[0, i, j])


@pytest.mark.parametrize("name", COMPETING)
def test_a_competition_stays_within_its_neuron(name: str, births: Births, drive: ImageDrive) -> None:
    """Disturb every other neuron of the competing side: the fate of all synapses of neuron j stays as it was."""
    rule, place, j = rule_named(name), "hidden1-hidden2", 3
    within = {d.within for d in rule.decisions.values() if hasattr(d, "within")}.pop()
    axis = 2 if within == "post" else 1
    quiet, other = births((0,)), births((0,))
    sensed, noise = recorded(quiet, place, 12, 0), recorded(other, place, 12, 1)
    p = other.projections[place]
    if within == "post":  # weights across pre neurons would change what the (kept) post neurons know at birth
        drawn = torch.randn(p.weight[0].shape, generator=torch.Generator().manual_seed(5))
        p.weight[0] = torch.where(torch.arange(p.shape[2]) == j, p.weight[0], drawn)
        p.refresh()
    every_pre, every_post = list(range(p.shape[1])), list(range(p.shape[2]))
    kept = ([j], every_post) if within == "pre" else (every_pre, [j])
    site_after(quiet, rule, drive, place, sensed)
    site_after(other, rule, drive, place, [mixed(s, n, *kept) for s, n in zip(sensed, noise, strict=True)])
    mine = quiet.projections[place]
    assert torch.equal(mine.alive.select(axis, j), p.alive.select(axis, j))
    assert torch.equal(mine.active.select(axis, j), p.active.select(axis, j))
    assert not torch.equal(mine.active, p.active) or not torch.equal(mine.alive, p.alive)


def test_feedback_wiring_is_drawn_apart_from_the_weights(births: Births) -> None:
    network = births((0,), hidden=(200, 150))
    for kind, correlated in (("random", False), ("reciprocal", True)):
        feedback = Feedback(network, kind, (0,))  # type: ignore[arg-type]
        back = feedback.wiring["hidden2", "hidden1"][0].T.flatten().numpy()
        forward = network.projections["hidden1-hidden2"].weight[0].flatten().numpy()
        r = np.corrcoef(back, forward)[0, 1]
        assert (r > 0.99) if correlated else (abs(r) < 0.02)
        assert back.std() == pytest.approx(forward.std(), rel=0.05)
