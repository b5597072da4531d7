"""``biosim run``, ``biosim resume`` and ``biosim validate``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biosim.commands.console import Bar, print_rows, say
from biosim.errors import BiosimError, InputError
from biosim.library import find_given
from biosim.processes import launch

if TYPE_CHECKING:
    from biosim.progress import Stages

RunFolder = Annotated[Path, typer.Argument(help="a run directory")]
ScenarioName = Annotated[str, typer.Argument(help="name of a scenario, or a path ending in .yaml")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override a scenario key; repeat for more")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
Every = Annotated[str, typer.Option(metavar="TIME", help="time between two checkpoints; 0s: after every step")]
Processes = Annotated[int, typer.Option(min=1, help="processes that share one large network; under torchrun, as many as it starts")]


def run(
    scenario: ScenarioName,
    settings: Set = None,
    seed: Annotated[int | None, typer.Option(help="search seed of replicate 0")] = None,
    replicates: Annotated[int | None, typer.Option(help="how many replicates")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="the run directory; runs/NAME-ID when left out")] = None,
    as_json: Json = False,
    force: Annotated[bool, typer.Option(help="begin anew even if the run is there, finished or not")] = False,
    checkpoint_every: Every = "30s",
    processes: Processes = 1,
) -> None:
    """Run a scenario; a run that was stopped goes on where it was. Exit status 3 when one of its checks fails, 2 on bad input."""
    every = _seconds_of(checkpoint_every)
    more = {"seed": seed, "replicates": replicates}
    read = _read(scenario, [*(settings or []), *(f"{key}={value}" for key, value in more.items() if value is not None)])
    _share(read, device, processes)
    from biosim import runner

    with progress(read.spec.name) as shown:
        done = runner.run_as_started(read, out, device=device, force=force, progress=shown, checkpoint_every=every)
    _tell(done, as_json)


def resume(folder: RunFolder, checkpoint_every: Every = "30s", as_json: Json = False, processes: Processes = 1) -> None:
    """Let a run that was stopped go on where it was; it ends as if it had not been. Exit status as of run."""
    every = _seconds_of(checkpoint_every)
    from biosim import runner

    read, device = runner.begun(folder)
    _share(read, device, processes)
    with progress(folder.resolve().name) as shown:
        done = runner.run_as_started(read, folder, device=device, progress=shown, checkpoint_every=every)
    _tell(done, as_json)


def validate(scenario: ScenarioName, settings: Set = None) -> None:
    """Check a scenario file, its rule, its model and its data, and run nothing."""
    read = _read(scenario, settings or [])
    from biosim.experiments import prepare

    print(f"{read.source.document.path}: valid; {prepare(read).outline()}")


def _seconds_of(text: str) -> float:
    """Return what ``--checkpoint-every`` says, in seconds."""
    from biosim.equations import parse_time

    try:
        time = parse_time(text)
    except InputError as error:
        raise BiosimError(f"--checkpoint-every {text}: {error.message}") from None
    if time.relative or time.value < 0:
        raise BiosimError(f"--checkpoint-every {text}: a time such as 30s, or 0s for after every step")
    return float(time.value)


def _read(name: str, settings: list[str]) -> Any:
    from biosim.scenario import read_scenario

    return read_scenario(find_given("scenarios", name), settings)


def _share(read: Any, device: str, processes: int) -> None:
    """Where several processes are asked for, start them and end as they do; what they would all refuse is told before."""
    if processes > 1:
        from biosim.experiments import check_means

        check_means(read, device, processes)
    launch.unless_started(processes)


@contextmanager
def progress(title: str) -> Iterator[Stages]:
    """Yield what shows how far the stages of a run are."""
    with Bar() as bar:

        def shown(stage: str, step: int, steps: int, numbers: Mapping[str, float]) -> None:
            if bar.is_due(stage, step, steps):
                note = "  ".join(f"{k} {v:.3f}" for k, v in numbers.items())
                bar.show(stage, step, steps, note, f"{title}: {stage} {100 * step // steps} %  {note}")

        yield shown


def _tell(done: tuple[Any, bool] | None, as_json: bool) -> None:
    """Print what a run came to; exit 3 when one of its checks failed. Of several processes the first one tells."""
    from biosim.report import summary, table_rows, verdict

    if done is None:
        return
    finished, fresh = done
    result, n = summary(finished), len(finished.about["seeds"])
    head, rows, notes = table_rows(finished)
    print_rows(f"{finished.name}: {n} replicates, mean ± sd" if n > 1 else f"{finished.name}: one replicate", head, rows, as_json, notes)
    for check in result["checks"]:
        word = "passed" if check["passed"] else "FAILED"
        say(f"{word}  {check['name']}: {check['needs']} ({verdict(check)})", as_json)
    again = "" if fresh else "  (this run was finished before; --force runs it again)"
    say(f"report: {finished.folder / 'report.html'}{again}", as_json)
    if as_json:
        print(json.dumps(result))
    if not all(check["passed"] for check in result["checks"]):
        raise typer.Exit(3)
