"""Finds models, drives, measures, scenarios and the like by name or path, in a checkout and in an installed wheel alike."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Literal

from biosim.errors import BiosimError, InputError, did_you_mean

Kind = Literal["models", "scenarios", "analysis", "scorers", "studies", "drives", "measures", "substrates", "formats"]
KINDS: dict[Kind, str] = {
    "models": ".py", "scenarios": ".yaml", "analysis": ".py", "scorers": ".py",
    "studies": ".py", "drives": ".py", "measures": ".py", "substrates": ".py", "formats": ".py",
}  # fmt: skip
OWN: tuple[Kind, ...] = ("studies", "drives", "measures", "substrates")  # folders of the package itself
DEFINES: dict[Kind, str] = {"drives": "def drive(", "substrates": "def substrate("}  # other files there are parts of these
_PACKAGE = Path(__file__).parent


def folders(kind: Kind) -> list[Path]:
    """Return the folders searched, first match wins: the working directory's, then biosim's own."""
    own = _PACKAGE / kind if kind in OWN else _PACKAGE / "_library" / kind
    if not own.is_dir():
        own = _PACKAGE.parent / kind  # biosim's own scorers are part of the package: there is no such folder of them
    return [folder for folder in (Path.cwd() / kind, own) if folder.is_dir()]


def names(kind: Kind) -> dict[str, Path]:
    """Return every file of a kind by name; ``_`` and ``-`` are the same."""
    found: dict[str, Path] = {}
    for folder in folders(kind):
        for path in sorted(folder.glob(f"*{KINDS[kind]}")):
            if not path.name.startswith("_") and (kind not in DEFINES or f"\n{DEFINES[kind]}" in path.read_text()):
                found.setdefault(path.stem.replace("_", "-"), path)
    return found


def find(kind: Kind, name: str) -> Path:
    """Return the file of a model, scenario or analysis.

    Raises
    ------
    InputError
        When there is none; the message lists what there is.
    """
    if name.endswith(KINDS[kind]) or "/" in name:
        path = Path(name).expanduser()
        if path.is_file():
            return path
        raise InputError(f"there is no file {name}", ("name",))
    known = names(kind)
    key = name.replace("_", "-")
    if key not in known:
        singular = {"analysis": "analysis", "studies": "study"}.get(kind, kind.removesuffix("s"))
        listing = ", ".join(known) or "none"
        if (beside := Path(f"{name}{KINDS[kind]}")).is_file():
            raise InputError(f"no {singular} is called '{name}', but there is a file {beside} here: write ./{beside}", ("name",))
        raise InputError(f"unknown {singular} '{name}'{did_you_mean(key, list(known))}; there are: {listing}, or a path", ("name",))
    return known[key]


def find_given(kind: Kind, name: str) -> Path:
    """Return the file of what a command names, which stands under no key of a file: see :func:`find`."""
    try:
        return find(kind, name)
    except InputError as error:
        raise BiosimError(error.message) from None


def load_module(path: Path) -> ModuleType:
    """Import a Python file, biosim's own or one outside any package.

    Raises
    ------
    BiosimError
        When importing it fails, naming the file and the line.
    """
    if path.parent.parent.resolve() == _PACKAGE and path.parent.name in OWN:  # a class of biosim's own is one, however it is reached
        return importlib.import_module(f"biosim.{path.parent.name}.{path.stem}")
    name = f"biosim_library.{path.parent.name}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BiosimError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before executing: dataclasses and pickling of workers look it up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        line = _line(error, path)
        raise BiosimError(f"{path}{line}: cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _line(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    trace, line = error.__traceback__, ""
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return line
