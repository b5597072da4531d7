"""What commands print: lines, tables, and how far something is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import typer

WIDTH = 150  # letters of a table where there is no terminal


def say(text: str, as_json: bool) -> None:
    """Print a line, on standard error where standard output ends with a JSON object."""
    typer.echo(text, err=as_json)


def print_rows(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], as_json: bool, notes: Sequence[str] = ()) -> None:
    """Print a table and the notes below it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*head, title=title)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table)
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


class Bar:
    """How far things are, on standard error: a bar each on a terminal; elsewhere a line whenever another tenth of one is done."""

    def __init__(self, text: str = "{task.fields[note]}", timed: bool = True) -> None:
        from rich.console import Console

        self.text, self.timed, self.console = text, timed, Console(stderr=True)
        self.live: Any = None
        self.tasks: dict[str, Any] = {}
        self.tenths: dict[str, int] = {}

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = [TextColumn("{task.description:<14}"), BarColumn(), TextColumn(self.text), *[TimeRemainingColumn()] * self.timed]
            self.live = Progress(*columns, console=self.console)
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.stop()

    def is_due(self, what: str, done: int, total: int) -> bool:
        """Return whether there is anything new to show of ``what``."""
        return self.live is not None or 10 * done // total > self.tenths.get(what, -1)

    def show(self, what: str, done: int, total: int, note: str, line: str) -> None:
        """Show how far ``what`` is: ``note`` beside its bar, or ``line`` where there is no bar."""
        if self.live is None:
            self.tenths[what] = 10 * done // total
            self.console.print(line, highlight=False, soft_wrap=True)
            return
        if what not in self.tasks:
            self.tasks[what] = self.live.add_task(what, total=total, note="")
        self.live.update(self.tasks[what], completed=done, note=note)
