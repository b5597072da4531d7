"""The three worked studies of the docs print what their pages show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[1] / "docs" / "studies"
NUMBER = re.compile(r"[-+]?\d+\.?\d*")
NEAR = {"window": (0.1, 0.1), "local_global": (0.02, 4.0), "connectome": (0.1, 4.0)}  # relative, absolute: machines round differently


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(p.stem for p in STUDIES.glob("*.py")))
def test_a_study_prints_what_its_page_shows(name: str, tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(STUDIES.parents[1])}
    command = [sys.executable, str(STUDIES / f"{name}.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    stored = (STUDIES / "output" / f"{name}.txt").read_text()
    printed = done.stdout
    if "without C. elegans" in printed:
        stored, printed = stored.split("\nC. elegans")[0], re.sub(r"without C. elegans.*\n", "", printed)
    assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", stored).split()
    relative, absolute = NEAR[name]
    for found, shown in zip(NUMBER.findall(printed), NUMBER.findall(stored), strict=True):
        assert float(found) == pytest.approx(float(shown), rel=relative, abs=absolute)
    assert (tmp_path / f"{name}.svg").stat().st_size > 1000 and (STUDIES / "output" / f"{name}.svg").stat().st_size < 100_000


def test_every_study_has_its_page_output_and_figure() -> None:
    names = {p.stem for p in STUDIES.glob("*.py")}
    assert len(names) == 3
    for name in names:
        assert f"output/{name}.txt" in (STUDIES / f"{name}.md").read_text()
        assert (STUDIES / "output" / f"{name}.txt").stat().st_size > 200 and (STUDIES / "output" / f"{name}.svg").is_file()
