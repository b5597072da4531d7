"""What a sweep is to run: settings times seeds, each with its run's id and directory, known before anything is run."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from biosim.contest import MEASURED
from biosim.errors import BiosimError
from biosim.library import find_given
from biosim.scenario import ConditionsScenario, DevelopmentScenario, Scenario, read_scenario
from biosim.scenario.checks import PLANTED

RUNS = "runs"
MOST = 100_000  # runs


@dataclass(frozen=True)
class Job:
    """One run, as workers are told of it: names, paths and settings, nothing loaded.

    Attributes
    ----------
    id : str
        Of the run; a worker that finds another one refuses.
    scenario, folder, home : str
        The scenario's file, the run directory, and the working directory in which names are looked up.
    settings : tuple of str
        ``key=value``.
    point : mapping
        The swept settings alone, as text by key.
    seed, device
    """

    id: str
    scenario: str
    folder: str
    home: str
    settings: tuple[str, ...]
    point: Mapping[str, str]
    seed: int
    device: str = "cpu"

    def data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Job:
        """Return the job that :meth:`data` wrote."""
        return cls(**{**data, "settings": tuple(data["settings"])})


@dataclass(frozen=True)
class Plan:
    """Every run of a sweep.

    Attributes
    ----------
    scenario : str
        Its name.
    folder : Path
    over : mapping
        Values as text by swept key.
    seeds : tuple of int
    replicates : int
        Of each run.
    jobs : tuple of Job
    metrics : tuple of str
        What the runs may measure, as far as it is known before them; empty where a plan was read from its folder.
    """

    scenario: str
    folder: Path
    over: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    replicates: int
    jobs: tuple[Job, ...]
    metrics: tuple[str, ...] = ()


def parse_over(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return swept values by key from texts such as ``schedule.density=.5,.2``; commas in brackets or quotes part nothing."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise BiosimError(f"--over {text}: expected key=value,value, such as schedule.density=.5,.2,.1")
        if key in found:
            raise BiosimError(f"--over {text}: '{key}' is swept twice; name all its values in one --over")
        if key in ("seed", "replicates", "births_seed"):
            raise BiosimError(f"--over {text}: seeds are given by --seeds, replicates by --replicates")
        parts = tuple(p.strip() for p in _split(values))
        if "" in parts or len(set(parts)) < len(parts):
            raise BiosimError(f"--over {text}: a value is {'missing' if '' in parts else 'there twice'}")
        found[key] = parts
    return found


def _split(text: str) -> list[str]:
    parts, depth, quote, start = [], 0, "", 0
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[{(":
            depth += 1
        elif letter in "]})":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return seeds from ``0..9``, ``0..8..2`` (in steps of 2) or ``0,3,5``."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})(?:\.\.(\d{1,10})(?:\.\.(\d{1,10}))?)?\s*", part)
        if match is None or match[3] == "0" or (match[2] and int(match[2]) < int(match[1])):
            raise BiosimError(f"--seeds {text}: expected 0..9, 0..8..2 or 0,3,5")
        first, last = int(match[1]), int(match[2] or match[1])
        if last - first > MOST:
            raise BiosimError(f"--seeds {text}: more than {MOST} seeds")
        found += range(first, last + 1, int(match[3] or 1))
    if len(set(found)) < len(found):
        raise BiosimError(f"--seeds {text}: a seed is there twice")
    return tuple(found)


def make_plan(
    name: str,
    over: Mapping[str, tuple[str, ...]],
    seeds: tuple[int, ...] | None = None,
    settings: Sequence[str] = (),
    replicates: int = 1,
    out: Path | None = None,
    device: str = "cpu",
) -> Plan:
    """Read the scenario at every point of a sweep.

    A run has one replicate unless more are asked for: seed k alone gives what replicate k of a batch gives, so a seed
    can be added, or done again, by itself.

    Raises
    ------
    BiosimError
        With every mistake of every point, each line once.
    """
    path = find_given("scenarios", name).resolve()
    count = len(seeds or (0,))
    for values in over.values():
        count *= len(values)
    if count > MOST:
        raise BiosimError(f"the sweep has {count} runs, more than {MOST}")
    points = [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]
    jobs: list[Job] = []
    mistakes: dict[str, None] = {}
    metrics: dict[str, None] = {}
    title, folder = "", Path("sweeps")
    used: tuple[int, ...] = seeds or ()
    for point in points:
        own = [*settings, *(f"{key}={value}" for key, value in point.items())]
        try:
            read = read_scenario(path, own)
            used = seeds if seeds is not None else (read.spec.seed,)
            _check_seeds(used, replicates)
            title = title or read.spec.name
            metrics |= dict.fromkeys(metrics_of(read, replicates))
            folder = Path("sweeps") / title if out is None else out
            jobs += [_job(path, read, own, point, seed, replicates, folder, device) for seed in used]
        except BiosimError as error:
            mistakes |= dict.fromkeys(str(error).splitlines())
    if mistakes:
        raise BiosimError("\n".join(mistakes))
    return Plan(title, folder, dict(over), used, replicates, tuple({job.id: job for job in jobs}.values()), tuple(metrics))


def metrics_of(read: Scenario, replicates: int) -> tuple[str, ...]:
    """Return what the table of a scenario's runs may measure, those of a planted subnetwork last, which few births have."""
    if isinstance(read, DevelopmentScenario):
        return (*MEASURED, *["seconds"] * (replicates == 1), *PLANTED)
    if isinstance(read, ConditionsScenario):
        return tuple(dict.fromkeys(name.split(".", 1)[1] for name in read.metrics))
    return read.metrics


def _check_seeds(seeds: tuple[int, ...], replicates: int) -> None:
    taken = sorted(seeds)
    for a, b in itertools.pairwise(taken):
        if b - a < replicates:
            raise BiosimError(
                f"--seeds: with {replicates} replicates seed {b} is a replicate of the run of seed {a} too; leave {replicates} between"
            )


def _births_seed(read: Scenario) -> int | None:
    """Return the births seed that a scenario names, if it names one."""
    if isinstance(read, ConditionsScenario):
        if any("births_seed" in changes for changes in read.spec.conditions.values()):
            raise BiosimError("a condition sets births_seed, which a sweep over seeds shifts; set it for the whole scenario")
        return _births_seed(next(iter(read.conditions.values())))
    found: int | None = getattr(read.spec, "births_seed", None)
    return found


def _job(
    path: Path, read: Scenario, own: list[str], point: Mapping[str, str], seed: int, replicates: int, folder: Path, device: str
) -> Job:
    settings = [*own, f"seed={seed}", f"replicates={replicates}"]
    births = _births_seed(read)
    if births is not None:  # what replicate seed - base of a batch is born from
        shifted = births + seed - read.spec.seed
        if shifted < 0:
            raise BiosimError(f"--seeds {seed}: births_seed {births} at seed {read.spec.seed} leaves no births for it")
        settings.append(f"births_seed={shifted}")
    scenario = read_scenario(path, settings)
    place = folder.resolve() / RUNS / f"{scenario.spec.name}-{scenario.id}"
    return Job(scenario.id, str(path), str(place), str(Path.cwd()), tuple(settings), dict(point), seed, device)
