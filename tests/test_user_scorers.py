"""A scorer that a user wrote in one file, or that a plugin brings: listed, shown, run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY

from biosim.scenario import read_scenario
from biosim.scorer_sources import find_source, sources
from biosim.scorers import load_scorer, scorer_names
from biosim.store import open_run

Cli = Callable[..., tuple[int, str, str]]

FILE = '''
"""Strongest inputs: the synapse from the brightest pixel scores highest.

Made for a test.
"""
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Scorer:
    scope: str = "neuron"
    sign: float = 1.0

    @property
    def level(self):
        return "layer"

    def score(self, network, drive, density, seeds, progress=None):
        shown = next(iter(drive.presentations(seeds, network.device))).inputs.mean(1)
        found = {}
        for name, p in network.projections.items():
            bright = shown if p.pre.name == "input" else torch.ones_like(p.weight[:, :, 0])
            found[name] = (self.sign * bright).unsqueeze(2).expand_as(p.weight)
        return found
'''

MAKER = '''
"""All births, whatever density is asked for."""
from biosim.scorers import Made


class Scorer:
    level = "none"

    def make(self, task):
        yield Made(None, ({n: p.born.clone() for n, p in task.network.projections.items()},))
        for density in task.densities:
            yield Made(density, undefined="all or nothing")
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_scorer.py").write_text(FILE)
    (tmp_path / "mine.yaml").write_text(
        TINY.replace("[edge-popup, random]", "[random, {name: ./my_scorer.py, sign: -1}]")
        + "checks: [{name: named, value: rivals.my-scorer.density, needs: '> 0.29'}]\n"
    )
    return tmp_path


def test_a_scorer_file_runs_without_touching_biosim(here: Path, cli: Cli) -> None:
    code, out, err = cli("run", "mine.yaml", "--out", "run", "--json")
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert set(result["rivals"]) == {"random", "my-scorer"}
    run = open_run(here / "run")
    mask = run.rivals["my-scorer"].mask["input-hidden1"]
    assert (mask == mask[:, :, :1]).mean() > 0.9 and run.rivals["my-scorer"].provenance["locality"] == "layer"
    code, out, _ = cli("show", "scorer", "./my_scorer.py")
    assert code == 0 and "Made for a test." in out and "my_scorer.py" in out


def test_the_id_of_a_run_follows_the_scorer_file(here: Path) -> None:
    before = read_scenario(here / "mine.yaml").id
    assert read_scenario(here / "mine.yaml").id == before
    with (here / "my_scorer.py").open("a") as file:
        file.write("# changed\n")
    assert read_scenario(here / "mine.yaml").id != before


def test_scorers_in_the_folder_here_are_listed_by_name(here: Path, cli: Cli) -> None:
    (here / "scorers").mkdir()
    (here / "my_scorer.py").rename(here / "scorers" / "bright_first.py")
    (here / "scorers" / "random.py").write_text(FILE)  # a name biosim has already: its own wins
    code, out, _ = cli("list", "scorers")
    assert code == 0 and "bright-first" in out and "the synapse from the brightest pixel" in out
    assert load_scorer("bright-first").scope == "neuron" and find_source("random").own
    assert "Made for a test." in cli("show", "bright-first")[1]


def test_a_plugin_brings_a_scorer_through_an_entry_point(here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "bright_plugin.py").write_text(FILE)
    for name, text in {"good": "[biosim.scorers]\nbright = bright_plugin\n", "bad": "[biosim.scorers]\nbroken = no_such_module\n"}.items():
        folder = here / f"{name}_plugin-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(text)
    monkeypatch.syspath_prepend(str(here))
    with pytest.warns(UserWarning, match=r"plugin 'broken' of distribution 'bad-plugin'"):
        assert "bright" in scorer_names()
    (here / "bad_plugin-1.0.dist-info" / "entry_points.txt").write_text("")
    try:
        code, out, _ = cli("list", "scorers")
        assert code == 0 and "bright" in out and "Strongest inputs" in out
        text = (here / "mine.yaml").read_text().replace("./my_scorer.py", "bright").replace("my-scorer", "bright")
        (here / "mine.yaml").write_text(text)
        assert cli("run", "mine.yaml", "--out", "run")[0] == 0
        assert read_scenario(here / "mine.yaml").resolved["scorer_sources"] == {"bright": sources()["bright"].sha256}
    finally:
        sys.modules.pop("bright_plugin", None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", "has no class Scorer"),
        ("class Scorer:\n    pass\n", "lacks scope, level, score"),
        ("import nonsense_module\n", "cannot be imported"),
        ("class Scorer:\n    def __init__(self, k): pass\n", "cannot be built"),
        (None, "there is no scorer file ./my_scorer.py"),
    ],
)
def test_a_scorer_file_that_is_none_is_explained(here: Path, cli: Cli, text: str | None, says: str) -> None:
    (here / "mine.yaml").write_text(TINY.replace("[edge-popup, random]", "[random, {name: ./my_scorer.py}]"))
    (here / "my_scorer.py").unlink() if text is None else (here / "my_scorer.py").write_text(text)
    code, _, err = cli("run", "mine.yaml", "--out", "run")
    assert code == 2 and says in err and "mine.yaml:" in err and "rivals[1]" in err
    assert not (here / "run").exists()


def test_all_takes_in_what_users_wrote_and_the_id_follows_it(here: Path) -> None:
    (here / "mine.yaml").write_text(TINY.replace("[edge-popup, random]", "[all, {name: random, scope: neuron}]"))
    without = read_scenario(here / "mine.yaml")
    assert "my-scorer" not in without.rivals and "scorer_sources" not in without.resolved
    assert without.rivals["random"].options == {"scope": "neuron"}
    (here / "scorers").mkdir()
    variants = 'variants = {"bright": {}, "dark": {"sign": -1.0}}\n    scope: str'
    (here / "scorers" / "bright_first.py").write_text(FILE.replace("scope: str", variants))
    scenario = read_scenario(here / "mine.yaml")
    assert set(scenario.rivals) - set(without.rivals) == {"bright", "dark"} and scenario.id != without.id
    sha = sources()["bright-first"].sha256
    assert scenario.resolved["scorer_sources"] == {"bright": sha, "dark": sha}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ('variants = ["a"]', "variants of scorer 'bright-first' must map labels to options"),
        ('variants = {"random": {}}', "two rivals are called 'random': variants of bright-first and of random"),
        ('regimes = "frozen"', "must be a tuple of frozen and retrained"),
        ("k: int", "cannot be built: missing a required argument: 'k'"),
    ],
)
def test_a_file_that_all_cannot_use_is_explained(here: Path, cli: Cli, change: str, says: str) -> None:
    (here / "scorers").mkdir()
    (here / "scorers" / "bright_first.py").write_text(FILE.replace("scope: str", f"{change}\n    scope: str"))
    (here / "mine.yaml").write_text(TINY.replace("[edge-popup, random]", "[all]"))
    code, _, err = cli("validate", "mine.yaml")
    assert code == 2 and says in err and "rivals[0]" in err


def test_a_file_may_make_circuits_itself(here: Path, cli: Cli) -> None:
    (here / "my_scorer.py").write_text(MAKER)
    text = TINY.replace("[edge-popup, random]", "[./my_scorer.py]\ndensities: [0.5]\nretrain: {epochs: 1}")
    (here / "mine.yaml").write_text(text)
    code, out, err = cli("run", "mine.yaml", "--out", "run", "--json")
    assert code == 0, err
    rows = [r for r in json.loads(out.splitlines()[-1])["table"] if r["method"] == "my-scorer"]
    assert [(r["regime"], r["target_density"], r["accuracy"] is None) for r in rows] == [
        ("frozen", None, False), ("retrained", None, False), ("frozen", 0.5, True), ("retrained", 0.5, True),
        ("frozen", 0.3, True), ("retrained", 0.3, True),
    ]  # fmt: skip
    assert open_run(here / "run").rivals["my-scorer"].provenance["scorer"] == "my-scorer"


def test_two_files_of_one_name_are_refused(here: Path, cli: Cli) -> None:
    (here / "other").mkdir()
    (here / "other" / "my_scorer.py").write_text(FILE)
    (here / "mine.yaml").write_text(TINY.replace("[edge-popup, random]", "[./my_scorer.py, other/my_scorer.py]"))
    code, _, err = cli("run", "mine.yaml", "--out", "run")
    assert code == 2 and "two rivals are called 'my-scorer'" in err


def test_replicates_of_a_users_scorer_meet_the_exact_count(here: Path) -> None:
    from biosim.scorers import prune
    from biosim.synapses import Network

    network = Network.layered([4, 3, 2], [0, 1])

    class Drive:
        def presentations(self, seeds: tuple[int, ...], device: torch.device):  # type: ignore[no-untyped-def]
            from biosim.drives.base import Presentation

            yield Presentation(torch.ones(len(seeds), 5, 4), None)

    circuit = prune("mine", load_scorer("./my_scorer.py"), network, Drive(), 0.5, (0, 1))  # type: ignore[arg-type]
    assert np.array_equal(sum(m.sum((1, 2)) for m in circuit.mask.values()), [9, 9])
