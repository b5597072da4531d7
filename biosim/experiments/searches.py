"""Further searches on the same births, and the comparison of what they found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from biosim.circuit import Circuit
from biosim.compare import Comparison, compare
from biosim.contest import Contest
from biosim.progress import Stages
from biosim.rundir.artefacts import LOCAL
from biosim.scenario import DevelopmentScenario
from biosim.scenario.spec import ComparisonsSpec

if TYPE_CHECKING:
    from biosim.drives import Images

Searches = dict[str, list[Circuit]]


def search_seeds(seeds: Sequence[int], search: int) -> tuple[int, ...]:
    """Return the seeds of a search: the scenario's for search 0, others drawn from each of them."""
    if search == 0:
        return tuple(seeds)
    return tuple(int(np.random.SeedSequence([seed, search]).generate_state(1)[0]) for seed in seeds)


def compared_methods(scenario: DevelopmentScenario) -> list[str]:
    """Return the labels of the rivals that the local circuit is compared with."""
    spec = scenario.spec.comparisons
    if spec is None:
        return []
    return list(scenario.rivals) if spec.rivals is None else list(spec.rivals)


def search_again(
    scenario: DevelopmentScenario,
    contest: Contest,
    first: Circuit,
    develop: Callable[[tuple[int, ...], str], Circuit],
    rival: Callable[[str, tuple[int, ...], str], Circuit],
    keep: Callable[[Circuit, str, int], None],
) -> Searches:
    """Search as often as the scenario asks for.

    Parameters
    ----------
    contest : Contest
        With the circuits of search 0.
    first : Circuit
        The local circuit of search 0.
    develop : callable
        ``develop(seeds, stage)`` develops the births under the scenario's rule.
    rival : callable
        ``rival(label, seeds, stage)`` lets a rival search.
    keep : callable
        ``keep(circuit, method, search)`` writes one that was found.
    """
    assert scenario.spec.comparisons is not None
    found: Searches = {LOCAL: [first]}
    found |= {label: [contest.circuits[label]] for label in compared_methods(scenario) if label in contest.circuits}
    for search in range(1, scenario.spec.comparisons.searches):
        seeds = search_seeds(scenario.seeds, search)
        for label, own in found.items():
            stage = f"{label}, search {search + 1}"
            circuit = develop(seeds, stage) if label == LOCAL else rival(label, seeds, stage)
            own.append(circuit)
            keep(circuit, label, search)
    return found


def compare_searches(
    spec: ComparisonsSpec, births_seeds: Sequence[int], searches: Searches, images: Images, progress: Stages | None
) -> Comparison:
    """Compare the local circuits with each rival's, on the images that the run is evaluated on."""
    tell = None if progress is None else (lambda step, steps: progress("comparing", step, steps, {}))
    return compare(
        searches, images.test, images.test_labels, seeds=births_seeds, reference=LOCAL, families=spec.measures, nulls=spec.nulls,
        samples=spec.samples, progress=tell,
    )  # fmt: skip
