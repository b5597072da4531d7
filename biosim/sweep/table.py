"""The results of a sweep as one tidy table: one row a run x method x density x regime x replicate x metric.

Columns: ``run``, ``scenario``, one for each swept key, ``seed``, ``replicate``, ``method``, ``regime``, ``density`` (the target),
``metric``, ``value``. What is not defined has no row.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from biosim.errors import BiosimError
from biosim.findings import csv_text
from biosim.rundir.files import write_atomic
from biosim.sweep.plan import Job
from biosim.sweep.work import finished

PARQUET, CSV = "results.parquet", "results.csv"
AFTER = ("seed", "replicate", "method", "regime", "density", "metric", "value")
Row = dict[str, Any]


def gather(jobs: Sequence[Job]) -> list[Row]:
    """Return the rows of every job that is done."""
    typed = _typed(jobs)
    rows: list[Row] = []
    for job in jobs:
        about = finished(Path(job.folder))
        if about is None:
            continue
        first = {"run": job.id, "scenario": about["scenario"]["name"], **{k: typed[k][v] for k, v in job.point.items()}}
        rows += [first | row for row in results_of(about)]
    return rows


def _typed(jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    """Return each swept key's values by their text: numbers where all of them are, else text."""
    texts: dict[str, list[str]] = {}
    for job in jobs:
        for key, value in job.point.items():
            texts.setdefault(key, []).append(value)
    found = {}
    for key, values in texts.items():
        try:
            found[key] = {v: float(v) for v in values}
            if not all(math.isfinite(number) for number in found[key].values()):
                raise ValueError
        except ValueError:
            found[key] = {v: v for v in values}  # type: ignore[misc]
    return found


def results_of(run: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of one run: those of its table, or where it has none its metrics; of conditions, the name as method."""
    results, seeds = run["results"], run["seeds"]
    for line in results.get("table", ()):
        about = {"method": line["method"], "regime": line["regime"], "density": line["target_density"]}
        for metric, values in line.items():
            if isinstance(values, list):
                yield from _values(about, metric, values, seeds)
        if line.get("seconds") is not None and len(seeds) == 1:
            yield from _values(about, "seconds", [line["seconds"]], seeds)
    if "table" in results:
        return
    for name, values in results.get("metrics", {}).items():
        method, metric = name.split(".", 1) if run["kind"] == "conditions" else ("", name)
        if isinstance(values, list):
            yield from _values({"method": method, "regime": "", "density": None}, metric, values, seeds)


def _values(about: Row, metric: str, values: list[Any], seeds: list[int]) -> Iterator[Row]:
    if len(values) != len(seeds):
        return  # not one value a replicate
    for k, (value, seed) in enumerate(zip(values, seeds, strict=True)):
        if isinstance(value, int | float) and math.isfinite(value):
            yield {"seed": seed, "replicate": k} | about | {"metric": metric, "value": float(value)}


def write_table(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write the table as CSV, and as parquet where pyarrow is installed."""
    write_atomic(folder / CSV, csv_text(rows).encode())
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return [folder / CSV]
    columns = list(rows[0]) if rows else ["run", *AFTER]
    kinds = {"seed": pyarrow.int64(), "replicate": pyarrow.int64(), "density": pyarrow.float64(), "value": pyarrow.float64()}
    arrays = {c: pyarrow.array([r[c] for r in rows], kinds.get(c)) for c in columns}
    aside = folder / f".{PARQUET}.part"
    pyarrow.parquet.write_table(pyarrow.table(arrays), aside)
    aside.replace(folder / PARQUET)
    return [folder / PARQUET, folder / CSV]


def read_table(folder: Path) -> list[Row]:
    """Return the table of a sweep.

    Raises
    ------
    BiosimError
        When there is none, or it cannot be read.
    """
    try:
        with (folder / CSV).open(newline="") as file:
            reader = csv.DictReader(file)
            rows: list[Row] = list(reader)
        if rows and (lost := {"run", "scenario", *AFTER} - set(reader.fieldnames or ())):
            raise ValueError(f"it has no column {sorted(lost)[0]}")
        for row in rows:
            row |= {"seed": int(row["seed"]), "replicate": int(row["replicate"]), "value": float(row["value"])}
            row["density"] = float(row["density"]) if row["density"] else None
    except FileNotFoundError:
        raise BiosimError(f"{folder} is not the folder of a sweep with results: it has no {CSV}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BiosimError(f"{folder / CSV} cannot be read: {error}; the sweep's command writes it anew") from None
    return rows
