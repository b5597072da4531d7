"""Compares circuits of finished runs: what ``biosim compare`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from biosim.circuit import Circuit
from biosim.compare import FAMILIES, compare
from biosim.compare.methods import SAMPLES
from biosim.errors import BiosimError, InputError
from biosim.rundir.artefacts import LOCAL, SEARCHES
from biosim.rundir.circuit_file import read_circuit
from biosim.store import Run


def searches(run: Run, method: str) -> list[Circuit]:
    """Return the circuits that a method's searches found on the same births, search 0 first; ``local`` is the scenario's rule.

    Raises
    ------
    BiosimError
        When the run has no such method.
    """
    known = {LOCAL, *run.rival_names}
    if method not in known:
        raise BiosimError(f"{run.folder} has no circuit '{method}'; there are: {', '.join(sorted(known))}")
    first = run.circuit if method == LOCAL else run.rival(method)
    further = sorted((run.folder / SEARCHES).glob(f"{method}.*.safetensors"), key=lambda p: int(p.name.split(".")[-2]))
    return [first, *(read_circuit(run.whole(f"{SEARCHES}/{path.name}")) for path in further)]


@dataclass(frozen=True)
class Compared:
    """What comparing two circuits found.

    Attributes
    ----------
    data : dict
        Of :meth:`biosim.compare.Comparison.data`, and ``runs`` and ``shown`` (the images that were).
    circuits : dict of Circuit
        The first search of each method.
    """

    data: dict[str, Any]
    circuits: dict[str, Circuit]


def compare_runs(
    first: Run,
    second: Run | None = None,
    circuits: Sequence[str] = (),
    *,
    families: Sequence[str] = tuple(FAMILIES),
    nulls: int = 100,
    samples: int = SAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> Compared:
    """Compare two circuits of one run, or one of each of two runs, with all searches that were made for them.

    Parameters
    ----------
    first, second : Run
    circuits : sequence of str
        ``local`` or a rival's label, the first run's first. Left out: the local circuits of two runs, or the local one and
        the first rival of one run.

    Raises
    ------
    BiosimError
        When births or circuits do not match, or a run has no such circuit.
    """
    runs = (first, first if second is None else second)
    named = _named(runs, circuits, one=second is None)
    _comparable(*runs)
    labels = list(named) if second is None else [f"{run.folder.name}/{name}" for run, name in zip(runs, named, strict=True)]
    if labels[0] == labels[1]:
        labels = [f"{run.folder}/{name}" for run, name in zip(runs, named, strict=True)]
    if labels[0] == labels[1]:
        raise BiosimError(f"{labels[0]} is compared with itself; name another run, or another --circuit")
    found = {label: searches(run, name) for label, run, name in zip(labels, runs, named, strict=True)}
    images = first.images()
    try:
        comparison = compare(
            found, images.test, images.test_labels, seeds=first.about["births_seeds"], families=families, nulls=nulls, samples=samples,
            progress=progress,
        )  # fmt: skip
    except InputError as error:
        raise BiosimError(f"{' and '.join(dict.fromkeys(str(r.folder) for r in runs))}: {error}") from None
    shown = f"{images.name}, {images.evaluated_on} split"
    data = comparison.data() | {"runs": [str(run.folder) for run in runs], "shown": shown}
    return Compared(data, {label: own[0] for label, own in found.items()})


def _named(runs: tuple[Run, Run], circuits: Sequence[str], one: bool) -> tuple[str, str]:
    """Return which circuit of each run is meant."""
    if len(circuits) > 2:
        raise BiosimError(f"two circuits are compared at a time, not {len(circuits)}")
    if len(circuits) == 2:
        return circuits[0], circuits[1]
    if not one:
        name = circuits[0] if circuits else LOCAL
        return name, name
    rivals = [r["source"] for r in runs[0].headline if r["source"] != "circuit" and not r["source"].startswith("rules.")]
    if circuits:
        return LOCAL, circuits[0]
    if not rivals:
        raise BiosimError(f"{runs[0].folder} has one circuit; name a second run to compare it with")
    return LOCAL, rivals[0]


def _comparable(first: Run, second: Run) -> None:
    for run in (first, second):
        if run.kind != "development":
            raise BiosimError(f"the run in {run.folder} is a {run.kind}: it has no circuits to compare")
    own, other = (run.about.get("births_seeds") for run in (first, second))
    if own != other:  # whether the births themselves are the same is for the comparison to see: two models may build the same ones
        raise BiosimError(
            f"{first.folder} and {second.folder} do not share their births: births seeds {own} and {other}; "
            "run both with the same births_seed and replicates"
        )
