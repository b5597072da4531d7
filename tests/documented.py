"""Finds what the README and the docs tell a reader to type: commands, Python, YAML."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from biosim.yamlfile import read_yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *(p for p in sorted((ROOT / "docs").rglob("*.md")) if "generated" not in p.parts)]
PROGRAMS = ("biosim", ".venv/bin/biosim", "python", "make", "git", "source", "pip")
SYNOPSIS = re.compile(r"\[-|\[[A-Z]|\.\.\.")  # options in brackets, or dots: a form to fill in, not a command


@dataclass(frozen=True)
class Snippet:
    """A piece of a page: where it starts, what it is written in, its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text.strip().splitlines()[0][:90]}"


@cache
def snippets() -> tuple[Snippet, ...]:
    """Return every block and every inline command of every page."""
    return tuple(s for page in PAGES for s in _of(page))


def commands() -> list[Snippet]:
    """Return every command, a line each, without the comment behind it."""
    found = []
    for s in snippets():
        if s.language == "shell":
            for k, line in enumerate(_joined(s.text)):
                if (text := _bare(line)) and text.split()[0] in PROGRAMS:
                    found += [
                        Snippet(s.page, s.line + k, "shell", part.strip())
                        for part in text.split("&&")
                        if not part.strip().startswith("cd ")
                    ]
    return found


def _of(page: Path) -> Iterator[Snippet]:
    name = page.relative_to(ROOT).as_posix()
    lines = page.read_text().splitlines()
    inside: str | None = None
    block: list[str] = []
    start = 0
    for number, line in enumerate([*lines, ""], 1):
        if (fence := re.match(r"\s*```+\s*\{?([\w-]*)", line)) and inside is None:
            inside, block, start = fence[1] or "text", [], number + 1
        elif inside is not None and line.strip().startswith("```"):
            yield Snippet(name, start, {"sh": "shell", "bash": "shell", "console": "shell"}.get(inside, inside), "\n".join(block))
            inside, block = None, []
        elif inside is not None:
            block.append(line)
        elif line.startswith("    ") and (block or not lines[number - 2].strip()):
            if not block:
                start = number
            block.append(line[4:])
        elif block and not line.strip() and number < len(lines) and lines[number].startswith("    "):
            block.append("")
        else:
            if block:
                yield Snippet(name, start, _language("\n".join(block)), "\n".join(block))
                block = []
            for inline in re.findall(r"`((?:biosim|python|make) [^`]+)`", line):
                yield Snippet(name, number, "shell", inline)


def _language(text: str) -> str:
    first = text.split()[0]
    if first in PROGRAMS:
        return "shell"
    if re.match(r"[\w-]+:(\s|$)", text):
        return "yaml"
    try:
        ast.parse(text)
    except SyntaxError:
        return "text"
    return "python"


def _joined(text: str) -> list[str]:
    """Return the lines of a block, one that goes on further indented appended to the one before."""
    found: list[str] = []
    for line in text.splitlines():
        if line.startswith("  ") and found:
            found[-1] = found[-1].rstrip("\\ ") + " " + line.strip()
        else:
            found.append(line)
    return found


def _bare(line: str) -> str:
    """Return a command without its comment and without what it redirects."""
    return re.sub(r"\s+>\s+\S+$", "", re.sub(r"\s+#.*$", "", line)).strip()


def words(command: str) -> list[str]:
    """Return the words of a command as a shell parts them; those of a synopsis without its brackets."""
    text = re.sub(r"[\[\]]|\.\.\.", " ", command) if SYNOPSIS.search(command) else command
    return shlex.split(text)


def wrong(command: str) -> str | None:
    """Return what is wrong with a command that can be seen without running it, or None."""
    program, *rest = words(command)
    if program in ("git", "source", "pip"):
        return None
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return next((f"no make target {t}" for t in rest if t not in targets), None)
    if program == "python":
        return _wrong_script(rest)
    return _wrong_biosim(rest, bool(SYNOPSIS.search(command)))


def _wrong_script(rest: list[str]) -> str | None:
    places = [ROOT / rest[0], ROOT / "docs" / "examples" / rest[0]]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        return f"there is no script {rest[0]}"
    texts = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    known = texts | ({"--out"} if "main(analyse" in path.read_text() else set())
    return next((f"{rest[0]} has no option {o}" for o in rest[1:] if o.startswith("--") and o not in known), None)


def _wrong_biosim(rest: list[str], synopsis: bool) -> str | None:
    import typer.main

    from biosim.cli import app

    group: Any = typer.main.get_command(app)
    if not rest or rest[0] not in group.commands:
        return f"biosim has no command {rest[0] if rest else ''}"
    command = group.commands[rest[0]]
    if synopsis or len(rest) == 1:
        known = {o for p in command.params for o in p.opts}
        return next((f"biosim {rest[0]} has no option {o}" for o in rest[1:] if o.startswith("-") and o not in known), None)
    try:
        command.make_context(rest[0], rest[1:])
    except Exception as error:  # typer brings its own copy of click's exceptions, or click's
        return f"{type(error).__name__}: {error}"
    return None


def yaml_of(text: str, folder: Path) -> Any:
    """Return what a YAML snippet says."""
    path = folder / "snippet.yaml"
    path.write_text(text)
    return read_yaml(path).data
