"""``biosim sweep``."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biosim.commands.console import Bar, print_rows, say
from biosim.commands.run import Json
from biosim.errors import BiosimError
from biosim.processes.launch import usable_cores

if TYPE_CHECKING:
    from biosim.sweep.run import State
    from biosim.sweep.work import Outcome

FIGURE = "sweep"


def sweep(
    what: Annotated[list[str], typer.Argument(metavar="SCENARIO", help="name or path of a scenario; or: show DIR")],
    over: Annotated[list[str] | None, typer.Option(metavar="KEY=A,B,...", help="a key and its values; repeat for more keys")] = None,
    seeds: Annotated[str | None, typer.Option(help="0..9, 0..8..2 or 0,3,5; the scenario's own when left out")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override a scenario key in every run")] = None,
    replicates: Annotated[int, typer.Option(min=1, help="replicates of each run")] = 1,
    on: Annotated[str, typer.Option(metavar="local|dask|slurm", help="what carries the runs out")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="how many at a time; every core when left out")] = None,
    threads: Annotated[int, typer.Option(min=1, help="of each worker")] = 1,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="of a Dask cluster; one of this machine when left out")] = None,
    cluster: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="parameters of Slurm, as submitit takes them")] = None,
    retries: Annotated[int, typer.Option(min=0, help="how often a run whose worker dies is tried again")] = 5,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="the sweep's folder; sweeps/NAME when left out")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan and its estimated time, run nothing")] = False,
    time_first: Annotated[bool, typer.Option("--time-first", help="with --dry-run: do (and keep) one run, to tell the time")] = False,
    as_json: Json = False,
    metric: Annotated[str | None, typer.Option(help="what to show and draw; the first one measured when left out")] = None,
) -> None:
    """Run a scenario under many settings and seeds; the same command again goes on where it was. Exit status 3 when runs fail."""
    if what[0] == "show":
        if len(what) != 2:
            raise BiosimError("biosim sweep show DIR: name one folder")
        _show(Path(what[1]), metric, as_json)
        return
    if len(what) != 1:
        raise BiosimError(f"biosim sweep SCENARIO: {' '.join(what[1:])}: one scenario at a time")
    from biosim.sweep.executor import EXECUTORS, Means
    from biosim.sweep.plan import make_plan, parse_over, parse_seeds
    from biosim.sweep.run import State, carry_out, outline
    from biosim.sweep.show import check_metric

    if on not in EXECUTORS:
        raise BiosimError(f"--on {on}: there are {', '.join(EXECUTORS)}")
    plan = make_plan(
        what[0], parse_over(over or []), None if seeds is None else parse_seeds(seeds), settings or [], replicates, out, device
    )
    if metric is not None:
        check_metric(metric, plan.metrics)
    count = workers or max(1, usable_cores() // threads)
    means = Means(plan.folder, count, threads, retries, scheduler, _pairs(cluster or []))
    state = State.of(plan)
    if dry_run and time_first and not state.done and state.left:
        later, state.left = state.left[1:], state.left[:1]
        carry_out(state, means, on, lambda *_: None)
        state.left = later
    for line in outline(state, on, count):
        say(line, as_json)
    if dry_run:
        return
    with _live(count) as live:
        carry_out(state, means, on, live)
    say(f"{len(state.done)} of {len(plan.jobs)} runs done; the table is {plan.folder / 'results.csv'}", as_json)
    failed = _failed(plan, state.failed, as_json)
    if state.done:
        _figure(plan.folder, state.rows, metric, as_json)
    if as_json:
        about = {"sweep": str(plan.folder), "scenario": plan.scenario, "runs": len(plan.jobs), "done": len(state.done)}
        print(json.dumps(about | {"failed": state.failed}))
    if failed:
        raise typer.Exit(3)


def _failed(plan: Any, reasons: dict[str, str], as_json: bool) -> int:
    for job in plan.jobs:
        if job.id in reasons:
            place = ", ".join([*(f"{k}={v}" for k, v in job.point.items()), f"seed {job.seed}"])
            say(f"FAILED  {job.id} ({place}): {reasons[job.id]}", as_json)
    if reasons:
        say("the same command tries them again", as_json)
    return len(reasons)


def _show(folder: Path, metric: str | None, as_json: bool) -> None:
    from biosim.sweep.run import read_plan
    from biosim.sweep.table import read_table

    plan, reasons = read_plan(folder)
    rows = read_table(folder)
    done = len({r["run"] for r in rows})
    say(f"sweep of {plan.scenario}: {done} of {len(plan.jobs)} runs done", as_json)
    _failed(plan, reasons, as_json)
    chosen, summary = _figure(folder, rows, metric, as_json)
    if as_json:
        plain = [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in r.items()} for r in summary]
        print(json.dumps({"sweep": str(folder), "metric": chosen, "summary": plain}))


def _figure(folder: Path, rows: list[Any], metric: str | None, as_json: bool) -> tuple[str, list[Any]]:
    """Print the summary of a sweep, draw it, and return the metric shown and the summary."""
    from biosim.findings import svg
    from biosim.rundir.files import write_atomic
    from biosim.sweep.show import figure, metrics, summarise, swept, text_rows

    chosen, summary = summarise(rows, metric)
    head, lines = text_rows(summary)
    print_rows(f"{chosen}: mean and 95 % interval over seeds", head, lines, as_json)
    if len(others := metrics(rows)) > 1:
        say(f"also measured: {', '.join(m for m in others if m != chosen)} (biosim sweep show {folder} --metric NAME)", as_json)
    drawn = figure(chosen, summary, swept(rows), rows[0]["scenario"])
    image = io.BytesIO()
    drawn.savefig(image, format="png", dpi=150)
    write_atomic(folder / f"{FIGURE}.png", image.getvalue())
    write_atomic(folder / f"{FIGURE}.svg", svg(drawn).encode())
    say(f"figure: {folder / f'{FIGURE}.png'}", as_json)
    return chosen, summary


def _pairs(texts: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise BiosimError(f"--cluster {text}: expected key=value, such as slurm_partition=short")
        found[key.strip()] = int(value) if value.strip().isdigit() else value.strip()
    return found


@contextmanager
def _live(workers: int) -> Iterator[Callable[[State, Outcome | None], None]]:
    """Yield what shows how far a sweep is."""
    from biosim.sweep.run import duration

    with Bar("{task.completed}/{task.total}  {task.fields[note]}", timed=False) as bar:

        def tell(state: State, outcome: Outcome | None) -> None:
            total, ended = len(state.plan.jobs), len(state.done) + len(state.failed)
            if not bar.is_due("sweep", ended, total) or (outcome is None and bar.live is None):
                return
            left = state.remaining(workers)
            failed = f"{len(state.failed)} failed, " if state.failed else ""
            note = f"{failed}about {duration(left)} left" if left is not None else "timing the first run"
            bar.show("sweep", ended, total, note, f"sweep: {ended} of {total} runs, {note}")

        yield tell
