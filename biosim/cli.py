"""The command line. Heavy imports happen inside the commands: ``biosim --help`` loads neither torch nor brian2."""

from __future__ import annotations

import json
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from biosim.commands.doctor import doctor
from biosim.commands.exchange import export, import_
from biosim.commands.report import report
from biosim.commands.sweep import sweep
from biosim.commands.times import seconds_of
from biosim.errors import BiosimError, Interrupted, Notice
from biosim.processes import launch
from biosim.rundir import interrupts

app = typer.Typer(
    help="Can a dense random network become a working circuit only by losing synapses?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override a scenario key; repeat for more")]
ScenarioName = Annotated[str, typer.Argument(help="name of a scenario, or a path ending in .yaml")]
Every = Annotated[str, typer.Option(metavar="TIME", help="time between two checkpoints; 0s: after every step")]
Processes = Annotated[int, typer.Option(min=1, help="processes that share one large network; under torchrun, as many as it starts")]
RunFolder = Annotated[Path, typer.Argument(help="a run directory")]


def main() -> None:
    """Entry point: turn a user's mistake into one message and exit status 2."""
    handlers = {number: signal.signal(number, interrupts.handle) for number in (signal.SIGTERM, signal.SIGINT)}
    spelled, warnings.formatwarning = warnings.formatwarning, _notice(warnings.formatwarning)
    try:
        app()
    except BiosimError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except MemoryError as error:
        print(f"there is not enough memory: {error or 'no more could be had'}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stop:
        how = "" if stop.folder is None else f"; to go on where it was: biosim resume {stop.folder}{launch.again()}"
        print(f"stopped{how}", file=sys.stderr)
        sys.exit(launch.STOPPED)
    finally:
        warnings.formatwarning = spelled
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _notice(otherwise: Callable[..., str]) -> Callable[..., str]:
    """Return how warnings are spelled: what a user should know without the place in the source."""

    def spell(message: Warning | str, category: type[Warning], *place: Any) -> str:
        return f"note: {message}\n" if issubclass(category, Notice) else otherwise(message, category, *place)

    return spell


def _read(name: str, settings: list[str] | None, seed: int | None = None, replicates: int | None = None) -> Any:
    from biosim.errors import InputError
    from biosim.library import find
    from biosim.scenario import read_scenario

    extra = [f"seed={seed}"] if seed is not None else []
    extra += [f"replicates={replicates}"] if replicates is not None else []
    try:
        path = find("scenarios", name)
    except InputError as error:
        raise BiosimError(error.message) from None
    return read_scenario(path, [*(settings or []), *extra])


@app.command()
def run(
    scenario: ScenarioName,
    settings: Set = None,
    seed: Annotated[int | None, typer.Option(help="search seed of replicate 0")] = None,
    replicates: Annotated[int | None, typer.Option(help="how many replicates")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="the run directory; runs/NAME-ID when left out")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
    force: Annotated[bool, typer.Option(help="begin anew even if the run is there, finished or not")] = False,
    checkpoint_every: Every = "30s",
    processes: Processes = 1,
) -> None:
    """Run a scenario; a run that was stopped goes on where it was. Exit status 3 when one of its checks fails, 2 on bad input."""
    every = seconds_of(checkpoint_every)
    launch.unless_started(processes)
    read = _read(scenario, settings, seed, replicates)
    from biosim import runner

    with _Progress(read.spec.name) as progress:
        done = runner.run_as_started(read, out, device=device, force=force, progress=progress, checkpoint_every=every)
    _tell(done, as_json)


@app.command()
def resume(
    folder: RunFolder,
    checkpoint_every: Every = "30s",
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
    processes: Processes = 1,
) -> None:
    """Let a run that was stopped go on where it was; it ends as if it had not been. Exit status as of run."""
    every = seconds_of(checkpoint_every)
    launch.unless_started(processes)
    from biosim import runner

    read, device = runner.begun(folder)
    with _Progress(folder.resolve().name) as progress:
        done = runner.run_as_started(read, folder, device=device, progress=progress, checkpoint_every=every)
    _tell(done, as_json)


def _tell(done: tuple[Any, bool] | None, as_json: bool) -> None:
    """Print what a run came to; exit 3 when one of its checks failed. Of several processes the first one tells."""
    from biosim.report import summary, verdict

    if done is None:
        return
    finished, fresh = done
    result = summary(finished)
    _print_table(finished)
    for check in result["checks"]:
        word = "passed" if check["passed"] else "FAILED"
        _say(f"{word}  {check['name']}: {check['needs']} ({verdict(check)})")
    _say(f"report: {finished.folder / 'report.html'}" + ("" if fresh else "  (this run was finished before; --force runs it again)"))
    if as_json:
        print(json.dumps(result))
    if not all(check["passed"] for check in result["checks"]):
        raise typer.Exit(3)


@app.command()
def validate(scenario: ScenarioName, settings: Set = None) -> None:
    """Check a scenario file, its rule, its model and its data, and run nothing."""
    read = _read(scenario, settings)
    from biosim.experiments import prepare

    print(f"{read.source.document.path}: valid; {prepare(read).outline()}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from biosim.scenario.spec import json_schema

    print(json.dumps(json_schema(), indent=1))


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Argument(help="rules, models, drives, substrates, measures, scenarios, scorers, studies or analysis")
    ] = None,
) -> None:
    """List what there is to name in a scenario."""
    from biosim.catalogue import KINDS, entries

    if kind is not None and kind not in KINDS:
        raise BiosimError(f"there is no kind '{kind}'; there are: {', '.join(KINDS)}")
    for name in [kind] if kind else KINDS:
        print(f"{name}:")
        for entry, line in entries(name).items():
            print(f"  {entry:<20} {line}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="a name, or a kind (rule, model, scenario, scorer, study, analysis) followed by one")],
    second: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    cite: Annotated[bool, typer.Option(help="print only the BibTeX of a rule")] = False,
) -> None:
    """Show a rule's equations, locality, parameters and source; or what a scenario, model, scorer or analysis is."""
    from biosim.catalogue import describe

    print(describe(name if second is None else second, None if second is None else name, cite))


@app.command()
def compare(
    first: RunFolder,
    second: Annotated[Path | None, typer.Argument(help="another run directory, with the same births")] = None,
    circuit: Annotated[list[str] | None, typer.Option(help="local, or a rival's label; give two to compare those")] = None,
    out: Annotated[Path | None, typer.Option(help="write figures and comparison.json here")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
    measures: Annotated[list[str] | None, typer.Option(help="overlap, profiles, flow, function, causal; repeat for more")] = None,
    nulls: Annotated[int, typer.Option(min=2, help="draws of every null")] = 100,
    samples: Annotated[int, typer.Option(min=10, help="at most this many images are shown")] = 500,
) -> None:
    """Compare two circuits on the same births: every measure with its null, its ceiling and an effect size.

    Two circuits of one run (the local one and the first rival when none is named), or one of each of two runs.
    """
    from biosim.compare import FAMILIES
    from biosim.compare_runs import compare_runs
    from biosim.report.comparison import BRIEF, HEAD, answers, measure_rows, primary
    from biosim.store import open_run

    runs = [open_run(folder) for folder in (first, second) if folder is not None]
    with _Progress("compare") as progress:
        found = compare_runs(
            runs[0], runs[1] if second is not None else None, circuit or (), families=measures or tuple(FAMILIES), nulls=nulls,
            samples=samples, progress=lambda step, steps: progress("nulls", step, steps, {}),
        )  # fmt: skip
    (other,) = found.data["pairs"]
    rows, notes = measure_rows(primary(found.data, other), brief=True)
    title = f"{found.data['reference']} and {other}: {found.data['births']} births; {found.data['shown']}"
    _print_rows(title, HEAD, rows, [BRIEF, *notes])
    for line in answers(found.data, other):
        _say(line)
    if out is not None:
        from biosim.analysis import write_findings
        from biosim.findings import Findings
        from biosim.report.comparison_figures import comparison_figures
        from biosim.store import COMPARISON, write_json

        for path in write_findings(Findings(comparison_figures(found.data, found.circuits)), out):
            _say(str(path))
        write_json(out / COMPARISON, found.data)
    if as_json:
        print(json.dumps(found.data))


@app.command()
def analyse(
    name: Annotated[str, typer.Argument(help="name of an analysis, or a path ending in .py")],
    runs: Annotated[list[Path], typer.Argument(help="one or more run directories")],
    out: Annotated[Path | None, typer.Option(help="where to write; RUN/analysis/NAME when left out")] = None,
) -> None:
    """Run an analysis over finished runs; it writes figures and tables."""
    from biosim.analysis import analyse_runs

    for path in analyse_runs(name, runs, out):
        print(path)


app.command()(doctor)
app.command()(export)
app.command("import")(import_)
app.command()(report)
app.command()(sweep)


def _say(text: str) -> None:
    print(text, file=sys.stderr if "--json" in sys.argv else sys.stdout)


def _print_table(run: Any) -> None:
    from biosim.report import table_rows

    n = len(run.about["seeds"])
    _print_rows(f"{run.name}: {n} replicates, mean ± sd" if n > 1 else f"{run.name}: one replicate", *table_rows(run))


def _print_rows(title: str, head: list[str], rows: list[list[str]], notes: list[str]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*head, title=title)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console = Console(stderr="--json" in sys.argv)
    if not console.is_terminal:
        console.width = 150
    console.print(table)
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


class _Progress:
    """A bar on a terminal, plain lines elsewhere."""

    def __init__(self, title: str) -> None:
        from rich.console import Console

        self.title, self.console = title, Console(stderr=True)
        self.bar: Any = None
        self.tasks: dict[str, Any] = {}
        self.tenths: dict[str, int] = {}

    def __enter__(self) -> _Progress:
        if self.console.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description:<14}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn())
            self.bar = Progress(*columns, console=self.console)
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, stage: str, step: int, steps: int, numbers: Mapping[str, float]) -> None:
        note = "  ".join(f"{k} {v:.3f}" for k, v in numbers.items())
        if self.bar is not None:
            if stage not in self.tasks:
                self.tasks[stage] = self.bar.add_task(stage, total=steps, note="")
            self.bar.update(self.tasks[stage], completed=step, note=note)
        elif step * 10 // steps > self.tenths.get(stage, -1):
            self.tenths[stage] = step * 10 // steps
            self.console.print(f"{self.title}: {stage} {100 * step // steps} %  {note}", highlight=False, soft_wrap=True)
