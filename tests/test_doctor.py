"""What ``biosim doctor`` finds, and what it says of what it does not find."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from biosim import doctor

Cli = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[1]


def test_doctor_says_what_is_there_and_what_adds_the_rest(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=1", "torch>=999", 'nir>=1.0; extra == "nir"', 'no-such-thing; extra == "moon"', "h5py>=3; extra == 'moon'"]
    monkeypatch.setattr(doctor, "requires", lambda name: wanted)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/g++" if name == "g++" else None)
    code, out, _ = cli("doctor")
    assert code == 0
    lines = out.splitlines()
    assert f"needed: numpy {importlib.metadata.version('numpy')}" in lines[1] and "(not >=999)" in lines[1]
    assert lines[2] == "  missing: torch>=999; add by: pip install --upgrade biosim"
    assert f"extra moon: h5py {importlib.metadata.version('h5py')}" in lines
    assert "  missing: no-such-thing; add by: pip install 'biosim[moon]'" in lines
    assert "C++ compiler: /usr/bin/g++" in lines and any(line.startswith("browser: none, for") for line in lines)
    assert any(re.match(r"cores: \d+ of \d+; threads: torch \d+, numba \d+", line) for line in lines)
    assert any(line.startswith("GPU: ") for line in lines)
    assert any(line.startswith("data digits: 1442 + 355 images") for line in lines)


def test_every_extra_that_code_asks_for_exists() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    known = set(re.findall(r"^(\w+) = \[", text[text.index("[project.optional-dependencies]") :], re.MULTILINE))
    asked = set()
    for path in (ROOT / "biosim").rglob("*.py"):
        asked |= set(re.findall(r'need\("[\w.]+", "(\w+)"\)', path.read_text()))
    assert asked and asked <= known, asked - known
