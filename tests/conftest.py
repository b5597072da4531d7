"""Shared fixtures: a tiny data set, a tiny network, and the command line run in this process."""

from __future__ import annotations

import gzip
import os
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("NUMBA_NUM_THREADS", "2")  # at most, where a test asks for them

import biosim  # noqa: F401 (before torch, as a user's script has it) isort: skip

import numba
import numpy as np
import pytest
import torch
from hypothesis import settings

from biosim.drives import ImageDrive, Images
from biosim.library import find
from biosim.synapses import Network

pytest_plugins = ["compared", "opened_pages", "stopped_runs"]  # fixtures of more than one file
settings.register_profile("fixed", derandomize=True, deadline=None)  # a test gives the same verdict every time it is run
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
numba.set_num_threads(1)  # workers share the cores: threads of both would wait for each other; tests of threads ask for more
torch.set_num_threads(1)  # numba's start made them two


def pytest_configure(config: pytest.Config) -> None:
    """Ignore warnings of biosim's own; named in pyproject.toml, they would import it, and numba, before this file sets its threads."""
    for name in ("biosim.equations.products.PerformanceWarning", "biosim.errors.DisconnectedWarning"):
        config.addinivalue_line("filterwarnings", f"ignore::{name}")


class Result(NamedTuple):
    """What a command left: exit status and both streams."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run ``biosim ARGUMENTS`` in this process."""
    from biosim.cli import main

    def call(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["biosim", *arguments])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        streams = capsys.readouterr()
        return Result(code, streams.out, streams.err)

    return call


def assert_told_of(cli: Callable[..., Result], folder: Path, scenario: str, mistakes: Sequence[tuple[str, str, str]]) -> None:
    """Run a shipped scenario with one mistake (old, new) at a time: each is told of with its line, and nothing is written."""
    text = find("scenarios", scenario).read_text()
    for old, new, expected in mistakes:
        assert old in text
        path = folder / "s.yaml"
        path.write_text(text.replace(old, new, 1))
        line = next(k for k, row in enumerate(path.read_text().splitlines(), 1) if new in row)
        code, _, err = cli("run", str(path), "--out", str(folder / "run"))
        assert code == 2 and f"s.yaml:{line}: " in err and expected in err and not (folder / "run").exists(), err


def made_up_images(n: int = 320, side: int = 6, classes: int = 4, seed: int = 0) -> Images:
    """Return images in which a bright quadrant, in noise, tells the class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    pixels = random.standard_normal((n, side, side)).astype(np.float32) * 0.5
    half = side // 2
    for k, (row, column) in enumerate([(0, 0), (0, half), (half, 0), (half, half)][:classes]):
        pixels[labels == k, row : row + half, column : column + half] += 1.0
    flat = pixels.reshape(n, -1)
    cut = 3 * n // 4
    return Images(flat[:cut], labels[:cut], flat[cut:], labels[cut:], (side, side), "made up", "made up")


@pytest.fixture
def images() -> Images:
    return made_up_images()


@pytest.fixture
def drive(images: Images) -> ImageDrive:
    return ImageDrive(images, batch=16, epochs=4)


@pytest.fixture
def births() -> Callable[..., Network]:
    def build(seeds: Sequence[int] = (0, 1, 2), hidden: Sequence[int] = (20, 16), **options: Any) -> Network:
        options.setdefault("weights", "signed-constant")
        return Network.layered([36, *hidden, 4], list(seeds), **options)

    return build


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write an IDX file, gzipped when its name says so; written independently of the reader under test."""
    kinds = {"uint8": 8, "int32": 12, "float32": 13, "float64": 14}
    head = bytes([0, 0, kinds[array.dtype.name], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    raw = head + array.astype(array.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """Return a folder of 28x28 images in four classes, as any user's own data."""
    folder = tmp_path / "own-data"
    folder.mkdir()
    random = np.random.default_rng(3)
    for prefix, n in (("train", 200), ("t10k", 60)):
        labels = random.integers(0, 4, n).astype(np.uint8)
        pixels = random.integers(0, 60, (n, 28, 28)).astype(np.uint8)
        for k in range(4):
            pixels[labels == k, 7 * k : 7 * k + 7] += 150
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", pixels)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)
    return folder


TINY = """\
name: tiny
model: {name: mlp, hidden: [24, 16]}
drive: {kind: images, dataset: digits, batch: 64, epochs: 2, train_size: 256}
rule: {name: three-factor, feedback: random}
schedule: {kind: decreasing-rate, density: 0.3}
rivals: [edge-popup, random]
replicates: 2
moments: 5
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Return a scenario file that runs in about a second."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path
