"""The pages build without a warning, every reference resolved."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("generated"))
    for name in ("scenarios", "biosim", "README.md"):  # what pages link to beside themselves
        (tmp_path / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(tmp_path / "docs"), str(tmp_path / "pages")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "pages" / "generated" / "gallery.html").read_text()
    for scenario in (ROOT / "scenarios").glob("*.yaml"):
        assert f'id="{scenario.stem}' in page, scenario.stem
    assert "develop" in (tmp_path / "pages" / "generated" / "api-biosim.html").read_text()
