"""The command line. Heavy imports happen inside the commands: ``biosim --help`` loads neither torch nor brian2."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

import typer

from biosim.commands.catalogue import list_, schema, show
from biosim.commands.compare import analyse, compare
from biosim.commands.doctor import doctor
from biosim.commands.exchange import export, import_
from biosim.commands.report import report
from biosim.commands.run import resume, run, validate
from biosim.commands.sweep import sweep
from biosim.errors import BiosimError, Interrupted, Notice
from biosim.processes import launch
from biosim.rundir import interrupts

app = typer.Typer(
    help="Can a dense random network become a working circuit only by losing synapses?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "run": run, "resume": resume, "validate": validate, "schema": schema, "list": list_, "show": show, "compare": compare,
    "analyse": analyse, "doctor": doctor, "export": export, "import": import_, "report": report, "sweep": sweep,
}  # fmt: skip
for name, command in COMMANDS.items():
    app.command(name)(command)


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
