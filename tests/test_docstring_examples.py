"""The examples in docstrings run as they stand, and every main function has one."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import biosim

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
WITH_EXAMPLE = [
    *(f"biosim.{name}" for name in biosim.__all__ if name not in ("__version__", "Development", "Run")),
    "biosim.develop.develop", "biosim.graphs.Graph", "biosim.graphs.density", "biosim.graphs.reciprocity", "biosim.graphs.path_length",
    "biosim.graphs.average_clustering", "biosim.graphs.modularity", "biosim.graphs.rich_club", "biosim.graphs.triad_census",
    "biosim.graphs.measures", "biosim.graphs.nulls.degree_preserving", "biosim.graphs.nulls.contrast", "biosim.connectomes.read_graph",
    "biosim.spiking.simulation.Simulation", "biosim.spike_measures.SpikeTrains", "biosim.findings.Findings",
]  # fmt: skip


def named(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def modules_with_examples() -> list[str]:
    """Return every module of biosim whose source holds an example, found without importing any."""
    root = Path(biosim.__file__).parent
    names = [path.relative_to(root.parent).with_suffix("") for path in sorted(root.rglob("*.py")) if ">>> " in path.read_text()]
    return [".".join(name.parts).removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("path", WITH_EXAMPLE)
def test_main_functions_have_an_example(path: str) -> None:
    assert ">>> " in (named(path).__doc__ or ""), f"{path} has no example in its docstring"


@pytest.mark.parametrize("module", modules_with_examples())
def test_examples_run(module: str) -> None:
    loaded = importlib.import_module(module)
    finder, runner = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestRunner(optionflags=FLAGS)
    said: list[str] = []
    for example in finder.find(loaded, module):
        runner.run(example, out=said.append)
    assert runner.tries > 0 and runner.failures == 0, "".join(said)
