"""Whether a change left every result as it was: scenarios at the size of the gallery, here and at another revision, compared to the bit.

    python benchmarks/unchanged.py REVISION              # all of them: some ten minutes of one core for each of the two
    python benchmarks/unchanged.py HEAD~3 dice rivals    # these

Circuits are compared byte by byte; histories, comparisons, tables and results value by value, without times, versions and the hashes of
the files that a run was made from. Exit status 1 when anything else differs. Both sides run the scenarios of the other revision.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
OTHERWISE = re.compile(r"second|versions|wall|sha256|_source$|^(id|files|conditions)$")  # keys and columns that may differ


@contextmanager
def checkout(revision: str, folder: Path) -> Iterator[Path]:
    """Yield another revision of this repository, taken out into a folder."""
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", folder, revision], cwd=HERE, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=HERE, check=True)


def run(tree: Path, command: str, scenario: Path, out: Path) -> int:
    """Run a gallery's command with the code of a tree; return its exit status."""
    _, verb, _, *more = shlex.split(command)
    environment = {**os.environ, "PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": str(out.parents[1] / f"numba-{out.parent.name}")}
    asked = [sys.executable, "-m", "biosim", verb, str(scenario), *more, "--force", "--out", str(out)]
    return subprocess.run(asked, cwd=tree, env=environment, capture_output=True).returncode


def lasting(value: Any) -> Any:
    """Return plain data without what may differ between two runs of the same thing."""
    if isinstance(value, dict):
        return {k: lasting(v) for k, v in value.items() if not OTHERWISE.search(k)}
    return [lasting(v) for v in value] if isinstance(value, list) else value


def content(path: Path) -> bytes:
    """Return what is compared of a file of a run; as text, in which one NaN is like another."""
    if path.suffix == ".safetensors":
        return path.read_bytes()
    with path.open(newline="") as file:
        lines = (
            [json.load(file)] if path.suffix == ".json" else list(csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file))
        )
    return json.dumps(lasting(lines), sort_keys=True).encode()


def found(folder: Path) -> dict[str, bytes]:
    """Return what is compared of a run, by file."""
    kinds = (".json", ".jsonl", ".csv", ".safetensors")
    return {str(p.relative_to(folder)): content(p) for p in sorted(folder.rglob("*")) if p.suffix in kinds}


def main() -> None:
    """Compare, and say what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision")
    parser.add_argument("scenarios", nargs="*")
    arguments = parser.parse_args()
    different = 0
    with tempfile.TemporaryDirectory() as place, checkout(arguments.revision, Path(place) / "other") as other:
        made = json.loads((other / "docs" / "gallery" / "made.json").read_text())
        for name in arguments.scenarios or made:
            runs = {side: Path(place) / side / name for side in ("before", "now")}
            status = {}
            for side, tree in (("before", other), ("now", HERE)):
                status[side] = run(tree, made[name]["command"], other / "scenarios" / f"{name}.yaml", runs[side])
            before, now = found(runs["before"]), found(runs["now"])
            wrong = [file for file in sorted({*before, *now}) if before.get(file) != now.get(file)]
            wrong += [f"exit status {status['before']}, now {status['now']}"] * (status["before"] != status["now"])
            wrong += ["nothing was written"] * (not before)
            different += bool(wrong)
            print(f"{name}: {', '.join(wrong) or f'the same in {len(now)} files'}", flush=True)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
