"""Shipped scenarios at full size; `make test-all` runs these."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from biosim import open_run

Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(p.stem for p in (Path(__file__).parents[1] / "scenarios").glob("*.yaml")))
def test_headlines_hold(name: str, cli: Cli, tmp_path: Path) -> None:
    if "fashion" in name and not Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("needs the Debian package dataset-fashion-mnist")
    code, out, err = cli("run", name, "--json", "--out", str(tmp_path / "run"))
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert all(c["passed"] for c in result["checks"])
    run = open_run(tmp_path / "run")
    if name != "hebbian" and run.kind == "development":
        circuit = run.circuit
        for projection, mask in circuit.mask.items():
            assert (mask.sum((1, 2)) == np.floor(0.2 * circuit.born[projection].sum((1, 2)) + 0.5)).all()
